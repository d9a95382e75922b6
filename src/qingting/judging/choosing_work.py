"""What a rater gets next: training, a planned check, a repeat, or the study's own units."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from sqlalchemy import bindparam, select
from sqlalchemy.orm import Session

from qingting.judging.assignment import (
    RaterHistory,
    Rules,
    Units,
    choose_pair_unit,
    choose_unit,
)
from qingting.judging.counts import read_counts
from qingting.judging.design import Shares, owed_checks
from qingting.judging.information import pair_votes
from qingting.judging.places import HOLDS_A_PLACE
from qingting.store.judging_tables import Arm, Assignment, Campaign, Item, Rater, Unit

REST_MS = 20 * 60_000
"""A pause after which items of crisis may come again."""

REPEAT_DISTANCE = 8
"""Judgments between an answer and its repeat, so that the first is not simply remembered."""

_WAS_GIVEN = ("leased", "done", "skipped")
"""What counts towards the shares of checks; what ran out or was withdrawn is made up for."""


class Work(NamedTuple):
    """A unit to be given, in which role and order, and how likely that choice was.

    ``p_chosen``: as in ``assignment.Choice``; of a check, that of its unit among those left.
    """

    unit_id: int
    role: str
    is_swapped: bool
    p_chosen: float
    arms_in_order: tuple[int, ...] = ()
    """Of the main part: the arms as they are shown."""


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
    leased_ms: int
    is_withdrawn: bool


def choose_work(
    session: Session, campaign: Campaign, rater: Rater, *, at_ms: int, rng: np.random.Generator
) -> Work | None:
    """Return what the rater gets next, or None when nothing of the study is left for this rater.

    Items of crisis do not come more often in a row than the study allows, checks among them; a
    rest lets them come again (see ``needs_rest``). A check that is due and cannot be given now (no
    answer lies far enough back to be repeated, or only items of crisis are left) stays owed and
    comes as soon as it can.
    """
    past = _past(session, rater)
    quality = campaign.spec["quality"]
    history = _history(past, at_ms=at_ms)
    may_be_crisis = history.n_crisis_in_a_row < campaign.spec["max_crisis_in_a_row"]
    if rater.n_trained < int(quality["n_training"]):
        training = _special(
            session, campaign, rater, past, role="calibration", may_be_crisis=True, rng=rng
        )
        if training is not None:
            return training._replace(role="training")
    main = _main(session, campaign, rater, history, rng=rng)
    if main is None:
        return None
    counted = Counter(one.role for one in past if one.state in _WAS_GIVEN)
    for role in owed_checks(
        counted.total() - counted["training"],
        counted,
        shares=Shares(
            quality["share_calibration"], quality["share_attention"], quality["share_repeats"]
        ),
        seed=(campaign.spec["seed"], rater.id),
    ):
        check = (
            _repeat(past, may_be_crisis=may_be_crisis, rng=rng)
            if role == "repeat"
            else _special(
                session, campaign, rater, past, role=role, may_be_crisis=may_be_crisis, rng=rng
            )
        )
        if check is not None:
            return check
    return main


def needs_rest(
    session: Session, campaign: Campaign, rater: Rater, *, at_ms: int, rng: np.random.Generator
) -> bool:
    """Return whether only items of crisis are left for a rater who has just had enough of them."""
    history = _history(_past(session, rater), at_ms=at_ms)
    if history.n_crisis_in_a_row < campaign.spec["max_crisis_in_a_row"]:
        return False
    rested = replace(history, n_crisis_in_a_row=0)
    return _main(session, campaign, rater, rested, rng=rng) is not None


_PAST = (
    select(
        Assignment.unit_id,
        Unit.item_id,
        Unit.arm_id,
        Unit.other_arm_id,
        Item.kind,
        Assignment.role,
        Assignment.state,
        Assignment.is_swapped,
        Assignment.leased_ms,
        Unit.is_withdrawn,
    )
    .join(Unit, Unit.id == Assignment.unit_id)
    .join(Item, Item.id == Unit.item_id)
    .where(Assignment.rater_id == bindparam("rater"))
    .order_by(Assignment.sequence)
)


def _past(session: Session, rater: Rater) -> list[_Past]:
    rows = session.execute(_PAST, {"rater": rater.id})
    return [_Past._make(row) for row in rows]


def _special(
    session: Session,
    campaign: Campaign,
    rater: Rater,
    past: list[_Past],
    *,
    role: str,
    may_be_crisis: bool,
    rng: np.random.Generator,
) -> Work | None:
    """Return a calibration item or attention check that the rater has not had; any of them."""
    seen = {one.unit_id for one in past}
    units = session.execute(
        select(Unit.id, Item.kind)
        .join(Item, Item.id == Unit.item_id)
        .where(
            Unit.campaign_id == campaign.id,
            Unit.role == role,
            Unit.language == rater.language,
            Unit.is_withdrawn.is_(False),
        )
        .order_by(Unit.id)
    )
    left = [
        unit for unit, kind in units if unit not in seen and (may_be_crisis or kind != "crisis")
    ]
    if not left:
        return None
    return Work(left[int(rng.integers(len(left)))], role, bool(rng.integers(2)), 1 / len(left))


def _repeat(past: list[_Past], *, may_be_crisis: bool, rng: np.random.Generator) -> Work | None:
    """Return an answer that the rater judged a while ago, to be judged again unannounced."""
    times = Counter(one.unit_id for one in past)
    old = [
        one
        for one in past[: max(len(past) - REPEAT_DISTANCE, 0)]
        if one.role == "main"
        and one.state == "done"
        and not one.is_withdrawn
        and times[one.unit_id] == 1
        and (may_be_crisis or one.kind != "crisis")
    ]
    if not old:
        return None
    unit = old[int(rng.integers(len(old)))].unit_id
    return Work(unit, "repeat", bool(rng.integers(2)), 1 / len(old))


def _main(
    session: Session,
    campaign: Campaign,
    rater: Rater,
    history: RaterHistory,
    *,
    rng: np.random.Generator,
) -> Work | None:
    units = units_in(session, campaign, rater.language)
    n_taken = np.full(len(units.ids), np.iinfo(np.int64).max)
    counts = read_counts(session, campaign, rater.language)
    if not len(counts.open_units):
        return None
    n_taken[np.searchsorted(units.ids, counts.open_units[:, 0])] = counts.open_units[:, 1]
    spec = campaign.spec
    rules = Rules(
        items_may_return=spec["items_may_return"],
        max_crisis_in_a_row=spec["max_crisis_in_a_row"],
    )
    if spec["active"]:
        votes = pair_votes(session, campaign, units)
        choice = choose_pair_unit(
            units, n_taken, history, counts.overall, rules, rng, propensities=votes.propensities
        )
    else:
        choice = choose_unit(units, n_taken, history, counts.overall, rules, rng)
    if choice is None:
        return None
    place = int(np.searchsorted(units.ids, choice.unit_id))
    first = units.arm_ids[units.arms[place, 0]]
    return Work(
        choice.unit_id,
        "main",
        is_swapped=choice.arms_in_order[0] != first,
        p_chosen=choice.p_chosen,
        arms_in_order=choice.arms_in_order,
    )


_UNITS: dict[tuple[str, int, str], Units] = {}
_MAX_KEPT = 64


def units_in(session: Session, campaign: Campaign, language: str) -> Units:
    """Return a study's units of one language; kept in memory, for they never change."""
    key = (campaign.public_id, campaign.id, language)
    if key not in _UNITS:
        if len(_UNITS) >= _MAX_KEPT:
            _UNITS.clear()
        _UNITS[key] = _read_units(session, campaign, language)
    return _UNITS[key]


def _read_units(session: Session, campaign: Campaign, language: str) -> Units:
    arm_ids = tuple(
        session.scalars(select(Arm.id).where(Arm.campaign_id == campaign.id).order_by(Arm.id))
    )
    rows = session.execute(
        select(Unit.id, Unit.item_id, Unit.n_wanted, Unit.arm_id, Unit.other_arm_id, Item.kind)
        .join(Item, Item.id == Unit.item_id)
        .where(Unit.campaign_id == campaign.id, Unit.role == "main", Unit.language == language)
        .order_by(Unit.id)
    ).all()
    place = {arm: at for at, arm in enumerate(arm_ids)}
    n_arms = 2 if campaign.mode == "pair" else 1
    return Units(
        ids=np.array([row[0] for row in rows], dtype=np.int64),
        items=np.array([row[1] for row in rows], dtype=np.int64),
        n_wanted=np.array([row[2] for row in rows], dtype=np.int64),
        arms=np.array(
            [[place[arm] for arm in row[3:5] if arm is not None] for row in rows], dtype=np.int64
        ).reshape(-1, n_arms),
        is_crisis=np.array([row[5] == "crisis" for row in rows], dtype=bool),
        arm_ids=arm_ids,
    )


def _history(past: list[_Past], *, at_ms: int) -> RaterHistory:
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
    in_a_row, later_ms = 0, at_ms
    for one in reversed(past):
        if one.kind != "crisis" or later_ms - one.leased_ms > REST_MS:
            break
        in_a_row, later_ms = in_a_row + 1, one.leased_ms
    return RaterHistory(
        n_by_arm=n_by_arm,
        n_first_by_arm=n_first,
        seen_units=frozenset(one.unit_id for one in main),
        seen_items=frozenset(one.item_id for one in main),
        n_crisis_in_a_row=in_a_row,
        n_done=len(main),
    )
