"""What a rater sees of an assignment: everything needed to judge, nothing that tells the arm."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

from sqlalchemy import Integer, Table, bindparam, func, select
from sqlalchemy.orm import Session

from qingting.judging import live
from qingting.judging.checks import as_shown
from qingting.judging.guessing import asks_guess
from qingting.judging.live import Talk
from qingting.store.judging_tables import (
    Assignment,
    Campaign,
    Item,
    Judgment,
    Rater,
    Response,
    Unit,
)


@dataclass(frozen=True)
class Side:
    """One thing to judge: ``answer``, ``left`` or ``right``, with its turns."""

    name: str
    turns: tuple[dict[str, str], ...]


@dataclass(frozen=True)
class Task:
    """An assignment as its rater sees it. Its role (check, repeat) is not told."""

    assignment: str
    mode: str
    kind: str
    is_distressing: bool
    is_training: bool
    background: str | None
    turns: tuple[dict[str, str], ...]
    """What was said before the answers."""
    sides: tuple[Side, ...]
    is_live: bool
    """Whether the rater talks with the model; ``turns`` then grows."""
    asks_guess: bool
    """Whether the question comes with it if the rater thinks to recognise the model."""
    talk: Talk | None = None
    """How a live conversation stands."""


@dataclass(frozen=True)
class Progress:
    """How far a rater is. ``n_planned`` is an equal share of the study, not a duty."""

    n_done: int
    n_skipped: int
    n_planned: int


def task_of(session: Session, campaign: Campaign, assignment: Assignment, *, at_ms: int) -> Task:
    """Return what the rater of an assignment sees now."""
    unit, item = _unit_and_item(session, assignment)
    turns = tuple(_plain(turn) for turn in item.turns)
    talk: Talk | None = None
    sides: tuple[Side, ...] = ()
    if live.is_live(campaign, assignment):
        talk = live.talk_of(session, campaign, assignment, item, at_ms=at_ms)
        turns = live.turns_seen(session, campaign, assignment, at_ms=at_ms)
    else:
        sides = _sides(session, campaign, assignment, unit)
    return Task(
        assignment=assignment.public_id,
        mode=campaign.mode,
        kind=item.kind,
        is_distressing=item.is_distressing,
        is_training=assignment.role == "training",
        background=item.background,
        turns=turns,
        sides=sides,
        is_live=talk is not None,
        talk=talk,
        asks_guess=asks_guess(campaign, assignment, language=item.language),
    )


# Every page of work asks these: they are built once, and fetch no answer of another arm.
_UNIT_AND_ITEM = (
    select(Unit, Item).join(Item, Item.id == Unit.item_id).where(Unit.id == bindparam("unit"))
)
_responses = cast(Table, Response.__table__)
_RESPONSES = (
    select(_responses.c.arm_id, _responses.c.shown)
    .where(
        _responses.c.item_id == bindparam("item"),
        # answers of checks are no arm's
        func.coalesce(_responses.c.arm_id, 0).in_(
            (
                func.coalesce(bindparam("arm", type_=Integer), 0),
                bindparam("other_arm", type_=Integer),
            )
        ),
    )
    .order_by(_responses.c.id)
)
_assignments = cast(Table, Assignment.__table__)
_STATES = (
    select(_assignments.c.state, func.count())
    .where(_assignments.c.rater_id == bindparam("rater"), _assignments.c.role != "training")
    .group_by(_assignments.c.state)
)


def _unit_and_item(session: Session, assignment: Assignment) -> tuple[Unit, Item]:
    found = session.execute(_UNIT_AND_ITEM, {"unit": assignment.unit_id}).one()
    return found[0], found[1]


def _sides(
    session: Session, campaign: Campaign, assignment: Assignment, unit: Unit
) -> tuple[Side, ...]:
    given = {"item": unit.item_id, "arm": unit.arm_id, "other_arm": unit.other_arm_id}
    responses = session.connection().execute(_RESPONSES, given).all()
    if unit.other_arm_id is not None and responses[0].arm_id != unit.arm_id:
        responses = responses[::-1]
    shown = [tuple(_plain(turn) for turn in one.shown) for one in responses]
    if campaign.mode != "pair":
        return (Side("answer", shown[0]),)
    if assignment.is_swapped:
        shown.reverse()
    return (Side("left", shown[0]), Side("right", shown[1]))


def _plain(turn: dict[str, Any]) -> dict[str, str]:
    return {"role": str(turn["role"]), "content": str(turn["content"])}


def progress_of(session: Session, campaign: Campaign, rater: Rater) -> Progress:
    """Return how many a rater has judged and skipped, beside an equal share of the study."""
    found = session.connection().execute(_STATES, {"rater": rater.id})
    counts: dict[str, int] = dict(found.all())
    return Progress(
        n_done=counts.get("done", 0),
        n_skipped=counts.get("skipped", 0),
        n_planned=int(campaign.plan[rater.language]["n_per_rater"]),
    )


def feedback_of(session: Session, assignment: Assignment) -> dict[str, Any]:
    """Return a training item's reference, why, and what the rater gave; sides as they were shown."""
    _unit, item = _unit_and_item(session, assignment)
    judgment = session.scalar(select(Judgment).where(Judgment.assignment_id == assignment.id))
    reference = as_shown(item.reference or {}, is_swapped=assignment.is_swapped)
    return {
        "reference": reference,
        "given": None
        if judgment is None
        else {"scores": judgment.scores, "safety": judgment.safety},
    }
