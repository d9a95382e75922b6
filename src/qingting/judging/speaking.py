"""What a rater does in a live conversation: say something, or ask once more after a silence.

See :mod:`qingting.judging.live` for what is kept of it and when an answer may be seen.
"""

from __future__ import annotations

from sqlalchemy.orm import Session

from qingting.judging import desk, live
from qingting.judging.problems import JudgingError
from qingting.store.judging_tables import Assignment, Campaign, Conversation, Rater

MAX_CHARACTERS = 2000
"""Of one turn of a rater."""

_SAY = {
    "empty": {"zh": "请先写一句话", "en": "Please write something first"},
    "long": {
        "zh": "一次最多 {n} 个字，请分几次说",
        "en": "At most {n} characters at a time; please say it in parts",
    },
}


def say(
    session: Session,
    campaign: Campaign,
    rater: Rater,
    public_id: str,
    text: str,
    *,
    key: str,
    at_ms: int,
) -> Assignment:
    """Write down what a rater says; the arm is asked once this is committed.

    Saying it again with the same key changes nothing.

    Raises:
        JudgingError: nothing or too much was said, the assignment is no live conversation or not
            the rater's any more, the conversation is over, or an answer is still to come.
    """
    assignment = _own(session, campaign, rater, public_id, at_ms=at_ms)
    talk = live.find(session, assignment, lock=True)
    turns = list(talk.turns) if talk else []
    said = [turn for turn in turns if turn["role"] == "user"]
    if any(turn["key"] == key for turn in said):
        return assignment
    words = text.strip()
    problem = "empty" if not words else "long" if len(words) > MAX_CHARACTERS else None
    if problem:
        message = _SAY[problem]["zh" if rater.language == "zh" else "en"]
        fields = {"say": message.format(n=MAX_CHARACTERS)}
        raise JudgingError("invalid", language=rater.language, fields=fields)
    if (talk and talk.is_closed) or len(said) >= live.limits_of(campaign)[1]:
        raise JudgingError("conversation_over", language=rater.language)
    if turns and live.waits(campaign, turns, at_ms=at_ms):
        raise JudgingError("conversation_waits", language=rater.language)
    turns.append({"role": "user", "content": words, "key": key, "asked_ms": at_ms, "n_failed": 0})
    if talk is None:
        session.add(Conversation(assignment_id=assignment.id, turns=turns, is_closed=False))
    else:
        talk.turns = turns
    session.flush()
    return assignment


def ask_again(
    session: Session, campaign: Campaign, rater: Rater, public_id: str, *, at_ms: int
) -> Assignment:
    """Put the last question once more, after it got no answer; the delay counts from now."""
    assignment = _own(session, campaign, rater, public_id, at_ms=at_ms)
    talk = live.find(session, assignment, lock=True)
    if talk is not None and talk.turns[-1]["role"] == "user" and talk.turns[-1]["n_failed"]:
        last = {**talk.turns[-1], "asked_ms": at_ms, "n_failed": 0}
        talk.turns = [*talk.turns[:-1], last]
    return assignment


def _own(
    session: Session, campaign: Campaign, rater: Rater, public_id: str, *, at_ms: int
) -> Assignment:
    desk.check_may_work(campaign, rater)
    assignment = desk.hold(session, campaign, rater, public_id, at_ms=at_ms)
    if not live.is_live(campaign, assignment):
        raise JudgingError("not_a_conversation", language=rater.language)
    return assignment
