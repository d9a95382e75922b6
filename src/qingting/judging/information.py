"""How likely each pair of arms is to be shown next, for the active choice of pairs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from sqlalchemy import select
from sqlalchemy.orm import Session

from qingting.judging.assignment import FloatArray, IntArray, Units
from qingting.stats.pair_choice import arm_pairs, pair_propensities
from qingting.store.judging_tables import Assignment, Campaign, Judgment, Unit

PRIMARY = "overall"
"""The criterion whose estimate is narrowed, where no rule of a decision names another."""

_OUTCOME = {"left": 1.0, "tie": 0.5, "right": 0.0}


@dataclass(frozen=True, slots=True, eq=False)
class PairVotes:
    """What was voted on every pair of arms so far, (n_pairs,) each, and the even share."""

    n_votes: IntArray
    sums: FloatArray
    sums_squares: FloatArray
    floor: float

    def propensities(self, pairs: IntArray) -> FloatArray:
        """Return the probability of each of these pairs, summing to 1.

        Pairs that one more vote would tell more about are likelier; none falls below
        ``floor / len(pairs)``. See ``stats.pair_choice``.
        """
        return pair_propensities(
            self.n_votes[pairs], self.sums[pairs], self.sums_squares[pairs], floor=self.floor
        )


def pair_votes(session: Session, campaign: Campaign, units: Units) -> PairVotes:
    """Return the votes of a study's main part by pair of arms, on the criterion that decides."""
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
    return PairVotes(
        votes[0].astype(np.int64), votes[1], votes[2], float(campaign.spec["uniform_floor"])
    )
