"""Plain tables of text, from CSV, TSV or JSON Lines: columns by name, rows by file line."""

from __future__ import annotations

import csv
import gzip
import io
import json
import math
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, TextIO

from qingting.core.errors import (
    DataError,
    NotFoundError,
    Problem,
    SpecificationError,
    did_you_mean,
)

_GZIP = b"\x1f\x8b"


class RowProblem(NamedTuple):
    """A cell that cannot be used: where it stands, and why in a phrase."""

    path: Path
    line: int
    column: str | None
    message: str

    def __str__(self) -> str:
        column = f", column {self.column!r}" if self.column else ""
        return f"{self.path}:{self.line}{column}: {self.message}"


@dataclass(frozen=True, slots=True, eq=False)
class Columns:
    """A table held column by column; equal cells share one string, so a million rows stay small.

    ``names``: columns in the order in which they first appear. ``lines``: (n_rows,) the line on
    which each row ends in the file, counted from 1. ``values(name)``: (n_rows,) text as written;
    ``""`` where the row has none.
    """

    path: Path
    names: tuple[str, ...]
    lines: Sequence[int]
    _values: dict[str, list[str]] = field(repr=False)

    def __len__(self) -> int:
        return len(self.lines)

    def values(self, name: str) -> list[str]:
        """Return one column, (n_rows,) text; KeyError for a name that is not in ``names``."""
        return self._values[name]

    def problem(self, row: int, column: str | None, message: str) -> RowProblem:
        """Return a problem of one row, placed in the file."""
        return RowProblem(self.path, self.lines[row], column, message)


def read_columns(path: Path) -> Columns:
    """Return the table in a file: CSV, TSV or JSON Lines, plain or gzip, recognised from content.

    CSV and TSV have a header of distinct names; JSON Lines hold one object a line. Blank lines
    are skipped. In JSON, null and absent cells are ``""``, numbers keep their spelling and nested
    values stay JSON.

    Raises:
        NotFoundError: there is no such file.
        DataError: not UTF-8, no row, a header name that is empty or stands twice, or a row that
            is not readable; the message names file and line.
    """
    if path.is_dir():
        raise SpecificationError([Problem(str(path), "a folder; name a file")])
    if not path.is_file():
        raise NotFoundError(f"{path}: there is no such file")
    try:
        with _opened(path) as file:
            first = file.readline()
            while first and not first.strip():
                first = file.readline()
            file.seek(0)
            rows = (
                _json_rows(path, file)
                if first.lstrip().startswith("{")
                else _csv_rows(path, file, first)
            )
            table = _gathered(path, rows)
    except UnicodeDecodeError:
        raise DataError(f"{path}: not UTF-8 text; convert the file") from None
    except (EOFError, gzip.BadGzipFile) as error:
        raise DataError(f"{path}: a damaged gzip file ({error})") from None
    if not len(table):
        raise DataError(f"{path}: holds no row")
    return table


def find_column(
    columns: Columns,
    *,
    role: str,
    names: Sequence[str],
    mapped: str | None = None,
    required: bool = True,
) -> str | None:
    """Return the column that plays a role, or None where it is optional and absent.

    ``mapped`` is the user's own choice and must exist as written. Otherwise the first of
    ``names`` that a column equals, letter case aside, is taken.

    Raises:
        SpecificationError: a mapped column does not exist, or a required one is not recognised.
    """
    listed = ", ".join(columns.names)
    if mapped is not None:
        if mapped in columns.names:
            return mapped
        raise SpecificationError(
            f"{columns.path}: no column {mapped!r} for the {role}; found {listed}."
            f"{did_you_mean(mapped, columns.names)}"
        )
    by_lower: dict[str, str] = {}
    for name in columns.names:
        by_lower.setdefault(name.strip().lower(), name)
    for name in names:
        if name in by_lower:
            return by_lower[name]
    if required:
        near = next((hint for n in names if (hint := did_you_mean(n, columns.names))), "")
        raise SpecificationError(
            f"{columns.path}: no column holds the {role} (known names: {', '.join(names)}); "
            f"found {listed}.{near} Call it {names[0]!r} or name it with the option for the {role}"
        )
    return None


def finite_number(cell: str) -> float | None:
    """Return a cell as a number, or None where it is none or not finite."""
    try:
        number = float(cell)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _opened(path: Path) -> TextIO:
    with path.open("rb") as file:
        zipped = file.read(2) == _GZIP
    raw = gzip.open(path) if zipped else path.open("rb")  # noqa: SIM115  (the wrapper closes it)
    return io.TextIOWrapper(raw, encoding="utf-8-sig", newline="")


def _csv_rows(
    path: Path, file: TextIO, first: str
) -> Iterator[tuple[int, Iterable[tuple[str, str]]]]:
    reader = csv.reader(file, delimiter="\t" if first.count("\t") > first.count(",") else ",")
    names: list[str] = []
    try:
        for row in reader:
            if not any(cell.strip() for cell in row):
                continue
            if not names:
                names = [cell.strip() for cell in row]
                _check_header(path, reader.line_num, names)
                continue
            if len(row) != len(names):
                raise DataError(
                    f"{path}:{reader.line_num}: {len(row)} cells, but the header has "
                    f"{len(names)} columns"
                )
            yield reader.line_num, zip(names, row, strict=True)
    except csv.Error as error:
        raise DataError(f"{path}:{reader.line_num}: not readable as CSV ({error})") from None


def _check_header(path: Path, line: int, names: list[str]) -> None:
    for name in names:
        if not name or names.count(name) > 1:
            what = f"the name {name!r} twice" if name else "a column without a name"
            raise DataError(f"{path}:{line}: the header has {what}")


def _json_rows(path: Path, file: TextIO) -> Iterator[tuple[int, Iterable[tuple[str, str]]]]:
    # newline="" keeps U+2028 and form feeds inside a line; only "\n" ends one.
    for number, line in enumerate(file, start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line, parse_int=str, parse_float=str, parse_constant=str)
        except (json.JSONDecodeError, RecursionError) as error:
            reason = error.msg if isinstance(error, json.JSONDecodeError) else "nested too deeply"
            raise DataError(f"{path}:{number}: not JSON ({reason})") from None
        if not isinstance(row, dict):
            raise DataError(f"{path}:{number}: not a JSON object")
        yield number, ((name, _cell(value)) for name, value in row.items())


def _cell(value: object) -> str:
    if isinstance(value, str):
        return value
    return "" if value is None else json.dumps(value, ensure_ascii=False)


def _gathered(path: Path, rows: Iterable[tuple[int, Iterable[tuple[str, str]]]]) -> Columns:
    values: dict[str, list[str]] = {}
    shared: dict[str, str] = {}
    lines = array("q")
    for line, cells in rows:
        for name, cell in cells:
            column = values.get(name)
            if column is None:
                column = values[name] = []
            column.extend([""] * (len(lines) - len(column)))
            column.append(shared.setdefault(cell, cell))
        lines.append(line)
    for column in values.values():
        column.extend([""] * (len(lines) - len(column)))
    return Columns(path, tuple(values), lines, values)
