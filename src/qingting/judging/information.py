"""How much one further vote on each pair of arms would tell, for the active choice of pairs."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import select
from sqlalchemy.orm import Session

from qingting.store.judging_tables import Assignment, Campaign, Judgment, Unit

PRIMARY = "overall"
"""The criterion whose estimate the choice narrows; the rule's primary one where there is a rule."""

_OUTCOME = {"left": 1.0, "tie": 0.5, "right": 0.0}


def pair_information(
    session: Session, campaign: Campaign
) -> Mapping[tuple[int, int], tuple[int, float, float]]:
    """Return for every pair of arms (lower id first) votes so far, their sum and sum of squares.

    An outcome is 1 for the first arm, 0.5 for a tie, 0 for the second.
    """
    criterion = campaign.rule["primary"]["criterion"] if campaign.rule else PRIMARY
    found: dict[tuple[int, int], tuple[int, float, float]] = {}
    for one, other, swapped, scores in session.execute(
        select(Unit.arm_id, Unit.other_arm_id, Assignment.is_swapped, Judgment.scores)
        .join(Assignment, Assignment.unit_id == Unit.id)
        .join(Judgment, Judgment.assignment_id == Assignment.id)
        .where(Unit.campaign_id == campaign.id, Assignment.role == "main")
    ):
        if one is None or other is None or criterion not in scores:
            continue
        outcome = _OUTCOME[scores[criterion]]
        first = 1 - outcome if swapped else outcome
        pair, first = ((one, other), first) if one < other else ((other, one), 1 - first)
        n, total, squares = found.get(pair, (0, 0.0, 0.0))
        found[pair] = (n + 1, total + first, squares + first * first)
    return found
