"""The desk of a study: it gives each rater the next thing to judge and takes the judgment.

Every function works within the transaction of the session it is given; what it returns is
acknowledged once that transaction is committed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from sqlalchemy import and_, bindparam, delete, func, select, update
from sqlalchemy.orm import Session

from qingting.judging import live
from qingting.judging.choosing_work import Work, choose_work, needs_rest
from qingting.judging.forms import Form, check_form
from qingting.judging.guessing import asks_guess
from qingting.judging.people import has_consented
from qingting.judging.places import (
    arms_in_order,
    expire,
    expire_if_due,
    give_back,
    take,
)
from qingting.judging.problems import JudgingError
from qingting.judging.texts import texts_of
from qingting.judging.tokens import new_public_id
from qingting.store.judging_tables import (
    Arm,
    Assignment,
    Campaign,
    Item,
    Judgment,
    Rater,
    Unit,
)

Idle = Literal["finished", "wait", "rest"]
"""Why there is nothing to do: all is done, others hold what is left, or too much crisis in a row."""

_TRIES = 10


@dataclass(frozen=True)
class Submission:
    """A judgment as it arrives: for which assignment, under which key, after how long."""

    assignment: str
    idempotency_key: str
    raw: Mapping[str, Any]
    duration_ms: int | None = None


@dataclass(frozen=True)
class Receipt:
    """What is acknowledged: the judgment, and whether it had arrived before."""

    judgment_id: int
    assignment: str
    role: str
    is_repeat_of_submission: bool


def check_may_work(campaign: Campaign, rater: Rater) -> None:
    """Raise unless the study is open and the rater has consented to its present text."""
    if campaign.state != "open":
        raise JudgingError("not_open", language=rater.language)
    check_consent(campaign, rater)


def check_consent(campaign: Campaign, rater: Rater) -> None:
    """Raise unless the rater has consented to the study's present text."""
    if not has_consented(campaign, rater):
        raise JudgingError("no_consent", language=rater.language)


_HELD = (
    select(Assignment)
    .where(Assignment.rater_id == bindparam("rater"), Assignment.state == "leased")
    .order_by(Assignment.sequence)
    .limit(1)
)


def current_lease(session: Session, rater: Rater) -> Assignment | None:
    """Return what a rater holds at the moment, on whichever device; after an undo the older one."""
    return session.scalar(_HELD, {"rater": rater.id})


def next_assignment(
    session: Session, campaign: Campaign, rater: Rater, *, at_ms: int
) -> Assignment | Idle:
    """Return what a rater judges now: the lease that is open, or a new one.

    Args:
        rater: loaded for update, so that a second request of the same rater waits. Requests of
            different raters go side by side: the last place of a unit is taken by one statement,
            and that two may see the same counts of exposure shifts the balance by one at most.

    Raises:
        JudgingError: the study is not open or consent is missing.
    """
    check_may_work(campaign, rater)
    n_expired = expire_if_due(session, campaign, at_ms=at_ms)
    held = current_lease(session, rater)
    if held is not None:
        held.expires_ms = at_ms + _lease_ms(campaign)
        return held
    begun = _begun_before(session, campaign, rater, at_ms=at_ms)
    if begun is not None:
        return begun
    rng = np.random.default_rng([campaign.spec["seed"], rater.id, rater.n_started])
    found = _lease_something(session, campaign, rater, at_ms=at_ms, rng=rng)
    if found is None and n_expired is None and expire(session, campaign, at_ms=at_ms):
        found = _lease_something(session, campaign, rater, at_ms=at_ms, rng=rng)
    if found is not None:
        return found
    if needs_rest(session, campaign, rater, at_ms=at_ms, rng=rng):
        return "rest"
    return "wait" if _others_hold_places(session, campaign, rater) else "finished"


_RAN_OUT = (
    select(Assignment, Unit)
    .join(Unit, Unit.id == Assignment.unit_id)
    .where(
        Assignment.rater_id == bindparam("rater"),
        Assignment.state == "expired",
        Assignment.role == "main",
        Unit.is_withdrawn.is_(False),
        Unit.n_taken < Unit.n_wanted,
    )
    .order_by(Assignment.sequence)
)


def _begun_before(
    session: Session, campaign: Campaign, rater: Rater, *, at_ms: int
) -> Assignment | None:
    """Return what a rater had begun when its lease ran out, if it still has a place.

    Whoever comes back from a long break goes on where they were; nobody else's work is lost by it.
    """
    for assignment, unit in session.execute(_RAN_OUT, {"rater": rater.id}).all():
        if take(session, unit.id, arms_in_order(unit, is_swapped=assignment.is_swapped)):
            assignment.state = "leased"
            assignment.expires_ms = at_ms + _lease_ms(campaign)
            return assignment
    return None


def _lease_something(
    session: Session, campaign: Campaign, rater: Rater, *, at_ms: int, rng: np.random.Generator
) -> Assignment | Literal["wait"] | None:
    for _ in range(_TRIES):
        work = choose_work(session, campaign, rater, at_ms=at_ms, rng=rng)
        if work is None:
            return None
        assignment = _lease(session, rater, work, at_ms=at_ms, lease_ms=_lease_ms(campaign))
        if assignment is not None:
            return assignment
    return "wait"  # others were quicker every time; there is work


def _lease_ms(campaign: Campaign) -> int:
    return round(float(campaign.spec["lease_minutes"]) * 60_000)


def _lease(
    session: Session, rater: Rater, work: Work, *, at_ms: int, lease_ms: int
) -> Assignment | None:
    if work.role == "main" and not take(session, work.unit_id, work.arms_in_order):
        return None
    assignment = Assignment(
        public_id=new_public_id(),
        rater_id=rater.id,
        unit_id=work.unit_id,
        role=work.role,
        is_swapped=work.is_swapped,
        p_chosen=work.p_chosen,
        sequence=rater.n_started,
        state="leased",
        leased_ms=at_ms,
        expires_ms=at_ms + lease_ms,
    )
    rater.n_started += 1
    session.add(assignment)
    session.flush()
    return assignment


def _others_hold_places(session: Session, campaign: Campaign, rater: Rater) -> bool:
    """Return whether someone's lease, if it ran out, would leave this rater something to do."""
    mine = select(Assignment.unit_id).where(
        Assignment.rater_id == rater.id, Assignment.state != "expired"
    )
    found = session.scalar(
        select(func.count())
        .select_from(Assignment)
        .join(Unit, Unit.id == Assignment.unit_id)
        .where(
            Unit.campaign_id == campaign.id,
            Assignment.state == "leased",
            Assignment.role == "main",
            Assignment.rater_id != rater.id,
            Unit.language == rater.language,
            Unit.id.not_in(mine),
        )
    )
    return bool(found)


_OWN = select(Assignment).where(
    Assignment.public_id == bindparam("public_id"), Assignment.rater_id == bindparam("rater")
)
_OWN_FOR_UPDATE = (
    select(Assignment, Unit, Judgment)
    .join(Unit, Unit.id == Assignment.unit_id)
    .outerjoin(
        Judgment,
        and_(
            Judgment.rater_id == Assignment.rater_id,
            Judgment.idempotency_key == bindparam("key"),
        ),
    )
    .where(
        Assignment.public_id == bindparam("public_id"), Assignment.rater_id == bindparam("rater")
    )
    .with_for_update(of=Assignment)
)


def find_assignment(session: Session, rater: Rater, public_id: str) -> Assignment:
    """Return a rater's own assignment; another's is as unknown as none."""
    found = session.scalar(_OWN, {"public_id": public_id, "rater": rater.id})
    if found is None:
        raise JudgingError("assignment_unknown", language=rater.language)
    return found


def _own_for_update(session: Session, rater: Rater, public_id: str) -> tuple[Assignment, Unit]:
    """Return a rater's own assignment with its unit; it cannot expire before the transaction ends."""
    return _own_and_said(session, rater, public_id, key=None)[:2]


def _own_and_said(
    session: Session, rater: Rater, public_id: str, *, key: str | None
) -> tuple[Assignment, Unit, Judgment | None]:
    """Return the same, and what the rater has said under an idempotency key."""
    found = session.execute(
        _OWN_FOR_UPDATE, {"public_id": public_id, "rater": rater.id, "key": key}
    ).one_or_none()
    if found is None:
        raise JudgingError("assignment_unknown", language=rater.language)
    return found[0], found[1], found[2]


def submit(
    session: Session, campaign: Campaign, rater: Rater, submission: Submission, *, at_ms: int
) -> Receipt:
    """Take a judgment; a submission that arrives again is acknowledged again and stored once.

    A lease that has run out is honoured as long as the unit still has a place.

    Raises:
        JudgingError: the form is wrong, the assignment is not this rater's, was judged already,
            has been finished by others meanwhile, or its item was withdrawn.
    """
    check_may_work(campaign, rater)
    assignment, unit, before = _own_and_said(
        session, rater, submission.assignment, key=submission.idempotency_key
    )
    is_open_again = assignment.state == "leased" and assignment.undone_ms is not None
    if before is not None and not (is_open_again and before.assignment_id == assignment.id):
        if before.assignment_id != assignment.id:
            raise JudgingError("key_reused", language=rater.language)
        return Receipt(before.id, assignment.public_id, assignment.role, True)
    form = check_form(
        submission.raw,
        mode=campaign.mode,
        rubric=texts_of(campaign)["rubric"],
        language=rater.language,
        asks_guess=asks_guess(campaign, assignment, language=unit.language),
    )
    _hold_again(session, assignment, unit, language=rater.language)
    live.end(session, campaign, assignment, at_ms=at_ms, language=rater.language)
    _forget(session, assignment)
    judgment = _judgment(submission, form, assignment, at_ms=at_ms)
    session.add(judgment)
    assignment.state = "done"
    if assignment.role == "training":
        rater.n_trained += 1
        if rater.n_trained >= int(campaign.spec["quality"]["n_training"]):
            rater.trained_ms = at_ms
    session.flush()
    return Receipt(judgment.id, assignment.public_id, assignment.role, False)


def _forget(session: Session, assignment: Assignment) -> None:
    """Remove what was said of an assignment that stands open again."""
    if assignment.undone_ms is not None:
        session.execute(delete(Judgment).where(Judgment.assignment_id == assignment.id))
        assignment.undone_ms = None


def _hold_again(session: Session, assignment: Assignment, unit: Unit, *, language: str) -> None:
    """Make sure that an assignment holds its place, taking it again after its lease ran out."""
    if assignment.state == "done":
        raise JudgingError("assignment_done", language=language)
    if assignment.state == "withdrawn" or unit.is_withdrawn:
        raise JudgingError("item_withdrawn", language=language)
    if assignment.state == "leased":
        return
    arms = arms_in_order(unit, is_swapped=assignment.is_swapped)
    if assignment.role == "main" and not take(session, unit.id, arms):
        raise JudgingError("assignment_taken", language=language)
    assignment.state = "leased"


def hold(
    session: Session, campaign: Campaign, rater: Rater, public_id: str, *, at_ms: int
) -> Assignment:
    """Return a rater's own assignment with its lease begun anew, for work that takes a while.

    Raises:
        JudgingError: it is not this rater's, is done, or was finished by others meanwhile.
    """
    assignment, unit = _own_for_update(session, rater, public_id)
    _hold_again(session, assignment, unit, language=rater.language)
    assignment.expires_ms = at_ms + _lease_ms(campaign)
    return assignment


def _judgment(
    submission: Submission, form: Form, assignment: Assignment, *, at_ms: int
) -> Judgment:
    return Judgment(
        assignment_id=assignment.id,
        rater_id=assignment.rater_id,
        idempotency_key=submission.idempotency_key,
        scores=form.scores,
        safety=form.safety,
        reasons=form.reasons,
        confidence=form.confidence,
        comment=form.comment,
        guess=form.guess,
        duration_ms=submission.duration_ms,
        submitted_ms=at_ms,
    )


def skip(
    session: Session, campaign: Campaign, rater: Rater, public_id: str, *, reason: str
) -> None:
    """Give an assignment back unjudged, with a reason of the rubric's list."""
    check_may_work(campaign, rater)
    assignment, unit = _own_for_update(session, rater, public_id)
    known = {one["id"] for one in texts_of(campaign)["rubric"]["skip_reasons"]}
    if reason not in known:
        words = {"zh": "请选一个跳过的理由", "en": "Please choose a reason for skipping"}
        raise JudgingError(
            "invalid",
            language=rater.language,
            fields={"reason": words["zh" if rater.language == "zh" else "en"]},
        )
    if assignment.state == "done":
        raise JudgingError("assignment_done", language=rater.language)
    _forget(session, assignment)
    give_back(session, assignment, unit)
    assignment.state = "skipped"
    assignment.skip_reason = reason


def undo_last(
    session: Session, campaign: Campaign, rater: Rater, *, at_ms: int
) -> tuple[Assignment, Judgment]:
    """Open the last judgment again; return its assignment and what was said.

    What the rater holds meanwhile stays, and comes next. Only the most recent submission can be
    undone, one at a time; what was said counts until something else is said, or the lease ends.

    Raises:
        JudgingError: there is nothing to undo, or it is too late for it.
    """
    check_may_work(campaign, rater)
    held = current_lease(session, rater)
    if held is not None and held.undone_ms is not None:
        raise JudgingError("undo_too_late", language=rater.language)
    judgment = session.scalar(
        select(Judgment)
        .where(Judgment.rater_id == rater.id)
        .order_by(Judgment.submitted_ms.desc(), Judgment.id.desc())
        .limit(1)
    )
    if judgment is None:
        raise JudgingError("nothing_to_undo", language=rater.language)
    assignment = session.get_one(Assignment, judgment.assignment_id)
    if assignment.role == "training":  # its feedback has been seen
        raise JudgingError("undo_too_late", language=rater.language)
    if session.get_one(Unit, assignment.unit_id).is_withdrawn:
        raise JudgingError("item_withdrawn", language=rater.language)
    assignment.state = "leased"
    assignment.undone_ms = at_ms
    assignment.expires_ms = at_ms + _lease_ms(campaign)
    session.flush()
    return assignment, judgment


def judgment_of(session: Session, assignment: Assignment) -> Judgment | None:
    """Return what was said of an assignment that stands open again."""
    if assignment.undone_ms is None:
        return None
    return session.scalar(select(Judgment).where(Judgment.assignment_id == assignment.id))


def withdraw_item(session: Session, item: Item, *, at_ms: int) -> int:
    """Take an item out of the study; judgments of it stay, open leases end. Return those."""
    item.withdrawn_ms = at_ms
    session.execute(update(Unit).where(Unit.item_id == item.id).values(is_withdrawn=True))
    n_ended = 0
    for assignment, unit in session.execute(
        select(Assignment, Unit)
        .join(Unit, Unit.id == Assignment.unit_id)
        .where(Unit.item_id == item.id, Assignment.state == "leased")
    ):
        n_ended += 1
        if assignment.undone_ms is not None:  # judgments of it stay
            assignment.state, assignment.undone_ms = "done", None
            continue
        give_back(session, assignment, unit)
        assignment.state = "withdrawn"
    return n_ended


def exposure(session: Session, campaign: Campaign) -> dict[str, tuple[int, int]]:
    """Return for every arm's name how often it was shown, and how often first."""
    rows = session.execute(
        select(Arm.name, Arm.n_shown, Arm.n_first).where(Arm.campaign_id == campaign.id)
    )
    return {name: (shown, first) for name, shown, first in rows}
