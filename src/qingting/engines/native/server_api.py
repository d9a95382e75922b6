"""The OpenAI-compatible API over a scheduler: routes, and refusals in the API's own words."""

from __future__ import annotations

import asyncio
import hmac
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import orjson
from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp

from qingting.core.dialogue import Message
from qingting.core.errors import EngineError, ModelError, did_you_mean
from qingting.engines.native.batching import Generation, Progress, QueueFullError
from qingting.engines.native.server_answers import Answer, LoggedAnswer, Mailbox
from qingting.engines.native.server_replies import AnswerRecord, Kind
from qingting.engines.native.server_requests import ApiError, Settings, read_chat, read_text
from qingting.engines.native.server_service import Loaded, Service
from qingting.engines.native.server_text import AnswerText, TextLayout
from qingting.engines.serving_protocol import Limits

logger = logging.getLogger("qingting.serve")

_BODY_TIMEOUT_S = 30.0
_TEXT_MAX_TOKENS = 16
"""What the API gives a continuation whose length nobody said."""


def create_app(service: Service, mailbox: Callable[[], Mailbox]) -> ASGIApp:
    """Return the application; ``mailbox`` gives that of the loop it runs in."""

    async def health(_: Request) -> Response:
        n_active, n_waiting = service.loaded.scheduler.load if service.loaded else (0, 0)
        record = {
            "status": service.state,
            "model": service.name,
            "instance": service.instance,
            "n_active": n_active,
            "n_waiting": n_waiting,
        }
        return _json(record, 200 if service.state == "ready" else 503)

    def card() -> dict[str, Any]:
        loaded = service.loaded
        more = (
            {"max_model_len": loaded.context, "fingerprint": loaded.fingerprint} if loaded else {}
        )
        record = {"id": service.name, "object": "model", "created": service.created}
        return {**record, "owned_by": "qingting", **more}

    async def models(_: Request) -> Response:
        service.require()
        return _json({"object": "list", "data": [card()]})

    async def model(request: Request) -> Response:
        service.require()
        _check_name(service, request.path_params["name"])
        return _json(card())

    async def chat(request: Request) -> Response:
        body = await _read_body(request, service.limits.max_body_bytes)
        asked = read_chat(body)
        loaded = service.require()
        _check_name(service, asked.settings.model)
        speech = loaded.speeches.chat
        if speech is None:
            raise ApiError(
                400,
                "this model has no chat template; ask /v1/completions to go on with a text",
                code="no_chat_template",
            )
        try:
            ids = await _in_encoder(
                service, lambda: speech.template.encode(asked.messages, add_generation_prompt=True)
            )
        except ModelError:
            roles = ", ".join(message.role for message in asked.messages[:8])
            raise ApiError(
                400,
                f"messages: the model's chat template refuses these roles in this order: {roles}"
                f"{' …' if len(asked.messages) > 8 else ''}",
                code="invalid_value",
                param="messages",
            ) from None
        return _start("chat", loaded, ids.input_ids, speech.layout, asked.settings)

    async def text(request: Request) -> Response:
        body = await _read_body(request, service.limits.max_body_bytes)
        asked = read_text(body)
        loaded = service.require()
        _check_name(service, asked.settings.model)
        speech = loaded.speeches.text
        if speech is None:
            raise ApiError(400, "this model's tokenizer has no token that ends a text")
        turn = [Message("user", asked.prompt)]
        ids = await _in_encoder(
            service, lambda: speech.template.encode(turn, add_generation_prompt=True)
        )
        return _start("text", loaded, ids.input_ids, speech.layout, asked.settings)

    def _start(
        kind: Kind, loaded: Loaded, ids: list[int], layout: TextLayout, settings: Settings
    ) -> Response:
        max_tokens = _fit(kind, len(ids), settings.max_tokens, loaded.context, service.limits)
        generation = Generation(
            tuple(ids),
            AnswerText(layout, settings.stops),
            max_tokens,
            settings.temperature,
            settings.top_p,
            settings.seed,
            settings.repetition_penalty,
        )
        queue: asyncio.Queue[Progress | None] = asyncio.Queue()
        box = mailbox()
        try:
            ticket = loaded.scheduler.submit(generation, lambda step: box.put(queue, step))
        except QueueFullError as error:
            raise ApiError(429, str(error), code="queue_full") from None
        except EngineError as error:
            raise ApiError(503, str(error), code="shutting_down") from None
        record = AnswerRecord(
            kind, model=service.name, fingerprint=loaded.fingerprint, n_prompt_tokens=len(ids)
        )
        return Answer(loaded.scheduler, ticket, queue, record, kind=kind, settings=settings)

    app = FastAPI(title="qingting serve", docs_url=None, redoc_url=None, openapi_url=None)
    routes: list[tuple[str, str, Endpoint]] = [
        ("GET", "/health", health),
        ("GET", "/v1/models", models),
        ("GET", "/v1/models/{name:path}", model),
        ("POST", "/v1/chat/completions", chat),
        ("POST", "/v1/completions", text),
    ]
    for method, path, endpoint in routes:
        guarded = _guarded(service, endpoint, f"{method} {path}", is_open=path == "/health")
        app.add_route(path, guarded, methods=[method])
    app.add_exception_handler(HTTPException, _wrong_route)
    app.add_exception_handler(Exception, _wrong_route)  # answered in form, and logged
    return app


Endpoint = Callable[[Request], Awaitable[Response]]


def _guarded(service: Service, endpoint: Endpoint, route: str, *, is_open: bool) -> Endpoint:
    """Return an endpoint that asks for the key, words its refusals, and leaves a line in the log."""

    async def run(request: Request) -> Response:
        began = time.perf_counter()
        try:
            if not is_open:
                _check_key(service, request)
            response = await endpoint(request)
        except ApiError as error:
            logger.info("%s %d %s", route, error.status, error.code or "")
            headers = {"Retry-After": "1"} if error.status in (429, 503) else None
            if error.status == 413:
                headers = {"Connection": "close"}
            return _json(error.to_record(), error.status, headers)
        except ClientDisconnect:
            logger.info("%s client left", route)
            return Response(status_code=499)
        if isinstance(response, Answer):
            return LoggedAnswer(response, route, began)
        return response

    return run


async def _wrong_route(_: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    code, message = {
        404: (
            "not_found",
            "no such path; there are /v1/chat/completions, /v1/completions, /v1/models, /health",
        ),
        405: ("method_not_allowed", "this path does not take this method"),
    }.get(status, ("internal_error", "the server failed on this request; its log says where"))
    return _json(ApiError(status, message, code=code).to_record(), status)


def _json(record: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(orjson.dumps(record), status, headers, "application/json")


def _check_key(service: Service, request: Request) -> None:
    if service.api_key is None:
        return
    given = request.headers.get("authorization", "").removeprefix("Bearer ")
    if not hmac.compare_digest(given.encode(), service.api_key.encode()):
        raise ApiError(
            401,
            "the API key is missing or wrong: Authorization: Bearer KEY",
            code="invalid_api_key",
        )


def _check_name(service: Service, name: str) -> None:
    if name != service.name:
        raise ApiError(
            404,
            f"model {name[:64]!r} is not served here.{did_you_mean(name[:64], [service.name])} "
            f"Served: {service.name}",
            code="model_not_found",
            param="model",
        )


async def _read_body(request: Request, limit: int) -> bytes:
    """Return the body of a request.

    Only declared JSON is read: a page in somebody's browser can send other kinds to this machine
    without asking.

    Raises:
        ApiError: it is too large, too slow, or of another kind.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise ApiError(415, "the body must be JSON: send Content-Type: application/json")
    too_large = ApiError(413, f"the body is larger than {limit} bytes", code="body_too_large")
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > limit:
        raise too_large
    body = bytearray()
    try:
        async with asyncio.timeout(_BODY_TIMEOUT_S):
            async for chunk in request.stream():
                body += chunk
                if len(body) > limit:
                    raise too_large
    except TimeoutError:
        raise ApiError(408, f"the body did not come within {_BODY_TIMEOUT_S:g} s") from None
    return bytes(body)


_T = TypeVar("_T")


async def _in_encoder(service: Service, encode: Callable[[], _T]) -> _T:
    """Return what ``encode`` returns; long prompts must not hold up the answers of others."""
    return await asyncio.get_running_loop().run_in_executor(service.encoder, encode)


def _fit(kind: Kind, n_prompt: int, asked: int | None, context: int, limits: Limits) -> int:
    """Return how many tokens an answer may have.

    Raises:
        ApiError: it would not fit; the message holds the numbers.
    """
    if asked is not None and asked > limits.max_new_tokens:
        raise ApiError(
            400,
            f"max_tokens: {asked} are asked for; this server writes at most "
            f"{limits.max_new_tokens} tokens an answer",
            code="invalid_value",
            param="max_tokens",
        )
    if asked is None and kind == "text":
        asked = _TEXT_MAX_TOKENS
    room = context - n_prompt
    if room < (asked or 1):
        raise ApiError(
            400,
            f"this model's context is {context} tokens; the prompt has {n_prompt} and "
            f"{asked or 'at least 1'} are asked for: shorten the prompt"
            f"{' or ask for fewer' if asked and room > 0 else ''}",
            code="context_length_exceeded",
            param="messages" if kind == "chat" else "prompt",
        )
    return asked or min(room, limits.max_new_tokens)
