"""What a data set holds and what is wrong with it: counts, and the first places of each defect."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qingting.data.copies import DigestSet, turns_digest
from qingting.data.reading import OnQuarantine, ignore, read_records
from qingting.data.records import Defect, judge, place_of
from qingting.data.repair import Repair, repair

UNKNOWN_FORMAT = "unknown"
MIXED_FORMAT = "mixed"


@dataclass(frozen=True)
class CheckReport:
    """The counts of one reading of a data set.

    ``n_dialogues`` counts every record, the malformed ones too. ``defects`` counts dialogues under
    each defect they show, ``EXACT_DUPLICATE`` redundant copies. ``formats`` counts dialogues by
    form. ``n_usable`` counts those that are strictly valid, if need be after the repairs asked
    for; ``repairs`` counts the dialogues that each repair changed. ``places`` holds the first
    places of each defect, ``problems`` why records are malformed, by place.
    """

    formats: Mapping[str, int]
    n_dialogues: int
    n_with_turns: int
    n_strictly_valid: int
    n_usable: int
    n_turns: int
    n_unlabelled_lines: int
    n_bytes: int
    defects: Mapping[Defect, int]
    places: Mapping[Defect, tuple[str, ...]]
    problems: Mapping[str, str]
    repairs: Mapping[Repair, int]
    notices: tuple[str, ...]

    @property
    def format(self) -> str:
        """Return the one form that all readable dialogues have, ``mixed`` or ``unknown``."""
        if len(self.formats) == 1:
            return next(iter(self.formats))
        return MIXED_FORMAT if self.formats else UNKNOWN_FORMAT

    def to_record(self) -> dict[str, Any]:
        """Return the report as ``--json`` prints it; repairs only where any were asked for."""
        record: dict[str, Any] = {
            "format": str(self.format),
            "n_dialogues": self.n_dialogues,
            "n_strictly_valid": self.n_strictly_valid,
            "n_turns": self.n_turns,
            "n_unlabelled_lines": self.n_unlabelled_lines,
            "defects": {str(defect): self.defects[defect] for defect in Defect},
        }
        if self.repairs:
            record["n_usable"] = self.n_usable
            record["repairs"] = {str(name): count for name, count in self.repairs.items()}
        return record


def check(
    path: Path | str,
    *,
    repairs: Collection[Repair] = frozenset(),
    n_places: int = 3,
    on_quarantine: OnQuarantine | None = None,
    on_bytes: Callable[[int], None] = ignore,
) -> CheckReport:
    """Return what the data set at a path holds, judged as written.

    Memory does not grow with the data but for a digest of each dialogue (see
    ``copies.DigestSet``), whose words tell copies apart.

    Args:
        path: A file, folder or zip archive.
        repairs: Repairs to try on what is not strictly valid; they change ``n_usable`` alone.
        n_places: How many places to keep of each defect.
        on_quarantine: Is given each record that cannot be used, after repair.
        on_bytes: Is told the number of bytes of each piece read.

    Raises:
        NotFoundError: nothing stands at ``path``.
        DataError: the file or folder cannot be opened.
    """
    notices: list[str] = []
    formats: Counter[str] = Counter()
    defects: Counter[Defect] = Counter()
    made: Counter[Repair] = Counter()
    places: dict[Defect, list[str]] = {defect: [] for defect in Defect}
    problems: dict[str, str] = {}
    digests = DigestSet()
    n_dialogues = n_with_turns = n_valid = n_usable = n_turns = n_unlabelled = n_bytes = 0

    def count_bytes(n_read: int) -> None:
        nonlocal n_bytes
        n_bytes += n_read
        on_bytes(n_read)

    for record in read_records(path, on_bytes=count_bytes, on_notice=notices.append):
        n_dialogues += 1
        if record.format is not None:
            formats[record.format] += 1
        own = judge(record)
        found = own
        if record.turns:
            n_with_turns += 1
            for turn in record.turns:
                if turn.role is not None:
                    n_turns += 1
            if not digests.add(turns_digest(record.turns)):
                found = own | {Defect.EXACT_DUPLICATE}
        n_unlabelled += len(record.unlabelled)
        for defect in found:
            defects[defect] += 1
            if len(places[defect]) < n_places:
                places[defect].append(place_of(record, defect))
                if defect is Defect.MALFORMED and record.problem is not None:
                    problems[record.place] = record.problem
        if not own:
            n_valid += 1
            n_usable += 1
            continue
        if repairs:
            repaired, names = repair(record, repairs)
            made.update(names)
            own = judge(repaired)
            n_usable += not own
        if own and on_quarantine is not None:
            on_quarantine(record, own)
    return CheckReport(
        formats=dict(sorted(formats.items())),
        n_dialogues=n_dialogues,
        n_with_turns=n_with_turns,
        n_strictly_valid=n_valid,
        n_usable=n_usable,
        n_turns=n_turns,
        n_unlabelled_lines=n_unlabelled,
        n_bytes=n_bytes,
        defects={defect: defects[defect] for defect in Defect},
        places={defect: tuple(found_places) for defect, found_places in places.items()},
        problems=problems,
        repairs={name: made[name] for name in Repair if name in repairs},
        notices=tuple(notices),
    )
