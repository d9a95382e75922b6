"""Answers as the OpenAI API words them: whole, and as server-sent events."""

from __future__ import annotations

import secrets
import time
from typing import Any, Literal

import orjson

from qingting.engines.native.batching import Finish

Kind = Literal["chat", "text"]

DONE = b"data: [DONE]\n\n"

_SEPARATORS = tuple(
    (character.encode(), f"\\u{ord(character):04x}".encode())
    for character in ("\u0085", "\u2028", "\u2029")
)
"""Characters at which some clients end a line of a stream; escaped, they are safe everywhere."""


class AnswerRecord:
    """The JSON around one answer's words."""

    def __init__(self, kind: Kind, *, model: str, fingerprint: str, n_prompt_tokens: int) -> None:
        self.id = f"{'chatcmpl' if kind == 'chat' else 'cmpl'}-{secrets.token_hex(12)}"
        self._kind = kind
        self._common = {
            "id": self.id,
            "created": int(time.time()),
            "model": model,
            "system_fingerprint": fingerprint,
        }
        self._n_prompt_tokens = n_prompt_tokens

    def usage(self, n_tokens: int) -> dict[str, int]:
        """Return the counts of tokens; the token that ends an answer counts."""
        return {
            "prompt_tokens": self._n_prompt_tokens,
            "completion_tokens": n_tokens,
            "total_tokens": self._n_prompt_tokens + n_tokens,
        }

    def whole(self, words: str, finish: Finish, n_tokens: int) -> bytes:
        """Return a complete answer."""
        choice: dict[str, Any] = {"index": 0, "logprobs": None, "finish_reason": finish}
        if self._kind == "chat":
            choice["message"] = {"role": "assistant", "content": words, "refusal": None}
        else:
            choice["text"] = words
        name = "chat.completion" if self._kind == "chat" else "text_completion"
        return orjson.dumps(
            {**self._common, "object": name, "choices": [choice], "usage": self.usage(n_tokens)}
        )

    def opening(self) -> bytes:
        """Return the event before the first words: who speaks."""
        return self._chunk([self._choice({"role": "assistant", "content": ""}, None)])

    def piece(self, words: str, finish: Finish | None) -> bytes:
        """Return the event of some words, or of the end."""
        if self._kind == "chat":
            return self._chunk([self._choice({"content": words} if words else {}, finish)])
        choice = {"index": 0, "text": words, "logprobs": None, "finish_reason": finish}
        return self._chunk([choice])

    def counts(self, n_tokens: int) -> bytes:
        """Return the event with the counts of tokens."""
        return self._chunk([], usage=self.usage(n_tokens))

    @staticmethod
    def _choice(delta: dict[str, str], finish: Finish | None) -> dict[str, Any]:
        return {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}

    def _chunk(self, choices: list[dict[str, Any]], **more: Any) -> bytes:
        name = "chat.completion.chunk" if self._kind == "chat" else "text_completion"
        return event({**self._common, "object": name, "choices": choices, **more})


def event(record: dict[str, Any]) -> bytes:
    """Return one server-sent event."""
    data = orjson.dumps(record)
    for character, escaped in _SEPARATORS:
        data = data.replace(character, escaped)
    return b"data: " + data + b"\n\n"
