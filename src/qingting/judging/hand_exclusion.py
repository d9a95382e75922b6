"""Leaving a rater out by hand, for what no rule of the study could foresee.

Rules are registered with the study and applied by the analysis; nobody can change them later. What
they cannot know (a rater turns out to have built one of the arms) is decided by the owner, with a
reason of a short list, and stands in the audit log, in every later snapshot and in the analysis,
which also shows the figures with everybody. An exclusion after the first snapshot, when results
could have been seen, says so for good.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from qingting.core.errors import DataError, NotFoundError, did_you_mean
from qingting.judging.audit import note
from qingting.store.judging_tables import Campaign, Exclusion, Rater, Snapshot

BY_HAND = "by_hand"
LATE = "by_hand_late"

REASONS: Mapping[str, str] = {
    "conflict_of_interest": "took part in making an arm, or gains by its result",
    "not_eligible": "is not whom the study asks for",
    "technical_fault": "judged what was not shown as it should have been",
    "breach_of_protocol": "did not keep to how the study is done",
}
"""Why a rater may be left out by hand."""


@dataclass(frozen=True, slots=True)
class HandExclusion:
    """A rater who is left out by hand; ``is_late``: after the first snapshot."""

    rater: str
    reason: str
    is_late: bool
    decided_ms: int


def exclude(
    session: Session, campaign: Campaign, rater: Rater, reason: str, *, at_ms: int, actor: str
) -> HandExclusion:
    """Leave a rater out of later snapshots' analysis.

    Raises:
        DataError: no such reason, or the rater is left out by hand already.
    """
    if reason not in REASONS:
        raise DataError(
            f"reason {reason!r}: one of {', '.join(REASONS)}.{did_you_mean(reason, REASONS)}"
        )
    if _of_rater(session, rater) is not None:
        raise DataError(f"rater {rater.public_id[:8]} is left out by hand already")
    first = session.scalar(select(Snapshot.id).where(Snapshot.campaign_id == campaign.id).limit(1))
    kind = BY_HAND if first is None else LATE
    session.add(
        Exclusion(rater_id=rater.id, rule=f"{kind}:{reason}", reason=reason, decided_ms=at_ms)
    )
    session.flush()
    _note(session, campaign, rater, "exclude", at_ms=at_ms, actor=actor)
    return HandExclusion(rater.public_id, reason, kind == LATE, at_ms)


def readmit(session: Session, campaign: Campaign, rater: Rater, *, at_ms: int, actor: str) -> None:
    """Take back an exclusion by hand; those by registered rules cannot be taken back.

    Raises:
        NotFoundError: the rater is not left out by hand.
    """
    found = _of_rater(session, rater)
    if found is None:
        raise NotFoundError(f"rater {rater.public_id[:8]} is not left out by hand")
    session.delete(found)
    session.flush()
    _note(session, campaign, rater, "readmit", at_ms=at_ms, actor=actor)


def excluded_by_hand(session: Session, campaign: Campaign) -> tuple[HandExclusion, ...]:
    """Return who is left out by hand."""
    rows = session.execute(
        select(Rater.public_id, Exclusion)
        .join(Exclusion, Exclusion.rater_id == Rater.id)
        .where(Rater.campaign_id == campaign.id)
        .order_by(Exclusion.id)
    )
    return tuple(
        HandExclusion(rater, one.reason, kind_of(one.rule) == LATE, one.decided_ms)
        for rater, one in rows
        if kind_of(one.rule)
    )


def kind_of(rule: str) -> str:
    """Return ``by_hand`` or ``by_hand_late``; empty for a registered rule."""
    kind = rule.partition(":")[0]
    return kind if kind in (BY_HAND, LATE) else ""


def _of_rater(session: Session, rater: Rater) -> Exclusion | None:
    for one in session.scalars(select(Exclusion).where(Exclusion.rater_id == rater.id)):
        if kind_of(one.rule):
            return one
    return None


def _note(
    session: Session, campaign: Campaign, rater: Rater, action: str, *, at_ms: int, actor: str
) -> None:
    note(
        session,
        actor=actor,
        action=action,
        subject=rater.public_id,
        at_ms=at_ms,
        campaign_id=campaign.id,
    )
