"""Plain tables of text, from CSV, TSV or JSON Lines: columns by name, rows by file line.

CSV may be divided by commas or semicolons, and begin with the ``sep=`` line that Excel writes.
"""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import json
import math
import re
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Protocol, TextIO

from qingting.core.errors import (
    DataError,
    NotFoundError,
    Problem,
    SpecificationError,
    did_you_mean,
)

_GZIP = b"\x1f\x8b"
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")
_JSON_SUFFIXES = {".json", ".jsonl", ".ndjson"}
# The line of a row, and its cells or what is wrong with it.
_Row = tuple[int, Iterable[tuple[str, object]] | str]
_SEPARATOR_LINE = re.compile(r"\s*\"?sep=([,;\t])\"?\s*", re.IGNORECASE)


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


class Named(Protocol):
    """What has columns with names and stands in a file."""

    @property
    def path(self) -> Path:
        """Return the file."""

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names of the columns."""


class Record(NamedTuple):
    """A row as it was written: its cells by column, or why it cannot be read.

    ``line``: on which it ends in the file, counted from 1. Cells are text, or JSON values.
    """

    line: int
    cells: Mapping[str, object]
    fault: str | None


@dataclass(frozen=True, slots=True, eq=False)
class Records:
    """The rows of a file one by one, those that cannot be read among them.

    ``names``: columns in the order in which they first appear; empty where no row can be read.
    """

    path: Path
    names: tuple[str, ...]
    rows: tuple[Record, ...]


def read_records(path: Path) -> Records:
    """Return the rows of a file as ``read_columns`` reads them, keeping those with a fault.

    JSON values stay what they are, so that null, a number and empty text differ.

    Raises:
        NotFoundError: there is no such file.
        DataError: not UTF-8, no row, or a header name that is empty or stands twice.
    """
    return _recorded(path, _rows(path, as_written=False))


def records_of_text(text: str, path: Path) -> Records:
    """Return the rows of a text as ``read_records`` does, recognised from content alone.

    Args:
        text: without a byte order mark.
        path: the name to tell.

    Raises:
        DataError: no row, or a header name that is empty or stands twice.
    """
    return _recorded(path, _text_rows(path, io.StringIO(text, newline=""), as_written=False))


def read_text(path: Path) -> str:
    """Return a whole text as tables are read: plain or gzip, UTF-8, without a byte order mark.

    Raises:
        NotFoundError: there is no such file.
        DataError: not UTF-8, or a damaged gzip file.
    """
    with _readable(path) as file:
        return file.read()


def _recorded(path: Path, found: Iterable[_Row]) -> Records:
    rows = tuple(
        Record(line, {}, cells) if isinstance(cells, str) else Record(line, dict(cells), None)
        for line, cells in found
    )
    if not rows:
        raise DataError(f"{path}: holds no row")
    return Records(path, tuple(dict.fromkeys(name for row in rows for name in row.cells)), rows)


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
    return _table(path, _rows(path, as_written=True))


def columns_of_text(text: str, path: Path) -> Columns:
    """Return the table in a text as ``read_columns`` does, recognised from content alone.

    Args:
        text: without a byte order mark.
        path: the name to tell.

    Raises:
        DataError: as ``read_columns``.
    """
    return _table(path, _text_rows(path, io.StringIO(text, newline=""), as_written=True))


def _table(path: Path, rows: Iterable[_Row]) -> Columns:
    table = _gathered(path, rows)
    if not len(table):
        raise DataError(f"{path}: holds no row")
    return table


def find_column(
    columns: Named,
    *,
    role: str,
    names: Sequence[str],
    mapped: str | None = None,
    required: bool = True,
    option: str | None = None,
) -> str | None:
    """Return the column that plays a role, or None where it is optional and absent.

    ``mapped`` is the user's own choice and must exist as written. Otherwise the first of
    ``names`` that a column equals, letter case aside, is taken. ``option``: that of the command,
    such as ``--rater-column``, to be named where the column is not recognised.

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
            f"found {listed}.{near} Call it {names[0]!r} or name it with "
            f"{option or f'the option for the {role}'}"
        )
    return None


def finite_number(cell: str) -> float | None:
    """Return a cell as a number, or None where it is none or not finite."""
    try:
        number = float(cell)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _rows(path: Path, *, as_written: bool) -> Iterator[_Row]:
    with _readable(path) as file:
        is_json = bool(_JSON_SUFFIXES & set(path.suffixes))
        yield from _text_rows(path, file, as_written=as_written, is_json=is_json)


def _text_rows(
    path: Path, file: TextIO, *, as_written: bool, is_json: bool = False
) -> Iterator[_Row]:
    first = file.readline()
    while first and not first.strip():
        first = file.readline()
    file.seek(0)
    if is_json or first.lstrip().startswith("{"):
        yield from _json_rows(file, as_written=as_written)
    else:
        yield from _csv_rows(path, file, first)


@contextmanager
def _readable(path: Path) -> Iterator[TextIO]:
    """Give an open text; what keeps it from being read is told about the file."""
    if path.is_dir():
        raise SpecificationError([Problem(str(path), "a folder; name a file")])
    if not path.is_file():
        raise NotFoundError(f"{path}: there is no such file")
    try:
        with _opened(path) as file:
            yield file
    except UnicodeDecodeError:
        raise DataError(f"{path}: not UTF-8 text; {_conversion(path)}") from None
    except (EOFError, gzip.BadGzipFile) as error:
        raise DataError(f"{path}: a damaged gzip file ({error})") from None


def _conversion(path: Path) -> str:
    """Return what to do with a file in another encoding, named where its bytes tell it."""
    with path.open("rb") as file:
        start = file.read(1 << 16)
    encoding = "UTF-16" if start.startswith(_UTF_16) else "GB18030"
    try:
        # A cut at the end may split a character; what is wrong before it is wrong.
        codecs.getincrementaldecoder(encoding)().decode(start)
    except UnicodeDecodeError:
        return "save it as 'CSV UTF-8', or convert it"
    return (
        f"it looks like {encoding}: save it as 'CSV UTF-8', or convert it with "
        f"iconv -f {encoding} -t UTF-8"
    )


def _opened(path: Path) -> TextIO:
    with path.open("rb") as file:
        zipped = file.read(2) == _GZIP
    raw = gzip.open(path) if zipped else path.open("rb")  # noqa: SIM115  (the wrapper closes it)
    return io.TextIOWrapper(raw, encoding="utf-8-sig", newline="")


def _csv_rows(path: Path, file: TextIO, first: str) -> Iterator[_Row]:
    told = _SEPARATOR_LINE.fullmatch(first)
    # The separator that the header has most of; a comma where it has none.
    delimiter = told[1] if told else max(",\t;", key=first.count)
    reader = csv.reader(file, delimiter=delimiter)
    names: list[str] = []
    try:
        for row in reader:
            if not any(cell.strip() for cell in row):
                continue
            if told:
                told = None
            elif not names:
                names = [cell.strip() for cell in row]
                # Spreadsheets end every line with the separators of columns that were once used.
                while not names[-1]:
                    names.pop()
                _check_header(path, reader.line_num, names)
            elif len(row) < len(names) or any(cell.strip() for cell in row[len(names) :]):
                yield (
                    reader.line_num,
                    f"{len(row)} cells, but the header has {len(names)} columns",
                )
            else:
                yield reader.line_num, zip(names, row, strict=False)
    except csv.Error as error:
        raise DataError(f"{path}:{reader.line_num}: not readable as CSV ({error})") from None


def _check_header(path: Path, line: int, names: list[str]) -> None:
    for name in names:
        if not name or names.count(name) > 1:
            what = f"the name {name!r} twice" if name else "a column without a name"
            raise DataError(f"{path}:{line}: the header has {what}")


def _json_rows(file: TextIO, *, as_written: bool) -> Iterator[_Row]:
    kept = str if as_written else None
    # newline="" keeps U+2028 and form feeds inside a line; only "\n" ends one.
    for number, line in enumerate(file, start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line, parse_int=kept, parse_float=kept, parse_constant=kept)
        except json.JSONDecodeError as error:
            yield number, f"not JSON ({error.msg} at column {error.colno})"
        except RecursionError:
            yield number, "not JSON (nested too deeply)"
        except ValueError as error:  # a number of thousands of digits
            yield number, f"not JSON that can be read ({error})"
        else:
            yield number, row.items() if isinstance(row, dict) else "not a JSON object"


def _cell(value: object) -> str:
    return "" if value is None else json.dumps(value, ensure_ascii=False)


def _gathered(path: Path, rows: Iterable[_Row]) -> Columns:
    values: dict[str, list[str]] = {}
    shared: dict[str, str] = {}
    lines = array("q")
    for line, cells in rows:
        if isinstance(cells, str):
            raise DataError(f"{path}:{line}: {cells}")
        for name, value in cells:
            cell = value if isinstance(value, str) else _cell(value)
            column = values.get(name)
            if column is None:
                column = values[name] = []
            column.extend([""] * (len(lines) - len(column)))
            column.append(shared.setdefault(cell, cell))
        lines.append(line)
    for column in values.values():
        column.extend([""] * (len(lines) - len(column)))
    return Columns(path, tuple(values), lines, values)
