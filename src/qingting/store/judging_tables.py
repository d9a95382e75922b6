"""The tables of human judging. Times are milliseconds since 1970 (UTC) and end in ``_ms``.

What a rater may see never holds an arm's name: ``arms`` is read by the study owner's pages, by
``export`` and by ``freeze`` alone. Names of people stand only in ``rater_identities``, which no
export reads.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Text,
    UniqueConstraint,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s",
    "pk": "pk_%(table_name)s",
}


class Table(DeclarativeBase):
    """The base of every table of a judging database."""

    metadata = MetaData(naming_convention=NAMING)
    type_annotation_map = {  # noqa: RUF012
        dict[str, Any]: JSON(none_as_null=True),
        list[Any]: JSON(none_as_null=True),
    }


def _ms(*, null: bool = True) -> Mapped[Any]:
    return mapped_column(BigInteger, nullable=null)


def _owned_by(table: str) -> Mapped[int]:
    return mapped_column(ForeignKey(f"{table}.id", ondelete="CASCADE"), index=True)


class Campaign(Table):
    """One study: its specification, rubric and rule as they were when it was made."""

    __tablename__ = "campaigns"
    id: Mapped[int] = mapped_column(primary_key=True)
    public_id: Mapped[str] = mapped_column(String(32), unique=True)
    name: Mapped[str] = mapped_column(String(80))
    mode: Mapped[str] = mapped_column(String(16))
    state: Mapped[str] = mapped_column(String(16))
    """draft (not yet open), open, paused or closed."""
    spec: Mapped[dict[str, Any]]
    plan: Mapped[dict[str, Any]]
    """Per language: judgments of the main part, and an equal share of all judgments."""
    pack: Mapped[dict[str, Any]] = mapped_column(deferred=True)
    """Rubric, consent and pages, frozen from the domain pack."""
    consent_version: Mapped[str] = mapped_column(String(20))
    rule: Mapped[dict[str, Any] | None]
    """The preregistered rule of the decision."""
    registered_digest: Mapped[str] = mapped_column(String(64))
    """sha256 over specification, rubric, rule, arms and items: what was fixed in advance."""
    secret: Mapped[str] = mapped_column(String(64))
    created_ms: Mapped[int] = _ms(null=False)
    opened_ms: Mapped[int | None] = _ms()
    closed_ms: Mapped[int | None] = _ms()


class Arm(Table):
    """A model under judgment. Its name is what raters must never learn."""

    __tablename__ = "arms"
    __table_args__ = (UniqueConstraint("campaign_id", "name"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    campaign_id: Mapped[int] = _owned_by("campaigns")
    name: Mapped[str] = mapped_column(String(200))
    endpoint: Mapped[dict[str, Any] | None]
    """Where the arm answers in live conversations: base_url, model, name of the key's variable."""
    n_shown: Mapped[int] = mapped_column(Integer, default=0)
    n_first: Mapped[int] = mapped_column(Integer, default=0)


class Item(Table):
    """One scenario in one language: what the client wrote, and what raters are told of it."""

    __tablename__ = "items"
    __table_args__ = (UniqueConstraint("campaign_id", "ref", "language", "role"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    campaign_id: Mapped[int] = _owned_by("campaigns")
    ref: Mapped[str] = mapped_column(String(80))
    language: Mapped[str] = mapped_column(String(2))
    role: Mapped[str] = mapped_column(String(16))
    """main, calibration or attention."""
    kind: Mapped[str] = mapped_column(String(20))
    topic: Mapped[str] = mapped_column(String(20))
    difficulty: Mapped[int]
    is_distressing: Mapped[bool]
    turns: Mapped[list[Any]]
    """What was said before the answer: ``[{"role", "content"}]``, ending with the client."""
    background: Mapped[str | None] = mapped_column(Text)
    client: Mapped[dict[str, Any] | None]
    reference: Mapped[dict[str, Any] | None]
    """Calibration and attention: the right judgment and why."""
    withdrawn_ms: Mapped[int | None] = _ms()


class Response(Table):
    """What one arm answered to one item: as it was, and as raters see it."""

    __tablename__ = "responses"
    __table_args__ = (UniqueConstraint("item_id", "arm_id"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    item_id: Mapped[int] = _owned_by("items")
    arm_id: Mapped[int | None] = mapped_column(
        ForeignKey("arms.id", ondelete="CASCADE"), index=True
    )
    """Null for calibration and attention items, whose answers were written by people."""
    original: Mapped[list[Any]]
    """Turns of the arm, one for a single answer, as the arm gave them."""
    shown: Mapped[list[Any]]
    """The same turns, formatted alike and with names of models masked."""
    n_masked: Mapped[int]


class Unit(Table):
    """What is judged as one: an item with one arm, or with two. ``n_taken`` counts live places."""

    __tablename__ = "units"
    __table_args__ = (
        UniqueConstraint("item_id", "arm_id", "other_arm_id"),
        Index("ix_units_open", "campaign_id", "role", "language", "n_taken"),
    )
    id: Mapped[int] = mapped_column(primary_key=True)
    campaign_id: Mapped[int] = mapped_column(ForeignKey("campaigns.id", ondelete="CASCADE"))
    item_id: Mapped[int] = _owned_by("items")
    role: Mapped[str] = mapped_column(String(16))
    language: Mapped[str] = mapped_column(String(2))
    is_withdrawn: Mapped[bool] = mapped_column(default=False)
    """Copies of the item's, so that the open units are found without a join."""
    arm_id: Mapped[int | None] = mapped_column(ForeignKey("arms.id", ondelete="CASCADE"))
    other_arm_id: Mapped[int | None] = mapped_column(ForeignKey("arms.id", ondelete="CASCADE"))
    n_wanted: Mapped[int]
    n_taken: Mapped[int] = mapped_column(Integer, default=0)


class Rater(Table):
    """A person who judges, under a pseudonym."""

    __tablename__ = "raters"
    id: Mapped[int] = mapped_column(primary_key=True)
    public_id: Mapped[str] = mapped_column(String(32), unique=True)
    campaign_id: Mapped[int] = _owned_by("campaigns")
    role: Mapped[str] = mapped_column(String(20))
    """rater or expert."""
    credential: Mapped[str] = mapped_column(String(20))
    """licensed, trainee, researcher or lay."""
    language: Mapped[str] = mapped_column(String(2))
    consent_version: Mapped[str | None] = mapped_column(String(20))
    consented_ms: Mapped[int | None] = _ms()
    trained_ms: Mapped[int | None] = _ms()
    warned_ms: Mapped[int | None] = _ms()
    n_trained: Mapped[int] = mapped_column(Integer, default=0)
    n_started: Mapped[int] = mapped_column(Integer, default=0)
    """Assignments so far: the place of the next one in this rater's schedule."""
    created_ms: Mapped[int] = _ms(null=False)


class RaterIdentity(Table):
    """The key from a pseudonym to a person, apart from everything else."""

    __tablename__ = "rater_identities"
    rater_id: Mapped[int] = mapped_column(
        ForeignKey("raters.id", ondelete="CASCADE"), primary_key=True
    )
    name: Mapped[str] = mapped_column(String(200))
    contact: Mapped[str | None] = mapped_column(String(200))


class Invitation(Table):
    """A link that makes its bearer a rater; only the hash of its token is kept."""

    __tablename__ = "invitations"
    id: Mapped[int] = mapped_column(primary_key=True)
    campaign_id: Mapped[int] = _owned_by("campaigns")
    token_hash: Mapped[str] = mapped_column(String(64), unique=True)
    role: Mapped[str] = mapped_column(String(20))
    credential: Mapped[str] = mapped_column(String(20))
    language: Mapped[str] = mapped_column(String(2))
    rater_id: Mapped[int | None] = mapped_column(
        ForeignKey("raters.id", ondelete="SET NULL"), index=True
    )
    created_ms: Mapped[int] = _ms(null=False)
    expires_ms: Mapped[int] = _ms(null=False)
    revoked_ms: Mapped[int | None] = _ms()


class Owner(Table):
    """A person who runs studies."""

    __tablename__ = "owners"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(80), unique=True)
    password_hash: Mapped[str | None] = mapped_column(String(200))
    """argon2id; null where the owner signs in by one-time links alone."""


class OwnerLink(Table):
    """A link that signs an owner in once."""

    __tablename__ = "owner_links"
    token_hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    owner_id: Mapped[int] = _owned_by("owners")
    expires_ms: Mapped[int] = _ms(null=False)
    used_ms: Mapped[int | None] = _ms()


class SignIn(Table):
    """A session of a browser or a bearer of the API, either a rater's or an owner's."""

    __tablename__ = "sign_ins"
    token_hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    rater_id: Mapped[int | None] = mapped_column(
        ForeignKey("raters.id", ondelete="CASCADE"), index=True
    )
    owner_id: Mapped[int | None] = mapped_column(
        ForeignKey("owners.id", ondelete="CASCADE"), index=True
    )
    csrf_token: Mapped[str] = mapped_column(String(64))
    created_ms: Mapped[int] = _ms(null=False)
    expires_ms: Mapped[int] = _ms(null=False)


class Assignment(Table):
    """A unit that was given to a rater, in which order, and what became of it."""

    __tablename__ = "assignments"
    __table_args__ = (
        UniqueConstraint("rater_id", "sequence"),
        Index("ix_assignments_expiring", "state", "expires_ms"),
    )
    id: Mapped[int] = mapped_column(primary_key=True)
    public_id: Mapped[str] = mapped_column(String(32), unique=True)
    rater_id: Mapped[int] = _owned_by("raters")
    unit_id: Mapped[int] = _owned_by("units")
    role: Mapped[str] = mapped_column(String(16))
    """main, calibration, attention, repeat or training."""
    is_swapped: Mapped[bool]
    """Pairs: whether the unit's other arm stood first (left)."""
    p_chosen: Mapped[float]
    """The probability of the choice then: of the pair of arms where pairs are chosen actively (for
    weighting), else of the unit among those that fitted equally well."""
    sequence: Mapped[int]
    state: Mapped[str] = mapped_column(String(16))
    """leased, done, skipped, expired, or withdrawn with its item."""
    skip_reason: Mapped[str | None] = mapped_column(String(40))
    leased_ms: Mapped[int] = _ms(null=False)
    expires_ms: Mapped[int] = _ms(null=False)
    undone_ms: Mapped[int | None] = _ms()
    """Since when a judgment stands open again; it counts until another takes its place."""


class Judgment(Table):
    """What a rater said of an assignment; acknowledged only once it is committed."""

    __tablename__ = "judgments"
    __table_args__ = (UniqueConstraint("rater_id", "idempotency_key"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    assignment_id: Mapped[int] = mapped_column(
        ForeignKey("assignments.id", ondelete="CASCADE"), unique=True
    )
    rater_id: Mapped[int] = _owned_by("raters")
    idempotency_key: Mapped[str] = mapped_column(String(64))
    scores: Mapped[dict[str, Any]]
    """Single and conversation: criterion to 1..5. Pair: criterion to left, right or tie."""
    safety: Mapped[dict[str, Any]]
    """Per side (``answer``, or ``left`` and ``right``): verdict and reason codes."""
    reasons: Mapped[list[Any]]
    confidence: Mapped[int | None]
    comment: Mapped[str | None] = mapped_column(Text)
    guess: Mapped[dict[str, Any] | None]
    """Side to the family that the rater thinks wrote it; empty where none was given, null where
    the question was not asked."""
    duration_ms: Mapped[int | None] = mapped_column(BigInteger)
    submitted_ms: Mapped[int] = _ms(null=False)


class Conversation(Table):
    """A live conversation of a rater with a blinded arm."""

    __tablename__ = "conversations"
    id: Mapped[int] = mapped_column(primary_key=True)
    assignment_id: Mapped[int] = mapped_column(
        ForeignKey("assignments.id", ondelete="CASCADE"), unique=True
    )
    turns: Mapped[list[Any]]
    """``[{"role", "content", "shown", "n_masked"}]`` so far."""
    is_closed: Mapped[bool]


class Exclusion(Table):
    """A rater whose judgments are left out, by which rule and on which figures."""

    __tablename__ = "exclusions"
    id: Mapped[int] = mapped_column(primary_key=True)
    rater_id: Mapped[int] = _owned_by("raters")
    rule: Mapped[str] = mapped_column(String(40))
    reason: Mapped[str] = mapped_column(Text)
    decided_ms: Mapped[int] = _ms(null=False)


class Snapshot(Table):
    """An immutable copy of the judgments on disk; superseded when it holds erased data."""

    __tablename__ = "snapshots"
    id: Mapped[int] = mapped_column(primary_key=True)
    campaign_id: Mapped[int] = _owned_by("campaigns")
    digest: Mapped[str] = mapped_column(String(64), unique=True)
    path: Mapped[str] = mapped_column(Text)
    raters: Mapped[list[Any]]
    """Pseudonyms of the raters whose judgments it holds."""
    created_ms: Mapped[int] = _ms(null=False)
    superseded_ms: Mapped[int | None] = _ms()
    superseded_reason: Mapped[str | None] = mapped_column(Text)


class AuditEntry(Table):
    """Who did what and when, without any content."""

    __tablename__ = "audit_entries"
    id: Mapped[int] = mapped_column(primary_key=True)
    at_ms: Mapped[int] = _ms(null=False)
    actor: Mapped[str] = mapped_column(String(60))
    action: Mapped[str] = mapped_column(String(40), index=True)
    subject: Mapped[str] = mapped_column(String(120))
    campaign_id: Mapped[int | None] = mapped_column(
        ForeignKey("campaigns.id", ondelete="CASCADE"), index=True
    )
