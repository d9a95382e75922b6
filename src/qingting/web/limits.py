"""Rate limits: a bucket of tokens for each visitor, kept in memory."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

_MAX_BUCKETS = 20_000


class RateLimit:
    """Allows ``per_minute`` requests of one visitor, with bursts up to as many."""

    def __init__(self, per_minute: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate = per_minute / 60.0
        self._burst = float(per_minute)
        self._clock = clock
        self._buckets: dict[str, tuple[float, float]] = {}
        self._lock = threading.Lock()

    def wait_s(self, visitor: str) -> float:
        """Return 0 and count a request, or the seconds until the next one is allowed."""
        now = self._clock()
        with self._lock:
            tokens, then = self._buckets.get(visitor, (self._burst, now))
            tokens = min(self._burst, tokens + (now - then) * self._rate)
            if tokens < 1.0:
                self._buckets[visitor] = (tokens, now)
                return (1.0 - tokens) / self._rate
            if len(self._buckets) >= _MAX_BUCKETS:
                self._forget(now)
            self._buckets[visitor] = (tokens - 1.0, now)
            return 0.0

    def spent_s(self, visitor: str) -> float:
        """Return 0 while another request would be allowed, else the seconds until one is."""
        now = self._clock()
        with self._lock:
            tokens, then = self._buckets.get(visitor, (self._burst, now))
        tokens = min(self._burst, tokens + (now - then) * self._rate)
        return 0.0 if tokens >= 1.0 else (1.0 - tokens) / self._rate

    def _forget(self, now: float) -> None:
        """Drop visitors whose bucket is full again: they are as good as new."""
        refill_s = self._burst / self._rate
        self._buckets = {
            visitor: (tokens, then)
            for visitor, (tokens, then) in self._buckets.items()
            if now - then < refill_s
        }
