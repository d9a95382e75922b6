"""Continuous batching: requests join and leave the batch at any token.

One thread computes; other threads hand requests in, cancel them, and are told what came of them.
A request waits in order until a slot is free. Everything that could grow is bounded.
"""

from __future__ import annotations

import logging
import secrets
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

from qingting.core.errors import EngineError, OutOfMemoryError
from qingting.engines.native.batching_choice import Choice, choose_tokens
from qingting.engines.native.batching_rows import Rows
from qingting.engines.native.loading import memory_errors
from qingting.engines.native.server_text import AnswerText

Finish = Literal["stop", "length", "cancelled", "out_of_memory", "failed", "shutdown"]

_MAX_TOKENS_READ_AT_ONCE = 2048
"""Prompt tokens read between two steps: more would make running answers halt."""

logger = logging.getLogger("qingting.serve")


class Generation(NamedTuple):
    """What one request asks for; ``seed`` None draws one."""

    input_ids: tuple[int, ...]
    text: AnswerText
    max_tokens: int
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int | None = None
    repetition_penalty: float = 1.0


class Progress(NamedTuple):
    """Words that came, and why the answer ended, if it did."""

    text: str
    finish: Finish | None
    n_tokens: int


class QueueFullError(EngineError):
    """As many requests wait as may."""


class Ticket:
    """A request under way; ``deliver`` is called from the computing thread."""

    def __init__(self, generation: Generation, deliver: Callable[[Progress], None]) -> None:
        self.generation = generation
        self._seed = generation.seed if generation.seed is not None else secrets.randbits(63)
        is_penalised = generation.repetition_penalty != 1.0
        self._seen = dict.fromkeys(generation.input_ids) if is_penalised else None
        self.last_token = 0
        self.is_cancelled = False
        self._deliver = deliver

    @property
    def choice(self) -> Choice:
        """Return how the next token is chosen."""
        asked = self.generation
        return Choice(
            asked.temperature,
            asked.top_p,
            self._seed,
            asked.text.n_tokens,
            asked.repetition_penalty,
            tuple(self._seen or ()),
        )

    def take(self, token: int) -> bool:
        """Pass on what a token brings; return whether the answer is over."""
        text = self.generation.text
        self.last_token = token
        if self._seen is not None:
            self._seen[token] = None
        words = text.push(token)
        finish: Finish | None = None
        if text.is_over:
            finish = "stop"
        elif text.n_tokens >= self.generation.max_tokens:
            words, finish = words + text.end(), "length"
        if words or finish:
            self._tell(words, finish)
        return finish is not None

    def end(self, finish: Finish) -> None:
        """Pass on that nothing more will come."""
        self._tell("", finish)

    def _tell(self, words: str, finish: Finish | None) -> None:
        self._deliver(Progress(words, finish, self.generation.text.n_tokens))


class Scheduler:
    """Answers requests in one batch; :meth:`run` is the computing thread.

    Args:
        rows: Where sequences are computed.
        n_slots: Most answers at once.
        n_waiting: Most requests that wait for a slot.
    """

    def __init__(self, rows: Rows, *, n_slots: int, n_waiting: int) -> None:
        self._rows = rows
        self._n_slots = n_slots
        self._n_waiting = n_waiting
        self._waiting: deque[Ticket] = deque()
        self._active: list[Ticket] = []
        self._changed = threading.Condition()
        self._is_closed = False

    def submit(self, generation: Generation, deliver: Callable[[Progress], None]) -> Ticket:
        """Return the ticket of a request that was accepted.

        Raises:
            QueueFullError: no slot is free and as many wait as may.
        """
        ticket = Ticket(generation, deliver)
        with self._changed:
            if self._is_closed:
                raise EngineError("the server is shutting down")
            n_free = self._n_slots - len(self._active)
            if len(self._waiting) >= self._n_waiting + max(n_free, 0):
                raise QueueFullError(
                    f"{len(self._active)} answers are being written and {len(self._waiting)} "
                    "requests wait, which is as many as may; try again in a moment"
                )
            self._waiting.append(ticket)
            self._changed.notify()
        return ticket

    def cancel(self, ticket: Ticket) -> None:
        """Give up a request: its place in the queue is free at once, its slot after this step."""
        with self._changed:
            ticket.is_cancelled = True
            if ticket in self._waiting:
                self._waiting.remove(ticket)
                ticket.end("cancelled")
            self._changed.notify()

    def close(self) -> None:
        """End the computing thread; what is unfinished is told so."""
        with self._changed:
            self._is_closed = True
            self._changed.notify()

    @property
    def load(self) -> tuple[int, int]:
        """Return how many answers are being written, and how many requests wait."""
        return len(self._active), len(self._waiting)

    def run(self) -> None:
        """Compute until closed; a failure ends the answers under way and nothing else."""
        while self._wait_for_work():
            try:
                with memory_errors("answering"):
                    self._step()
            except OutOfMemoryError:
                logger.error("out of memory; %d answers given up", len(self._active))
                self._give_up("out_of_memory")
            except Exception:  # the boundary of the thread: one bad request must not end serving
                logger.exception("a step failed; %d answers given up", len(self._active))
                self._give_up("failed")
        self._give_up("shutdown")
        with self._changed:
            waiting = list(self._waiting)
            self._waiting.clear()
        for ticket in waiting:
            ticket.end("shutdown")

    def _wait_for_work(self) -> bool:
        with self._changed:
            while not (self._is_closed or self._waiting or self._active):
                self._changed.wait()
            return not self._is_closed

    def _give_up(self, finish: Finish) -> None:
        self._rows.clear()
        given_up, self._active = self._active, []
        for ticket in given_up:
            ticket.end(finish)

    def _step(self) -> None:
        """Let go who left, take in who waits, and write one token of every answer."""
        for row in range(len(self._active) - 1, -1, -1):
            if self._active[row].is_cancelled:
                self._leave(row).end("cancelled")
        joining = self._admit()
        if joining:
            self._active.extend(joining)  # before they are read: a failure ends them too
            logits = self._rows.join([ticket.generation.input_ids for ticket in joining])
            tokens = choose_tokens(logits, [ticket.choice for ticket in joining])
            self._take(tokens, first=len(self._active) - len(joining))
        if self._active:
            logits = self._rows.advance([ticket.last_token for ticket in self._active])
            tokens = choose_tokens(logits, [ticket.choice for ticket in self._active])
            self._take(tokens, first=0)

    def _take(self, tokens: Sequence[int], *, first: int) -> None:
        """Give each row from ``first`` on its token, and let those go that are done."""
        done = [self._active[first + i].take(token) for i, token in enumerate(tokens)]
        for row in range(len(tokens) - 1, -1, -1):
            if done[row]:
                self._leave(first + row)

    def _leave(self, row: int) -> Ticket:
        self._rows.leave(row)
        ticket, last = self._active[row], self._active.pop()
        if last is not ticket:
            self._active[row] = last
        return ticket

    def _admit(self) -> list[Ticket]:
        """Return the next requests in order, as many as slots and one reading allow."""
        joining: list[Ticket] = []
        n_tokens = 0
        with self._changed:
            while self._waiting and len(self._active) + len(joining) < self._n_slots:
                n_tokens += len(self._waiting[0].generation.input_ids)
                if joining and n_tokens > _MAX_TOKENS_READ_AT_ONCE:
                    break
                joining.append(self._waiting.popleft())
        return joining
