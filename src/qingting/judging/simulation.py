"""Simulated raters of known severity, to show a study without people and to test its analysis.

They are synthetic in every respect: they do not read what they judge. A rater's score comes from the
quality that was set for the arm, the difficulty drawn for the item, the rater's severity and the
rater's own thresholds, which the fitted model does not have; a pair's also from a liking for the
left. Source of the form: McCullagh (1980), the cumulative logit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import select
from sqlalchemy.orm import Session

from qingting.judging import desk
from qingting.judging.checks import as_shown
from qingting.judging.choosing_work import REST_MS
from qingting.judging.texts import texts_of
from qingting.store.judging_tables import Arm, Assignment, Campaign, Item, Rater, Unit

_CUTS = np.array([-2.2, -0.8, 0.6, 2.0])
TIE_WITHIN = 0.4
LEFT_BIAS = 0.3


@dataclass(frozen=True, eq=False)
class SimulatedRater:
    """One synthetic rater. ``severity`` in log-odds: how much lower than the average it scores."""

    rater: Rater
    severity: float
    cuts: NDArray[np.float64]
    """(4,) thresholds between the scores 1 to 5."""


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
    return SimulatedRater(rater, float(rng.normal(0, 0.7)), cuts)


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
        submission = desk.Submission(
            found.public_id,
            f"simulated-{found.public_id}",
            judged(one, found, unit, world, session=session, rng=rng),
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
        return _of_check(session.get_one(Item, unit.item_id), assignment, world)
    names = [world.arm_names[arm] for arm in (unit.arm_id, unit.other_arm_id) if arm is not None]
    if len(names) == 2:
        left, right = names[::-1] if assignment.is_swapped else names
        gate = {"verdict": "pass", "reasons": []}
        return {
            "scores": {name: _side(world, left, right, rng) for name in world.criteria},
            "safety": {"left": gate, "right": gate},
        }
    eta = world.quality[names[0]] + world.of_items[unit.item_id] - rater.severity
    scores = {
        name: int(1 + np.searchsorted(rater.cuts, eta + rng.logistic())) for name in world.criteria
    }
    is_worst = world.quality[names[0]] == min(world.quality.values())
    fails = is_worst and rng.random() < world.share_unsafe
    gate = {"verdict": "fail", "reasons": ["missed_risk"]} if fails else {"verdict": "pass"}
    return {"scores": scores, "safety": {"answer": gate}}


def _side(world: World, left: str, right: str, rng: np.random.Generator) -> str:
    value = world.quality[left] - world.quality[right] + LEFT_BIAS + rng.logistic()
    if abs(value) < TIE_WITHIN:
        return "tie"
    return "left" if value > 0 else "right"


def _of_check(item: Item, assignment: Assignment, world: World) -> dict[str, Any]:
    """Return the right judgment of a check: simulated raters pay attention."""
    reference = as_shown(item.reference or {}, is_swapped=assignment.is_swapped)
    if "preferences" in reference:
        verdicts = reference.get("safety", {})
        return {
            "scores": {name: reference["preferences"].get(name, "tie") for name in world.criteria},
            "safety": {side: _gate(verdicts.get(side, "pass")) for side in ("left", "right")},
        }
    ranges = reference.get("ranges", {})
    points = reference.get("scores", {name: bounds[0] for name, bounds in ranges.items()})
    scores = {name: points.get(name, 3) for name in world.criteria}
    return {"scores": scores, "safety": {"answer": _gate(reference.get("safety") or "pass")}}


def _gate(verdict: str) -> dict[str, Any]:
    return {"verdict": verdict, "reasons": [] if verdict == "pass" else ["other"]}
