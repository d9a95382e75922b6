"""Live conversations: pages and API. Words are committed first; the arm is asked by the server."""

from __future__ import annotations

from typing import Annotated, Any, NamedTuple

from fastapi import APIRouter, Depends, Header, Request, Response
from fastapi.responses import RedirectResponse, StreamingResponse
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool

from qingting.judging import desk, live, speaking
from qingting.judging.problems import JudgingError
from qingting.judging.tasks import Task, task_of
from qingting.judging.tokens import now_ms
from qingting.web.auth import (
    Caller,
    RaterCaller,
    Services,
    check_csrf,
    load_rater,
    rater_caller,
    services_of,
)
from qingting.web.forms import Form, text_of
from qingting.web.routes.rater import task_page
from qingting.web.talks import Place

pages = APIRouter(include_in_schema=False)
api = APIRouter(prefix="/api/v1", tags=["raters"])
Serves = Annotated[Services, Depends(services_of)]


async def _guarded(request: Request, caller: Annotated[Caller, Depends(rater_caller)]) -> Caller:
    check_csrf(request, caller)
    return caller


Talking = Annotated[Caller, Depends(_guarded)]


class SayIn(BaseModel):
    """What the rater says as the client."""

    model_config = ConfigDict(extra="forbid", strict=True)
    text: str = Field(min_length=1, max_length=speaking.MAX_CHARACTERS)
    key: str = Field(
        min_length=8,
        max_length=64,
        description="Chosen by the client; saying it again with the same key changes nothing.",
    )


class _Said(NamedTuple):
    text: str
    key: str


# -- pages ---------------------------------------------------------------------------------------


@pages.post("/judge/a/{public_id}/say")
async def say_page(
    request: Request, public_id: str, caller: RaterCaller, services: Serves, form: Form
) -> Response:
    """Take what a rater says; words that cannot be used come back as they were written."""
    check_csrf(request, caller, form_token=text_of(form, "csrf"))
    said = _Said(text_of(form, "say"), text_of(form, "key")[:64])
    try:
        await _say(services, caller, public_id, said)
    except JudgingError as error:
        if error.code not in ("invalid", "conversation_busy", "conversation_waits"):
            raise
        return await run_in_threadpool(_again, request, services, caller, public_id, said, error)
    return RedirectResponse(f"/judge/a/{public_id}?ready=1#talk", status_code=303)


def _again(
    request: Request,
    services: Services,
    caller: Caller,
    public_id: str,
    said: _Said,
    error: JudgingError,
) -> Response:
    with services.database.reading() as session:
        rater, campaign = load_rater(session, caller)
        return task_page(
            request,
            session,
            campaign,
            rater,
            caller,
            desk.find_assignment(session, rater, public_id),
            problems=error.fields or {"say": error.in_words(rater.language)},
            said=said.text[: 2 * speaking.MAX_CHARACTERS],
            status=422 if error.code == "invalid" else 409,
        )


@pages.post("/judge/a/{public_id}/ask-again")
async def ask_again_page(
    request: Request, public_id: str, caller: RaterCaller, services: Serves, form: Form
) -> Response:
    """Put the last question once more."""
    check_csrf(request, caller, form_token=text_of(form, "csrf"))
    await _ask_again(services, caller, public_id)
    return RedirectResponse(f"/judge/a/{public_id}?ready=1#talk", status_code=303)


@pages.get("/judge/a/{public_id}/reply")
async def reply_page(
    public_id: str,
    caller: RaterCaller,
    services: Serves,
    last_event_id: Annotated[str | None, Header()] = None,
) -> Response:
    """Stream the last answer as it appears."""
    return await _reply(services, caller, public_id, last_event_id)


@pages.get("/judge/a/{public_id}/look")
async def look_page(public_id: str, caller: RaterCaller, services: Serves) -> Response:
    """Look again for an answer, without scripts."""
    services.talks.ask(await _place(services, caller, public_id))
    return RedirectResponse(f"/judge/a/{public_id}?ready=1#talk", status_code=303)


# -- API -----------------------------------------------------------------------------------------


@api.post("/assignments/{assignment}/say", status_code=202)
async def say(assignment: str, body: SayIn, caller: Talking, services: Serves) -> Task:
    """Say something to the arm of a live conversation; the answer comes by ``reply``."""
    await _say(services, caller, assignment, _Said(body.text, body.key))
    return await run_in_threadpool(_task, services, caller, assignment)


@api.post("/assignments/{assignment}/ask-again", status_code=202)
async def ask_again(assignment: str, caller: Talking, services: Serves) -> Task:
    """Put the last question once more, after it got no answer."""
    await _ask_again(services, caller, assignment)
    return await run_in_threadpool(_task, services, caller, assignment)


@api.get("/assignments/{assignment}")
def show(assignment: str, caller: Talking, services: Serves) -> Task:
    """Return an assignment of this rater as it stands, a live conversation with what was said."""
    return _task(services, caller, assignment)


@api.get(
    "/assignments/{assignment}/reply",
    response_class=StreamingResponse,
    responses={200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}}},
)
async def reply(
    assignment: str,
    caller: Talking,
    services: Serves,
    last_event_id: Annotated[str | None, Header()] = None,
) -> Response:
    """Stream the last answer: ``{"text"}`` events, then ``done``; ``silent`` where none came.

    Answers of all arms begin after the same delay and appear at the same pace. The id of an event
    counts the characters so far; send the last one as ``Last-Event-ID`` to go on from there.
    """
    return await _reply(services, caller, assignment, last_event_id)


# -- what both do --------------------------------------------------------------------------------


async def _say(services: Services, caller: Caller, public_id: str, said: _Said) -> None:
    def write() -> tuple[Place, bool]:
        with services.database.writing() as session:
            rater, campaign = load_rater(session, caller, for_update=True)
            services.talks.check_room(rater.language)
            found = speaking.say(
                session, campaign, rater, public_id, said.text, key=said.key, at_ms=now_ms()
            )
            return Place(found.id, rater.id), live.question_of(session, campaign, found) is not None

    place, waits = await run_in_threadpool(write)
    if waits:
        services.talks.ask(place)


async def _ask_again(services: Services, caller: Caller, public_id: str) -> None:
    def write() -> Place:
        with services.database.writing() as session:
            rater, campaign = load_rater(session, caller, for_update=True)
            services.talks.check_room(rater.language)
            found = speaking.ask_again(session, campaign, rater, public_id, at_ms=now_ms())
            return Place(found.id, rater.id)

    services.talks.ask(await run_in_threadpool(write))


async def _place(services: Services, caller: Caller, public_id: str) -> Place:
    """Return the live conversation that a rater means."""

    def look() -> Place:
        with services.database.reading() as session:
            rater, campaign = load_rater(session, caller)
            desk.check_may_work(campaign, rater)
            found = desk.find_assignment(session, rater, public_id)
            if not live.is_live(campaign, found):
                raise JudgingError("not_a_conversation", language=rater.language)
            return Place(found.id, rater.id)

    return await run_in_threadpool(look)


async def _reply(
    services: Services, caller: Caller, public_id: str, last_event_id: str | None
) -> Response:
    place = await _place(services, caller, public_id)
    given = last_event_id or ""
    start = int(given) if given.isascii() and given.isdigit() and len(given) < 8 else 0
    return StreamingResponse(
        services.talks.events(place, start=start),
        media_type="text/event-stream",
        headers={"x-accel-buffering": "no"},  # a proxy that buffers would undo the pace
    )


def _task(services: Services, caller: Caller, public_id: str) -> Task:
    with services.database.reading() as session:
        rater, campaign = load_rater(session, caller)
        desk.check_may_work(campaign, rater)
        found: Any = desk.find_assignment(session, rater, public_id)
        return task_of(session, campaign, found, at_ms=now_ms())
