"""The API of study owners: what their pages do, for scripts and other front ends."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import select

from qingting.judging.audit import note
from qingting.judging.campaigns import change_state
from qingting.judging.desk import withdraw_item
from qingting.judging.overview import Overview, overview_of
from qingting.judging.owners import check_password, use_link
from qingting.judging.people import Guest, erase, invite, sign_in, signed_in
from qingting.judging.snapshot import freeze, mark_superseded
from qingting.judging.tokens import now_ms
from qingting.store.judging_tables import Campaign, Item, Owner, Rater, Snapshot
from qingting.web.archive import archive_of
from qingting.web.auth import (
    Caller,
    Services,
    check_csrf,
    limit_sign_in,
    load_owner,
    owner_caller,
    services_of,
)
from qingting.web.problems import RefusedError
from qingting.web.routes.owner import own_campaign

router = APIRouter(prefix="/api/v1/owner", tags=["owners"])
Serves = Annotated[Services, Depends(services_of)]


async def _guarded(request: Request, caller: Annotated[Caller, Depends(owner_caller)]) -> Caller:
    check_csrf(request, caller)
    return caller


Owning = Annotated[Caller, Depends(_guarded)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class OwnerSignIn(_Strict):
    """A name with its password, or the last part of a one-time link."""

    name: str | None = Field(None, max_length=80)
    password: str | None = Field(None, max_length=200)
    link: str | None = Field(None, max_length=100)


class OwnerSession(BaseModel):
    """A session: send it as a bearer token."""

    session: str
    csrf_token: str


class StateIn(_Strict):
    """What the study becomes."""

    state: Literal["open", "paused", "closed"]


class GuestIn(_Strict):
    """Whom an invitation is for. Name and contact are kept apart and never exported."""

    credential: Literal["licensed", "trainee", "researcher", "lay"]
    language: Literal["zh", "en"]
    role: Literal["rater", "expert"] = "rater"
    name: str | None = Field(None, max_length=200)
    contact: str | None = Field(None, max_length=200)
    days: int = Field(14, ge=1, le=365)


class InvitedOut(BaseModel):
    """A link, shown this once, and the pseudonym of its bearer."""

    link: str
    rater: str
    expires_ms: int


class ErasedOut(BaseModel):
    """How much was erased."""

    n_judgments_erased: int


class FrozenOut(BaseModel):
    """A snapshot; ``is_new`` is false where nothing was judged since the last one."""

    digest: str
    n_judgments: int
    n_raters: int
    is_new: bool


class WithdrawnOut(BaseModel):
    """Open assignments that ended with the item."""

    n_leases_ended: int


@router.post("/sessions", dependencies=[Depends(limit_sign_in)], status_code=201)
def begin(body: OwnerSignIn, services: Serves) -> OwnerSession:
    """Begin an owner's session with a password or a one-time link."""
    owner: Owner | None = None
    if body.link is None and body.name is not None and body.password is not None:
        # a password takes long to check, and SQLite has one writer: not while it waits
        with services.database.reading() as session:
            owner = check_password(session, body.name, body.password)
    with services.database.writing() as session:
        if body.link is not None:
            owner = use_link(session, body.link, at_ms=now_ms())
        if owner is None:
            raise RefusedError(403, "link_used" if body.link is not None else "wrong_password")
        secret = sign_in(session, at_ms=now_ms(), owner_id=owner.id)
        session.flush()
        found = signed_in(session, secret, at_ms=now_ms())
        assert found is not None
        return OwnerSession(session=secret, csrf_token=found.csrf_token)


@router.get("/studies")
def studies(caller: Owning, services: Serves) -> list[Overview]:
    """Return how every study stands."""
    with services.database.reading() as session:
        load_owner(session, caller)
        campaigns = session.scalars(select(Campaign).order_by(Campaign.id))
        return [overview_of(session, one, at_ms=now_ms()) for one in campaigns]


@router.get("/studies/{public_id}")
def study(public_id: str, caller: Owning, services: Serves) -> Overview:
    """Return how a study stands: coverage, exposure, raters, snapshots."""
    with services.database.reading() as session:
        load_owner(session, caller)
        return overview_of(session, own_campaign(session, public_id), at_ms=now_ms())


@router.post("/studies/{public_id}/state", status_code=204)
def set_state(public_id: str, body: StateIn, caller: Owning, services: Serves) -> Response:
    """Open, pause or close a study."""
    with services.database.writing() as session:
        owner, campaign = load_owner(session, caller), own_campaign(session, public_id)
        actor = f"owner:{owner.name}"
        change_state(session, campaign, body.state, at_ms=now_ms(), actor=actor)
    return Response(status_code=204)


@router.post("/studies/{public_id}/invitations", status_code=201)
def invite_one(public_id: str, body: GuestIn, caller: Owning, services: Serves) -> InvitedOut:
    """Make an invitation; its link is in this answer and nowhere else."""
    guest = Guest(body.credential, body.language, body.role, body.name, body.contact)
    with services.database.writing() as session:
        owner, campaign = load_owner(session, caller), own_campaign(session, public_id)
        actor = f"owner:{owner.name}"
        made = invite(session, campaign, guest, days=body.days, at_ms=now_ms(), actor=actor)
    return InvitedOut(
        link=services.settings.link(f"/j/{made.secret}"),
        rater=made.rater_public_id,
        expires_ms=made.expires_ms,
    )


@router.delete("/studies/{public_id}/raters/{rater}")
def erase_rater(public_id: str, rater: str, caller: Owning, services: Serves) -> ErasedOut:
    """Erase a rater; snapshots that hold the rater's judgments are superseded."""
    with services.database.writing() as session:
        owner, campaign = load_owner(session, caller), own_campaign(session, public_id)
        found = session.scalar(
            select(Rater).where(Rater.public_id == rater, Rater.campaign_id == campaign.id)
        )
        if found is None:
            raise RefusedError(404, "not_found")
        actor = f"owner:{owner.name}"
        n_erased = erase(session, campaign, found, at_ms=now_ms(), actor=actor)
    mark_superseded(services.database)
    return ErasedOut(n_judgments_erased=n_erased)


@router.delete("/studies/{public_id}/items/{ref}/{language}")
def take_out(
    public_id: str, ref: str, language: Literal["zh", "en"], caller: Owning, services: Serves
) -> WithdrawnOut:
    """Take an item out of a study; judgments of it stay."""
    with services.database.writing() as session:
        owner = load_owner(session, caller)
        campaign = own_campaign(session, public_id)
        item = session.scalar(
            select(Item).where(
                Item.campaign_id == campaign.id,
                Item.ref == ref,
                Item.language == language,
                Item.role == "main",
            )
        )
        if item is None:
            raise RefusedError(404, "not_found")
        note(
            session,
            actor=f"owner:{owner.name}",
            action="withdraw_item",
            subject=f"{ref}/{language}",
            at_ms=now_ms(),
            campaign_id=campaign.id,
        )
        return WithdrawnOut(n_leases_ended=withdraw_item(session, item, at_ms=now_ms()))


@router.post("/studies/{public_id}/snapshots", status_code=201)
def freeze_now(public_id: str, caller: Owning, services: Serves) -> FrozenOut:
    """Write an immutable snapshot of the judgments as they stand."""
    with services.database.reading() as session:
        owner, campaign_id = load_owner(session, caller), own_campaign(session, public_id).id
    frozen = freeze(
        services.database,
        campaign_id,
        into=services.settings.snapshots,
        at_ms=now_ms(),
        actor=f"owner:{owner.name}",
    )
    return FrozenOut(
        digest=frozen.digest,
        n_judgments=frozen.n_judgments,
        n_raters=frozen.n_raters,
        is_new=frozen.is_new,
    )


@router.get("/studies/{public_id}/snapshots/{digest}")
def download(public_id: str, digest: str, caller: Owning, services: Serves) -> Response:
    """Return a snapshot as a zip archive; one that is superseded is refused."""
    with services.database.reading() as session:
        load_owner(session, caller)
        campaign = own_campaign(session, public_id)
        found = session.scalar(
            select(Snapshot).where(Snapshot.digest == digest, Snapshot.campaign_id == campaign.id)
        )
        if found is None:
            raise RefusedError(404, "not_found")
        if found.superseded_ms is not None:
            raise RefusedError(410, "snapshot_superseded")
        return archive_of(Path(found.path), name=f"{campaign.name}-{digest[:12]}.zip")
