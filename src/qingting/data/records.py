"""What stands in a data file, as written, and the defects that a dialogue can show."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Literal, NamedTuple

from qingting.core.dialogue import Dialogue, Message, Origin, Role


class Defect(StrEnum):
    """What can be wrong with a dialogue; one dialogue may show several.

    ``EXACT_DUPLICATE`` alone leaves a dialogue valid.
    """

    MALFORMED = "malformed"
    MISSING_TURNS = "missing_turns"
    UNKNOWN_ROLE = "unknown_role"
    UNLABELLED_LINE = "unlabelled_line"
    EMPTY_TURN = "empty_turn"
    ALTERNATION_BREAK = "alternation_break"
    STARTS_ON_COUNSELLOR = "starts_on_counsellor"
    ENDS_ON_CLIENT = "ends_on_client"
    SINGLE_MESSAGE = "single_message"
    EXACT_DUPLICATE = "exact_duplicate"
    BAD_ENCODING = "bad_encoding"


class RawTurn(NamedTuple):
    """One turn as written: who speaks, and the words.

    ``role`` is ``None`` where the name of the speaker is not known; ``name`` is that name, kept
    so that two unknown speakers can be told apart.
    """

    role: Role | None
    content: str
    name: str = ""


class UnlabelledLine(NamedTuple):
    """A line of text without a speaker, how many turns stand before it, and its number, from 1."""

    n_turns_before: int
    text: str
    line: int


Unit = Literal["line", "record"]
"""What a place counts: lines of a file, or records of a JSON document."""


@dataclass(frozen=True, slots=True)
class RawDialogue:
    """One record of a data file, turns as written.

    A record that cannot be read has a ``problem`` and no turns. ``raw`` is the record before
    reading (bytes, text, or a JSON value); it may hold a participant's words and belongs in a
    quarantine file, nowhere else. ``is_damaged`` says that characters were lost to a wrong or
    broken encoding. ``other_keys`` are keys of the record that say nothing about the turns.
    ``lines`` are the lines, from 1, on which the turns stand; empty for what is not text.
    """

    origin: Origin
    unit: Unit = "record"
    format: str | None = None
    turns: tuple[RawTurn, ...] = ()
    system: str | None = None
    unlabelled: tuple[UnlabelledLine, ...] = ()
    problem: str | None = None
    is_damaged: bool = False
    raw: Any = b""
    own_id: str | int | None = None
    language: str | None = None
    kind: str | None = None
    other_keys: frozenset[str] = frozenset()
    lines: tuple[int, ...] = ()

    @property
    def place(self) -> str:
        """Return ``file:line``, or ``file#record`` where a JSON document has no lines to count."""
        return f"{self.origin.file}{':' if self.unit == 'line' else '#'}{self.origin.line}"

    def to_dialogue(self) -> Dialogue:
        """Return the dialogue with every turn as written; one of an unknown speaker is left out.

        Its id is the record's own, or else its place.
        """
        messages = [Message("system", self.system)] if self.system is not None else []
        messages += [Message(turn.role, turn.content) for turn in self.turns if turn.role]
        return Dialogue(
            id=self.place if self.own_id is None else str(self.own_id),
            messages=tuple(messages),
            origin=self.origin,
            language=self.language,
            kind=self.kind,
        )


def judge(record: RawDialogue) -> frozenset[Defect]:
    """Return the defects that a record shows by itself, all but ``EXACT_DUPLICATE``.

    Turns are judged as written: an empty turn and a turn of an unknown speaker stay in the test
    of alternation; a line without a speaker is no turn. A malformed record is judged no further.
    """
    turns = record.turns
    if record.problem is None and len(turns) >= 2 and not record.unlabelled:
        return _judge_turns(record)
    defects = set()
    if record.is_damaged:
        defects.add(Defect.BAD_ENCODING)
    if record.problem is not None:
        return frozenset(defects | {Defect.MALFORMED})
    if record.unlabelled:
        defects.add(Defect.UNLABELLED_LINE)
    if not turns:
        return frozenset(defects | {Defect.MISSING_TURNS})
    if len(turns) == 1:
        defects.add(Defect.SINGLE_MESSAGE)
    return frozenset(defects) | _judge_turns(record)


_NO_DEFECT: frozenset[Defect] = frozenset()


def _judge_turns(record: RawDialogue) -> frozenset[Defect]:
    turns = record.turns
    has_unknown = has_empty = has_break = False
    previous: object = ""
    for role, content, name in turns:
        speaker: object = role
        if role is None:
            has_unknown = True
            speaker = (name,)
        if speaker == previous:
            has_break = True
        previous = speaker
        if not content or content.isspace():
            has_empty = True
    starts_wrong = turns[0].role == "assistant"
    ends_wrong = turns[-1].role == "user"
    flags = (has_unknown, has_empty, has_break, starts_wrong, ends_wrong, record.is_damaged)
    if not any(flags):
        return _NO_DEFECT
    names = (
        Defect.UNKNOWN_ROLE,
        Defect.EMPTY_TURN,
        Defect.ALTERNATION_BREAK,
        Defect.STARTS_ON_COUNSELLOR,
        Defect.ENDS_ON_CLIENT,
        Defect.BAD_ENCODING,
    )
    return frozenset(name for name, flag in zip(names, flags, strict=True) if flag)


def place_of(record: RawDialogue, defect: Defect) -> str:
    """Return where a person should look for a defect: the line or the turn, if it has one."""
    if defect is Defect.UNLABELLED_LINE and record.unlabelled:
        return _line_or_turn(record, record.unlabelled[0].line, "line")
    index = _turn_with(record, defect)
    if index is None:
        return record.place
    if index < len(record.lines):
        return _line_or_turn(record, record.lines[index], "line")
    return _line_or_turn(record, index + 1, "turn")


def _line_or_turn(record: RawDialogue, number: int, unit: str) -> str:
    is_text_file = unit == "line" and record.unit == "line" and isinstance(record.raw, str)
    if is_text_file:
        return f"{record.origin.file}:{record.origin.line + number - 1}"
    return f"{record.place} {unit} {number}"


def _turn_with(record: RawDialogue, defect: Defect) -> int | None:
    """Return the index of the first turn that shows a defect, ``None`` where none does alone."""
    turns = record.turns
    for index, (role, content, name) in enumerate(turns):
        if (
            (defect is Defect.UNKNOWN_ROLE and role is None)
            or (defect is Defect.EMPTY_TURN and not content.strip())
            or (
                defect is Defect.ALTERNATION_BREAK
                and index > 0
                and (role, name) == (turns[index - 1].role, turns[index - 1].name)
            )
            or (defect is Defect.ENDS_ON_CLIENT and index == len(turns) - 1)
        ):
            return index
    return None
