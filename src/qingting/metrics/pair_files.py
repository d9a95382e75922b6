"""Files of replies and references: CSV, TSV or JSON Lines, columns recognised by name."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from qingting.core.columns import Record, find_column, read_records
from qingting.core.errors import DataError
from qingting.core.missing import Missing

HYPOTHESIS_COLUMNS = ("hypothesis", "response", "prediction", "predict", "generated", "output")
REFERENCE_COLUMNS = ("reference", "label", "labels", "target", "ref", "gold")


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
    """Return the pairs of a CSV, TSV or JSON Lines file, plain or gzip.

    Columns are the first of ``HYPOTHESIS_COLUMNS`` and of ``REFERENCE_COLUMNS`` that any row
    has, unless named. A row that cannot be read, or lacks a text, stays in its place as
    ``Missing`` and is named in ``problems``; empty text is text. Blank lines are skipped.

    Raises:
        NotFoundError: there is no such file.
        DataError: the file is not UTF-8, or holds no row that can be read.
        SpecificationError: no column for hypotheses, or a named column that no row has.
    """
    records = read_records(path)
    if not records.names:
        first = records.rows[0]
        raise DataError(f"{path}:{first.line}: {first.fault or 'no columns'}; no line can be used")
    hypothesis = find_column(
        records,
        role="replies",
        names=HYPOTHESIS_COLUMNS,
        mapped=hypothesis_column,
        option="--hypothesis-column",
    )
    assert hypothesis is not None  # find_column raises where a required column is absent
    reference = find_column(
        records,
        role="references",
        names=REFERENCE_COLUMNS,
        mapped=reference_column,
        required=False,
    )
    problems: dict[str, None] = {}

    def texts(name: str) -> tuple[str | Missing, ...]:
        found = tuple(_text(record, name) for record in records.rows)
        for record, value in zip(records.rows, found, strict=True):
            if isinstance(value, Missing):
                problems[f"{path}:{record.line}: {value.reason}"] = None
        return found

    hypotheses = texts(hypothesis)
    references = None if reference is None else texts(reference)
    return PairFile(hypotheses, references, tuple(problems), hypothesis, reference)


def _text(record: Record, name: str) -> str | Missing:
    if record.fault is not None:
        return Missing(record.fault)
    value = record.cells.get(name)
    if isinstance(value, str):
        return value
    return Missing(f"no text in column {name!r}" if value is None else f"{name!r} is not text")
