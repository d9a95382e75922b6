"""Who is asking: a rater, an owner or nobody; by cookie or bearer token; guarded against forgery."""

from __future__ import annotations

import hmac
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, NamedTuple, cast

from fastapi import Depends, Request, Response
from sqlalchemy import bindparam, select
from sqlalchemy.orm import Session

from qingting.judging.people import SIGN_IN_DAYS, signed_in
from qingting.judging.problems import JudgingError
from qingting.judging.tokens import now_ms
from qingting.store.database import Database
from qingting.store.judging_tables import Campaign, Owner, Rater
from qingting.web.limits import RateLimit
from qingting.web.problems import RefusedError
from qingting.web.results import Results
from qingting.web.settings import WebSettings
from qingting.web.talks import Talks

_SAFE = ("GET", "HEAD", "OPTIONS")


@dataclass(frozen=True)
class Services:
    """What every route works with."""

    database: Database
    settings: WebSettings
    wrong_sign_ins: RateLimit
    talks: Talks
    results: Results


class Caller(NamedTuple):
    """A signed-in caller: the secret of the session and its token against forged forms."""

    secret: str
    csrf_token: str
    rater_id: int | None
    owner_id: int | None
    by_cookie: bool


async def services_of(request: Request) -> Services:
    """Return what the application was made with."""
    return cast(Services, request.app.state.services)


def cookie_name(settings: WebSettings) -> str:
    """Return the name of the session's cookie; the prefix binds it to this host and to https."""
    return "__Host-qingting" if settings.is_https else "qingting"


def set_cookie(response: Response, settings: WebSettings, secret: str) -> None:
    """Hand a session to the browser."""
    response.set_cookie(
        cookie_name(settings),
        secret,
        max_age=SIGN_IN_DAYS * 86_400,
        path="/",
        secure=settings.is_https,
        httponly=True,
        samesite="lax",
    )


def visitor_of(request: Request) -> str:
    """Return the address that a request came from, for limits on visitors without a session."""
    return request.client.host if request.client else "unknown"


def limit_sign_in(
    request: Request, services: Annotated[Services, Depends(services_of)]
) -> Iterator[None]:
    """Refuse an address after too many links or passwords that were wrong.

    Those that are right do not count: a whole institute may sign in from one address.
    """
    visitor = visitor_of(request)
    wait_s = services.wrong_sign_ins.spent_s(visitor)
    if wait_s:
        raise RefusedError(429, "too_many", retry_after_s=int(wait_s) + 1)
    try:
        yield
    except (JudgingError, RefusedError):
        services.wrong_sign_ins.wait_s(visitor)
        raise


def caller_of(
    request: Request, services: Annotated[Services, Depends(services_of)]
) -> Caller | None:
    """Return who is asking, or None. A bearer token comes before a cookie."""
    header = request.headers.get("authorization", "")
    scheme, _, bearer = header.partition(" ")
    by_cookie = scheme.lower() != "bearer"
    secret = request.cookies.get(cookie_name(services.settings)) if by_cookie else bearer.strip()
    if not secret:
        return None
    with services.database.reading() as session:
        found = signed_in(session, secret, at_ms=now_ms())
        if found is None:
            return None
        return Caller(secret, found.csrf_token, found.rater_id, found.owner_id, by_cookie)


MaybeCaller = Annotated[Caller | None, Depends(caller_of)]


def check_csrf(request: Request, caller: Caller, *, form_token: str | None = None) -> None:
    """Refuse a change that a foreign page could have sent: cookies need the session's token too."""
    if request.method in _SAFE or not caller.by_cookie:
        return
    given = form_token or request.headers.get("x-csrf-token") or ""
    if not hmac.compare_digest(given.encode(), caller.csrf_token.encode()):
        raise RefusedError(403, "forged")


async def rater_caller(request: Request, caller: MaybeCaller) -> Caller:
    """Return the caller, who must be a rater."""
    if caller is None or caller.rater_id is None:
        raise RefusedError(401, "sign_in_rater")
    return caller


async def owner_caller(request: Request, caller: MaybeCaller) -> Caller:
    """Return the caller, who must be an owner."""
    if caller is None or caller.owner_id is None:
        raise RefusedError(401, "sign_in_owner")
    return caller


RaterCaller = Annotated[Caller, Depends(rater_caller)]
OwnerCaller = Annotated[Caller, Depends(owner_caller)]


_RATER = (
    select(Rater, Campaign)
    .join(Campaign, Campaign.id == Rater.campaign_id)
    .where(Rater.id == bindparam("rater"))
)
_RATER_FOR_UPDATE = _RATER.with_for_update(of=Rater)


def load_rater(
    session: Session, caller: Caller, *, for_update: bool = False
) -> tuple[Rater, Campaign]:
    """Return the calling rater and the rater's study.

    ``for_update`` keeps other requests of the same rater waiting until the transaction ends.
    """
    statement = _RATER_FOR_UPDATE if for_update else _RATER
    found = session.execute(statement, {"rater": caller.rater_id}).one_or_none()
    if found is None:
        raise RefusedError(401, "sign_in_rater")
    return found[0], found[1]


def load_owner(session: Session, caller: Caller) -> Owner:
    """Return the calling owner."""
    owner = session.get(Owner, caller.owner_id)
    if owner is None:
        raise RefusedError(401, "sign_in_owner")
    return owner
