"""The parts of a page in words: headings, paragraphs, lists, tables; as Markdown and as HTML."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from qingting.report.html import show


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading; level 1 is the page's."""

    level: int
    text: str


@dataclass(frozen=True, slots=True)
class Paragraph:
    """A paragraph; ``**lead**`` and `` `code` `` stand out, nothing else is interpreted."""

    text: str


@dataclass(frozen=True, slots=True)
class Bullets:
    """A list of sentences."""

    items: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """A table: its heads, and rows of as many cells."""

    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


Block = Heading | Paragraph | Bullets | Table


def table(heads: str, rows: Sequence[Sequence[str]]) -> Table:
    """Return a table; ``heads`` are separated by bars."""
    return Table(tuple(heads.split("|")), tuple(tuple(row) for row in rows))


def to_markdown(blocks: Sequence[Block]) -> str:
    """Return blocks as Markdown."""
    return "\n\n".join(_markdown(block) for block in blocks) + "\n"


def _markdown(block: Block) -> str:
    if isinstance(block, Heading):
        return f"{'#' * block.level} {block.text}"
    if isinstance(block, Paragraph):
        return block.text
    if isinstance(block, Bullets):
        return "\n".join(f"- {item}" for item in block.items)
    lines = ["| " + " | ".join(block.heads) + " |", "|" + "---|" * len(block.heads)]
    lines += [
        "| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in block.rows
    ]
    return "\n".join(lines)


def to_html(blocks: Sequence[Block]) -> Markup:
    """Return blocks as HTML, a section to each heading of level 2; every text is escaped."""
    parts: list[list[Block]] = [[]]
    for block in blocks:
        if isinstance(block, Heading) and block.level == 2:
            parts.append([])
        parts[-1].append(block)
    opening, *sections = (Markup("\n").join(_html(block) for block in part) for part in parts)
    return Markup('<div class="opening">{}</div>\n').format(opening) + Markup("\n").join(
        Markup("<section>{}</section>").format(section) for section in sections
    )


def _html(block: Block) -> Markup:
    if isinstance(block, Heading):
        return Markup("<h{0}>{1}</h{0}>").format(block.level, show(block.text))
    if isinstance(block, Paragraph):
        return Markup("<p>{}</p>").format(show(block.text))
    if isinstance(block, Bullets):
        items = Markup("").join(Markup("<li>{}</li>").format(show(one)) for one in block.items)
        return Markup('<ul class="sentences">{}</ul>').format(items)
    heads = Markup("").join(Markup('<th scope="col">{}</th>').format(show(h)) for h in block.heads)
    rows = Markup("").join(
        Markup('<tr><th scope="row">{}</th>{}</tr>').format(
            show(row[0]),
            Markup("").join(
                Markup("<td{}>{}</td>").format(
                    Markup(' class="words"') if len(cell) > 24 else "", show(cell)
                )
                for cell in row[1:]
            ),
        )
        for row in block.rows
    )
    return Markup(
        '<div class="scroll" tabindex="0"><table><thead><tr>{}</tr></thead><tbody>{}</tbody></table></div>'
    ).format(heads, rows)
