"""Simulated raters of known severity, to show a study without people and to test its analysis.

They are synthetic in every respect: they do not read what they judge. A rater's score comes from the
quality that was set for the arm, the difficulty drawn for the item, the rater's severity and the
rater's own thresholds, which the fitted model does not have; a preference from the arms' qualities,
a liking for the left of the rater's own, and ties, so that the difference of qualities is what the
analysis of either estimates. Guesses of the model are made blindly. Sources of the forms: McCullagh
(1980), the cumulative logit; Davidson and Beaver (1977), preferences with ties and an order.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import select
from sqlalchemy.orm import Session

from qingting.judging import desk
from qingting.judging.checks import as_shown
from qingting.judging.choosing_work import REST_MS
from qingting.judging.guessing import FAMILIES, NO_IDEA, asks_guess
from qingting.judging.texts import texts_of
from qingting.store.judging_tables import Arm, Assignment, Campaign, Item, Rater, Unit

_CUTS = np.array([-2.2, -0.8, 0.6, 2.0])
TIE_ODDS = 0.4
"""Odds of a tie against either side winning, between equal arms in neutral order."""
LEFT_BIAS = 0.3
"""Log-odds by which the left is liked, on average over raters."""


@dataclass(frozen=True, eq=False)
class SimulatedRater:
    """One synthetic rater. ``severity`` in log-odds: how much lower than the average it scores."""

    rater: Rater
    severity: float
    cuts: NDArray[np.float64]
    """(4,) thresholds between the scores 1 to 5."""
    left_bias: float


@dataclass(frozen=True)
class World:
    """What simulated raters believe: the quality of arms, in log-odds, and of items."""

    quality: Mapping[str, float]
    of_items: Mapping[int, float]
    arm_names: Mapping[int, str]
    criteria: tuple[str, ...]
    share_unsafe: float = 0.0
    """Share of judgments in which the arm of the least quality is failed."""


def world_of(
    session: Session,
    campaign: Campaign,
    quality: Mapping[str, float],
    *,
    rng: np.random.Generator,
    share_unsafe: float = 0.0,
) -> World:
    """Return a world for a study, item difficulties drawn."""
    arms = session.scalars(select(Arm).where(Arm.campaign_id == campaign.id))
    items = session.scalars(
        select(Item.id).where(Item.campaign_id == campaign.id).order_by(Item.id)
    )
    return World(
        quality=quality,
        of_items={item: float(rng.normal(0, 0.8)) for item in items},
        arm_names={arm.id: arm.name for arm in arms},
        criteria=tuple(one["id"] for one in texts_of(campaign)["rubric"]["criteria"]),
        share_unsafe=share_unsafe,
    )


def draw_rater(rater: Rater, *, rng: np.random.Generator) -> SimulatedRater:
    """Return a synthetic rater with a severity and thresholds of its own."""
    cuts = np.sort(_CUTS + rng.normal(0, 0.2, 4))
    severity, left_bias = rng.normal(0, 0.7), rng.normal(LEFT_BIAS, 0.15)
    return SimulatedRater(rater, float(severity), cuts, float(left_bias))


def work(
    session: Session,
    campaign: Campaign,
    raters: list[SimulatedRater],
    world: World,
    *,
    at_ms: int,
    rng: np.random.Generator,
    n_main: int | None = None,
) -> int:
    """Let raters judge in random order until nothing is left, or ``n_main`` units; return how many."""
    active, n_done = list(raters), 0
    while active and (n_main is None or n_done < n_main):
        one = active[int(rng.integers(len(active)))]
        at_ms += 20_000
        found = desk.next_assignment(session, campaign, one.rater, at_ms=at_ms)
        if found == "rest":
            at_ms += REST_MS
            continue
        if not isinstance(found, Assignment):
            active.remove(one)
            continue
        unit = session.get_one(Unit, found.unit_id)
        form = judged(one, found, unit, world, session=session, rng=rng)
        if asks_guess(campaign, found, language=unit.language):
            form["guess"] = guessed(form["safety"], rng=rng)
        submission = desk.Submission(
            found.public_id,
            f"simulated-{found.public_id}",
            form,
            int(rng.integers(20_000, 90_000)),
        )
        desk.submit(session, campaign, one.rater, submission, at_ms=at_ms)
        n_done += found.role == "main"
    return n_done


def judged(
    rater: SimulatedRater,
    assignment: Assignment,
    unit: Unit,
    world: World,
    *,
    session: Session,
    rng: np.random.Generator,
) -> dict[str, Any]:
    """Return what a synthetic rater says of an assignment, as a form."""
    if unit.arm_id is None:
        item = session.get_one(Item, unit.item_id)
        return _of_check(item, rater, assignment, world, rng=rng)
    names = [world.arm_names[arm] for arm in (unit.arm_id, unit.other_arm_id) if arm is not None]
    if len(names) == 2:
        left, right = names[::-1] if assignment.is_swapped else names
        return {
            "scores": {name: _side(rater, world, left, right, rng) for name in world.criteria},
            "safety": {"left": _verdict(world, left, rng), "right": _verdict(world, right, rng)},
        }
    eta = world.quality[names[0]] + world.of_items[unit.item_id] - rater.severity
    scores = {
        name: int(1 + np.searchsorted(rater.cuts, eta + rng.logistic())) for name in world.criteria
    }
    return {"scores": scores, "safety": {"answer": _verdict(world, names[0], rng)}}


def guessed(sides: Iterable[str], *, rng: np.random.Generator) -> dict[str, str]:
    """Return a blind rater's guesses: mostly none, else a name that has nothing to do with the arm."""
    names = [name for name in FAMILIES if name != NO_IDEA]
    return {
        side: NO_IDEA if rng.random() < 0.6 else names[int(rng.integers(len(names)))]
        for side in sides
    }


def _verdict(world: World, arm: str, rng: np.random.Generator) -> dict[str, Any]:
    is_worst = world.quality[arm] == min(world.quality.values())
    if is_worst and rng.random() < world.share_unsafe:
        return {"verdict": "fail", "reasons": ["missed_risk"]}
    return _gate("pass")


def _side(
    rater: SimulatedRater, world: World, left: str, right: str, rng: np.random.Generator
) -> str:
    half = (world.quality[left] - world.quality[right] + rater.left_bias) / 2
    odds = np.array([np.exp(half), np.exp(-half), TIE_ODDS])
    return ("left", "right", "tie")[int(rng.choice(3, p=odds / odds.sum()))]


def _of_check(
    item: Item,
    rater: SimulatedRater,
    assignment: Assignment,
    world: World,
    *,
    rng: np.random.Generator,
) -> dict[str, Any]:
    """Return the right judgment of an attention check, or one near a calibration item's reference.

    Simulated raters pay attention; they are a little severe or mild with calibration items too.
    """
    reference = as_shown(item.reference or {}, is_swapped=assignment.is_swapped)
    if "preferences" in reference:
        verdicts = reference.get("safety", {})
        return {
            "scores": {name: reference["preferences"].get(name, "tie") for name in world.criteria},
            "safety": {side: _gate(verdicts.get(side, "pass")) for side in ("left", "right")},
        }
    ranges = reference.get("ranges", {})
    points = {name: bounds[0] for name, bounds in ranges.items()}
    for name, point in reference.get("scores", {}).items():
        points[name] = int(np.clip(round(point + rng.normal(-rater.severity / 2, 0.5)), 1, 5))
    scores = {name: points.get(name, 3) for name in world.criteria}
    return {"scores": scores, "safety": {"answer": _gate(reference.get("safety") or "pass")}}


def _gate(verdict: str) -> dict[str, Any]:
    return {"verdict": verdict, "reasons": [] if verdict == "pass" else ["other"]}
