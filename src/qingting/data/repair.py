"""Repairs that lose no words; each is asked for by name and counted."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from enum import StrEnum
from typing import NamedTuple

from qingting.data.records import RawDialogue, RawTurn


class Repair(StrEnum):
    """The repairs, in the order in which they are made."""

    STAGE_DIRECTIONS = "stage-directions"
    """A line without a speaker goes to the turn before it, on a line of its own, in brackets."""
    MERGE_TURNS = "merge-turns"
    """Turns in a row by one speaker become one, with a line end between them."""
    CUT_TRAILING_CLIENT = "cut-trailing-client"
    """The client's last turn, which nobody answers, is cut off. Its words stay in the source."""


class Repaired(NamedTuple):
    """A record after repair, and the repairs that changed it."""

    record: RawDialogue
    made: tuple[Repair, ...]


_BRACKETS = {"(": ")", "（": "）", "[": "]", "【": "】", "*": "*"}


def repair(record: RawDialogue, repairs: Collection[Repair]) -> Repaired:
    """Return the record with the repairs made that it needs; a malformed one stays as it is.

    A stage direction before the first turn goes to the first turn, above its words. Without a
    turn there is nothing to repair. Merged words stand as written, empty turns adding nothing.
    """
    made: list[Repair] = []
    turns = list(record.turns)
    unlabelled = record.unlabelled
    if record.problem is not None or not turns:
        return Repaired(record, ())
    if Repair.STAGE_DIRECTIONS in repairs and unlabelled:
        turns = _with_stage_directions(record)
        unlabelled = ()
        made.append(Repair.STAGE_DIRECTIONS)
    if Repair.MERGE_TURNS in repairs:
        merged = _merged(turns)
        if len(merged) < len(turns):
            turns = merged
            made.append(Repair.MERGE_TURNS)
    if Repair.CUT_TRAILING_CLIENT in repairs and len(turns) > 1 and turns[-1].role == "user":
        turns.pop()
        made.append(Repair.CUT_TRAILING_CLIENT)
    if not made:
        return Repaired(record, ())
    return Repaired(replace(record, turns=tuple(turns), unlabelled=unlabelled), tuple(made))


def _with_stage_directions(record: RawDialogue) -> list[RawTurn]:
    turns = list(record.turns)
    before_first: list[str] = []
    for n_turns_before, text, _ in record.unlabelled:
        direction = _in_brackets(text)
        if n_turns_before == 0:
            before_first.append(direction)
            continue
        turn = turns[n_turns_before - 1]
        turns[n_turns_before - 1] = turn._replace(content=_joined(turn.content, direction))
    if before_first:
        content = _joined("\n".join(before_first), turns[0].content)
        turns[0] = turns[0]._replace(content=content)
    return turns


def _in_brackets(text: str) -> str:
    if len(text) > 1 and _BRACKETS.get(text[0]) == text[-1]:
        return text
    return f"({text})" if text.isascii() else f"（{text}）"


def _merged(turns: list[RawTurn]) -> list[RawTurn]:
    merged: list[RawTurn] = []
    for turn in turns:
        # Two speakers that nobody knows may be two people.
        if merged and turn.role is not None and merged[-1].role == turn.role:
            merged[-1] = merged[-1]._replace(content=_joined(merged[-1].content, turn.content))
        else:
            merged.append(turn)
    return merged


def _joined(first: str, second: str) -> str:
    if not first.strip():
        return second
    return f"{first}\n{second}" if second.strip() else first
