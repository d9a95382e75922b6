"""Where records go that cannot be used, so that none is lost without a trace."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from qingting.data.output import RecordFile
from qingting.data.records import Defect, RawDialogue


def quarantine_record(record: RawDialogue, defects: Iterable[Defect]) -> dict[str, Any]:
    """Return what a quarantine file says of a record: place, defects, reason and the raw text.

    The raw text may be a participant's words: quarantine files stay on the machine where the data
    are and go into no log, report or repository.
    """
    order = list(Defect)
    entry: dict[str, Any] = {
        "file": record.origin.file,
        record.unit: record.origin.line,
        "defects": [str(defect) for defect in sorted(defects, key=order.index)],
    }
    if record.problem is not None:
        entry["reason"] = record.problem
    entry["raw"] = _as_text(record.raw)
    return entry


class Quarantine:
    """Writes records to a quarantine file, JSON Lines, and counts them."""

    def __init__(self, file: RecordFile) -> None:
        self._file = file
        self.n_records = 0

    def __call__(self, record: RawDialogue, defects: frozenset[Defect]) -> None:
        """Write one record and its defects."""
        self._file.write(quarantine_record(record, defects))
        self.n_records += 1


def _as_text(raw: Any) -> str:
    if isinstance(raw, bytes):
        return raw.decode("utf-8", "replace")
    text: str = raw if isinstance(raw, str) else json.dumps(raw, ensure_ascii=False, default=str)
    return text.encode("utf-8", "replace").decode()
