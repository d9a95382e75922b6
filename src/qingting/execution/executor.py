"""Where stages run: an executor takes work that is ready and says when it ended.

The runner decides what may run; an executor only schedules. Another one (a cluster's) has to offer
``submit`` and ``n_slots`` and no more.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Protocol, TypeVar

from qingting.spec.experiment import Resources

T = TypeVar("T")


class Executor(Protocol):
    """Runs functions side by side, at most ``n_slots`` at once."""

    n_slots: int

    def submit(self, work: Callable[[], T], /) -> Future[T]:
        """Start ``work`` when a slot is free."""

    def close(self) -> None:
        """Let go of everything."""


class LocalExecutor:
    """Threads of this process; the heavy part of a stage is in its own worker process."""

    def __init__(self, n_slots: int) -> None:
        self.n_slots = n_slots
        self._threads = ThreadPoolExecutor(n_slots, thread_name_prefix="stage")

    def submit(self, work: Callable[[], T], /) -> Future[T]:
        """Start ``work`` when a slot is free."""
        return self._threads.submit(work)

    def close(self) -> None:
        """Drop what has not begun; what runs ends when its worker does."""
        self._threads.shutdown(wait=True, cancel_futures=True)


def n_slots(resources: Resources, *, device: str) -> int:
    """Return how many stages run side by side: one per core's worth of threads; one on a GPU."""
    if resources.n_workers != "auto":
        return resources.n_workers
    if device == "cuda":
        return 1
    cores = (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )
    return max(1, cores // resources.n_threads)
