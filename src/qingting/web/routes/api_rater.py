"""The API of raters: everything that their pages do, for other front ends.

Sign in with an invitation, then send the session as ``Authorization: Bearer …`` (or keep the
cookie and send ``X-CSRF-Token``).
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from qingting.judging import desk
from qingting.judging.guessing import FAMILIES
from qingting.judging.people import (
    accept,
    consent,
    erase,
    has_consented,
    sign_out,
    signed_in,
)
from qingting.judging.problems import JudgingError
from qingting.judging.snapshot import mark_superseded
from qingting.judging.tasks import Progress, Task, feedback_of, progress_of, task_of
from qingting.judging.texts import texts_of
from qingting.judging.tokens import now_ms
from qingting.store.judging_tables import Assignment
from qingting.web.auth import (
    Caller,
    Services,
    check_csrf,
    limit_sign_in,
    load_rater,
    rater_caller,
    services_of,
)
from qingting.web.routes.rater import contact_of

router = APIRouter(prefix="/api/v1", tags=["raters"])
Serves = Annotated[Services, Depends(services_of)]


async def _guarded(request: Request, caller: Annotated[Caller, Depends(rater_caller)]) -> Caller:
    check_csrf(request, caller)
    return caller


Rating = Annotated[Caller, Depends(_guarded)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class InvitationIn(_Strict):
    """The last part of an invitation link."""

    invitation: str = Field(min_length=1, max_length=100)


class SessionOut(BaseModel):
    """A session: send it as a bearer token."""

    session: str
    csrf_token: str
    language: Literal["zh", "en"]


class Me(BaseModel):
    """A rater's own state; nothing of other raters and nothing of arms."""

    study: str
    mode: str
    state: str
    language: str
    has_consented: bool
    n_training_left: int
    progress: Progress


class TextOut(BaseModel):
    """A text of the study in the rater's language, in a small part of Markdown."""

    version: str | None
    text: str


class SupportOut(BaseModel):
    """Whom a rater may ask, and where support is found; every page shows both."""

    contact: str
    hotlines: list[dict[str, Any]]


class ConsentIn(_Strict):
    """Agreement to the consent text of this version."""

    version: str = Field(max_length=20)


class NextOut(BaseModel):
    """What to judge now, or why there is nothing."""

    task: Task | None
    idle: Literal["finished", "wait", "rest"] | None


class JudgmentIn(_Strict):
    """A judgment; which fields it needs depends on the mode of the study (see the rubric)."""

    idempotency_key: str = Field(
        min_length=8,
        max_length=64,
        description="Chosen by the client; sending again with the same key stores nothing twice.",
    )
    scores: dict[str, int | str] = Field(description="Criterion to 1..5, or left, tie, right.")
    safety: dict[str, dict[str, Any]] = Field(
        description="answer, or left and right, to {verdict: pass|concern|fail, reasons: [code]}."
    )
    reasons: list[str] = []
    confidence: int | None = None
    comment: str | None = None
    guess: dict[str, str] = Field(
        default={},
        description="Where the task asks_guess: answer, or left and right, to a family of "
        "/api/v1/families; leave out what was not answered.",
    )
    duration_ms: int | None = Field(None, ge=0, lt=86_400_000)


class ReceiptOut(BaseModel):
    """The judgment is stored; ``again`` tells that it was stored before."""

    assignment: str
    again: bool


class SkipIn(_Strict):
    """A reason out of the rubric's skip reasons."""

    reason: str = Field(max_length=40)


@router.post("/sessions", dependencies=[Depends(limit_sign_in)], status_code=201)
def begin(body: InvitationIn, services: Serves) -> SessionOut:
    """Begin a session with an invitation."""
    with services.database.writing() as session:
        signed = accept(session, body.invitation, at_ms=now_ms())
        found = signed_in(session, signed.secret, at_ms=now_ms())
        assert found is not None
        return SessionOut(
            session=signed.secret, csrf_token=found.csrf_token, language=signed.rater.language
        )


@router.delete("/sessions", status_code=204)
def end(caller: Rating, services: Serves) -> Response:
    """End this session."""
    with services.database.writing() as session:
        sign_out(session, caller.secret)
    return Response(status_code=204)


@router.get("/me")
def me(caller: Rating, services: Serves) -> Me:
    """Return the rater's own state."""
    with services.database.reading() as session:
        rater, campaign = load_rater(session, caller)
        n_training = int(campaign.spec["quality"]["n_training"])
        return Me(
            study=campaign.name,
            mode=campaign.mode,
            state=campaign.state,
            language=rater.language,
            has_consented=has_consented(campaign, rater),
            n_training_left=max(0, n_training - rater.n_trained),
            progress=progress_of(session, campaign, rater),
        )


@router.get("/texts/{part}")
def text(
    part: Literal["consent", "study_page", "training_guide", "help_page", "distress_warning"],
    caller: Rating,
    services: Serves,
) -> TextOut:
    """Return a text of the study in the rater's language."""
    with services.database.reading() as session:
        rater, campaign = load_rater(session, caller)
        found = texts_of(campaign)[part]
        words = found["text"] if part == "consent" else found
        return TextOut(version=found.get("version"), text=words[rater.language])


@router.get("/support")
def support(caller: Rating, services: Serves) -> SupportOut:
    """Return whom a rater may ask, and hotlines."""
    with services.database.reading() as session:
        rater, campaign = load_rater(session, caller)
        return SupportOut(
            contact=contact_of(campaign, rater.language),
            hotlines=texts_of(campaign)["hotlines"],
        )


@router.get("/rubric")
def rubric(caller: Rating, services: Serves) -> dict[str, Any]:
    """Return criteria with their anchors, safety gate, reasons and skip reasons."""
    with services.database.reading() as session:
        rater, campaign = load_rater(session, caller)
        desk.check_consent(campaign, rater)
        return dict(texts_of(campaign)["rubric"])


@router.get("/families")
def families(caller: Rating) -> dict[str, dict[str, str]]:
    """Return the families of models to choose from where a task asks for a guess, by id.

    They are the same in every study and say nothing about its arms.
    """
    return {family: {"zh": zh, "en": en} for family, (zh, en) in FAMILIES.items()}


@router.post("/consent", status_code=204)
def agree(body: ConsentIn, caller: Rating, services: Serves) -> Response:
    """Agree to the consent text."""
    with services.database.writing() as session:
        rater, campaign = load_rater(session, caller)
        consent(session, campaign, rater, version=body.version, at_ms=now_ms())
    return Response(status_code=204)


@router.post("/next")
def next_task(caller: Rating, services: Serves) -> NextOut:
    """Return what to judge now; the same until it is judged or skipped, or its lease runs out."""
    with services.database.writing() as session:
        rater, campaign = load_rater(session, caller, for_update=True)
        found = desk.next_assignment(session, campaign, rater, at_ms=now_ms())
        if isinstance(found, Assignment):
            return NextOut(task=task_of(session, campaign, found, at_ms=now_ms()), idle=None)
        return NextOut(task=None, idle=found)


@router.post("/assignments/{assignment}/judgment", status_code=201)
def submit(assignment: str, body: JudgmentIn, caller: Rating, services: Serves) -> ReceiptOut:
    """Store a judgment. It is acknowledged once it is committed."""
    raw = body.model_dump(exclude={"idempotency_key", "duration_ms"})
    submission = desk.Submission(assignment, body.idempotency_key, raw, body.duration_ms)
    with services.database.writing() as session:
        rater, campaign = load_rater(session, caller, for_update=True)
        receipt = desk.submit(session, campaign, rater, submission, at_ms=now_ms())
        answer = ReceiptOut(assignment=receipt.assignment, again=receipt.is_repeat_of_submission)
    return answer


@router.get("/assignments/{assignment}/feedback")
def feedback(assignment: str, caller: Rating, services: Serves) -> dict[str, Any]:
    """Return the reference ratings of a training item that was judged."""
    with services.database.reading() as session:
        rater, campaign = load_rater(session, caller)
        desk.check_may_work(campaign, rater)
        found = desk.find_assignment(session, rater, assignment)
        if found.role != "training" or found.state != "done":
            raise JudgingError("assignment_unknown", language=rater.language)
        return feedback_of(session, found)


@router.post("/assignments/{assignment}/skip", status_code=204)
def skip(assignment: str, body: SkipIn, caller: Rating, services: Serves) -> Response:
    """Give an assignment back with a reason."""
    with services.database.writing() as session:
        rater, campaign = load_rater(session, caller, for_update=True)
        desk.skip(session, campaign, rater, assignment, reason=body.reason)
    return Response(status_code=204)


@router.post("/undo")
def undo(caller: Rating, services: Serves) -> dict[str, Any]:
    """Open the last judgment again; returns its task and what was said."""
    with services.database.writing() as session:
        rater, campaign = load_rater(session, caller, for_update=True)
        assignment, judgment = desk.undo_last(session, campaign, rater, at_ms=now_ms())
        return {
            "task": task_of(session, campaign, assignment, at_ms=now_ms()),
            "given": {
                "scores": judgment.scores,
                "safety": judgment.safety,
                "reasons": judgment.reasons,
                "confidence": judgment.confidence,
                "comment": judgment.comment,
                "guess": judgment.guess or {},
            },
        }


@router.delete("/me")
def withdraw(caller: Rating, services: Serves) -> dict[str, int]:
    """Withdraw: erase everything of this rater. Returns how many judgments went."""
    with services.database.writing() as session:
        rater, campaign = load_rater(session, caller, for_update=True)
        actor = f"rater:{rater.public_id}"
        n_erased = erase(session, campaign, rater, at_ms=now_ms(), actor=actor)
    mark_superseded(services.database)
    return {"n_judgments_erased": n_erased}
