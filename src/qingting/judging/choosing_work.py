"""What a rater gets next: training, a planned check, a repeat, or the study's own units."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

import numpy as np
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from qingting.judging.assignment import Candidate, Overall, RaterHistory, Rules, choose_unit
from qingting.judging.design import role_of
from qingting.judging.information import pair_information
from qingting.judging.places import HOLDS_A_PLACE
from qingting.store.judging_tables import Arm, Assignment, Campaign, Item, Rater, Unit

REPEAT_DISTANCE = 8
"""Judgments between an answer and its repeat, so that the first is not simply remembered."""


class Work(NamedTuple):
    """A unit to be given, in which role and order, and how likely that choice was."""

    unit_id: int
    role: str
    is_swapped: bool
    p_chosen: float


class _Past(NamedTuple):
    """One assignment of the rater, oldest first."""

    unit_id: int
    item_id: int
    arm_id: int | None
    other_arm_id: int | None
    kind: str
    role: str
    state: str
    is_swapped: bool


def choose_work(
    session: Session, campaign: Campaign, rater: Rater, *, rng: np.random.Generator
) -> Work | None:
    """Return what the rater gets next, or None when nothing of the study is left for this rater."""
    past = _past(session, rater)
    quality = campaign.spec["quality"]
    if rater.n_trained < int(quality["n_training"]):
        training = _special(session, campaign, rater, past, role="calibration", rng=rng)
        if training is not None:
            return training._replace(role="training")
    main = _main(session, campaign, rater, past, rng=rng)
    if main is None:
        return None
    n_before = sum(one.role != "training" for one in past)
    role = role_of(
        n_before,
        share_calibration=quality["share_calibration"],
        share_repeats=quality["share_repeats"],
        share_attention=quality["share_attention"],
        seed=(campaign.spec["seed"], rater.id),
    )
    other = None
    if role in ("calibration", "attention"):
        other = _special(session, campaign, rater, past, role=role, rng=rng)
    elif role == "repeat":
        other = _repeat(past, rng=rng)
    return other or main


def _past(session: Session, rater: Rater) -> list[_Past]:
    rows = session.execute(
        select(
            Assignment.unit_id,
            Unit.item_id,
            Unit.arm_id,
            Unit.other_arm_id,
            Item.kind,
            Assignment.role,
            Assignment.state,
            Assignment.is_swapped,
        )
        .join(Unit, Unit.id == Assignment.unit_id)
        .join(Item, Item.id == Unit.item_id)
        .where(Assignment.rater_id == rater.id)
        .order_by(Assignment.sequence)
    )
    return [_Past(*row) for row in rows]


def _special(
    session: Session,
    campaign: Campaign,
    rater: Rater,
    past: list[_Past],
    *,
    role: str,
    rng: np.random.Generator,
) -> Work | None:
    """Return a calibration item or attention check that the rater has not had; any of them."""
    seen = {one.unit_id for one in past}
    units = session.scalars(
        select(Unit.id)
        .join(Item, Item.id == Unit.item_id)
        .where(
            Unit.campaign_id == campaign.id,
            Unit.role == role,
            Item.language == rater.language,
            Item.withdrawn_ms.is_(None),
        )
        .order_by(Unit.id)
    )
    left = [unit for unit in units if unit not in seen]
    if not left:
        return None
    return Work(left[int(rng.integers(len(left)))], role, bool(rng.integers(2)), 1 / len(left))


def _repeat(past: list[_Past], *, rng: np.random.Generator) -> Work | None:
    """Return an answer that the rater judged a while ago, to be judged again unannounced."""
    times = Counter(one.unit_id for one in past)
    old = [
        one
        for one in past[: max(len(past) - REPEAT_DISTANCE, 0)]
        if one.role == "main" and one.state == "done" and times[one.unit_id] == 1
    ]
    if not old:
        return None
    unit = old[int(rng.integers(len(old)))].unit_id
    return Work(unit, "repeat", bool(rng.integers(2)), 1 / len(old))


def _main(
    session: Session,
    campaign: Campaign,
    rater: Rater,
    past: list[_Past],
    *,
    rng: np.random.Generator,
) -> Work | None:
    rows = session.execute(
        select(
            Unit.id,
            Unit.item_id,
            Unit.arm_id,
            Unit.other_arm_id,
            Unit.n_taken,
            Unit.n_wanted,
            Item.kind,
        )
        .join(Item, Item.id == Unit.item_id)
        .where(
            Unit.campaign_id == campaign.id,
            Unit.role == "main",
            Unit.n_taken < Unit.n_wanted,
            Item.language == rater.language,
            Item.withdrawn_ms.is_(None),
        )
        .order_by(Unit.id)
    )
    candidates = [
        Candidate(
            unit_id=unit,
            item_id=item,
            arms=tuple(arm for arm in (one, other) if arm is not None),
            n_taken=taken,
            n_wanted=wanted,
            is_crisis=kind == "crisis",
        )
        for unit, item, one, other, taken, wanted, kind in rows
    ]
    spec = campaign.spec
    choice = choose_unit(
        candidates,
        _history(past),
        _overall(session, campaign),
        Rules(
            mode=campaign.mode,
            items_may_return=spec["items_may_return"],
            max_crisis_in_a_row=spec["max_crisis_in_a_row"],
            active=spec["active"],
            uniform_floor=spec["uniform_floor"],
        ),
        rng,
        information=pair_information(session, campaign) if spec["active"] else None,
    )
    if choice is None:
        return None
    unit = session.get_one(Unit, choice.unit_id)
    return Work(
        unit.id, "main", is_swapped=choice.arms_in_order[0] != unit.arm_id, p_chosen=choice.p_chosen
    )


def _history(past: list[_Past]) -> RaterHistory:
    n_by_arm: Counter[int] = Counter()
    n_first: Counter[int] = Counter()
    main = [one for one in past if one.role == "main"]
    for one in main:
        if one.state not in HOLDS_A_PLACE or one.arm_id is None:
            continue
        n_by_arm[one.arm_id] += 1
        if one.other_arm_id is not None:
            n_by_arm[one.other_arm_id] += 1
        n_first[one.other_arm_id if one.is_swapped and one.other_arm_id else one.arm_id] += 1
    in_a_row = 0
    for one in reversed(past):
        if one.kind != "crisis":
            break
        in_a_row += 1
    return RaterHistory(
        n_by_arm=n_by_arm,
        n_first_by_arm=n_first,
        seen_units=frozenset(one.unit_id for one in main),
        seen_items=frozenset(one.item_id for one in main),
        n_crisis_in_a_row=in_a_row,
        n_done=len(main),
    )


def _overall(session: Session, campaign: Campaign) -> Overall:
    rows = session.execute(
        select(Arm.id, Arm.n_shown, Arm.n_first).where(Arm.campaign_id == campaign.id)
    )
    counts = list(rows)
    return Overall(
        n_by_arm={arm: shown for arm, shown, _ in counts},
        n_first_by_arm={arm: first for arm, _, first in counts},
    )


def n_main_units(session: Session, campaign: Campaign, *, language: str) -> int:
    """Return how many judgments of the main part a campaign wants in one language."""
    return int(
        session.scalar(
            select(func.coalesce(func.sum(Unit.n_wanted), 0))
            .join(Item, Item.id == Unit.item_id)
            .where(
                Unit.campaign_id == campaign.id,
                Unit.role == "main",
                Item.language == language,
                Item.withdrawn_ms.is_(None),
            )
        )
        or 0
    )
