"""Dialogues written as other tools want them: ShareGPT, OpenAI messages, Alpaca."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from qingting.core.dialogue import Message
from qingting.data.output import RecordFile
from qingting.data.reading import OnQuarantine, ignore, read_records
from qingting.data.records import Defect, judge
from qingting.data.repair import Repair, repair


class Target(StrEnum):
    """The forms that dialogues can be written in."""

    SHAREGPT = "sharegpt"
    MESSAGES = "messages"
    ALPACA = "alpaca"


UNREADABLE: Final = frozenset(
    {
        Defect.MALFORMED,
        Defect.MISSING_TURNS,
        Defect.UNKNOWN_ROLE,
        Defect.UNLABELLED_LINE,
        Defect.BAD_ENCODING,
    }
)
"""Defects with which a dialogue cannot be written in full in any form."""

_SHAREGPT_NAMES = {"system": "system", "user": "human", "assistant": "gpt"}


def to_sharegpt(messages: Sequence[Message]) -> dict[str, Any]:
    """Return ``{"conversations": [{"from", "value"}, …]}``, a system text as the first item."""
    return {
        "conversations": [
            {"from": _SHAREGPT_NAMES[role], "value": content} for role, content in messages
        ]
    }


def to_messages(messages: Sequence[Message]) -> dict[str, Any]:
    """Return ``{"messages": [{"role", "content"}, …]}``, a system text as the first item."""
    return {"messages": [{"role": role, "content": content} for role, content in messages]}


def to_alpaca(messages: Sequence[Message]) -> dict[str, Any] | None:
    """Return ``{"instruction", "input", "output"}``, or ``None`` where turns are no pairs.

    The last pair is ``instruction`` and ``output``, ``input`` is empty; earlier pairs stand in
    ``history`` and a system text in ``system``, both left out where there is none.
    """
    system = next((content for role, content in messages if role == "system"), None)
    turns = [message for message in messages if message.role != "system"]
    roles = [turn.role for turn in turns]
    if not turns or roles != ["user", "assistant"] * (len(turns) // 2):
        return None
    *history, (instruction, output) = [
        (client.content, counsellor.content)
        for client, counsellor in zip(turns[0::2], turns[1::2], strict=True)
    ]
    record: dict[str, Any] = {"instruction": instruction, "input": "", "output": output}
    if system is not None:
        record["system"] = system
    if history:
        record["history"] = [list(pair) for pair in history]
    return record


_WRITERS: Final[Mapping[Target, Callable[[Sequence[Message]], dict[str, Any] | None]]] = {
    Target.SHAREGPT: to_sharegpt,
    Target.MESSAGES: to_messages,
    Target.ALPACA: to_alpaca,
}


def to_target(messages: Sequence[Message], target: Target) -> dict[str, Any] | None:
    """Return the record of a dialogue in a form, or ``None`` where the form cannot hold it."""
    return _WRITERS[target](messages)


@dataclass(frozen=True)
class Conversion:
    """The counts of one conversion.

    ``n_records`` were read, ``n_dialogues`` written, ``n_turns`` are in those, and
    ``n_quarantined`` could not be used; ``defects`` counts these by defect and ``n_unfit`` those
    of them that the target form cannot hold. ``keys_left_out`` are keys of records that the
    target form has no place for.
    """

    n_records: int
    n_dialogues: int
    n_turns: int
    n_quarantined: int
    n_unfit: int
    defects: Mapping[Defect, int]
    repairs: Mapping[Repair, int]
    keys_left_out: tuple[str, ...]
    notices: tuple[str, ...]

    def to_record(self) -> dict[str, Any]:
        """Return the counts as ``--json`` prints them."""
        return {
            "n_records": self.n_records,
            "n_dialogues": self.n_dialogues,
            "n_turns": self.n_turns,
            "n_quarantined": self.n_quarantined,
            "n_unfit": self.n_unfit,
            "defects": {str(defect): self.defects.get(defect, 0) for defect in Defect},
            "repairs": {str(name): count for name, count in self.repairs.items()},
            "keys_left_out": list(self.keys_left_out),
        }


_MOST_KEYS_NAMED = 100


def convert(
    path: Path | str,
    output: RecordFile,
    *,
    target: Target,
    repairs: Collection[Repair] = frozenset(),
    is_strict: bool = False,
    on_quarantine: OnQuarantine = lambda record, defects: None,
    on_bytes: Callable[[int], None] = ignore,
) -> Conversion:
    """Write the dialogues at a path in another form, words exactly as they were.

    A dialogue is written when the form can hold all of it, whatever else is wrong with it, so that
    a check after conversion finds the same defects; ``is_strict`` writes strictly valid ones only.
    A record's own ``id``, ``language`` and ``kind`` go along; other keys do not and are named.

    Args:
        path: A file, folder or zip archive.
        output: Takes the records.
        target: The form to write.
        repairs: Repairs to make first.
        is_strict: Whether only strictly valid dialogues are written.
        on_quarantine: Is given each record that is not written, and its defects after repair;
            none where a form simply cannot hold it.
        on_bytes: Is told the number of bytes of each piece read.

    Raises:
        NotFoundError: nothing stands at ``path``.
        DataError: the file or folder cannot be opened.
    """
    notices: list[str] = []
    counts: Counter[Defect] = Counter()
    made: Counter[Repair] = Counter()
    left_out: set[str] = set()
    n_records = n_dialogues = n_turns = n_unfit = n_quarantined = 0
    for record in read_records(path, on_bytes=on_bytes, on_notice=notices.append):
        n_records += 1
        repaired, names = repair(record, repairs)
        defects = judge(repaired)
        written = None
        if not (defects if is_strict else defects & UNREADABLE):
            dialogue = repaired.to_dialogue()
            written = to_target(dialogue.messages, target)
            n_unfit += written is None
        if written is None:
            n_quarantined += 1
            counts.update(defects)
            on_quarantine(record, defects)
            continue
        made.update(names)
        n_dialogues += 1
        n_turns += len(repaired.turns)
        if record.other_keys and len(left_out) < _MOST_KEYS_NAMED:
            left_out |= record.other_keys
        own = {"id": record.own_id, "language": record.language, "kind": record.kind}
        annotations = {key: value for key, value in own.items() if value is not None}
        output.write({**annotations, **written})
    return Conversion(
        n_records=n_records,
        n_dialogues=n_dialogues,
        n_turns=n_turns,
        n_quarantined=n_quarantined,
        n_unfit=n_unfit,
        defects={defect: counts[defect] for defect in Defect if counts[defect]},
        repairs={name: made[name] for name in Repair if name in repairs},
        keys_left_out=tuple(sorted(left_out)),
        notices=tuple(notices),
    )
