"""What a rater sees of an assignment: everything needed to judge, nothing that tells the arm."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from qingting.judging.guessing import asks_guess
from qingting.store.judging_tables import (
    Assignment,
    Campaign,
    Conversation,
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
    given: dict[str, Any] | None = None
    """The judgment that was undone, to begin from."""


@dataclass(frozen=True)
class Progress:
    """How far a rater is. ``n_planned`` is an equal share of the study, not a duty."""

    n_done: int
    n_skipped: int
    n_planned: int


def task_of(session: Session, campaign: Campaign, assignment: Assignment) -> Task:
    """Return what the rater of an assignment sees."""
    unit = session.get_one(Unit, assignment.unit_id)
    item = session.get_one(Item, unit.item_id)
    is_live = (
        campaign.mode == "conversation"
        and campaign.spec["conversation"]["source"] == "live"
        and assignment.role in ("main", "repeat")
    )
    turns = item.turns
    sides: tuple[Side, ...] = ()
    if is_live:
        found = session.scalar(
            select(Conversation).where(Conversation.assignment_id == assignment.id)
        )
        turns = [
            {"role": turn["role"], "content": turn.get("shown", turn["content"])}
            for turn in (found.turns if found else [])
        ]
    else:
        sides = _sides(session, campaign, assignment, unit)
    return Task(
        assignment=assignment.public_id,
        mode=campaign.mode,
        kind=item.kind,
        is_distressing=item.is_distressing,
        is_training=assignment.role == "training",
        background=item.background,
        turns=tuple(_plain(turn) for turn in turns),
        sides=sides,
        is_live=is_live,
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
    reference = dict(item.reference or {})
    if "preferences" in reference and assignment.is_swapped:
        other = {"left": "right", "right": "left", "tie": "tie"}
        reference["preferences"] = {
            criterion: other[side] for criterion, side in reference["preferences"].items()
        }
        reference["safety"] = {other[side]: v for side, v in reference["safety"].items()}
    return {
        "reference": reference,
        "given": None
        if judgment is None
        else {"scores": judgment.scores, "safety": judgment.safety},
    }
