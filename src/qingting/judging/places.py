"""Places of units: taken when a unit is given to a rater, given back when it is not judged.

Only the main part of a study counts: calibration, attention checks and repeats take no place and
do not count as exposure of an arm.
"""

from __future__ import annotations

from typing import cast

from sqlalchemy import Table, bindparam, select, update
from sqlalchemy.orm import Session

from qingting.store.judging_tables import Arm, Assignment, Unit

HOLDS_A_PLACE = ("leased", "done")


# On the connection rather than through the session: these run for every judgment, and no loaded
# object needs to know.
_units, _arms = cast(Table, Unit.__table__), cast(Table, Arm.__table__)
_TAKE = (
    update(_units)
    .where(_units.c.id == bindparam("unit"), _units.c.n_taken < _units.c.n_wanted)
    .values(n_taken=_units.c.n_taken + 1)
)
_GIVE_BACK = (
    update(_units).where(_units.c.id == bindparam("unit")).values(n_taken=_units.c.n_taken - 1)
)
_COUNT = (
    update(_arms)
    .where(_arms.c.id == bindparam("arm"))
    .values(
        n_shown=_arms.c.n_shown + bindparam("shown"),
        n_first=_arms.c.n_first + bindparam("first"),
    )
)


def take(session: Session, unit: Unit, *, is_swapped: bool) -> bool:
    """Return whether a place of a unit was free and is now taken; arms' exposure is counted.

    The condition stands in the statement itself, so that two writers cannot take the last place.
    ``unit`` is not refreshed.
    """
    if not session.connection().execute(_TAKE, {"unit": unit.id}).rowcount:
        return False
    _count(session, unit, is_swapped=is_swapped, by=1)
    return True


def give_back(session: Session, assignment: Assignment, unit: Unit) -> None:
    """Give back the place that an assignment holds; call before its state changes."""
    if assignment.role != "main" or assignment.state not in HOLDS_A_PLACE:
        return
    session.connection().execute(_GIVE_BACK, {"unit": unit.id})
    _count(session, unit, is_swapped=assignment.is_swapped, by=-1)


def _count(session: Session, unit: Unit, *, is_swapped: bool, by: int) -> None:
    arms = [arm for arm in (unit.arm_id, unit.other_arm_id) if arm is not None]
    first = arms[-1] if is_swapped else arms[0]
    session.connection().execute(
        _COUNT,
        [{"arm": arm, "shown": by, "first": by if arm == first else 0} for arm in arms],
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
