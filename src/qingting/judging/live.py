"""Live conversations of raters with blinded arms: what was said, and when it may be seen.

A rater's words are committed before the arm is asked, so that a lost connection, a failing model or
a killed server loses none of them. An answer is kept back and then shown at one pace: the first
character comes a fixed delay after the question, whichever arm answers and however long it took; an
answer that took longer waits for the next multiple of the delay.

``Conversation.turns`` holds, in order, the rater's turns ``{"role": "user", "content", "key",
"asked_ms", "n_failed"}`` and the arm's ``{"role": "assistant", "content", "shown", "n_masked",
"ready_ms", "n_late"}``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import select
from sqlalchemy.orm import Session

from qingting.judging.blinding import blinded
from qingting.judging.problems import JudgingError
from qingting.store.judging_tables import Arm, Assignment, Campaign, Conversation, Item, Unit

_MARGIN_MS = 300
"""An answer is stored this long before it is due, at least: readers then never see it late."""


@dataclass(frozen=True)
class Talk:
    """A live conversation as its rater sees it."""

    opening: str
    """What the client says first in the scenario; the rater may use it or not."""
    part: dict[str, Any] | None
    """The client whom the rater plays: age, situation, goal, style, facts."""
    n_turns_left: int
    may_judge: bool
    is_waiting: bool
    """Whether an answer is still to come, or still appears."""
    is_silent: bool
    """Whether the last question got no answer; it can be asked again."""


class Question(NamedTuple):
    """What an arm is to answer: where, with which messages, and which turn it is."""

    arm_id: int
    endpoint: dict[str, Any]
    messages: list[dict[str, str]]
    options: dict[str, Any]
    n_turns: int


class Reply(NamedTuple):
    """What may be seen of the last answer: ``text`` is None until it is there."""

    text: str | None
    ready_ms: int
    """When its first character may be seen; while there is no answer, when to look again."""
    is_silent: bool


def is_live(campaign: Campaign, assignment: Assignment) -> bool:
    """Return whether the rater of an assignment talks with the arm."""
    return (
        campaign.mode == "conversation"
        and campaign.spec["conversation"]["source"] == "live"
        and assignment.role in ("main", "repeat")  # the checks are written conversations
    )


def find(session: Session, assignment: Assignment, *, lock: bool = False) -> Conversation | None:
    """Return the conversation of an assignment, or None before the first word."""
    query = select(Conversation).where(Conversation.assignment_id == assignment.id)
    return session.scalar(query.with_for_update() if lock else query)


def question_of(session: Session, campaign: Campaign, assignment: Assignment) -> Question | None:
    """Return what the arm is to answer now, or None where nothing waits for an answer."""
    talk = find(session, assignment)
    if talk is None or talk.turns[-1]["role"] != "user" or talk.turns[-1]["n_failed"]:
        return None
    unit = session.get_one(Unit, assignment.unit_id)
    arm = session.get_one(Arm, unit.arm_id)
    spec = campaign.spec["conversation"]
    said = [{"role": turn["role"], "content": turn["content"]} for turn in talk.turns]
    options = {
        "max_tokens": campaign.spec["max_new_tokens"],
        "temperature": spec["temperature"],
    }
    if spec["repetition_penalty"] is not None:
        options["repetition_penalty"] = spec["repetition_penalty"]
    return Question(
        arm.id,
        dict(arm.endpoint or {}),
        [{"role": "system", "content": spec["system_prompt"]}, *said],
        options,
        len(talk.turns),
    )


def answered(
    session: Session,
    campaign: Campaign,
    assignment_id: int,
    text: str | None,
    *,
    n_turns: int,
    at_ms: int,
) -> None:
    """Write down an arm's answer, or that none came (None).

    Args:
        n_turns: of the question; an answer to a question that is no longer the last is dropped.
    """
    talk = session.scalar(
        select(Conversation).where(Conversation.assignment_id == assignment_id).with_for_update()
    )
    if talk is None or len(talk.turns) != n_turns or talk.turns[-1]["role"] != "user":
        return
    question = talk.turns[-1]
    if text is None or not text.strip():
        talk.turns = [*talk.turns[:-1], {**question, "n_failed": question["n_failed"] + 1}]
        return
    names = session.scalars(select(Arm.name).where(Arm.campaign_id == campaign.id)).all()
    language = session.scalar(
        select(Item.language)
        .join(Unit, Unit.item_id == Item.id)
        .join(Assignment, Assignment.unit_id == Unit.id)
        .where(Assignment.id == assignment_id)
    )
    masked = blinded(text, names=tuple(names), language=str(language))
    delay_ms = _delay_ms(campaign)
    n_delays = max(1, -(-(at_ms + _MARGIN_MS - question["asked_ms"]) // delay_ms))
    answer = {
        "role": "assistant",
        "content": text,
        "shown": masked.text,
        "n_masked": masked.n_masked,
        "ready_ms": question["asked_ms"] + n_delays * delay_ms,
        "n_late": n_delays - 1,
    }
    talk.turns = [*talk.turns, answer]


def reply_of(
    session: Session, campaign: Campaign, assignment: Assignment, *, at_ms: int
) -> Reply | None:
    """Return what may be seen of the last answer, or None where nothing was asked."""
    talk = find(session, assignment)
    if talk is None or not talk.turns:
        return None
    last = talk.turns[-1]
    if last["role"] == "assistant":
        return Reply(last["shown"], last["ready_ms"], False)
    delay_ms = _delay_ms(campaign)
    n_delays = max(1, (at_ms - last["asked_ms"]) // delay_ms + 1)
    return Reply(None, last["asked_ms"] + n_delays * delay_ms, last["n_failed"] > 0)


def n_visible(campaign: Campaign, reply: Reply, *, at_ms: int) -> int:
    """Return how many characters of an answer may be seen by now."""
    if reply.text is None or at_ms < reply.ready_ms:
        return 0
    pace = float(campaign.spec["conversation"]["characters_per_s"])
    return min(len(reply.text), int((at_ms - reply.ready_ms) / 1000 * pace) + 1)


def turns_seen(
    session: Session, campaign: Campaign, assignment: Assignment, *, at_ms: int
) -> tuple[dict[str, str], ...]:
    """Return the turns that have appeared in full, the arm's as they are shown."""
    talk = find(session, assignment)
    turns = list(talk.turns) if talk else []
    if turns and turns[-1]["role"] == "assistant" and waits(campaign, turns, at_ms=at_ms):
        turns.pop()
    return tuple(
        {"role": turn["role"], "content": turn.get("shown", turn["content"])} for turn in turns
    )


def talk_of(
    session: Session, campaign: Campaign, assignment: Assignment, item: Item, *, at_ms: int
) -> Talk:
    """Return how a live conversation stands."""
    talk = find(session, assignment)
    turns = list(talk.turns) if talk else []
    n_said = sum(turn["role"] == "user" for turn in turns)
    least, most = limits_of(campaign)
    is_waiting = bool(turns) and waits(campaign, turns, at_ms=at_ms)
    silent = bool(turns) and turns[-1]["role"] == "user" and turns[-1]["n_failed"] > 0
    is_closed = bool(talk and talk.is_closed)
    return Talk(
        opening=str(item.turns[-1]["content"]),
        part=_part(item),
        n_turns_left=0 if is_closed else most - n_said,
        may_judge=len(turns) - n_said >= least and (silent or not is_waiting),
        is_waiting=is_waiting and not silent,
        is_silent=silent,
    )


def _part(item: Item) -> dict[str, Any] | None:
    client = item.client
    if client is None:
        return None
    here = item.language
    return {
        "age": client["age"],
        **{name: client[name][here] for name in ("situation", "goal", "style")},
        "facts": [fact[here] for fact in client["facts"]],
    }


def end(
    session: Session, campaign: Campaign, assignment: Assignment, *, at_ms: int, language: str
) -> None:
    """End the conversation of an assignment that is being judged; does nothing for others.

    Raises:
        JudgingError: too little was said, or an answer is still to come.
    """
    if not is_live(campaign, assignment):
        return
    talk = find(session, assignment, lock=True)
    turns = list(talk.turns) if talk else []
    if sum(turn["role"] == "assistant" for turn in turns) < limits_of(campaign)[0]:
        raise JudgingError("conversation_short", language=language)
    assert talk is not None
    is_silent = turns[-1]["role"] == "user" and turns[-1]["n_failed"] > 0
    if not is_silent and waits(campaign, turns, at_ms=at_ms):  # nobody judges what nobody saw
        raise JudgingError("conversation_waits", language=language)
    talk.is_closed = True


def waits(campaign: Campaign, turns: list[dict[str, Any]], *, at_ms: int) -> bool:
    """Return whether the last answer has not come, or not appeared in full."""
    last = turns[-1]
    if last["role"] == "user":
        return True
    reply = Reply(last["shown"], last["ready_ms"], False)
    return n_visible(campaign, reply, at_ms=at_ms) < len(last["shown"])


def limits_of(campaign: Campaign) -> tuple[int, int]:
    """Return the fewest and the most turns of a rater."""
    spec = campaign.spec["conversation"]
    return int(spec["min_turns"]), int(spec["max_turns"])


def _delay_ms(campaign: Campaign) -> int:
    return max(1, round(float(campaign.spec["conversation"]["delay_s"]) * 1000))
