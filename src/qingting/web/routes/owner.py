"""Pages of study owners: sign in, how a study stands, invitations, snapshots, erasure."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from fastapi.responses import RedirectResponse, Response
from sqlalchemy import select
from sqlalchemy.orm import Session

from qingting.core.errors import DataError, QingtingError
from qingting.judging.campaigns import change_state
from qingting.judging.overview import overview_of
from qingting.judging.owners import check_password, use_link
from qingting.judging.people import Guest, erase, invite, sign_in, sign_out
from qingting.judging.snapshot import freeze, mark_superseded
from qingting.judging.tokens import now_ms
from qingting.store.judging_tables import Campaign, Owner, Rater, Snapshot
from qingting.web.archive import archive_of
from qingting.web.auth import (
    Caller,
    OwnerCaller,
    Services,
    check_csrf,
    cookie_name,
    limit_sign_in,
    load_owner,
    services_of,
    set_cookie,
    visitor_of,
)
from qingting.web.forms import Form, text_of
from qingting.web.pages import language_of, page
from qingting.web.problems import RefusedError

router = APIRouter(include_in_schema=False)
Serves = Annotated[Services, Depends(services_of)]
_LIMITED = [Depends(limit_sign_in)]


def _go(path: str) -> RedirectResponse:
    return RedirectResponse(path, status_code=303)


def own_campaign(session: Session, public_id: str) -> Campaign:
    """Return a study by its public id; owners of one database see all of its studies."""
    found = session.scalar(select(Campaign).where(Campaign.public_id == public_id))
    if found is None:
        raise RefusedError(404, "not_found")
    return found


@router.get("/")
def home() -> Response:
    """Lead visitors to the sign-in of owners; raters come by their own links."""
    return _go("/owner")


@router.get("/owner/sign-in")
def sign_in_page(request: Request) -> Response:
    """Ask for name and password."""
    return page(request, "owner_sign_in.html", language=language_of(request), wrong=False)


@router.post("/owner/sign-in", dependencies=_LIMITED)
def sign_in_owner(request: Request, services: Serves, form: Form) -> Response:
    """Begin an owner's session with a password."""
    with services.database.reading() as session:
        owner = check_password(session, text_of(form, "name"), text_of(form, "password"))
    if owner is None:
        services.wrong_sign_ins.wait_s(visitor_of(request))
        language = language_of(request)
        return page(request, "owner_sign_in.html", language=language, wrong=True, status=403)
    return _begin(services, owner)


@router.get("/owner/link/{secret}", dependencies=_LIMITED)
def link_page(request: Request, secret: str) -> Response:
    """Show the button that spends a one-time link, so that previews of mail programs do not."""
    return page(request, "owner_link.html", language=language_of(request), secret=secret)


@router.post("/owner/link/{secret}", dependencies=_LIMITED)
def enter_by_link(secret: str, services: Serves) -> Response:
    """Begin an owner's session with a one-time link."""
    with services.database.writing() as session:
        owner = use_link(session, secret, at_ms=now_ms())
    if owner is None:
        raise RefusedError(410, "link_used")
    return _begin(services, owner)


def _begin(services: Services, owner: Owner) -> Response:
    with services.database.writing() as session:
        secret = sign_in(session, at_ms=now_ms(), owner_id=owner.id)
    response = _go("/owner")
    set_cookie(response, services.settings, secret)
    return response


@router.post("/owner/sign-out")
def leave(request: Request, caller: OwnerCaller, services: Serves, form: Form) -> Response:
    """End the session."""
    check_csrf(request, caller, form_token=text_of(form, "csrf"))
    with services.database.writing() as session:
        sign_out(session, caller.secret)
    response = _go("/owner/sign-in")
    response.delete_cookie(cookie_name(services.settings), path="/")
    return response


@router.get("/owner")
def studies(request: Request, caller: OwnerCaller, services: Serves) -> Response:
    """List the studies of this database."""
    with services.database.reading() as session:
        owner = load_owner(session, caller)
        campaigns = session.scalars(select(Campaign).order_by(Campaign.id)).all()
        shown = [overview_of(session, one, at_ms=now_ms()) for one in campaigns]
        return page(
            request,
            "owner_studies.html",
            language=language_of(request),
            csrf_token=caller.csrf_token,
            owner=owner.name,
            studies=shown,
        )


@router.get("/owner/study/{public_id}")
def study(request: Request, public_id: str, caller: OwnerCaller, services: Serves) -> Response:
    """Show how a study stands."""
    return _study_page(request, public_id, caller, services)


def _study_page(
    request: Request,
    public_id: str,
    caller: Caller,
    services: Services,
    *,
    invited: dict[str, str] | None = None,
    message: str | None = None,
    status: int = 200,
) -> Response:
    with services.database.reading() as session:
        load_owner(session, caller)
        campaign = own_campaign(session, public_id)
        return page(
            request,
            "owner_study.html",
            language=language_of(request),
            status=status,
            csrf_token=caller.csrf_token,
            overview=overview_of(session, campaign, at_ms=now_ms()),
            languages=campaign.spec["languages"],
            invited=invited,
            message=message,
        )


@router.post("/owner/study/{public_id}/state")
def set_state(
    request: Request, public_id: str, caller: OwnerCaller, services: Serves, form: Form
) -> Response:
    """Open, pause or close a study."""
    check_csrf(request, caller, form_token=text_of(form, "csrf"))
    state = text_of(form, "state")
    if state not in ("open", "paused", "closed"):
        raise RefusedError(422, "malformed")

    def change(session: Session, campaign: Campaign, owner: Owner) -> None:
        change_state(session, campaign, state, at_ms=now_ms(), actor=f"owner:{owner.name}")

    return _changed(request, public_id, caller, services, change)


def _changed(
    request: Request, public_id: str, caller: Caller, services: Services, change: Any
) -> Response:
    """Apply a change in one transaction; what it refuses is told on the study's page."""
    try:
        with services.database.writing() as session:
            change(session, own_campaign(session, public_id), load_owner(session, caller))
    except RefusedError:
        raise
    except QingtingError as error:
        return _study_page(request, public_id, caller, services, message=str(error), status=409)
    return _go(f"/owner/study/{public_id}")


@router.post("/owner/study/{public_id}/invite")
def invite_one(
    request: Request, public_id: str, caller: OwnerCaller, services: Serves, form: Form
) -> Response:
    """Make an invitation and show its link, once."""
    check_csrf(request, caller, form_token=text_of(form, "csrf"))
    days = text_of(form, "days") or "14"
    if not (days.isascii() and days.isdigit() and 1 <= int(days) <= 365):
        raise RefusedError(422, "malformed")
    guest = Guest(
        credential=text_of(form, "credential"),  # type: ignore[arg-type]  # checked by invite
        language=text_of(form, "language"),  # type: ignore[arg-type]
        role=text_of(form, "role") or "rater",  # type: ignore[arg-type]
        name=text_of(form, "name").strip()[:200] or None,
        contact=text_of(form, "contact").strip()[:200] or None,
    )
    try:
        with services.database.writing() as session:
            owner = load_owner(session, caller)
            campaign = own_campaign(session, public_id)
            made = invite(
                session,
                campaign,
                guest,
                days=int(days),
                at_ms=now_ms(),
                actor=f"owner:{owner.name}",
            )
    except DataError as error:
        return _study_page(request, public_id, caller, services, message=str(error), status=422)
    link = services.settings.link(f"/j/{made.secret}")
    return _study_page(
        request,
        public_id,
        caller,
        services,
        invited={"link": link, "pseudonym": made.rater_public_id, "language": guest.language},
    )


@router.post("/owner/study/{public_id}/erase")
def erase_rater(
    request: Request, public_id: str, caller: OwnerCaller, services: Serves, form: Form
) -> Response:
    """Erase a rater on request; snapshots that hold the rater's judgments are superseded."""
    check_csrf(request, caller, form_token=text_of(form, "csrf"))
    pseudonym = text_of(form, "rater")

    def change(session: Session, campaign: Campaign, owner: Owner) -> None:
        rater = session.scalar(
            select(Rater).where(Rater.public_id == pseudonym, Rater.campaign_id == campaign.id)
        )
        if rater is None:
            raise RefusedError(404, "not_found")
        erase(session, campaign, rater, at_ms=now_ms(), actor=f"owner:{owner.name}")

    response = _changed(request, public_id, caller, services, change)
    mark_superseded(services.database)
    return response


@router.post("/owner/study/{public_id}/freeze")
def freeze_now(
    request: Request, public_id: str, caller: OwnerCaller, services: Serves, form: Form
) -> Response:
    """Write an immutable snapshot of the judgments as they stand."""
    check_csrf(request, caller, form_token=text_of(form, "csrf"))
    with services.database.reading() as session:
        owner = load_owner(session, caller)
        campaign_id = own_campaign(session, public_id).id
    try:
        freeze(
            services.database,
            campaign_id,
            into=services.settings.snapshots,
            at_ms=now_ms(),
            actor=f"owner:{owner.name}",
        )
    except QingtingError as error:
        return _study_page(request, public_id, caller, services, message=str(error), status=409)
    return _go(f"/owner/study/{public_id}")


@router.get("/owner/study/{public_id}/snapshots/{digest}.zip")
def download(public_id: str, digest: str, caller: OwnerCaller, services: Serves) -> Response:
    """Return a snapshot as an archive; one that is superseded is refused."""
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
