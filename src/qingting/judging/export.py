"""Judgments as one flat table in the form that a file's name asks for."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson

from qingting.core.errors import SpecificationError
from qingting.judging.snapshot import SnapshotData
from qingting.judging.snapshot_tables import flat_row, write_parquet

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def table_of(data: SnapshotData) -> list[dict[str, Any]]:
    """Return the judgments of a snapshot, each with its rater's credential.

    A flat table cannot tell a guess that was not given from a question that was not asked, so
    ``was_asked_guess`` does.
    """
    credentials = {one["rater"]: one["credential"] for one in data.raters}
    return [
        row
        | {
            "credential": credentials[row["rater"]],
            "was_asked_guess": row.get("guess") is not None,
        }
        for row in data.judgments
    ]


def write_table(path: Path, judgments: Sequence[Mapping[str, Any]]) -> int:
    """Write judgments to a ``.csv``, ``.jsonl`` or ``.parquet`` file; return how many.

    Raises:
        SpecificationError: another ending.
    """
    ending = path.suffix.lower()
    if ending not in (".csv", ".jsonl", ".parquet"):
        raise SpecificationError(f"{path}: name a .csv, .jsonl or .parquet file")
    part = path.with_name(f".{path.name}.part")
    path.parent.mkdir(parents=True, exist_ok=True)
    if ending == ".parquet":
        write_parquet(part, judgments)
    elif ending == ".jsonl":
        part.write_bytes(b"".join(orjson.dumps(dict(row)) + b"\n" for row in judgments))
    else:
        rows = [flat_row(row) for row in judgments]
        names = list(dict.fromkeys(name for row in rows for name in row))
        # the mark at the start is what spreadsheets take Chinese as Chinese by
        with part.open("w", encoding="utf-8-sig", newline="") as file:
            writer = csv.DictWriter(file, names, restval="")
            writer.writeheader()
            writer.writerows({name: _inert(one) for name, one in row.items()} for row in rows)
    part.replace(path)
    return len(judgments)


def _inert(cell: Any) -> Any:
    """Return a cell that no spreadsheet runs: a rater's words may begin like a formula.

    Source: OWASP, "CSV injection": an apostrophe before = + - @, tab and carriage return.
    """
    return f"'{cell}" if isinstance(cell, str) and cell[:1] in FORMULA_STARTS else cell
