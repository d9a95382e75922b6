"""Files of replies and references: JSON Lines or CSV, columns recognised by name."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qingting.core.errors import DataError, NotFoundError, SpecificationError, did_you_mean
from qingting.core.missing import Missing

HYPOTHESIS_COLUMNS = ("hypothesis", "response", "prediction", "predict", "generated", "output")
REFERENCE_COLUMNS = ("reference", "label", "labels", "target", "ref", "gold")

_EXTRA = "\0cells beyond the header"


@dataclass(frozen=True, slots=True)
class PairFile:
    """The rows of a file, each with text or the reason why there is none.

    ``problems`` names every row that cannot be used as ``FILE:LINE: what``. ``references`` is
    ``None`` when the file has no such column.
    """

    hypotheses: tuple[str | Missing, ...]
    references: tuple[str | Missing, ...] | None
    problems: tuple[str, ...]
    hypothesis_column: str
    reference_column: str | None


def read_pairs(
    path: Path, *, hypothesis_column: str | None = None, reference_column: str | None = None
) -> PairFile:
    """Return the pairs of a ``.csv`` file, or of JSON Lines under any other name.

    Columns are the first of ``HYPOTHESIS_COLUMNS`` and of ``REFERENCE_COLUMNS`` that any row
    has, unless named. A row that is no JSON object, or lacks a text, stays in its place as
    ``Missing`` and is named in ``problems``; empty text is text. Blank lines are skipped.

    Raises:
        NotFoundError: there is no such file.
        DataError: the file is not UTF-8, or holds no row.
        SpecificationError: no column for hypotheses, or a named column that no row has.
    """
    if not path.is_file():
        raise NotFoundError(f"{path}: there is no such file")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: byte {error.start} is not UTF-8; convert the file") from None
    rows = list(_csv_rows(text) if path.suffix.lower() == ".csv" else _json_rows(text))
    if not rows:
        raise DataError(f"{path}: holds no row")
    columns = list(dict.fromkeys(name for _, row in rows if isinstance(row, dict) for name in row))
    if not columns:
        raise DataError(f"{path}:{rows[0][0]}: {rows[0][1]}; no line can be used")
    hyp = _column(path, columns, hypothesis_column, HYPOTHESIS_COLUMNS)
    ref = _column(path, columns, reference_column, REFERENCE_COLUMNS)
    if hyp is None:
        raise SpecificationError(
            f"{path}: no column holds the replies; found {', '.join(columns)}. Name one of them "
            f"with --hypothesis-column, or call it {HYPOTHESIS_COLUMNS[0]!r}"
        )
    problems: list[str] = []

    def texts(name: str) -> tuple[str | Missing, ...]:
        found = []
        for line, row in rows:
            value = _text(row, name)
            if isinstance(value, Missing) and f"{path}:{line}: {value.reason}" not in problems:
                problems.append(f"{path}:{line}: {value.reason}")
            found.append(value)
        return tuple(found)

    hypotheses = texts(hyp)
    references = None if ref is None else texts(ref)
    return PairFile(hypotheses, references, tuple(problems), hyp, ref)


def _column(
    path: Path, columns: list[str], named: str | None, known: tuple[str, ...]
) -> str | None:
    if named is None:
        return next((name for name in known if name in columns), None)
    if named not in columns:
        raise SpecificationError(
            f"{path}: no row has a column {named!r}; found {', '.join(columns)}."
            f"{did_you_mean(named, columns)}"
        )
    return named


def _text(row: Mapping[str, Any] | str, name: str) -> str | Missing:
    if isinstance(row, str):
        return Missing(row)
    value = row.get(name)
    if isinstance(value, str):
        return value
    return Missing(f"no text in column {name!r}" if value is None else f"{name!r} is not text")


def _json_rows(text: str) -> Iterator[tuple[int, dict[str, Any] | str]]:
    # Not splitlines(): a reply may hold U+2028 or a form feed, which JSON does not escape.
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            yield number, f"not JSON ({error.msg} at column {error.colno})"
        else:
            yield number, row if isinstance(row, dict) else "not a JSON object"


def _csv_rows(text: str) -> Iterator[tuple[int, dict[str, Any] | str]]:
    reader = csv.DictReader(io.StringIO(text, newline=""), restkey=_EXTRA)
    for row in reader:
        # A short row leaves None in its last columns; a long one has cells without a name.
        if _EXTRA in row:
            yield reader.line_num, "more cells than the header has columns"
        else:
            yield reader.line_num, dict(row)
