"""How likely each pair of arms is to be shown next, for the active choice of pairs."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import select
from sqlalchemy.orm import Session

from qingting.judging.assignment import Units
from qingting.stats.pair_choice import arm_pairs, pair_propensities
from qingting.store.judging_tables import Assignment, Campaign, Judgment, Unit

PRIMARY = "overall"
"""The criterion whose estimate is narrowed, where no rule of a decision names another."""

_OUTCOME = {"left": 1.0, "tie": 0.5, "right": 0.0}


def pair_weights(session: Session, campaign: Campaign, units: Units) -> NDArray[np.float64]:
    """Return for every unit the propensity of its pair of arms, (n_units,).

    Pairs that one more vote would tell more about are likelier, with a uniform floor; see
    ``stats.pair_choice``.
    """
    criterion = campaign.rule["primary"]["criterion"] if campaign.rule else PRIMARY
    pairs = {pair: at for at, pair in enumerate(arm_pairs(len(units.arm_ids)))}
    place = {arm: at for at, arm in enumerate(units.arm_ids)}
    votes = np.zeros((3, len(pairs)))
    for one, other, swapped, scores in session.execute(
        select(Unit.arm_id, Unit.other_arm_id, Assignment.is_swapped, Judgment.scores)
        .join(Assignment, Assignment.unit_id == Unit.id)
        .join(Judgment, Judgment.assignment_id == Assignment.id)
        .where(Unit.campaign_id == campaign.id, Assignment.role == "main")
    ):
        if one is None or other is None or criterion not in scores:
            continue
        outcome = _OUTCOME[scores[criterion]]
        outcome = 1 - outcome if swapped else outcome
        first, second = place[one], place[other]
        if first > second:
            first, second, outcome = second, first, 1 - outcome
        votes[:, pairs[first, second]] += (1.0, outcome, outcome * outcome)
    weights = pair_propensities(
        votes[0].astype(np.int64), votes[1], votes[2], floor=float(campaign.spec["uniform_floor"])
    )
    ordered = np.sort(units.arms, axis=1)
    return np.array([weights[pairs[int(a), int(b)]] for a, b in ordered])
