"""One answer on its way to its client, whole or as it comes."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque

import orjson
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from qingting.engines.native.batching import Progress, Scheduler, Ticket
from qingting.engines.native.server_replies import DONE, AnswerRecord, Kind, event
from qingting.engines.native.server_requests import ApiError, Settings

logger = logging.getLogger("qingting.serve")

FAILURES = {
    "out_of_memory": "the server ran out of memory; ask for less, or for fewer at once",
    "failed": "the server failed on this request; its log says why",
    "shutdown": "the server is shutting down",
    "cancelled": "the request was cancelled",
}
"""Why an answer may end before its end."""


class Mailbox:
    """Carries progress from the computing thread to the event loop, one wake-up a step."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._items: deque[tuple[asyncio.Queue[Progress | None], Progress]] = deque()
        self._is_due = False

    def put(self, queue: asyncio.Queue[Progress | None], progress: Progress) -> None:
        """Hand progress over; called from the computing thread."""
        self._items.append((queue, progress))
        if not self._is_due:
            self._is_due = True
            self._loop.call_soon_threadsafe(self._empty)

    def _empty(self) -> None:
        self._is_due = False
        while self._items:
            queue, progress = self._items.popleft()
            queue.put_nowait(progress)


class Answer(Response):
    """One answer on its way to its client; given up as soon as the client leaves."""

    def __init__(
        self,
        scheduler: Scheduler,
        ticket: Ticket,
        queue: asyncio.Queue[Progress | None],
        record: AnswerRecord,
        *,
        kind: Kind,
        settings: Settings,
    ) -> None:
        self.status_code = 200
        self.background = None
        self._scheduler, self._ticket, self._queue = scheduler, ticket, queue
        self._record, self._kind, self._settings = record, kind, settings
        self.finish = "cancelled"

    @property
    def summary(self) -> str:
        """Return what the log says of the answer: counts, no words."""
        generation = self._ticket.generation
        return (
            f"prompt={len(generation.input_ids)} tokens={generation.text.n_tokens} "
            f"finish={self.finish}"
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the answer."""

        async def notice_leaving() -> None:
            while (await receive())["type"] != "http.disconnect":
                pass
            self._queue.put_nowait(None)

        watcher = asyncio.ensure_future(notice_leaving())
        try:
            await (self._stream(send) if self._settings.is_stream else self._whole(send))
        finally:
            watcher.cancel()
            self._scheduler.cancel(self._ticket)

    async def _whole(self, send: Send) -> None:
        words: list[str] = []
        while (progress := await self._queue.get()) is not None:
            words.append(progress.text)
            if progress.finish is None:
                continue
            self.finish = progress.finish
            if progress.finish in FAILURES:
                self.status_code = 503 if progress.finish != "failed" else 500
                await _send_whole(send, self.status_code, _failure(progress.finish))
            else:
                body = self._record.whole("".join(words), progress.finish, progress.n_tokens)
                await _send_whole(send, 200, body)
            return

    async def _stream(self, send: Send) -> None:
        headers = [
            (b"content-type", b"text/event-stream; charset=utf-8"),
            (b"cache-control", b"no-cache"),
            (b"x-accel-buffering", b"no"),
        ]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        if self._kind == "chat":
            await _send_part(send, self._record.opening())
        finish, n_tokens = None, 0
        while finish is None:
            progress = await self._queue.get()
            if progress is None:
                return
            while progress.finish is None and not self._queue.empty():
                later = self._queue.get_nowait()  # what came while the client was slow
                if later is None:
                    return
                progress = later._replace(text=progress.text + later.text)
            finish, n_tokens = progress.finish, progress.n_tokens
            if finish in FAILURES:
                self.finish = str(finish)
                if progress.text:
                    await _send_part(send, self._record.piece(progress.text, None))
                await _send_part(send, event(orjson.loads(_failure(str(finish)))), is_last=True)
                return
            await self._send_piece(send, progress)
        self.finish = str(finish)
        ending = self._record.counts(n_tokens) if self._settings.include_usage else b""
        await _send_part(send, ending + DONE, is_last=True)

    async def _send_piece(self, send: Send, progress: Progress) -> None:
        part = b""
        if self._kind == "chat" and progress.text and progress.finish:
            part = self._record.piece(progress.text, None)  # the last event of a chat is empty
            progress = progress._replace(text="")
        await _send_part(send, part + self._record.piece(progress.text, progress.finish))


async def _send_part(send: Send, body: bytes, *, is_last: bool = False) -> None:
    await send({"type": "http.response.body", "body": body, "more_body": not is_last})


async def _send_whole(send: Send, status: int, body: bytes) -> None:
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await _send_part(send, body, is_last=True)


def _failure(finish: str) -> bytes:
    status = 500 if finish == "failed" else 503
    return orjson.dumps(ApiError(status, FAILURES[finish], code=finish).to_record())


class LoggedAnswer(Response):
    """An answer that leaves a line in the log when it is over."""

    def __init__(self, answer: Answer, route: str, began: float) -> None:
        self.status_code = 200
        self.background = None
        self._answer, self._route, self._began = answer, route, began

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the answer, then leave the line."""
        try:
            await self._answer(scope, receive, send)
        finally:
            seconds = time.perf_counter() - self._began
            status, summary = self._answer.status_code, self._answer.summary
            logger.info("%s %d %s %.3fs", self._route, status, summary, seconds)
