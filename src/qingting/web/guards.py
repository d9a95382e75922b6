"""What every answer passes: limits on size and rate, and headers that keep browsers strict."""

from __future__ import annotations

import contextlib

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from qingting.judging.tokens import digest_of_token
from qingting.web.limits import RateLimit
from qingting.web.settings import WebSettings

CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)

_HEADERS = {
    "content-security-policy": CONTENT_SECURITY_POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}


_TOO_LARGE = "the request is too large / 提交的内容太大"


class Guards:
    """ASGI middleware: refuses what is too much, and adds the headers of every answer."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        settings: WebSettings,
        cookie: str,
        limit: RateLimit,
        address_limit: RateLimit,
    ) -> None:
        self._app = app
        self._settings = settings
        self._cookie = cookie
        self._limit = limit
        self._address_limit = address_limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or pass it on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        refusal = self._refusal(scope, headers)

        body = _Body(self._settings.max_body_bytes, receive)

        async def send_guarded(message: Message) -> None:
            if body.is_too_large:
                return  # whatever the application makes of half a body
            if message["type"] == "http.response.start":
                sent = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    sent.setdefault(name, value)
                if self._settings.is_https:
                    sent.setdefault("strict-transport-security", "max-age=31536000")
                if not scope["path"].startswith("/static/"):
                    sent.setdefault("cache-control", "no-store")
            await send(message)

        if refusal is not None:
            status, text, retry_s = refusal
            await _plain(send_guarded, status, text, retry_s)
            return
        with contextlib.suppress(_TooLargeError):
            await self._app(scope, body.receive, send_guarded)
        if body.is_too_large:
            body.is_too_large = False
            await _plain(send_guarded, 413, _TOO_LARGE, 0)

    def _refusal(self, scope: Scope, headers: Headers) -> tuple[int, str, int] | None:
        length = headers.get("content-length", "0")
        if not length.isdigit() or int(length) > self._settings.max_body_bytes:
            return 413, _TOO_LARGE, 0
        if scope["path"].startswith("/static/"):
            return None
        # a made-up session for every request would be a new visitor each time
        wait_s = self._address_limit.wait_s(f"address {_address(scope)}") or self._limit.wait_s(
            self._visitor(scope, headers)
        )
        if wait_s:
            return 429, "too many requests; wait a moment / 请求太频繁，请稍等", int(wait_s) + 1
        return None

    def _visitor(self, scope: Scope, headers: Headers) -> str:
        for part in headers.get("cookie", "").split(";"):
            name, _, value = part.strip().partition("=")
            if name == self._cookie and value:
                return digest_of_token(value)
        bearer = headers.get("authorization", "")
        if bearer:
            return digest_of_token(bearer)
        return _address(scope)


class _TooLargeError(Exception):
    """A body went on beyond the limit."""


class _Body:
    """Receives the body of a request, up to a limit; for those that do not state their length."""

    def __init__(self, max_bytes: int, receive: Receive) -> None:
        self._left, self._receive = max_bytes, receive
        self.is_too_large = False

    async def receive(self) -> Message:
        """Return the next message.

        Raises:
            _TooLargeError: the body goes on beyond the limit.
        """
        message = await self._receive()
        if message["type"] == "http.request":
            self._left -= len(message.get("body", b""))
            if self._left < 0:
                self.is_too_large = True
                raise _TooLargeError
        return message


def _address(scope: Scope) -> str:
    client = scope.get("client")
    return client[0] if client else "unknown"


async def _plain(send: Send, status: int, text: str, retry_s: int) -> None:
    headers = [(b"content-type", b"text/plain; charset=utf-8")]
    if retry_s:
        headers.append((b"retry-after", str(retry_s).encode()))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": text.encode()})
