"""Places of units: taken when a unit is given to a rater, given back when it is not judged.

Only the main part of a study counts: calibration, attention checks and repeats take no place and
do not count as exposure of an arm.
"""

from __future__ import annotations

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from qingting.store.judging_tables import Arm, Assignment, Unit

HOLDS_A_PLACE = ("leased", "done")


def take(session: Session, unit: Unit, *, is_swapped: bool) -> bool:
    """Return whether a place of a unit was free and is now taken; arms' exposure is counted.

    The condition stands in the statement itself, so that two writers cannot take the last place.
    """
    taken = session.execute(
        update(Unit)
        .where(Unit.id == unit.id, Unit.n_taken < Unit.n_wanted)
        .values(n_taken=Unit.n_taken + 1)
    )
    if taken.rowcount == 0:  # type: ignore[attr-defined]
        return False
    _count(session, unit, is_swapped=is_swapped, by=1)
    return True


def give_back(session: Session, assignment: Assignment, unit: Unit) -> None:
    """Give back the place that an assignment holds; call before its state changes."""
    if assignment.role != "main" or assignment.state not in HOLDS_A_PLACE:
        return
    session.execute(update(Unit).where(Unit.id == unit.id).values(n_taken=Unit.n_taken - 1))
    _count(session, unit, is_swapped=assignment.is_swapped, by=-1)


def _count(session: Session, unit: Unit, *, is_swapped: bool, by: int) -> None:
    arms = [arm for arm in (unit.arm_id, unit.other_arm_id) if arm is not None]
    first = arms[-1] if is_swapped else arms[0]
    for arm in arms:
        session.execute(
            update(Arm)
            .where(Arm.id == arm)
            .values(n_shown=Arm.n_shown + by, n_first=Arm.n_first + (by if arm == first else 0))
        )


def expire(session: Session, *, campaign_id: int, at_ms: int) -> int:
    """Give back the places of leases that have run out; return how many."""
    late = session.execute(
        select(Assignment, Unit)
        .join(Unit, Unit.id == Assignment.unit_id)
        .where(
            Assignment.state == "leased",
            Assignment.expires_ms <= at_ms,
            Unit.campaign_id == campaign_id,
        )
    ).all()
    for assignment, unit in late:
        give_back(session, assignment, unit)
        assignment.state = "expired"
    return len(late)
