"""Places of units: taken when a unit is given to a rater, given back when it is not judged.

Only the main part of a study counts: calibration, attention checks and repeats take no place and
do not count as exposure of an arm.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from sqlalchemy import Table, bindparam, case, select, update
from sqlalchemy.orm import Session

from qingting.store.judging_tables import Arm, Assignment, Campaign, Unit

HOLDS_A_PLACE = ("leased", "done")


# On the connection rather than through the session: these run for every judgment, and no loaded
# object needs to know.
_units, _arms = cast(Table, Unit.__table__), cast(Table, Arm.__table__)
_assignments = cast(Table, Assignment.__table__)
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


_LATE = (
    select(Assignment, Unit)
    .join(Unit, Unit.id == Assignment.unit_id)
    .where(
        Assignment.state == "leased",
        Assignment.expires_ms <= bindparam("now"),
        Unit.campaign_id == bindparam("campaign"),
    )
    .order_by(Assignment.id)
)
_EXPIRE = (
    update(_assignments)
    .where(
        _assignments.c.id == bindparam("assignment"),
        _assignments.c.state == "leased",
        _assignments.c.expires_ms <= bindparam("now"),
    )
    .values(
        state=case((_assignments.c.undone_ms.is_not(None), "done"), else_="expired"),
        undone_ms=None,
    )
)


def take(session: Session, unit_id: int, arms: Sequence[int]) -> bool:
    """Return whether a place of a unit was free and is now taken; arms' exposure is counted.

    The condition stands in the statement itself, so that two writers cannot take the last place.

    Args:
        arms: in the order in which they are shown.
    """
    if not session.connection().execute(_TAKE, {"unit": unit_id}).rowcount:
        return False
    _count(session, arms, by=1)
    return True


def give_back(session: Session, assignment: Assignment, unit: Unit) -> None:
    """Give back the place that an assignment holds; call before its state changes."""
    if assignment.role == "main" and assignment.state in HOLDS_A_PLACE:
        _give_back(session, unit, is_swapped=assignment.is_swapped)


def _give_back(session: Session, unit: Unit, *, is_swapped: bool) -> None:
    session.connection().execute(_GIVE_BACK, {"unit": unit.id})
    _count(session, arms_in_order(unit, is_swapped=is_swapped), by=-1)


def arms_in_order(unit: Unit, *, is_swapped: bool) -> tuple[int, ...]:
    """Return a unit's arms in the order in which they are shown."""
    arms = tuple(arm for arm in (unit.arm_id, unit.other_arm_id) if arm is not None)
    return arms[::-1] if is_swapped else arms


def _count(session: Session, arms: Sequence[int], *, by: int) -> None:
    # in the order of their ids, so that two transactions cannot wait for each other
    session.connection().execute(
        _COUNT,
        [{"arm": arm, "shown": by, "first": by if arm == arms[0] else 0} for arm in sorted(arms)],
    )


_EXPIRED_MS: dict[str, int] = {}
_MAX_KEPT = 64
EXPIRE_EVERY_MS = 1000
"""Leases last minutes: looking for those that ran out with every request would find nothing new."""


def expire_if_due(session: Session, campaign: Campaign, *, at_ms: int) -> int | None:
    """Do as ``expire``, unless this process did so within the last second: then return None.

    Who is about to be told that nothing is left must call ``expire`` itself.
    """
    last_ms = _EXPIRED_MS.get(campaign.public_id)
    if last_ms is not None and 0 <= at_ms - last_ms < EXPIRE_EVERY_MS:
        return None
    if len(_EXPIRED_MS) >= _MAX_KEPT:
        _EXPIRED_MS.clear()
    _EXPIRED_MS[campaign.public_id] = at_ms
    return expire(session, campaign, at_ms=at_ms)


def expire(session: Session, campaign: Campaign, *, at_ms: int) -> int:
    """Give back the places of leases that have run out; return how many."""
    late = session.execute(_LATE, {"campaign": campaign.id, "now": at_ms}).all()
    n_expired = 0
    for assignment, unit in late:
        was_judged = assignment.undone_ms is not None  # what was said stays, and its place with it
        # again in the statement: its rater may have submitted it in the meantime
        changed = session.connection().execute(_EXPIRE, {"assignment": assignment.id, "now": at_ms})
        session.expire(assignment)
        if changed.rowcount:
            n_expired += 1
            if assignment.role == "main" and not was_judged:
                _give_back(session, unit, is_swapped=assignment.is_swapped)
    return n_expired
