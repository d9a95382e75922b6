"""Reading a file of judgments: its format is recognised from what stands in it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from qingting.core.columns import read_text, records_of_text
from qingting.core.errors import DataError
from qingting.judging.importing import argilla, label_studio
from qingting.judging.importing.rows import Format, Row, Source, digest_of_text


def read_source(path: Path) -> Source:
    """Return the rows of a file, plain or gzip, in UTF-8; see ``source_of_text``.

    Raises:
        NotFoundError: there is no such file.
        DataError: it cannot be read, or holds nothing that is a judgment.
    """
    return source_of_text(read_text(path), name=str(path))


def source_of_text(text: str, *, name: str) -> Source:
    """Return the rows of a text: CSV, TSV, JSON Lines, or an export of Label Studio or Argilla.

    Args:
        name: of the file, to place problems with.

    Raises:
        DataError: it is none of these, or holds no row.
    """
    text = text.removeprefix("\ufeff")
    records = _json_records(text, name)
    set_aside: Counter[str] = Counter()
    form: Format = "table"
    if records is None:
        rows = tuple(_of_table(text, name))
    elif any(label_studio.is_task(one) for one in records):
        form = "label-studio"
        rows = tuple(label_studio.rows_of(records, name=name, set_aside=set_aside))
    elif any(argilla.is_record(one) for one in records):
        form = "argilla"
        rows = tuple(argilla.rows_of(records, name=name, set_aside=set_aside))
    elif _is_lines(text):
        rows = tuple(_of_table(text, name))
    else:
        rows = tuple(_of_records(records, name))
    if not rows and not set_aside:
        raise DataError(f"{name}: holds no row")
    return Source(name, form, digest_of_text(text), rows, dict(set_aside))


def _json_records(text: str, name: str) -> list[Any] | None:
    """Return the records of a JSON document or of JSON Lines; None for another text.

    Lines that are no JSON are left to the reader of tables, which tells each of them.
    """
    start = text.lstrip()[:1]
    if start not in ("[", "{"):
        return None
    try:
        document = json.loads(
            text, parse_constant=_no_number, object_pairs_hook=_without_double_keys
        )
    except RecursionError:
        raise DataError(f"{name}: nested too deeply to be read") from None
    except json.JSONDecodeError as error:
        if _is_lines(text):
            return list(_json_lines(text))
        raise DataError(
            f"{name}:{error.lineno}: not JSON ({error.msg} at column {error.colno})"
        ) from None
    except ValueError as error:
        if _is_lines(text):
            return list(_json_lines(text))
        raise DataError(f"{name}: not JSON that can be read ({error})") from None
    if isinstance(document, list):
        return document
    return argilla.records_by_name(document) or [document]


def _is_lines(text: str) -> bool:
    """Return whether a text is JSON Lines: the line on which its first object begins ends it."""
    first = text.lstrip().split("\n", 1)[0].rstrip()
    return first.startswith("{") and (first.endswith("}") or '"' in first)


def _no_number(constant: str) -> None:
    raise ValueError(f"{constant} is no number")


def _without_double_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"the key {key[:40]!r} stands twice in one object")
        found[key] = value
    return found


def _json_lines(text: str) -> Iterator[Any]:
    for line in text.split("\n"):
        if line.strip():
            try:
                yield json.loads(line)
            except (ValueError, RecursionError):
                yield None


def _of_table(text: str, name: str) -> Iterator[Row]:
    lines = text.split("\n")
    for record in records_of_text(text, Path(name)).rows:
        place = f"{name}:{record.line}"
        if record.fault is not None:
            raw = lines[record.line - 1] if record.line <= len(lines) else ""
            yield Row(place, {}, raw, fault=record.fault)
        else:
            yield Row(place, flat(record.cells), dict(record.cells))


def _of_records(records: list[Any], name: str) -> Iterator[Row]:
    for number, record in enumerate(records, start=1):
        place = f"{name} record {number}"
        if isinstance(record, Mapping):
            yield Row(place, flat(record), record)
        else:
            yield Row(place, {}, record, fault="no_record")


def flat(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row with the nested parts of our own exports named as in the flat table."""
    cells = dict(record)
    if isinstance(scores := record.get("scores"), Mapping):
        cells |= {f"score_{criterion}": score for criterion, score in scores.items()}
    if isinstance(safety := record.get("safety"), Mapping):
        for side, gate in safety.items():
            if isinstance(gate, Mapping):
                cells[f"safety_{side}"] = gate.get("verdict")
                cells[f"safety_reasons_{side}"] = gate.get("reasons")
        del cells["safety"]  # a criterion may bear that name
    if isinstance(guess := record.get("guess"), Mapping):
        cells |= {f"guess_{side}": family for side, family in guess.items()}
        cells.setdefault("was_asked_guess", True)
    return cells
