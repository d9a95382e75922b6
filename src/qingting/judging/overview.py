"""How a study stands, for its owner: coverage, raters, exposure; no judgment's content."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from sqlalchemy import case, func, select
from sqlalchemy.orm import Session

from qingting.judging.desk import exposure
from qingting.store.judging_tables import (
    Assignment,
    Campaign,
    Exclusion,
    Invitation,
    Item,
    Judgment,
    Rater,
    RaterIdentity,
    Snapshot,
    Unit,
)


@dataclass(frozen=True)
class Coverage:
    """How far one part of the design is judged; a unit is covered when all its places are."""

    language: str
    kind: str
    n_units: int
    n_wanted: int
    n_done: int
    n_held: int
    n_covered: int


@dataclass(frozen=True)
class RaterRow:
    """One rater. ``name`` stands only on the owner's own page, never in an export."""

    pseudonym: str
    name: str | None
    credential: str
    role: str
    language: str
    status: str
    """invited, consented, at work or excluded."""
    n_done: int
    n_skipped: int
    median_s: float | None
    exclusions: tuple[str, ...]
    last_ms: int | None


@dataclass(frozen=True)
class Overview:
    """The whole state of a study."""

    study: str
    id: str
    mode: str
    state: str
    registered_digest: str
    n_wanted: int
    n_done: int
    coverage: tuple[Coverage, ...]
    exposure: dict[str, tuple[int, int]]
    raters: tuple[RaterRow, ...]
    n_invitations_open: int
    snapshots: tuple[dict[str, object], ...]


def overview_of(session: Session, campaign: Campaign, *, at_ms: int) -> Overview:
    """Return how a study stands."""
    coverage = _coverage(session, campaign)
    snapshots = session.scalars(
        select(Snapshot)
        .where(Snapshot.campaign_id == campaign.id)
        .order_by(Snapshot.created_ms.desc())
    )
    return Overview(
        study=campaign.name,
        id=campaign.public_id,
        mode=campaign.mode,
        state=campaign.state,
        registered_digest=campaign.registered_digest,
        n_wanted=sum(one.n_wanted for one in coverage),
        n_done=sum(one.n_done for one in coverage),
        coverage=coverage,
        exposure=exposure(session, campaign),
        raters=_raters(session, campaign),
        n_invitations_open=_invitations_open(session, campaign, at_ms=at_ms),
        snapshots=tuple(
            {
                "digest": one.digest,
                "path": one.path,
                "created_ms": one.created_ms,
                "superseded_ms": one.superseded_ms,
                "superseded_reason": one.superseded_reason,
            }
            for one in snapshots
        ),
    )


def _coverage(session: Session, campaign: Campaign) -> tuple[Coverage, ...]:
    done_of_unit = (
        select(Assignment.unit_id, func.count().label("n_done"))
        .where(Assignment.role == "main", Assignment.state == "done")
        .group_by(Assignment.unit_id)
        .subquery()
    )
    n_done = func.coalesce(done_of_unit.c.n_done, 0)
    rows = session.execute(
        select(
            Item.language,
            Item.kind,
            func.count(),
            func.sum(Unit.n_wanted),
            func.sum(n_done),
            func.sum(Unit.n_taken - n_done),
            func.sum(case((n_done >= Unit.n_wanted, 1), else_=0)),
        )
        .join(Item, Item.id == Unit.item_id)
        .join(done_of_unit, done_of_unit.c.unit_id == Unit.id, isouter=True)
        .where(Unit.campaign_id == campaign.id, Unit.role == "main", Item.withdrawn_ms.is_(None))
        .group_by(Item.language, Item.kind)
        .order_by(Item.language, Item.kind)
    )
    return tuple(
        Coverage(language, kind, *(int(number) for number in numbers))
        for language, kind, *numbers in rows
    )


def _raters(session: Session, campaign: Campaign) -> tuple[RaterRow, ...]:
    names = dict(
        session.execute(
            select(RaterIdentity.rater_id, RaterIdentity.name)
            .join(Rater, Rater.id == RaterIdentity.rater_id)
            .where(Rater.campaign_id == campaign.id)
        ).all()
    )
    exclusions: dict[int, list[str]] = {}
    for rater_id, rule in session.execute(
        select(Exclusion.rater_id, Exclusion.rule)
        .join(Rater, Rater.id == Exclusion.rater_id)
        .where(Rater.campaign_id == campaign.id)
    ):
        exclusions.setdefault(rater_id, []).append(rule)
    skipped = dict(
        session.execute(
            select(Assignment.rater_id, func.count())
            .where(Assignment.state == "skipped")
            .group_by(Assignment.rater_id)
        ).all()
    )
    times: dict[int, list[tuple[int, int | None]]] = {}
    for rater_id, submitted, duration in session.execute(
        select(Judgment.rater_id, Judgment.submitted_ms, Judgment.duration_ms)
        .join(Assignment, Assignment.id == Judgment.assignment_id)
        .join(Rater, Rater.id == Judgment.rater_id)
        .where(Rater.campaign_id == campaign.id, Assignment.role != "training")
    ):
        times.setdefault(rater_id, []).append((submitted, duration))
    rows = []
    for rater in session.scalars(
        select(Rater).where(Rater.campaign_id == campaign.id).order_by(Rater.id)
    ):
        own = times.get(rater.id, [])
        rules = tuple(sorted(exclusions.get(rater.id, [])))
        rows.append(
            RaterRow(
                pseudonym=rater.public_id,
                name=names.get(rater.id),
                credential=rater.credential,
                role=rater.role,
                language=rater.language,
                status=_status(rater, n_done=len(own), rules=rules),
                n_done=len(own),
                n_skipped=skipped.get(rater.id, 0),
                median_s=_median_s([duration for _, duration in own]),
                exclusions=rules,
                last_ms=max((submitted for submitted, _ in own), default=None),
            )
        )
    return tuple(rows)


def _status(rater: Rater, *, n_done: int, rules: Sequence[str]) -> str:
    if rules:
        return "excluded"
    if n_done:
        return "at work"
    return "consented" if rater.consented_ms else "invited"


def _median_s(durations_ms: Sequence[int | None]) -> float | None:
    known = [duration for duration in durations_ms if duration is not None]
    return median(known) / 1000 if known else None


def _invitations_open(session: Session, campaign: Campaign, *, at_ms: int) -> int:
    found = session.scalar(
        select(func.count())
        .select_from(Invitation)
        .where(
            Invitation.campaign_id == campaign.id,
            Invitation.revoked_ms.is_(None),
            Invitation.expires_ms > at_ms,
        )
    )
    return int(found or 0)
