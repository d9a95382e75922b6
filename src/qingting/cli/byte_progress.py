"""Progress of bytes on stderr: share, speed and time left; plain lines where no terminal is."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_PLAIN_EVERY_S = 10.0
_TERMINAL_EVERY_S = 0.2


@contextmanager
def byte_progress() -> Iterator[Callable[[int, int], None]]:
    """Yield a callback that takes (bytes done, bytes in all)."""
    began = time.monotonic()
    on_terminal = sys.stderr.isatty()
    last = began

    def show(done: int, total: int) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last < (_TERMINAL_EVERY_S if on_terminal else _PLAIN_EVERY_S):
            return
        last = now
        left = (now - began) * (total - done) / max(done, 1)
        line = (
            f"{done / 1e9:.2f} of {total / 1e9:.2f} GB ({done / max(total, 1):.0%}), "
            f"{done / 1e6 / (now - began):.0f} MB/s, {left:.0f} s left"
        )
        print(
            f"\r\x1b[K{line}" if on_terminal else line,
            end="" if on_terminal else "\n",
            file=sys.stderr,
            flush=True,
        )

    try:
        yield show
    finally:
        if on_terminal and last > began:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
