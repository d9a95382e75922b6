"""What a request may hold, checked whole before anything is computed.

What this server cannot do is refused by name, never left out silently; what only concerns a
provider's accounts is let through.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal, NamedTuple, TypeVar

import orjson
from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictInt, StrictStr, ValidationError

from qingting.core.dialogue import Message
from qingting.core.errors import did_you_mean

MAX_MESSAGES = 256
"""Turns of one dialogue; a chat template is rendered once a turn."""

_MAX_STOPS, _MAX_STOP_LENGTH = 4, 256

_NEUTRAL: dict[str, tuple[Any, ...]] = {
    "n": (1,),
    "best_of": (1,),
    "echo": (False,),
    "suffix": ("",),
    "logprobs": (False,),
    "top_logprobs": (),
    "logit_bias": ({},),
    "frequency_penalty": (0,),
    "presence_penalty": (0,),
    "tools": ([],),
    "tool_choice": ("none",),
    "functions": ([],),
    "function_call": ("none",),
    "response_format": ({"type": "text"},),
    "reasoning_effort": (),
    "modalities": (["text"],),
}
"""What is not offered → the values, beside null, that ask for nothing."""

_ACCOUNTING = (
    "user",
    "metadata",
    "store",
    "service_tier",
    "safety_identifier",
    "prompt_cache_key",
    "parallel_tool_calls",
)


class ApiError(Exception):
    """A refusal as the OpenAI API words it: status, message, and what it is about."""

    def __init__(
        self, status: int, message: str, *, code: str | None = None, param: str | None = None
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.code, self.param = status, message, code, param

    def to_record(self) -> dict[str, Any]:
        """Return the JSON form of the error."""
        kind = {401: "authentication_error", 429: "rate_limit_error"}.get(self.status)
        if kind is None:
            kind = "server_error" if self.status >= 500 else "invalid_request_error"
        return {
            "error": {
                "message": self.message,
                "type": kind,
                "param": self.param,
                "code": self.code,
            }
        }


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid")
    type: Literal["text"]
    text: StrictStr


class _Turn(BaseModel):
    model_config = ConfigDict(extra="forbid")
    role: Literal["system", "developer", "user", "assistant"]
    content: StrictStr | list[_Part]
    name: StrictStr | None = None
    refusal: None = None

    def to_message(self) -> Message:
        words = self.content
        if not isinstance(words, str):
            words = "".join(part.text for part in words)
        return Message("system" if self.role == "developer" else self.role, words)


class _StreamOptions(BaseModel):
    model_config = ConfigDict(extra="forbid")
    include_usage: StrictBool = False
    include_obfuscation: StrictBool = False


_Tokens = Annotated[StrictInt, Field(ge=1)]


class _Asked(BaseModel):
    model_config = ConfigDict(extra="forbid")
    model: StrictStr
    temperature: Annotated[float, Field(ge=0, le=2, allow_inf_nan=False, strict=True)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1, allow_inf_nan=False, strict=True)] | None = None
    # no part of OpenAI's API, but of vLLM's and LMDeploy's
    repetition_penalty: (
        Annotated[float, Field(ge=1, le=2, allow_inf_nan=False, strict=True)] | None
    ) = None
    max_tokens: _Tokens | None = None
    seed: StrictInt | None = None
    stop: StrictStr | list[StrictStr] | None = None
    stream: StrictBool | None = None
    stream_options: _StreamOptions | None = None


class ChatRequest(_Asked):
    """A request to ``/v1/chat/completions``."""

    messages: list[_Turn] = Field(min_length=1, max_length=MAX_MESSAGES)
    max_completion_tokens: _Tokens | None = None


class TextRequest(_Asked):
    """A request to ``/v1/completions``."""

    prompt: StrictStr | list[StrictStr]


class Settings(NamedTuple):
    """How an answer is to be written; ``max_tokens`` None where nobody said."""

    model: str
    temperature: float
    top_p: float
    max_tokens: int | None
    seed: int | None
    stops: tuple[str, ...]
    is_stream: bool
    include_usage: bool
    repetition_penalty: float = 1.0


class ChatAsked(NamedTuple):
    """A dialogue to go on with."""

    settings: Settings
    messages: tuple[Message, ...]


class TextAsked(NamedTuple):
    """A text to go on with."""

    settings: Settings
    prompt: str


def read_chat(body: bytes) -> ChatAsked:
    """Return a checked chat request.

    Raises:
        ApiError: status 400, naming the field.
    """
    request = _validated(ChatRequest, body)
    messages = tuple(turn.to_message() for turn in request.messages)
    if any(message.role == "system" for message in messages[1:]):
        raise _bad("messages", "only the first message may be the system's")
    if messages[-1].role == "assistant":
        raise _bad("messages", "the last message is the assistant's: there is nothing to answer")
    return ChatAsked(_settings(request, request.max_completion_tokens), messages)


def read_text(body: bytes) -> TextAsked:
    """Return a checked request for a continuation.

    Raises:
        ApiError: status 400, naming the field.
    """
    request = _validated(TextRequest, body)
    prompts = [request.prompt] if isinstance(request.prompt, str) else request.prompt
    if len(prompts) != 1:
        raise _bad("prompt", f"one prompt a request; this one holds {len(prompts)}")
    return TextAsked(_settings(request, None), prompts[0])


_Request = TypeVar("_Request", bound=_Asked)


def _validated(kind: type[_Request], body: bytes) -> _Request:
    try:
        record = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise ApiError(400, f"the body is not JSON: {error}", code="invalid_json") from None
    if not isinstance(record, dict):
        raise ApiError(400, "the body must be a JSON object", code="invalid_json")
    for name in _ACCOUNTING:
        record.pop(name, None)
    for name, neutral in _NEUTRAL.items():
        if name not in record:
            continue
        value = record.pop(name)
        if value is not None and not any(_is_same(value, one) for one in neutral):
            offered = f"; only {orjson.dumps(neutral[0]).decode()} is" if neutral else ""
            raise ApiError(
                400,
                f"{name}: this value is not supported here{offered}",
                code="unsupported_parameter",
                param=name,
            )
    try:
        return kind.model_validate(record)
    except ValidationError as error:
        raise _first_problem(error, kind) from None


def _is_same(value: Any, other: Any) -> bool:
    return bool(value == other) and isinstance(value, bool) == isinstance(other, bool)


def _first_problem(error: ValidationError, kind: type[BaseModel]) -> ApiError:
    """Return the first problem by the field's name; never what stood there."""
    problem = error.errors(include_url=False, include_context=False, include_input=False)[0]
    place = ".".join(str(part) for part in problem["loc"] if not _is_type_name(part))
    message = problem["msg"][:1].lower() + problem["msg"][1:]
    if problem["type"] == "extra_forbidden":
        known = [*kind.model_fields, *_NEUTRAL]
        name = str(problem["loc"][-1])[:64]
        message = f"unknown field.{did_you_mean(name, known)}"
        place = ".".join([*(str(part) for part in problem["loc"][:-1]), name])
    elif problem["type"] == "missing":
        message = "this field is required"
    return ApiError(400, f"{place}: {message}", code="invalid_value", param=place)


def _is_type_name(part: int | str) -> bool:
    """Return whether a part of a location names a member of a union instead of a field."""
    return isinstance(part, str) and (part in ("str", "_Part") or "[" in part)


def _settings(request: _Asked, max_completion_tokens: int | None) -> Settings:
    given = [request.stop] if isinstance(request.stop, str) else request.stop or []
    _check_stops(given)
    asked = max_completion_tokens if max_completion_tokens is not None else request.max_tokens
    if request.stream_options is not None and not request.stream:
        raise _bad("stream_options", "only with stream: true")
    return Settings(
        request.model,
        1.0 if request.temperature is None else request.temperature,
        1.0 if request.top_p is None else request.top_p,
        asked,
        None if request.seed is None else request.seed % 2**63,
        tuple(given),
        bool(request.stream),
        request.stream_options is not None and request.stream_options.include_usage,
        1.0 if request.repetition_penalty is None else request.repetition_penalty,
    )


def _check_stops(stops: Sequence[str]) -> None:
    if len(stops) > _MAX_STOPS:
        raise _bad("stop", f"at most {_MAX_STOPS} stop strings; these are {len(stops)}")
    if any(not 0 < len(stop) <= _MAX_STOP_LENGTH for stop in stops):
        raise _bad("stop", f"a stop string has 1 to {_MAX_STOP_LENGTH} characters")


def _bad(name: str, message: str) -> ApiError:
    return ApiError(400, f"{name}: {message}", code="invalid_value", param=name)
