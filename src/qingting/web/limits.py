"""Rate limits: a bucket of tokens for each visitor, in the memory of one process or of several."""

from __future__ import annotations

import fcntl
import hashlib
import mmap
import os
import struct
import tempfile
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, NamedTuple, Protocol

_REFILL_S = 60.0
"""A bucket holds the requests of a minute; left alone this long it is as good as new."""


class Bucket(NamedTuple):
    """How many tokens a visitor had left, and when, in seconds of the limit's clock."""

    tokens: float
    at_s: float


class Buckets(Protocol):
    """Where the buckets of visitors are kept; reading and writing are done under ``lock``."""

    def lock(self, visitor: str) -> AbstractContextManager[Any]:
        """Keep everybody else from a visitor's bucket."""

    def get(self, visitor: str) -> Bucket | None:
        """Return a visitor's bucket; None for one who is new or was forgotten."""

    def put(self, visitor: str, bucket: Bucket) -> None:
        """Keep a visitor's bucket."""


class OwnBuckets:
    """Buckets of one process."""

    def __init__(self, *, n_kept: int = 20_000) -> None:
        self._n_kept = n_kept
        self._buckets: dict[str, Bucket] = {}
        self._lock = threading.Lock()

    def lock(self, visitor: str) -> AbstractContextManager[Any]:
        """Keep other threads out, of all buckets alike."""
        return self._lock

    def get(self, visitor: str) -> Bucket | None:
        """Return a visitor's bucket."""
        return self._buckets.get(visitor)

    def put(self, visitor: str, bucket: Bucket) -> None:
        """Keep a visitor's bucket, and forget full ones where there are too many."""
        if len(self._buckets) >= self._n_kept:
            self._buckets = {
                known: one
                for known, one in self._buckets.items()
                if bucket.at_s - one.at_s < _REFILL_S
            }
        self._buckets[visitor] = bucket


class SharedBuckets:
    """Buckets that processes forked from this one share, so that a limit is one for all of them.

    A table of fixed size: each visitor has a row of eight slots, and takes the one that was left
    alone longest where all are used. Rows are locked through a file, for the system gives such a
    lock back when its holder is killed.
    """

    _SLOT = struct.Struct("=16sdd")
    _N_SLOTS = 8

    def __init__(self, *, n_rows: int = 4096) -> None:
        self._n_rows = n_rows
        self._row_bytes = self._SLOT.size * self._N_SLOTS
        self._memory = mmap.mmap(-1, n_rows * self._row_bytes)
        self._file, path = tempfile.mkstemp(prefix="qingting-limits-")
        os.unlink(path)  # it is known by its number alone
        weakref.finalize(self, os.close, self._file)
        self._threads = threading.Lock()  # a file's lock is the process's, not a thread's

    @contextmanager
    def lock(self, visitor: str) -> Iterator[None]:
        """Keep other threads and processes from a visitor's row."""
        row = self._row_of(self._name_of(visitor))
        with self._threads:
            fcntl.lockf(self._file, fcntl.LOCK_EX, 1, row)
            try:
                yield
            finally:
                fcntl.lockf(self._file, fcntl.LOCK_UN, 1, row)

    def get(self, visitor: str) -> Bucket | None:
        """Return a visitor's bucket."""
        name = self._name_of(visitor)
        for _, known, bucket in self._slots(name):
            if known == name:
                return bucket
        return None

    def put(self, visitor: str, bucket: Bucket) -> None:
        """Keep a visitor's bucket."""
        name = self._name_of(visitor)
        slots = list(self._slots(name))
        own = [place for place, known, _ in slots if known == name]
        place = own[0] if own else min(slots, key=lambda slot: slot[2].at_s)[0]
        self._SLOT.pack_into(self._memory, place, name, *bucket)

    def _slots(self, name: bytes) -> Iterator[tuple[int, bytes, Bucket]]:
        first = self._row_of(name) * self._row_bytes
        for place in range(first, first + self._row_bytes, self._SLOT.size):
            known, tokens, at_s = self._SLOT.unpack_from(self._memory, place)
            yield place, known, Bucket(tokens, at_s)

    def _row_of(self, name: bytes) -> int:
        return int.from_bytes(name[:8], "little") % self._n_rows

    @staticmethod
    def _name_of(visitor: str) -> bytes:
        return hashlib.blake2b(visitor.encode(), digest_size=16).digest()


class RateLimit:
    """Allows ``per_minute`` requests of one visitor, with bursts up to as many.

    Args:
        clock: seconds; the same for all processes that share ``buckets``.
    """

    def __init__(
        self,
        per_minute: int,
        *,
        clock: Callable[[], float] = time.monotonic,
        buckets: Buckets | None = None,
    ) -> None:
        self._rate = per_minute / _REFILL_S
        self._burst = float(per_minute)
        self._clock = clock
        self._buckets: Buckets = OwnBuckets() if buckets is None else buckets

    def wait_s(self, visitor: str) -> float:
        """Return 0 and count a request, or the seconds until the next one is allowed."""
        with self._buckets.lock(visitor):
            now_s = self._clock()
            tokens = self._tokens(visitor, now_s)
            is_allowed = tokens >= 1.0
            self._buckets.put(visitor, Bucket(tokens - 1.0 if is_allowed else tokens, now_s))
        return 0.0 if is_allowed else (1.0 - tokens) / self._rate

    def spent_s(self, visitor: str) -> float:
        """Return 0 while another request would be allowed, else the seconds until one is."""
        with self._buckets.lock(visitor):
            tokens = self._tokens(visitor, self._clock())
        return 0.0 if tokens >= 1.0 else (1.0 - tokens) / self._rate

    def _tokens(self, visitor: str, now_s: float) -> float:
        known = self._buckets.get(visitor)
        if known is None:
            return self._burst
        return min(self._burst, known.tokens + (now_s - known.at_s) * self._rate)


class Limits(NamedTuple):
    """The buckets of a server: of requests, and of sign-ins that were wrong."""

    requests: Buckets
    wrong_sign_ins: Buckets

    @classmethod
    def of_one_process(cls) -> Limits:
        """Return buckets for a server that is one process."""
        return cls(OwnBuckets(), OwnBuckets())

    @classmethod
    def shared(cls) -> Limits:
        """Return buckets for a server of several processes; make them before these are forked."""
        return cls(SharedBuckets(), SharedBuckets())
