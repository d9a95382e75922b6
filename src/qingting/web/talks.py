"""Answers of arms in live conversations: asked by the server, kept back, replayed at one pace."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from typing import Any, NamedTuple

import orjson
from starlette.concurrency import run_in_threadpool

from qingting.core.errors import QingtingError
from qingting.engines.openai_compatible import ChatEndpoint
from qingting.judging import live
from qingting.judging.endpoints import KEY_VARIABLE
from qingting.judging.problems import JudgingError
from qingting.judging.tokens import now_ms
from qingting.store.database import Database
from qingting.store.judging_tables import Assignment, Campaign, Rater
from qingting.web.settings import WebSettings

TICK_S = 0.12
"""Between two pieces of an answer as it appears."""


class Place(NamedTuple):
    """A conversation: its assignment and its rater."""

    assignment_id: int
    rater_id: int


class Talks:
    """Asks arms, at most so many at a time; an answer is stored even if nobody waits for it.

    Args:
        transport: Stands in for the network, in tests.
    """

    def __init__(
        self,
        database: Database,
        settings: WebSettings,
        *,
        transport: Any = None,
        clock_ms: Callable[[], int] = now_ms,
    ) -> None:
        self._database = database
        self._settings = settings
        self._transport = transport
        self._clock_ms = clock_ms
        self._running: dict[int, asyncio.Task[None]] = {}
        self._endpoints: dict[int, ChatEndpoint] = {}

    def check_room(self, language: str) -> None:
        """Raise where as many answers are awaited as may be.

        Raises:
            JudgingError: ``conversation_busy``; nothing was written.
        """
        if len(self._running) >= self._settings.max_conversations:
            raise JudgingError("conversation_busy", language=language)

    def ask(self, place: Place) -> None:
        """See to it that the arm is asked what waits for an answer; once, however often called."""
        known = self._running.get(place.assignment_id)
        if known is None and len(self._running) < self._settings.max_conversations:
            task = asyncio.get_running_loop().create_task(self._answer(place))
            self._running[place.assignment_id] = task
            task.add_done_callback(lambda _: self._running.pop(place.assignment_id, None))

    async def close(self) -> None:
        """Drop what is awaited; it is asked again when its rater looks."""
        for task in list(self._running.values()):
            task.cancel()
        await asyncio.gather(*self._running.values(), return_exceptions=True)
        for endpoint in self._endpoints.values():
            await endpoint.aclose()
        self._endpoints.clear()

    async def _answer(self, place: Place) -> None:
        question = await run_in_threadpool(self._question, place)
        if question is None:
            return
        text: str | None = None
        try:
            async with asyncio.timeout(self._settings.answer_timeout_s):
                endpoint = self._endpoint(question)
                text = await endpoint.acomplete(question.messages, **question.options)
        except (QingtingError, TimeoutError):
            text = None  # told to the rater as a silence; the owner sees how many there were
        await run_in_threadpool(self._store, place, text, question.n_turns)

    def _endpoint(self, question: live.Question) -> ChatEndpoint:
        if question.arm_id not in self._endpoints:
            self._endpoints[question.arm_id] = ChatEndpoint(
                question.endpoint["base_url"],
                question.endpoint["model"],
                api_key=os.environ.get(KEY_VARIABLE),
                timeout_s=self._settings.answer_timeout_s,
                n_retries=1,
                transport=self._transport,
            )
        return self._endpoints[question.arm_id]

    def _question(self, place: Place) -> live.Question | None:
        with self._database.reading() as session:
            assignment = session.get(Assignment, place.assignment_id)
            rater = session.get(Rater, place.rater_id)
            if assignment is None or rater is None:
                return None
            campaign = session.get_one(Campaign, rater.campaign_id)
            return live.question_of(session, campaign, assignment)

    def _store(self, place: Place, text: str | None, n_turns: int) -> None:
        with self._database.writing() as session:
            rater = session.get(Rater, place.rater_id)
            if rater is None:  # withdrew meanwhile
                return
            campaign = session.get_one(Campaign, rater.campaign_id)
            live.answered(
                session,
                campaign,
                place.assignment_id,
                text,
                n_turns=n_turns,
                at_ms=self._clock_ms(),
            )

    async def events(self, place: Place, *, start: int = 0) -> AsyncIterator[bytes]:
        """Yield the last answer as server-sent events, from its ``start``-th character.

        ``{"text": …}`` with the next characters, then ``done``; or ``silent`` where no answer
        came. The arm is asked again if it was not (after the server was stopped, say).
        """
        yield b"retry: 1000\n\n"
        n_sent = start
        deadline_ms = self._clock_ms() + round(self._settings.answer_timeout_s * 2000)
        while True:
            seen = await run_in_threadpool(self._seen, place)
            if seen is None:
                yield b"event: done\ndata: {}\n\n"
                return
            reply, campaign = seen
            if reply.is_silent:
                yield b"event: silent\ndata: {}\n\n"
                return
            if reply.text is not None:
                async for event in self._replay(campaign, reply, n_sent):
                    yield event
                return
            self.ask(place)
            if self._clock_ms() > deadline_ms:
                return  # the browser connects again by itself
            await asyncio.sleep(max(0.0, (reply.ready_ms - self._clock_ms()) / 1000))

    async def _replay(
        self, campaign: Campaign, reply: live.Reply, n_sent: int
    ) -> AsyncIterator[bytes]:
        assert reply.text is not None
        # a reader who claims to have seen more than there is must not learn that it is there
        await asyncio.sleep(max(0.0, (reply.ready_ms - self._clock_ms()) / 1000))
        n_sent = min(n_sent, live.n_visible(campaign, reply, at_ms=self._clock_ms()))
        while n_sent < len(reply.text):
            n_visible = live.n_visible(campaign, reply, at_ms=self._clock_ms())
            if n_visible > n_sent:
                piece = orjson.dumps({"text": reply.text[n_sent:n_visible]})
                n_sent = n_visible
                yield b"id: %d\ndata: %s\n\n" % (n_sent, piece)
            await asyncio.sleep(TICK_S)
        yield b"event: done\ndata: {}\n\n"

    def _seen(self, place: Place) -> tuple[live.Reply, Campaign] | None:
        with self._database.reading() as session:
            assignment = session.get(Assignment, place.assignment_id)
            rater = session.get(Rater, place.rater_id)
            if assignment is None or rater is None:
                return None
            campaign = session.get_one(Campaign, rater.campaign_id)
            reply = live.reply_of(session, campaign, assignment, at_ms=self._clock_ms())
            return (reply, campaign) if reply is not None else None
