"""Invitations, consent, withdrawal: how people come into a study and leave it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple, cast, get_args

from sqlalchemy import Table, bindparam, delete, select
from sqlalchemy.orm import Session

from qingting.core.errors import DataError, NotFoundError, did_you_mean
from qingting.judging.audit import note
from qingting.judging.places import give_back
from qingting.judging.problems import JudgingError
from qingting.judging.tokens import digest_of_token, new_public_id, new_token
from qingting.store.judging_tables import (
    Assignment,
    Campaign,
    Conversation,
    Exclusion,
    Invitation,
    Judgment,
    Rater,
    RaterIdentity,
    SignIn,
    Snapshot,
    Unit,
)

Credential = Literal["licensed", "trainee", "researcher", "lay"]
Role = Literal["rater", "expert"]

SIGN_IN_DAYS = 30
_DAY_MS = 86_400_000


@dataclass(frozen=True)
class Guest:
    """Whom an invitation is for."""

    credential: Credential
    language: Literal["zh", "en"]
    role: Role = "rater"
    name: str | None = None
    contact: str | None = None


class Invited(NamedTuple):
    """A new invitation: the secret of its link, shown once, and the rater's pseudonym."""

    secret: str
    rater_public_id: str
    expires_ms: int


class SignedIn(NamedTuple):
    """A new session: the secret for the cookie, and whose it is."""

    secret: str
    rater: Rater


class Visit(NamedTuple):
    """Whose session it is, with its token against forged forms."""

    csrf_token: str
    rater_id: int | None
    owner_id: int | None


def invite(
    session: Session, campaign: Campaign, guest: Guest, *, days: float, at_ms: int, actor: str
) -> Invited:
    """Return a new invitation for one person, who gets a pseudonym at once."""
    for what, value, known in (
        ("credential", guest.credential, get_args(Credential)),
        ("role", guest.role, get_args(Role)),
        ("language", guest.language, tuple(campaign.spec["languages"])),
    ):
        if value not in known:
            raise DataError(
                f"{what} {value!r}: one of {', '.join(known)}.{did_you_mean(value, known)}"
            )
    if campaign.plan and guest.language not in campaign.plan:
        raise DataError(
            f"language {guest.language!r}: nothing of the study is in it; "
            f"it has {', '.join(campaign.plan)}"
        )
    rater = Rater(
        public_id=new_public_id(),
        campaign_id=campaign.id,
        role=guest.role,
        credential=guest.credential,
        language=guest.language,
        created_ms=at_ms,
    )
    session.add(rater)
    session.flush()
    if guest.name:
        session.add(RaterIdentity(rater_id=rater.id, name=guest.name, contact=guest.contact))
    token = new_token()
    expires_ms = at_ms + round(days * _DAY_MS)
    session.add(
        Invitation(
            campaign_id=campaign.id,
            token_hash=token.digest,
            role=guest.role,
            credential=guest.credential,
            language=guest.language,
            rater_id=rater.id,
            created_ms=at_ms,
            expires_ms=expires_ms,
        )
    )
    note(
        session,
        actor=actor,
        action="invite",
        subject=rater.public_id,
        at_ms=at_ms,
        campaign_id=campaign.id,
    )
    return Invited(token.secret, rater.public_id, expires_ms)


def accept(session: Session, secret: str, *, at_ms: int) -> SignedIn:
    """Return a session for the bearer of an invitation; the link works again until it expires.

    Raises:
        JudgingError: no such invitation, or it has expired, was revoked or its rater withdrew.
    """
    rater, _campaign = look_up(session, secret, at_ms=at_ms)
    return SignedIn(sign_in(session, at_ms=at_ms, rater_id=rater.id), rater)


def look_up(session: Session, secret: str, *, at_ms: int) -> tuple[Rater, Campaign]:
    """Return whom an invitation is for, and to which study, changing nothing.

    Raises:
        JudgingError: no such invitation, or it has expired, was revoked or its rater withdrew.
    """
    invitation = session.scalar(
        select(Invitation).where(Invitation.token_hash == digest_of_token(secret))
    )
    if invitation is None:
        raise JudgingError("invitation_unknown")
    if invitation.rater_id is None:
        raise JudgingError("withdrawn", language=invitation.language)
    if invitation.revoked_ms is not None or invitation.expires_ms <= at_ms:
        raise JudgingError("invitation_expired", language=invitation.language)
    rater = session.get_one(Rater, invitation.rater_id)
    return rater, session.get_one(Campaign, invitation.campaign_id)


def sign_in(
    session: Session, *, at_ms: int, rater_id: int | None = None, owner_id: int | None = None
) -> str:
    """Return the secret of a new session of a rater or an owner."""
    if (rater_id is None) == (owner_id is None):
        raise ValueError("a session belongs to one rater or one owner")
    token = new_token()
    session.add(
        SignIn(
            token_hash=token.digest,
            rater_id=rater_id,
            owner_id=owner_id,
            csrf_token=new_token().secret,
            created_ms=at_ms,
            expires_ms=at_ms + SIGN_IN_DAYS * _DAY_MS,
        )
    )
    session.flush()
    return token.secret


_sign_ins = cast(Table, SignIn.__table__)
# asked for every request: a statement that is built once, and no object of it
_SIGNED_IN = select(_sign_ins.c.csrf_token, _sign_ins.c.rater_id, _sign_ins.c.owner_id).where(
    _sign_ins.c.token_hash == bindparam("digest"), _sign_ins.c.expires_ms > bindparam("now")
)


def signed_in(session: Session, secret: str, *, at_ms: int) -> Visit | None:
    """Return whose session a cookie or a bearer token names, while it lasts."""
    given = {"digest": digest_of_token(secret), "now": at_ms}
    found = session.connection().execute(_SIGNED_IN, given).one_or_none()
    return None if found is None else Visit._make(found)


def sign_out(session: Session, secret: str) -> None:
    """End a session."""
    session.execute(delete(SignIn).where(SignIn.token_hash == digest_of_token(secret)))


def consent(
    session: Session, campaign: Campaign, rater: Rater, *, version: str, at_ms: int
) -> None:
    """Record that a rater agrees to the consent text of ``version``.

    Raises:
        JudgingError: the text has changed since it was shown.
    """
    if version != campaign.consent_version:
        raise JudgingError("consent_outdated", language=rater.language)
    rater.consent_version = version
    rater.consented_ms = at_ms
    note(
        session,
        actor=f"rater:{rater.public_id}",
        action="consent",
        subject=version,
        at_ms=at_ms,
        campaign_id=campaign.id,
    )


def has_consented(campaign: Campaign, rater: Rater) -> bool:
    """Return whether a rater agreed to the consent text as it stands."""
    return rater.consent_version == campaign.consent_version


def find_rater(session: Session, campaign: Campaign, pseudonym: str) -> Rater:
    """Return a rater of a study by the pseudonym, or the first 8 characters of it or more.

    Raises:
        NotFoundError: there is none, or several.
    """
    found = session.scalars(
        select(Rater).where(
            Rater.campaign_id == campaign.id,
            Rater.public_id.startswith(pseudonym, autoescape=True),
        )
    ).all()
    if len(found) != 1 or len(pseudonym) < 8:
        raise NotFoundError(
            f"{pseudonym}: {len(found)} raters; give 8 characters or more of one pseudonym"
        )
    return found[0]


def erase(session: Session, campaign: Campaign, rater: Rater, *, at_ms: int, actor: str) -> int:
    """Remove a rater and everything that the rater did; return how many judgments went.

    Units get their places back, invitations and sessions end, and every snapshot that holds the
    rater's judgments is superseded: analysis, export and training refuse it from then on. The audit
    log keeps that a pseudonym was erased, and nothing else.
    """
    pseudonym = rater.public_id
    # a snapshot that is being written holds this rater: it must be known before it is superseded
    session.get(Campaign, campaign.id, with_for_update={"key_share": True}, populate_existing=True)
    for assignment, unit in session.execute(
        select(Assignment, Unit)
        .join(Unit, Unit.id == Assignment.unit_id)
        .where(Assignment.rater_id == rater.id)
    ):
        give_back(session, assignment, unit)
    n_judgments = len(
        session.scalars(select(Judgment.id).where(Judgment.rater_id == rater.id)).all()
    )
    for snapshot in session.scalars(select(Snapshot).where(Snapshot.campaign_id == campaign.id)):
        if pseudonym in snapshot.raters and snapshot.superseded_ms is None:
            snapshot.superseded_ms = at_ms
            snapshot.superseded_reason = "it holds judgments of a rater who withdrew"
    own_assignments = select(Assignment.id).where(Assignment.rater_id == rater.id)
    session.flush()
    session.execute(delete(Conversation).where(Conversation.assignment_id.in_(own_assignments)))
    for table in (Judgment, Assignment, Exclusion, RaterIdentity, SignIn):
        session.execute(delete(table).where(table.rater_id == rater.id))
    for invitation in session.scalars(select(Invitation).where(Invitation.rater_id == rater.id)):
        invitation.rater_id = None
        invitation.revoked_ms = at_ms
    session.flush()
    session.execute(delete(Rater).where(Rater.id == rater.id))
    note(
        session,
        actor=actor,
        action="erase",
        subject=pseudonym,
        at_ms=at_ms,
        campaign_id=campaign.id,
    )
    return n_judgments
