"""Pages of raters: invitation, consent, training, judging, progress, help, withdrawal."""

from __future__ import annotations

import secrets
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from fastapi.responses import RedirectResponse, Response
from sqlalchemy.orm import Session

from qingting.judging import desk
from qingting.judging.guessing import FAMILIES
from qingting.judging.people import accept, consent, erase, has_consented, look_up, sign_out
from qingting.judging.problems import JudgingError
from qingting.judging.snapshot import mark_superseded
from qingting.judging.tasks import Task, feedback_of, progress_of, task_of
from qingting.judging.texts import texts_of
from qingting.judging.tokens import now_ms
from qingting.store.judging_tables import Assignment, Campaign, Rater
from qingting.web.auth import (
    Caller,
    RaterCaller,
    Services,
    check_csrf,
    cookie_name,
    limit_sign_in,
    load_rater,
    services_of,
    set_cookie,
)
from qingting.web.forms import Form, judgment_of, text_of
from qingting.web.pages import LANGUAGE_COOKIE, page
from qingting.web.words import words_of

router = APIRouter(include_in_schema=False)
Serves = Annotated[Services, Depends(services_of)]
_LIMITED = [Depends(limit_sign_in)]
NOTHING_GIVEN: dict[str, Any] = {
    "scores": {},
    "safety": {},
    "reasons": [],
    "confidence": "",
    "comment": "",
    "guess": {},
}


def _go(path: str) -> RedirectResponse:
    return RedirectResponse(path, status_code=303)


def contact_of(campaign: Campaign, language: str) -> str:
    """Return whom raters may ask, in words where the study names nobody."""
    return str(campaign.spec["contact"] or words_of("contact_default", language))


def _shared(campaign: Campaign, rater: Rater, caller: Caller) -> dict[str, Any]:
    """Return what every page of a rater holds."""
    return {
        "study": campaign.name,
        "contact": contact_of(campaign, rater.language),
        "hotlines": texts_of(campaign)["hotlines"],
        "csrf_token": caller.csrf_token,
        "language": rater.language,
    }


@router.get("/j/{secret}", dependencies=_LIMITED)
def invitation(request: Request, secret: str, services: Serves) -> Response:
    """Return the page behind an invitation link; opening it changes nothing."""
    with services.database.reading() as session:
        rater, campaign = look_up(session, secret, at_ms=now_ms())
        return page(
            request,
            "invitation.html",
            language=rater.language,
            study=campaign.name,
            contact=contact_of(campaign, rater.language),
            secret=secret,
        )


@router.post("/j/{secret}", dependencies=_LIMITED)
def enter(secret: str, services: Serves) -> Response:
    """Begin a session with an invitation."""
    with services.database.writing() as session:
        signed = accept(session, secret, at_ms=now_ms())
    response = _go("/judge")
    set_cookie(response, services.settings, signed.secret)
    response.set_cookie(
        LANGUAGE_COOKIE, signed.rater.language, path="/", samesite="lax", httponly=True
    )
    return response


@router.get("/judge")
def work(request: Request, caller: RaterCaller, services: Serves) -> Response:
    """Go to whatever is next for this rater."""
    with services.database.writing() as session:
        rater, campaign = load_rater(session, caller, for_update=True)
        if not has_consented(campaign, rater):
            return _go("/judge/consent")
        is_new = rater.n_started == 0 and _trains(campaign)
        if is_new and request.query_params.get("start") != "1":
            return _go("/judge/training")
        found = desk.next_assignment(session, campaign, rater, at_ms=now_ms())
        if isinstance(found, Assignment):
            return _go(f"/judge/a/{found.public_id}{_suffix(request)}")
        progress = progress_of(session, campaign, rater)
        return page(
            request, "idle.html", why=found, progress=progress, **_shared(campaign, rater, caller)
        )


def _trains(campaign: Campaign) -> bool:
    return int(campaign.spec["quality"]["n_training"]) > 0


def _suffix(request: Request) -> str:
    told = request.query_params.get("told")
    return f"?told={told}" if told in ("saved", "undone") else ""


@router.get("/judge/consent")
def consent_page(request: Request, caller: RaterCaller, services: Serves) -> Response:
    """Show the consent text."""
    with services.database.reading() as session:
        rater, campaign = load_rater(session, caller)
        return page(
            request,
            "consent.html",
            text=texts_of(campaign)["consent"]["text"][rater.language],
            version=texts_of(campaign)["consent"]["version"],
            agreed=has_consented(campaign, rater),
            **_shared(campaign, rater, caller),
        )


@router.post("/judge/consent")
def agree(request: Request, caller: RaterCaller, services: Serves, form: Form) -> Response:
    """Record consent, or let the person go."""
    check_csrf(request, caller, form_token=text_of(form, "csrf"))
    if text_of(form, "answer") != "agree":
        return _leave(request, caller, services)
    with services.database.writing() as session:
        rater, campaign = load_rater(session, caller)
        consent(session, campaign, rater, version=text_of(form, "version"), at_ms=now_ms())
    return _go("/judge")


def _leave(request: Request, caller: Caller, services: Services) -> Response:
    with services.database.writing() as session:
        rater, campaign = load_rater(session, caller)
        shared = _shared(campaign, rater, caller)
        if has_consented(campaign, rater):
            return _go("/judge/withdraw")
        sign_out(session, caller.secret)
    response = page(request, "goodbye.html", words="declined", **shared)
    response.delete_cookie(cookie_name(services.settings), path="/")
    return response


@router.get("/judge/training")
def training(request: Request, caller: RaterCaller, services: Serves) -> Response:
    """Show the guide to the ratings."""
    with services.database.reading() as session:
        rater, campaign = load_rater(session, caller)
        if not has_consented(campaign, rater):
            return _go("/judge/consent")
        return page(
            request,
            "training.html",
            guide=texts_of(campaign)["training_guide"][rater.language],
            rubric=texts_of(campaign)["rubric"],
            is_new=rater.n_started == 0,
            **_shared(campaign, rater, caller),
        )


@router.get("/judge/a/{public_id}")
def show(request: Request, public_id: str, caller: RaterCaller, services: Serves) -> Response:
    """Show an assignment, after a warning where it is distressing."""
    with services.database.reading() as session:
        rater, campaign = load_rater(session, caller)
        desk.check_may_work(campaign, rater)
        assignment = desk.find_assignment(session, rater, public_id)
        if assignment.state == "done":
            return _go("/judge")
        task = task_of(session, campaign, assignment, at_ms=now_ms())
        if task.is_distressing and request.query_params.get("ready") != "1":
            return page(
                request,
                "warning.html",
                task=task,
                warning=texts_of(campaign)["distress_warning"][rater.language],
                **_shared(campaign, rater, caller),
            )
        given = _given(session, assignment)
        return task_page(
            request, session, campaign, rater, caller, assignment, task=task, given=given
        )


def task_page(
    request: Request,
    session: Session,
    campaign: Campaign,
    rater: Rater,
    caller: Caller,
    assignment: Assignment,
    *,
    task: Task | None = None,
    given: dict[str, Any] | None = None,
    problems: dict[str, str] | None = None,
    said: str = "",
    status: int = 200,
) -> Response:
    """Return the page of an assignment, filled in with what was given and what is wrong with it."""
    task = task or task_of(session, campaign, assignment, at_ms=now_ms())
    talk = task.talk
    wants_to = request.query_params.get("judge") == "1" or given is not None
    return page(
        request,
        "task.html",
        status=status,
        task=task,
        # a conversation is judged once its rater ends it, so that saying more loses no ratings
        is_judging=talk is None or (talk.may_judge and (wants_to or not talk.n_turns_left)),
        rubric=texts_of(campaign)["rubric"],
        progress=progress_of(session, campaign, rater),
        given=given or NOTHING_GIVEN,
        families=FAMILIES,
        problems=problems or {},
        said=said,
        key=secrets.token_urlsafe(24),
        shown_ms=now_ms(),
        told=request.query_params.get("told", ""),
        **_shared(campaign, rater, caller),
    )


@router.post("/judge/a/{public_id}")
def submit(
    request: Request, public_id: str, caller: RaterCaller, services: Serves, form: Form
) -> Response:
    """Take a judgment; a form that cannot be used comes back as it was filled in."""
    check_csrf(request, caller, form_token=text_of(form, "csrf"))
    raw = judgment_of(form)
    submission = desk.Submission(
        public_id, text_of(form, "key")[:64], raw, _duration_ms(text_of(form, "shown_ms"))
    )
    try:
        with services.database.writing() as session:
            rater, campaign = load_rater(session, caller, for_update=True)
            receipt = desk.submit(session, campaign, rater, submission, at_ms=now_ms())
            if receipt.role == "training":
                return _go(f"/judge/feedback/{public_id}")
            # what comes next is leased in the same transaction: one fewer to wait for
            following = desk.next_assignment(session, campaign, rater, at_ms=now_ms())
            if isinstance(following, Assignment):
                return _go(f"/judge/a/{following.public_id}?told=saved")
            return _go("/judge?told=saved")
    except JudgingError as error:
        if error.code == "assignment_done":
            return _go("/judge?told=saved")
        if error.code not in ("invalid", "conversation_short", "conversation_waits"):
            raise
        with services.database.reading() as session:
            rater, campaign = load_rater(session, caller)
            return task_page(
                request,
                session,
                campaign,
                rater,
                caller,
                desk.find_assignment(session, rater, public_id),
                given=raw,
                problems=error.fields or {"": error.in_words(rater.language)},
                status=422,
            )


def _duration_ms(shown_ms: str) -> int | None:
    """Return how long the page was open, as far as the browser's copy of the time can be read."""
    if not (shown_ms.isascii() and shown_ms.isdigit() and len(shown_ms) < 16):
        return None
    elapsed = now_ms() - int(shown_ms)
    return elapsed if 0 <= elapsed < 86_400_000 else None


@router.get("/judge/feedback/{public_id}")
def feedback(request: Request, public_id: str, caller: RaterCaller, services: Serves) -> Response:
    """Show a training item's reference ratings beside what the rater gave."""
    with services.database.reading() as session:
        rater, campaign = load_rater(session, caller)
        desk.check_may_work(campaign, rater)
        assignment = desk.find_assignment(session, rater, public_id)
        if assignment.role != "training" or assignment.state != "done":
            raise JudgingError("assignment_unknown", language=rater.language)
        return page(
            request,
            "feedback.html",
            task=task_of(session, campaign, assignment, at_ms=now_ms()),
            feedback=feedback_of(session, assignment),
            rubric=texts_of(campaign)["rubric"],
            **_shared(campaign, rater, caller),
        )


@router.post("/judge/a/{public_id}/skip")
def skip(
    request: Request, public_id: str, caller: RaterCaller, services: Serves, form: Form
) -> Response:
    """Give an assignment back with a reason."""
    check_csrf(request, caller, form_token=text_of(form, "csrf"))
    with services.database.writing() as session:
        rater, campaign = load_rater(session, caller, for_update=True)
        desk.skip(session, campaign, rater, public_id, reason=text_of(form, "reason"))
    return _go("/judge")


@router.post("/judge/undo")
def undo(request: Request, caller: RaterCaller, services: Serves, form: Form) -> Response:
    """Open the last judgment again, filled in as it was."""
    check_csrf(request, caller, form_token=text_of(form, "csrf"))
    with services.database.writing() as session:
        rater, campaign = load_rater(session, caller, for_update=True)
        assignment, _ = desk.undo_last(session, campaign, rater, at_ms=now_ms())
        # a redirect: a page that is loaded again must not undo once more
        return _go(f"/judge/a/{assignment.public_id}?ready=1&told=undone")


def _given(session: Session, assignment: Assignment) -> dict[str, Any] | None:
    """Return what was said of an assignment that stands open again, as its form begins."""
    said = desk.judgment_of(session, assignment)
    if said is None:
        return None
    return {
        "scores": said.scores,
        "safety": said.safety,
        "reasons": said.reasons,
        "confidence": said.confidence or "",
        "comment": said.comment or "",
        "guess": said.guess or {},
    }


@router.get("/judge/progress")
def progress(request: Request, caller: RaterCaller, services: Serves) -> Response:
    """Show how far the rater is, and the way out."""
    with services.database.reading() as session:
        rater, campaign = load_rater(session, caller)
        return page(
            request,
            "progress.html",
            progress=progress_of(session, campaign, rater),
            **_shared(campaign, rater, caller),
        )


@router.get("/judge/help")
def help_page(request: Request, caller: RaterCaller, services: Serves) -> Response:
    """Show the help page with sources of support."""
    return _text_page(request, caller, services, "help_page", "help")


@router.get("/judge/study")
def study_page(request: Request, caller: RaterCaller, services: Serves) -> Response:
    """Explain the study."""
    return _text_page(request, caller, services, "study_page", "about_study")


def _text_page(
    request: Request, caller: Caller, services: Services, part: str, title_key: str
) -> Response:
    with services.database.reading() as session:
        rater, campaign = load_rater(session, caller)
        return page(
            request,
            "text.html",
            text=texts_of(campaign)[part][rater.language],
            title_key=title_key,
            rubric=texts_of(campaign)["rubric"] if part == "help_page" else None,
            **_shared(campaign, rater, caller),
        )


@router.get("/judge/withdraw")
def withdraw_page(request: Request, caller: RaterCaller, services: Serves) -> Response:
    """Ask once more before everything of a rater is erased."""
    with services.database.reading() as session:
        rater, campaign = load_rater(session, caller)
        return page(
            request,
            "withdraw.html",
            progress=progress_of(session, campaign, rater),
            **_shared(campaign, rater, caller),
        )


@router.post("/judge/withdraw")
def withdraw(request: Request, caller: RaterCaller, services: Serves, form: Form) -> Response:
    """Erase everything of a rater."""
    check_csrf(request, caller, form_token=text_of(form, "csrf"))
    with services.database.writing() as session:
        rater, campaign = load_rater(session, caller, for_update=True)
        shared = _shared(campaign, rater, caller)
        actor = f"rater:{rater.public_id}"
        erase(session, campaign, rater, at_ms=now_ms(), actor=actor)
    mark_superseded(services.database)
    response = page(request, "goodbye.html", words="withdrawn_done", **shared)
    response.delete_cookie(cookie_name(services.settings), path="/")
    return response


@router.post("/judge/sign-out")
def leave(request: Request, caller: RaterCaller, services: Serves, form: Form) -> Response:
    """End the session on this device."""
    check_csrf(request, caller, form_token=text_of(form, "csrf"))
    with services.database.writing() as session:
        rater, campaign = load_rater(session, caller)
        shared = _shared(campaign, rater, caller)
        sign_out(session, caller.secret)
    response = page(request, "goodbye.html", words="resting", **shared)
    response.delete_cookie(cookie_name(services.settings), path="/")
    return response
