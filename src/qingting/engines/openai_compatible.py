"""A client of any OpenAI-compatible endpoint: it answers, or says in one line why it could not.

``base_url`` is what the official client takes, with ``/v1``. Before an endpoint is used it must
prove which model answers: the name must be listed, and every reply must carry it, since servers
exist that answer with whatever they have. Nothing that was said enters an error message.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

import httpx

from qingting.core.dialogue import Message
from qingting.core.errors import SpecificationError, did_you_mean
from qingting.engines.event_stream import EventLines
from qingting.engines.openai_answers import AnswerReader, EndpointError, Reply, said

__all__ = ["RETRIED_STATUS", "ChatEndpoint", "EndpointError", "Reply"]

RETRIED_STATUS = frozenset({408, 429, 500, 502, 503, 504})
"""Answers that may be another one a moment later."""

_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_LONGEST_WAIT_S = 30.0


class ChatEndpoint:
    """Chat with one model behind one URL; safe to share between threads.

    Connection failures and the statuses of :data:`RETRIED_STATUS` are tried again with growing,
    jittered delays (a ``Retry-After`` is kept to); a stream is not, once words have arrived.

    Args:
        base_url: Up to and including ``/v1``.
        model: Its name there.
        api_key: Sent as a bearer token.
        timeout_s: For one attempt to connect, and for each silence while an answer is awaited.
        n_retries: Further attempts after the first.
        transport: Stands in for the network, in tests; for both kinds of call.
        sleep: Waits between attempts of synchronous calls.

    Raises:
        SpecificationError: ``base_url`` is no web address.
    """

    def __init__(
        self,
        base_url: str,
        model: str,
        *,
        api_key: str | None = None,
        timeout_s: float = 60.0,
        n_retries: int = 3,
        transport: Any = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.base_url = _checked(base_url)
        self.model = model
        self._reader = AnswerReader(self.base_url, model)
        self._n_retries = n_retries
        self._sleep = sleep
        self._jitter = random.Random()
        self._is_proven = False
        headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        self._secret = api_key
        self._settings: dict[str, Any] = {
            "headers": headers,
            "timeout": httpx.Timeout(timeout_s, connect=min(timeout_s, 10.0)),
            "transport": transport,
            # a proxy of the environment must not come between us and this machine
            "trust_env": httpx.URL(self.base_url).host not in _LOOPBACK,
        }
        self._timeout_s = timeout_s
        self._client: httpx.Client | None = None
        self._async_client: httpx.AsyncClient | None = None

    # -- what is used ----------------------------------------------------------------------------

    def prove(self) -> None:
        """Return once the endpoint lists the model; called by itself before the first use.

        An endpoint that lists nothing (404, 405) passes: its replies are still checked.

        Raises:
            EndpointError: It serves others, or does not answer.
        """
        if not self._is_proven:
            self._check_listing(self._call("GET", "/models", None))

    def complete(
        self,
        messages: Sequence[Message | Mapping[str, str]],
        *,
        max_tokens: int,
        temperature: float = 0.0,
        seed: int | None = None,
        **options: Any,
    ) -> str:
        """Return the words of the answer; ``options`` are further fields of the request.

        Raises:
            EndpointError: No answer, or not by this model.
        """
        return self.reply(
            messages, max_tokens=max_tokens, temperature=temperature, seed=seed, **options
        ).text

    def reply(
        self,
        messages: Sequence[Message | Mapping[str, str]],
        *,
        max_tokens: int,
        temperature: float = 0.0,
        seed: int | None = None,
        **options: Any,
    ) -> Reply:
        """Return the answer with its counts; like :meth:`complete` otherwise."""
        self.prove()
        payload = self._payload(messages, max_tokens, temperature, seed, options)
        return self._reader.read_reply(self._call("POST", "/chat/completions", payload))

    def stream(
        self,
        messages: Sequence[Message | Mapping[str, str]],
        *,
        max_tokens: int,
        temperature: float = 0.0,
        seed: int | None = None,
        **options: Any,
    ) -> Iterator[str]:
        """Yield the words of the answer as they come; leaving the loop ends the request.

        Raises:
            EndpointError: No answer, not by this model, or it broke off.
        """
        self.prove()
        options = {**options, "stream": True}
        payload = self._payload(messages, max_tokens, temperature, seed, options)
        for attempt in range(self._n_retries + 1):
            lines = EventLines()
            try:
                with self._sync().stream(
                    "POST", f"{self.base_url}/chat/completions", json=payload
                ) as response:
                    if response.status_code == 200:
                        for data in lines.events(response.iter_bytes()):
                            yield from self._reader.read_delta(data)
                        self._reader.check_end(lines)
                        return
                    response.read()
                    failure: httpx.Response | httpx.HTTPError = response
            except httpx.HTTPError as error:
                if lines.n_events:
                    raise self._broken(error) from error
                failure = error
            self._sleep(self._wait_or_raise(failure, attempt, payload))

    async def aprove(self) -> None:
        """Do what :meth:`prove` does, asynchronously."""
        if not self._is_proven:
            self._check_listing(await self._acall("GET", "/models", None))

    async def acomplete(
        self,
        messages: Sequence[Message | Mapping[str, str]],
        *,
        max_tokens: int,
        temperature: float = 0.0,
        seed: int | None = None,
        **options: Any,
    ) -> str:
        """Return what :meth:`complete` returns, asynchronously; use from one event loop only."""
        await self.aprove()
        payload = self._payload(messages, max_tokens, temperature, seed, options)
        return self._reader.read_reply(await self._acall("POST", "/chat/completions", payload)).text

    async def astream(
        self,
        messages: Sequence[Message | Mapping[str, str]],
        *,
        max_tokens: int,
        temperature: float = 0.0,
        seed: int | None = None,
        **options: Any,
    ) -> AsyncIterator[str]:
        """Yield what :meth:`stream` yields, asynchronously."""
        await self.aprove()
        options = {**options, "stream": True}
        payload = self._payload(messages, max_tokens, temperature, seed, options)
        for attempt in range(self._n_retries + 1):
            lines = EventLines()
            try:
                async with self._async().stream(
                    "POST", f"{self.base_url}/chat/completions", json=payload
                ) as response:
                    if response.status_code == 200:
                        async for data in lines.aevents(response.aiter_bytes()):
                            for words in self._reader.read_delta(data):
                                yield words
                        self._reader.check_end(lines)
                        return
                    await response.aread()
                    failure: httpx.Response | httpx.HTTPError = response
            except httpx.HTTPError as error:
                if lines.n_events:
                    raise self._broken(error) from error
                failure = error
            await asyncio.sleep(self._wait_or_raise(failure, attempt, payload))

    def close(self) -> None:
        """Close the connections of synchronous calls."""
        if self._client is not None:
            self._client.close()
            self._client = None

    async def aclose(self) -> None:
        """Close all connections."""
        self.close()
        if self._async_client is not None:
            await self._async_client.aclose()
            self._async_client = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.close()

    # -- calls -----------------------------------------------------------------------------------

    def _sync(self) -> httpx.Client:
        if self._client is None:
            self._client = httpx.Client(**self._settings)
        return self._client

    def _async(self) -> httpx.AsyncClient:
        if self._async_client is None:
            self._async_client = httpx.AsyncClient(**self._settings)
        return self._async_client

    def _call(self, method: str, path: str, payload: dict[str, Any] | None) -> httpx.Response:
        for attempt in range(self._n_retries + 1):
            failure: httpx.Response | httpx.HTTPError
            try:
                failure = self._sync().request(method, self.base_url + path, json=payload)
                if _is_final(failure, payload):
                    return failure
            except httpx.HTTPError as error:
                failure = error
            self._sleep(self._wait_or_raise(failure, attempt, payload))
        raise AssertionError("the last attempt raises")

    async def _acall(
        self, method: str, path: str, payload: dict[str, Any] | None
    ) -> httpx.Response:
        for attempt in range(self._n_retries + 1):
            failure: httpx.Response | httpx.HTTPError
            try:
                failure = await self._async().request(method, self.base_url + path, json=payload)
                if _is_final(failure, payload):
                    return failure
            except httpx.HTTPError as error:
                failure = error
            await asyncio.sleep(self._wait_or_raise(failure, attempt, payload))
        raise AssertionError("the last attempt raises")

    def _wait_or_raise(
        self,
        failure: httpx.Response | httpx.HTTPError,
        attempt: int,
        payload: dict[str, Any] | None,
    ) -> float:
        """Return the seconds until the next attempt; raise where there is none."""
        is_last = attempt >= self._n_retries
        delay: float = min(8.0, 0.5 * 2.0**attempt) * self._jitter.uniform(0.5, 1.0)
        if isinstance(failure, httpx.HTTPError):
            if is_last:
                raise EndpointError(self._unreachable(failure)) from failure
            return delay
        if is_last or failure.status_code not in RETRIED_STATUS:
            raise EndpointError(self._refused(failure, payload), failure.status_code)
        asked = str(failure.headers.get("retry-after", ""))
        return min(float(asked), _LONGEST_WAIT_S) if asked.isdecimal() else delay

    # -- what came back --------------------------------------------------------------------------

    def _payload(
        self,
        messages: Sequence[Message | Mapping[str, str]],
        max_tokens: int,
        temperature: float,
        seed: int | None,
        options: Mapping[str, Any],
    ) -> dict[str, Any]:
        turns = [
            {"role": m.role, "content": m.content} if isinstance(m, Message) else dict(m)
            for m in messages
        ]
        payload: dict[str, Any] = {
            "model": self.model,
            "messages": turns,
            "max_tokens": max_tokens,
            "temperature": temperature,
            **options,
        }
        if seed is not None:
            payload["seed"] = seed
        return payload

    def _check_listing(self, response: httpx.Response) -> None:
        if response.status_code == 200:
            listed = [
                str(entry.get("id")) for entry in self._reader.json(response).get("data") or []
            ]
            if self.model not in listed:
                raise EndpointError(
                    f"{self.base_url}: model {self.model!r} is not served there."
                    f"{did_you_mean(self.model, listed)} Served: {', '.join(listed) or 'none'}."
                )
        self._is_proven = True

    def _broken(self, error: httpx.HTTPError) -> EndpointError:
        return EndpointError(f"{self.base_url}: the answer broke off ({type(error).__name__})")

    def _unreachable(self, error: httpx.HTTPError) -> str:
        if isinstance(error, httpx.TimeoutException):
            return (
                f"{self.base_url}: no answer within {self._timeout_s:g} s "
                f"({type(error).__name__}); raise the time limit, or see whether it is overloaded"
            )
        return (
            f"{self.base_url}: not reachable ({type(error).__name__}); "
            "is the server running, and the address right?"
        )

    def _refused(self, response: httpx.Response, payload: dict[str, Any] | None) -> str:
        status = response.status_code
        words = said(response, payload, self._secret)
        cure = {
            401: "check the API key",
            403: "check the API key's rights",
            404: "check the address (it ends in /v1) and the model's name",
            429: "it is overloaded; ask with fewer requests at once, or later",
        }.get(status)
        parts = [f"{self.base_url}: HTTP {status}", words, cure]
        return "; ".join(part for part in parts if part)


def _checked(base_url: str) -> str:
    """Return an address without its last slash.

    Raises:
        SpecificationError: it is none, or no web address.
    """
    try:
        url = httpx.URL(base_url)
    except httpx.InvalidURL as error:
        raise SpecificationError(f"{base_url!r} is no address: {error}") from None
    if url.scheme not in ("http", "https") or not url.host:
        raise SpecificationError(
            f"{base_url!r}: an endpoint's address begins with http:// or https:// and ends in /v1"
        )
    return base_url.rstrip("/")


def _is_final(response: httpx.Response, payload: dict[str, Any] | None) -> bool:
    """Return whether an answer is the one to go on with: a list of models may be missing."""
    return response.status_code == 200 or (payload is None and response.status_code in (404, 405))
