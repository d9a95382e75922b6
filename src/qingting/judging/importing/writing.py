"""A planned import becomes raters, assignments and judgments, in the caller's transaction."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from qingting.core.canonical import digest_of
from qingting.core.errors import DataError, SpecificationError, did_you_mean
from qingting.judging.audit import note
from qingting.judging.importing.planning import Plan, Ready
from qingting.judging.places import expire, take
from qingting.judging.tokens import new_public_id
from qingting.store.judging_tables import Assignment, Campaign, Judgment, Rater, RaterIdentity, Unit

ELSEWHERE = "elsewhere"
"""The consent version of raters who consented to another text than the study's."""


@dataclass(frozen=True)
class Imported:
    """What was written."""

    n_judgments: int
    n_raters_new: int


def consent_of(campaign: Campaign, *, version: str | None, is_elsewhere: bool) -> str:
    """Return what is noted of imported raters' consent; the importer has to say which it was.

    Args:
        version: of the study's own consent text, which the raters agreed to.
        is_elsewhere: they agreed to another text, which the importer answers for.

    Raises:
        SpecificationError: neither or both is said, or the study's text has another version.
    """
    if (version is None) == (not is_elsewhere):
        raise SpecificationError(
            "say how the raters consented: to this study's text (consent version "
            f"{campaign.consent_version}), or elsewhere, which you answer for"
        )
    if version is None:
        return ELSEWHERE
    if version != campaign.consent_version:
        raise SpecificationError(
            f"the study's consent text has version {campaign.consent_version}, not {version!r}."
            f"{did_you_mean(version, [campaign.consent_version])} Raters who agreed to another "
            "text consented elsewhere"
        )
    return version


def write_import(
    session: Session, campaign: Campaign, plan: Plan, *, consent: str, at_ms: int, actor: str
) -> Imported:
    """Write what a plan has ready; call in the transaction in which it was planned.

    Names of raters go into the table of identities alone. The audit log keeps the digest of the
    file, how consent was obtained, and the pseudonyms of new raters.

    Raises:
        DataError: places were taken by others since the plan was made.
    """
    if not plan.ready:
        return Imported(0, 0)
    expire(session, campaign, at_ms=at_ms)
    raters, n_new = _raters(session, campaign, plan, consent=consent, at_ms=at_ms, actor=actor)
    for one in plan.ready:
        _write(session, raters[one.pseudonym], one, at_ms=at_ms)
    session.flush()
    for action, subject in (("import", plan.source.digest), ("import_consent", consent)):
        note(
            session,
            actor=actor,
            action=action,
            subject=subject,
            at_ms=at_ms,
            campaign_id=campaign.id,
        )
    return Imported(len(plan.ready), n_new)


def _raters(
    session: Session, campaign: Campaign, plan: Plan, *, consent: str, at_ms: int, actor: str
) -> tuple[dict[str, Rater], int]:
    """Return the rater of every pseudonym, and how many of them are new."""
    raters = {
        one.public_id: one
        for one in session.scalars(select(Rater).where(Rater.campaign_id == campaign.id))
    }
    languages = _languages(session, campaign, plan.ready)
    n_before = len(raters)
    for one in plan.ready:
        if one.pseudonym in raters:
            continue
        rater = Rater(
            public_id=one.pseudonym,
            campaign_id=campaign.id,
            role="rater",
            credential=one.draft.credential,
            language=languages[one.pseudonym],
            consent_version=consent,
            consented_ms=None,  # when, nobody told
            n_trained=0,
            n_started=0,
            created_ms=at_ms,
        )
        session.add(rater)
        session.flush()
        session.add(
            RaterIdentity(rater_id=rater.id, name=one.draft.rater, contact=plan.identity_source)
        )
        note(
            session,
            actor=actor,
            action="import_rater",
            subject=one.pseudonym,
            at_ms=at_ms,
            campaign_id=campaign.id,
        )
        raters[one.pseudonym] = rater
    return raters, len(raters) - n_before


def _languages(session: Session, campaign: Campaign, ready: Sequence[Ready]) -> Mapping[str, str]:
    """Return the language that each rater judged most in."""
    of_unit = dict(
        session.execute(select(Unit.id, Unit.language).where(Unit.campaign_id == campaign.id)).all()
    )
    counts: dict[str, Counter[str]] = {}
    for one in ready:
        counts.setdefault(one.pseudonym, Counter())[of_unit[one.unit_id]] += 1
    return {
        rater: min(count, key=lambda language: (-count[language], language))
        for rater, count in counts.items()
    }


def _write(session: Session, rater: Rater, one: Ready, *, at_ms: int) -> None:
    draft = one.draft
    if draft.role == "main" and not take(session, one.unit_id, one.arms_in_order):
        raise DataError(f"{draft.row.place}: its place was taken meanwhile; import again")
    submitted_ms = draft.submitted_ms if draft.submitted_ms is not None else at_ms
    assignment = Assignment(
        public_id=new_public_id(),
        rater_id=rater.id,
        unit_id=one.unit_id,
        role=draft.role,
        is_swapped=one.is_swapped,
        p_chosen=draft.p_chosen,
        sequence=rater.n_started,
        state="done",
        leased_ms=submitted_ms - (draft.duration_ms or 0),
        expires_ms=submitted_ms,
    )
    rater.n_started += 1
    rater.n_trained += draft.role == "training"
    session.add(assignment)
    session.flush()
    session.add(
        Judgment(
            assignment_id=assignment.id,
            rater_id=rater.id,
            idempotency_key=idempotency_key(one),
            scores=one.form.scores,
            safety=one.form.safety,
            reasons=one.form.reasons,
            confidence=one.form.confidence,
            comment=one.form.comment,
            guess=one.form.guess,
            duration_ms=draft.duration_ms,
            submitted_ms=submitted_ms,
        )
    )


def idempotency_key(one: Ready) -> str:
    """Return a key that follows from what a row says: who judged what, in which order, and how."""
    return digest_of(
        {
            "rater": one.pseudonym,
            "role": one.draft.role,
            "unit": one.unit_id,
            "is_swapped": one.is_swapped,
            "scores": one.form.scores,
            "safety": one.form.safety,
            "reasons": one.form.reasons,
            "confidence": one.form.confidence,
        }
    )
