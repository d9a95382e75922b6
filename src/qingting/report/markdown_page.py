"""A page from Markdown of this package's own making, in both languages, that loads nothing.

Headings, paragraphs, lists with dashes, tables, `code` and **bold** are understood; everything is
escaped first, so no text can bring markup of its own. Anything else stands as it is written.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from markupsafe import Markup, escape

_CODE = re.compile(r"`([^`]+)`")
_STRONG = re.compile(r"\*\*([^*]+)\*\*")
_CELLS = re.compile(r"(?<!\\)\|")
_RULE = re.compile(r"\|?[\s:|-]+\Z")

_PAGE = Markup("""\
<!DOCTYPE html>
<html lang="zh-Hans">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="referrer" content="no-referrer">
<title>{title} · 倾听 Qingting</title>
<style>{style}</style>
</head>
<body>
<input type="radio" name="language" id="lang-zh" class="hidden" aria-label="中文"{zh_checked}>
<input type="radio" name="language" id="lang-en" class="hidden" aria-label="English"{en_checked}>
<div class="page">
<header class="masthead">
<p class="brand"><span lang="zh-Hans">倾听</span> <span lang="en">Qingting</span></p>
<p class="switch"><label for="lang-zh" lang="zh-Hans">中文</label><label for="lang-en" lang="en">English</label></p>
</header>
<main>
<div class="zh" lang="zh-Hans">
{zh}</div>
<div class="en" lang="en">
{en}</div>
</main>
</div>
</body>
</html>
""")


def page_of(*, zh: str, en: str, opens_in: Literal["zh", "en"] = "zh") -> str:
    """Return one HTML file that shows either text; equal texts give equal bytes."""
    style = (Path(__file__).parent / "static" / "report.css").read_text("utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    title = next((line[2:] for line in en.splitlines() if line.startswith("# ")), "")
    checked = Markup(" checked")
    return _PAGE.format(
        digest=digest,
        title=title,
        style=Markup(style),
        zh_checked=checked if opens_in == "zh" else "",
        en_checked=checked if opens_in == "en" else "",
        zh=html_of(zh),
        en=html_of(en),
    )


def html_of(text: str) -> Markup:
    """Return the body of a page: one element per block of the text."""
    return Markup("").join(_element(block) + "\n" for block in _blocks(text))


def _blocks(text: str) -> Iterator[list[str]]:
    block: list[str] = []
    for line in [*text.splitlines(), ""]:
        if line.strip():
            block.append(line.strip())
        elif block:
            yield block
            block = []


def _element(block: list[str]) -> Markup:
    heading = re.match(r"(#{1,6}) (.*)", block[0])
    if heading is not None:
        level = str(len(heading[1]))
        head = Markup("<h{0}>{1}</h{0}>").format(level, _inline(heading[2]))
        return head if len(block) == 1 else head + "\n" + _element(block[1:])
    if len(block) > 1 and block[0].startswith("|") and _RULE.match(block[1]):
        return _table(block[0], block[2:])
    if all(line.startswith("- ") for line in block):
        items = Markup("").join(Markup("<li>{}</li>\n").format(_inline(one[2:])) for one in block)
        return Markup("<ul>\n{}</ul>").format(items)
    return Markup("<p>{}</p>").format(_inline(" ".join(block)))


def _table(heads: str, rows: list[str]) -> Markup:
    head = Markup("").join(Markup('<th scope="col">{}</th>').format(one) for one in _cells(heads))
    body = Markup("")
    for row in rows:
        first, *others = _cells(row)
        cells = Markup("").join(Markup("<td>{}</td>").format(one) for one in others)
        body += Markup('<tr><th scope="row">{}</th>{}</tr>\n').format(first, cells)
    return Markup(
        '<div class="scroll"><table>\n<thead><tr>{}</tr></thead>\n<tbody>\n{}</tbody>\n</table></div>'
    ).format(head, body)


def _cells(line: str) -> list[Markup]:
    inner = line.strip().removeprefix("|").removesuffix("|")
    return [_inline(cell.strip().replace("\\|", "|")) for cell in _CELLS.split(inner)]


def _inline(words: str) -> Markup:
    escaped = str(escape(words))
    escaped = _CODE.sub(r"<code>\1</code>", escaped)
    return Markup(_STRONG.sub(r"<strong>\1</strong>", escaped))
