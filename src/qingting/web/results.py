"""Analyses of snapshots for their owners, computed in a process beside the server, one at a time."""

from __future__ import annotations

import multiprocessing
import threading
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Literal

from qingting.core.errors import QingtingError
from qingting.judging.snapshot import analysis_folder
from qingting.report.file_names import NAMES

State = Literal["none", "computing", "done", "failed"]


class Results:
    """What snapshots say, computed on demand; the files stand beside the snapshot.

    A process of its own, because minutes of bootstrap in this one would make raters wait.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pool: ProcessPoolExecutor | None = None
        self._running: dict[Path, Future[None]] = {}

    def state_of(self, snapshot: Path) -> tuple[State, str]:
        """Return how far the analysis of a snapshot is, and why it failed."""
        folder = analysis_folder(snapshot)
        if all((folder / name).is_file() for name in NAMES):
            return "done", ""
        with self._lock:
            future = self._running.get(snapshot)
        if future is None:
            return "none", ""
        if not future.done():
            return "computing", ""
        error = future.exception()
        # what is no expected error keeps its name only: its words may hold somebody's
        return "failed", str(error) if isinstance(error, QingtingError) else type(error).__name__

    def start(self, snapshot: Path) -> None:
        """Have a snapshot analysed, unless that is under way or done."""
        if self.state_of(snapshot)[0] in ("computing", "done"):
            return
        with self._lock:
            try:
                self._running[snapshot] = self._open_pool().submit(_write, snapshot)
            except BrokenProcessPool:  # its process was killed, for want of memory say
                self._pool = None
                self._running[snapshot] = self._open_pool().submit(_write, snapshot)

    def _open_pool(self) -> ProcessPoolExecutor:
        if self._pool is None:
            self._pool = ProcessPoolExecutor(1, multiprocessing.get_context("spawn"))
        return self._pool

    def close(self) -> None:
        """Stop what is computed."""
        with self._lock:
            pool, self._pool = self._pool, None
        if pool is not None:
            for process in list((pool._processes or {}).values()):
                process.terminate()  # nobody waits minutes for a server to stop
            pool.shutdown(wait=True, cancel_futures=True)


def _write(snapshot: Path) -> None:
    from qingting.report.judging_files import write_analysis  # loads scipy: two seconds

    write_analysis(snapshot, analysis_folder(snapshot), seed=7, force=True)
