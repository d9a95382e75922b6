"""What was said in live conversations, as a snapshot keeps it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import select
from sqlalchemy.orm import Session

from qingting.judging.scrubbing import scrub
from qingting.store.judging_tables import Assignment, Campaign, Conversation, Rater

FIELDS = {
    "judgment": "number of the judgment of it; null where there is none",
    "rater": "pseudonym of whoever played the client",
    "item": "scenario",
    "language": "zh or en",
    "arm": "the arm that answered",
    "turns": "role and content in order; both scrubbed",
    "n_masked": "names of models that were masked before the rater saw them",
    "n_late": "delays that answers took beyond the first: an arm too slow for the study's delay",
    "n_late_answers": "answers that took longer than the first delay",
    "n_silent": "1 where the last question got no answer",
}


class Transcript(NamedTuple):
    """One live conversation: its turns, and what the rater saw of the arm's."""

    turns: list[dict[str, str]]
    shown: str
    original: str
    n_masked: int
    n_late: int
    n_late_answers: int
    n_silent: int

    def row(self, judgment: dict[str, Any] | None, shared: dict[str, Any]) -> dict[str, Any]:
        """Return the line of a snapshot."""
        return {
            "judgment": judgment["judgment"] if judgment else None,
            **{name: shared[name] for name in ("rater", "item", "language", "arm")},
            "turns": self.turns,
            "n_masked": self.n_masked,
            "n_late": self.n_late,
            "n_late_answers": self.n_late_answers,
            "n_silent": self.n_silent,
        }


def transcripts(
    session: Session, campaign: Campaign, *, keep: Sequence[str]
) -> dict[int, Transcript]:
    """Return the live conversations of a study by their assignment; empty in other studies.

    Args:
        keep: numbers that are not scrubbed: hotlines.
    """
    rows = session.execute(
        select(Conversation.assignment_id, Conversation.turns)
        .join(Assignment, Assignment.id == Conversation.assignment_id)
        .join(Rater, Rater.id == Assignment.rater_id)
        .where(Rater.campaign_id == campaign.id)
    )
    return {assignment: _transcript(turns, keep) for assignment, turns in rows if turns}


def _transcript(turns: list[dict[str, Any]], keep: Sequence[str]) -> Transcript:
    answers = [turn for turn in turns if turn["role"] == "assistant"]
    return Transcript(
        turns=[
            {
                "role": turn["role"],
                "content": scrub(turn["content"], keep=keep).text,
            }
            for turn in turns
        ],
        shown="\n".join(turn["shown"] for turn in answers),
        original="\n".join(turn["content"] for turn in answers),
        n_masked=sum(turn["n_masked"] for turn in answers),
        n_late=sum(turn["n_late"] for turn in answers),
        n_late_answers=sum(turn["n_late"] > 0 for turn in answers),
        n_silent=int(turns[-1]["role"] == "user"),
    )
