"""What an OpenAI-compatible endpoint sent: read, and refused where it is no answer of the model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import httpx
import orjson

from qingting.core.errors import EngineError
from qingting.engines.event_stream import EventLines

_SHOWN_LENGTH = 200
_ECHO_LENGTH = 12
"""Characters of a dialogue that, found in an error's message, keep that message from being shown."""


class EndpointError(EngineError):
    """An endpoint did not answer, or not as agreed; ``status`` is its HTTP status where it had one."""

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message, status)
        self.status = status

    def __str__(self) -> str:
        return str(self.args[0])


class Reply(NamedTuple):
    """A whole answer: its words, why it ended, and the tokens of prompt and answer if counted."""

    text: str
    finish: str | None
    n_prompt_tokens: int | None
    n_tokens: int | None


class AnswerReader:
    """Reads the answers of one model; every failure is an :class:`EndpointError`."""

    def __init__(self, base_url: str, model: str) -> None:
        self._url = base_url
        self._model = model

    def _check_model(self, record: Mapping[str, Any]) -> None:
        """Refuse a reply by another model; a dated version (``name-2026-01-31``) is the same."""
        answered = record.get("model")
        if answered != self._model and not str(answered).startswith(f"{self._model}-"):
            raise EndpointError(
                f"{self._url}: asked for model {self._model!r}, answered by {answered!r}; "
                "check what runs there"
            )

    def read_reply(self, response: httpx.Response) -> Reply:
        """Return a whole answer."""
        record = self.json(response)
        self._check_model(record)
        try:
            choice = record["choices"][0]
            text = choice["message"]["content"]
        except (KeyError, IndexError, TypeError):
            raise self._unexpected("a completion without choices[0].message.content") from None
        if not isinstance(text, str):
            raise self._unexpected("a completion without words")
        usage = record.get("usage") or {}
        counts = usage.get("prompt_tokens"), usage.get("completion_tokens")
        return Reply(text, choice.get("finish_reason"), *counts)

    def read_delta(self, data: bytes) -> Iterator[str]:
        """Yield the words of one event."""
        try:
            record = orjson.loads(data)
        except orjson.JSONDecodeError:
            raise self._unexpected("an event that is not JSON") from None
        if not isinstance(record, dict):
            raise self._unexpected("an event that is no object")
        if record.get("error"):
            error = record["error"]
            kind = error.get("code") or error.get("type") if isinstance(error, dict) else None
            raise EndpointError(f"{self._url}: the answer broke off ({kind or 'error'})")
        self._check_model(record)
        for choice in record.get("choices") or []:
            words = (choice.get("delta") or {}).get("content")
            if words:
                yield words

    def check_end(self, lines: EventLines) -> None:
        """Refuse a stream that ended without saying so."""
        if not lines.is_done:
            raise EndpointError(
                f"{self._url}: the answer broke off before its end; what came is incomplete"
            )

    def json(self, response: httpx.Response) -> dict[str, Any]:
        """Return the object that was sent."""
        try:
            record = orjson.loads(response.content)
        except orjson.JSONDecodeError:
            record = None
        if not isinstance(record, dict):
            raise self._unexpected("something that is not a JSON object")
        return record

    def _unexpected(self, what: str) -> EndpointError:
        return EndpointError(f"{self._url}: sent {what}; is this an OpenAI-compatible /v1?")


def said(response: httpx.Response, payload: dict[str, Any] | None, secret: str | None) -> str:
    """Return the endpoint's own words on an error, unless they repeat the dialogue or the key."""
    try:
        error = orjson.loads(response.content)["error"]
        words = " ".join(str(error["message"] if isinstance(error, dict) else error).split())
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return ""
    sent = [str(turn.get("content") or "") for turn in (payload or {}).get("messages", [])]
    if secret and secret in words:
        return ""
    for text in sent:
        flat = " ".join(text.split())
        starts = range(max(1, len(flat) - _ECHO_LENGTH + 1))
        if flat and any(flat[i : i + _ECHO_LENGTH] in words for i in starts):
            return ""
    return words[:_SHOWN_LENGTH]
