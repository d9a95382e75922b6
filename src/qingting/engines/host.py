"""The fork server: imports torch once, then forks one worker a job.

Reads requests as JSON Lines on stdin (``{"id", "request"}``), answers on stdout: ``{"ready"}`` when
the imports are done, ``{"started", "pid"}`` and ``{"id", "status", "cpu_s", "wall_s",
"peak_memory_bytes"}`` for each job. Ends, with all its workers, when stdin closes or its parent
dies. Single-threaded while it forks: a lock held by another thread at a fork is held for ever.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import time
import traceback

import orjson

from qingting.engines.native.warm import warm
from qingting.engines.worker import Request, end_with_parent, redirect_output, run


def main() -> int:
    """Serve until stdin closes."""
    end_with_parent()
    warm()
    answers = os.dup(1)
    os.dup2(2, 1)  # what a library prints must not look like an answer
    _refuse_threads()
    wake_read, wake_write = os.pipe()
    os.set_blocking(wake_write, False)
    signal.set_wakeup_fd(wake_write)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the runner decides when to end
    running: dict[int, tuple[int, float]] = {}
    _answer(answers, {"ready": True})
    pending = b""
    while True:
        readable, _, _ = select.select([0, wake_read], [], [])
        if wake_read in readable:
            os.read(wake_read, 4096)
            _reap(answers, running)
        if 0 in readable:
            received = os.read(0, 1 << 16)
            if not received:
                _end(running)
                return 0
            *lines, pending = (pending + received).split(b"\n")
            for line in lines:
                _start(answers, orjson.loads(line), running, close=(wake_read, wake_write, answers))


def _refuse_threads() -> None:
    tasks = "/proc/self/task"
    if os.path.isdir(tasks) and len(os.listdir(tasks)) > 1:
        raise RuntimeError(
            f"{len(os.listdir(tasks))} threads run after the imports; forking is unsafe"
        )


def _answer(descriptor: int, message: dict[str, object]) -> None:
    os.write(descriptor, orjson.dumps(message) + b"\n")


def _start(
    answers: int,
    message: dict[str, object],
    running: dict[int, tuple[int, float]],
    *,
    close: tuple[int, ...],
) -> None:
    request = Request.model_validate_json(orjson.dumps(message["request"]))
    identity = message["id"]
    assert isinstance(identity, int)
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            end_with_parent()
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            for descriptor in close:
                os.close(descriptor)
            os.close(0)
            os.open(os.devnull, os.O_RDONLY)
            redirect_output(request.log)
            status = run(request)
        except BaseException:  # a fork must never return into the server's loop
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)
    running[pid] = (identity, time.monotonic())
    _answer(answers, {"started": identity, "pid": pid})


def _reap(answers: int, running: dict[int, tuple[int, float]]) -> None:
    while running:
        try:
            pid, status, usage = os.wait4(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        identity, began = running.pop(pid)
        scale = 1 if sys.platform == "darwin" else 1024
        _answer(
            answers,
            {
                "id": identity,
                "status": os.waitstatus_to_exitcode(status),
                "cpu_s": usage.ru_utime + usage.ru_stime,
                "wall_s": time.monotonic() - began,
                "peak_memory_bytes": usage.ru_maxrss * scale,
            },
        )


def _end(running: dict[int, tuple[int, float]]) -> None:
    for pid in running:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main())
