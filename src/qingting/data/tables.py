"""The rows of a CSV or TSV as records, recognised by the names in the first line."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from qingting.data.formats import DIALOGUE_ID_KEYS, HOLDER_KEYS, TEXT_KEYS
from qingting.data.json_stream import MAX_RECORD_BYTES
from qingting.data.roles import role_of
from qingting.data.turns import CLIENT_KEYS, COUNSELLOR_KEYS, SPEAKER_KEYS, WORDS_KEYS

_DELIMITERS: Final = (",", "\t", ";", "|")
_COLUMNS_OF_WORDS: Final = frozenset(
    {
        *HOLDER_KEYS,
        *TEXT_KEYS,
        *CLIENT_KEYS,
        *COUNSELLOR_KEYS,
        "content",
        "utterance",
        "内容",
        "发言",
    }
)
_MOST_COLUMNS = 1000
_LINE_END = re.compile(r"\r\n|\r")


class Dialect(NamedTuple):
    """How a table is written: what separates its columns, and what they are called."""

    delimiter: str
    columns: tuple[str, ...]
    skips_spaces: bool


class Row(NamedTuple):
    """One row: its cells by column, the line on which it begins, or why it cannot be read."""

    cells: dict[str, str]
    line: int
    problem: str | None = None
    raw: tuple[str, ...] = ()


def detect_dialect(head: str) -> Dialect | None:
    """Return how the table is written that begins so, or ``None`` for what is no table.

    A table's first line names its columns, and at least one of them is known to hold words. One
    column alone must be followed by quotes, or any line of text could be a table.
    """
    first, _, rest = _LINE_END.sub("\n", head[:8192].lstrip("\ufeff\r\n")).partition("\n")
    if not first or len(first) > 4096:
        return None
    best: Dialect | None = None
    present = [delimiter for delimiter in _DELIMITERS if delimiter in first]
    for delimiter in present or [","]:
        skips_spaces = f"{delimiter} " in first
        try:
            rows = csv.reader(
                [first], delimiter=delimiter, skipinitialspace=skips_spaces, strict=True
            )
            cells = next(rows, [])
        except csv.Error:
            continue
        columns = _canonical(cells)
        n_known = len(_COLUMNS_OF_WORDS & set(columns))
        is_alone = len(cells) == 1
        if not n_known or len(cells) > _MOST_COLUMNS:
            continue
        if is_alone and not rest.startswith('"'):
            continue
        if best is None or len(columns) > len(best.columns):
            best = Dialect(delimiter, columns, skips_spaces)
    return best


def _canonical(cells: list[str]) -> tuple[str, ...]:
    """Return the column names as the readers of records know them.

    Columns named for the two speakers are the two sides of an exchange; ``id`` numbers dialogues
    where each row is one turn and no other column does.
    """
    names = [" ".join(cell.strip("\ufeff \t").casefold().split()) for cell in cells]
    names = [name.replace(" ", "_").replace("-", "_") for name in names]
    known = set(names)
    is_long = bool(known & set(SPEAKER_KEYS)) and bool(known & set(WORDS_KEYS))
    if is_long and "id" in known and not known & set(DIALOGUE_ID_KEYS):
        names[names.index("id")] = "dialogue_id"
    roles = [role_of(name) for name in names]
    if not is_long and not known & _COLUMNS_OF_WORDS:
        if "user" in roles and "assistant" in roles:
            names[roles.index("user")] = "question"
            names[roles.index("assistant")] = "answer"
        if "system" in roles:
            names[roles.index("system")] = "system"
    return tuple(names)


def read_rows(file: io.TextIOBase, dialect: Dialect) -> Iterator[Row]:
    """Yield the rows after the first; blank lines are none.

    Args:
        file: The table, opened so that line ends are left as they are.
        dialect: What ``detect_dialect`` said.
    """
    # The limit is the process's own; raising it to ours lets long dialogues in.
    csv.field_size_limit(max(csv.field_size_limit(), MAX_RECORD_BYTES))
    rows = csv.reader(
        iter(lambda: file.readline(MAX_RECORD_BYTES), ""),
        delimiter=dialect.delimiter,
        skipinitialspace=dialect.skips_spaces,
        strict=True,  # a quote that is never closed must not swallow rows in silence
    )
    is_header = True
    while True:
        line = rows.line_num + 1
        try:
            cells = next(rows)
        except StopIteration:
            return
        except csv.Error as error:
            n_lines = rows.line_num - line + 1
            extent = f" (lines {line} to {rows.line_num} were taken for one row)"
            yield Row({}, line, f"no row of a table: {error}{extent if n_lines > 1 else ''}")
            continue
        if not cells or (len(cells) == 1 and not cells[0].strip()):
            continue
        if is_header:
            is_header = False
            continue
        if len(cells) != len(dialect.columns):
            problem = f"{len(cells)} cells under {len(dialect.columns)} column names"
            yield Row({}, line, problem, tuple(cells))
            continue
        yield Row(dict(zip(dialect.columns, cells, strict=True)), line, None, tuple(cells))


def record_of(cells: dict[str, str]) -> dict[str, Any]:
    """Return the record that a row is, with empty cells that a record need not have left out.

    An empty cell is an empty turn on a side that has a column, and no dialogue's number, system
    text or history at all.
    """
    return {key: cell for key, cell in cells.items() if cell or key in _COLUMNS_OF_WORDS}
