"""Texts with or without labels: from tables and plain text files to dialogues of one speaker."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from qingting.core.columns import Columns, RowProblem, find_column, read_columns
from qingting.core.dialogue import Dialogue, Message, Origin
from qingting.core.errors import DataError, NotFoundError, SpecificationError, did_you_mean

TEXT_COLUMNS = ("text", "content", "sentence", "request", "utterance", "文本", "内容", "句子")
LABEL_COLUMNS = ("label", "class", "category", "intent", "标签", "类别")
ID_COLUMNS = ("id", "uid", "编号")
LANGUAGE_COLUMNS = ("language", "lang", "语言")

_TABLES = (".jsonl", ".ndjson", ".json", ".csv", ".tsv")
_PLAIN = (".txt", ".md")
_SENTENCE_END = re.compile(
    r"(?<=[。！？!?；;\n])(?![。！？!?；;\n”’」』）)\"])|(?<=[。！？!?][”’」』）)])|(?<=[.])(?=\s)"
)
_PARAGRAPHS = re.compile(r"\n[ \t\r]*(?:\n[ \t\r]*)+")
_CJK = re.compile(r"[\u3400-\u9fff]")


class TextFile(NamedTuple):
    """What one file gave: its texts, and its form as the report names it."""

    texts: tuple[Dialogue, ...]
    form: str


@dataclass(frozen=True, slots=True)
class TextColumns:
    """Which columns hold what; None where they are recognised by name."""

    text: str | None = None
    label: str | None = None


def text_files(paths: Sequence[Path]) -> tuple[Path, ...]:
    """Return the files meant by files and folders, those of a folder in order of name.

    Raises:
        NotFoundError: a folder holds no file of texts.
    """
    found: list[Path] = []
    for path in paths:
        if not path.is_dir():
            found.append(path)
            continue
        inside = sorted(
            p for p in path.rglob("*") if p.is_file() and _suffix(p) in _TABLES + _PLAIN
        )
        if not inside:
            raise NotFoundError(f"{path}: holds no file of texts ({', '.join(_TABLES + _PLAIN)})")
        found += inside
    return tuple(found)


def read_texts(
    path: Path, *, labelled: bool, columns: TextColumns, labels: Sequence[str]
) -> TextFile:
    """Return the texts of a file, each a dialogue of one speaker, its label as ``kind``.

    A table has a column of texts and, where ``labelled``, one of labels; it may have ids and
    languages. A plain text file, for texts without labels, holds a text in each block between
    blank lines. Outer white space of a text goes.

    Args:
        path: A CSV, TSV, JSON Lines or plain text file.
        labelled: Whether every text must have a label.
        columns: The columns that the experiment names.
        labels: The labels there may be; any label where empty.

    Raises:
        NotFoundError: there is no such file.
        SpecificationError: a column is missing; the message names those there are.
        DataError: an empty text, an empty or unknown label, an id that stands twice: the first
            such row by file and line, and how many there are.
    """
    if _suffix(path) in _PLAIN:
        if labelled:
            raise SpecificationError(
                f"{path}: plain text has no labels; give CSV, TSV or JSON Lines with the columns "
                "text and label"
            )
        return TextFile(tuple(_plain_texts(path)), "plain text")
    table = read_columns(path)
    texts = tuple(_table_texts(table, labelled=labelled, columns=columns, labels=labels))
    is_json = path.name.removesuffix(".gz").endswith((".jsonl", ".ndjson", ".json"))
    return TextFile(texts, "JSON Lines" if is_json else "table")


def sentences(text: str) -> tuple[str, ...]:
    """Return a text in sentences; joined without anything between them they are the text."""
    return tuple(part for part in _SENTENCE_END.split(text) if part)


def text_of(dialogue: Dialogue) -> str:
    """Return the text that :func:`as_dialogue` cut into sentences."""
    return "".join(message.content for message in dialogue.messages)


def as_dialogue(
    identity: str, text: str, *, label: str | None, language: str | None, origin: Origin
) -> Dialogue:
    """Return a text as a dialogue of one speaker, a message for each sentence."""
    messages = tuple(Message("assistant", part) for part in sentences(text))
    return Dialogue(identity, messages, origin, language or language_of_text(text), label)


def language_of_text(text: str) -> str:
    """Return ``zh`` where a fifth of the letters are Chinese characters, else ``en``."""
    n_letters = sum(character.isalpha() for character in text)
    return "zh" if len(_CJK.findall(text)) * 5 >= n_letters else "en"


def _table_texts(
    table: Columns, *, labelled: bool, columns: TextColumns, labels: Sequence[str]
) -> Iterator[Dialogue]:
    text_column = find_column(table, role="text", names=TEXT_COLUMNS, mapped=columns.text)
    assert text_column is not None
    label_column = None
    if labelled:
        label_column = find_column(table, role="label", names=LABEL_COLUMNS, mapped=columns.label)
    id_column = find_column(table, role="id", names=ID_COLUMNS, required=False)
    language_column = find_column(table, role="language", names=LANGUAGE_COLUMNS, required=False)
    texts = [value.strip() for value in table.values(text_column)]
    given = [v.strip() for v in table.values(label_column)] if label_column else [None] * len(texts)
    ids = table.values(id_column) if id_column else [""] * len(texts)
    languages = table.values(language_column) if language_column else [""] * len(texts)
    _require_usable(table, text_column, texts, label_column, given, labels)
    _require_distinct(table, id_column, ids)
    for row, text in enumerate(texts):
        line = table.lines[row]
        language = languages[row].strip().lower()
        yield as_dialogue(
            ids[row].strip() or f"{table.path.name.split('.')[0]}-{line}",
            text,
            label=given[row],
            language=language if language in ("zh", "en") else None,
            origin=Origin(table.path.name, line),
        )


def _require_usable(
    table: Columns,
    text_column: str,
    texts: Sequence[str],
    label_column: str | None,
    given: Sequence[str | None],
    labels: Sequence[str],
) -> None:
    problems = [
        table.problem(row, text_column, "an empty text")
        for row, text in enumerate(texts)
        if not text
    ]
    for row, label in enumerate(given if label_column is not None else ()):
        if not label:
            problems.append(table.problem(row, label_column, "an empty label"))
        elif labels and label not in labels:
            hint = did_you_mean(label, labels)
            known = f"unknown label {label!r}; data.labels allows {', '.join(labels)}.{hint}"
            problems.append(table.problem(row, label_column, known))
    _refuse(problems)


def _require_distinct(table: Columns, id_column: str | None, ids: Sequence[str]) -> None:
    counts = Counter(identity.strip() for identity in ids)
    seen: set[str] = set()
    problems = []
    for row, identity in enumerate(value.strip() for value in ids):
        if identity and counts[identity] > 1 and identity in seen:
            problems.append(table.problem(row, id_column, f"the id {identity!r} stands twice"))
        seen.add(identity)
    _refuse(problems)


def _refuse(problems: Sequence[RowProblem]) -> None:
    if problems:
        first = min(problems, key=lambda problem: problem.line)
        more = f" (and {len(problems) - 1} more such rows)" if len(problems) > 1 else ""
        raise DataError(f"{str(first).rstrip('.')}{more}; mend or remove what cannot be used")


def _plain_texts(path: Path) -> Iterator[Dialogue]:
    try:
        whole = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise NotFoundError(f"{path}: there is no such file") from None
    except UnicodeDecodeError:
        raise DataError(f"{path}: not UTF-8 text; convert the file") from None
    at, n_texts = 0, 0
    breaks = [
        *((m.start(), m.end()) for m in _PARAGRAPHS.finditer(whole)),
        (len(whole), len(whole)),
    ]
    for end, following in breaks:
        block = whole[at:end]
        text = block.strip()
        if text:
            n_texts += 1
            n_before = len(block) - len(block.lstrip())
            line = whole.count("\n", 0, at + n_before) + 1
            yield as_dialogue(
                f"{path.stem}-{line}",
                text,
                label=None,
                language=None,
                origin=Origin(path.name, line),
            )
        at = following
    if not n_texts:
        raise DataError(f"{path}: holds no text")


def _suffix(path: Path) -> str:
    return Path(path.name.removesuffix(".gz")).suffix.lower()
