"""Where records go that cannot be used, so that none is lost without a trace."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from qingting.data.output import RecordFile, record_file, refuse_to_overwrite
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
    """Writes records to a quarantine file, JSON Lines, and counts them; see ``quarantine_file``."""

    def __init__(self, open_file: Callable[[], RecordFile]) -> None:
        self._open_file = open_file
        self._file: RecordFile | None = None
        self.n_records = 0

    def __call__(self, record: RawDialogue, defects: frozenset[Defect]) -> None:
        """Write one record and its defects."""
        if self._file is None:
            self._file = self._open_file()
        self._file.write(quarantine_record(record, defects))
        self.n_records += 1


@contextmanager
def quarantine_file(path: Path, *, force: bool, always: bool = False) -> Iterator[Quarantine]:
    """Give a quarantine whose file stands under ``path`` when the block ends without an error.

    Only its owner may read the file: it holds participants' words.

    Without records no file is made, unless ``always`` says so, or an old one must be replaced.

    Raises:
        DataError: something stands at the path and ``force`` is false.
    """
    refuse_to_overwrite(path, force=force)
    with ExitStack() as stack:
        quarantine = Quarantine(
            lambda: stack.enter_context(record_file(path, force=force, is_private=True))
        )
        yield quarantine
        if not quarantine.n_records and (always or path.exists()):
            stack.enter_context(record_file(path, force=force, is_private=True))


def _as_text(raw: Any) -> str:
    if isinstance(raw, bytes):
        return raw.decode("utf-8", "replace")
    text: str = raw if isinstance(raw, str) else json.dumps(raw, ensure_ascii=False, default=str)
    return text.encode("utf-8", "replace").decode()
