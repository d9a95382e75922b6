"""What a rater sees of an assignment: everything needed to judge, nothing that tells the arm."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select
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
    unit = session.get_one(Unit, assignment.unit_id)
    item = session.get_one(Item, unit.item_id)
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


def _sides(
    session: Session, campaign: Campaign, assignment: Assignment, unit: Unit
) -> tuple[Side, ...]:
    responses = session.scalars(
        select(Response).where(Response.item_id == unit.item_id).order_by(Response.id)
    ).all()
    if unit.arm_id is not None:
        by_arm = {one.arm_id: one for one in responses}
        arms = [arm for arm in (unit.arm_id, unit.other_arm_id) if arm is not None]
        responses = [by_arm[arm] for arm in arms]
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
    counts: dict[str, int] = dict(
        session.execute(
            select(Assignment.state, func.count())
            .where(Assignment.rater_id == rater.id, Assignment.role != "training")
            .group_by(Assignment.state)
        ).all()
    )
    return Progress(
        n_done=counts.get("done", 0),
        n_skipped=counts.get("skipped", 0),
        n_planned=int(campaign.plan[rater.language]["n_per_rater"]),
    )


def feedback_of(session: Session, assignment: Assignment) -> dict[str, Any]:
    """Return a training item's reference, why, and what the rater gave; sides as they were shown."""
    unit = session.get_one(Unit, assignment.unit_id)
    item = session.get_one(Item, unit.item_id)
    judgment = session.scalar(select(Judgment).where(Judgment.assignment_id == assignment.id))
    reference = as_shown(item.reference or {}, is_swapped=assignment.is_swapped)
    return {
        "reference": reference,
        "given": None
        if judgment is None
        else {"scores": judgment.scores, "safety": judgment.safety},
    }
