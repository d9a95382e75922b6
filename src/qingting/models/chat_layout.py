"""A conversation laid out by a model's card, segment by segment.

The layout's own text may hold control tokens; contents never do. Encode each segment by its kind:
``ChatTemplate`` does so for a model that is on this machine, and renders the same segments.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from qingting.core.dialogue import Message
from qingting.core.errors import ModelError
from qingting.models.card import Chat


class Segment(NamedTuple):
    """A run of text: the layout's own (control tokens are meant), or what a person wrote."""

    text: str
    is_content: bool


def lay_out(
    chat: Chat, messages: Sequence[Message], *, generation_prompt: bool = False
) -> tuple[Segment, ...]:
    """Return a conversation as segments in order; neighbours of the layout are joined.

    Args:
        messages: a system message first or not at all, then client and counsellor in turn.

    Raises:
        ModelError: a system message stands elsewhere.
    """
    rest = list(messages)
    segments = [Segment(chat.begin, False)]
    if rest and rest[0].role == "system":
        segments += _turn(chat, chat.system, rest.pop(0).content)
    elif chat.default_system is not None:
        # the model's own words, so they are part of the layout
        segments.append(
            Segment("".join((chat.system[0], chat.default_system, chat.system[1])), False)
        )
    for place, message in enumerate(rest):
        if message.role == "system":
            raise ModelError("a system message stands first or not at all")
        is_last = place == len(rest) - 1 and not generation_prompt
        if message.role == "assistant" and is_last and chat.last_assistant_end is not None:
            edges = (chat.assistant[0], chat.last_assistant_end)
        else:
            edges = _edges(chat, message.role)
        segments += _turn(chat, edges, message.content)
    if generation_prompt:
        segments.append(Segment(chat.generation, False))
    return _joined(segments)


def _edges(chat: Chat, role: str) -> tuple[str, str]:
    before, after = chat.user if role == "user" else chat.assistant
    return before, after


def _turn(chat: Chat, edges: Sequence[str], content: str) -> list[Segment]:
    words = content.strip() if chat.trims else content
    return [Segment(edges[0], False), Segment(words, True), Segment(edges[1], False)]


def _joined(segments: Sequence[Segment]) -> tuple[Segment, ...]:
    joined: list[Segment] = []
    for one in segments:
        if not one.text:
            continue
        if joined and not one.is_content and not joined[-1].is_content:
            joined[-1] = Segment(joined[-1].text + one.text, False)
        else:
            joined.append(one)
    return tuple(joined)
