"""Starting jobs from the outside: a fork server for CPU, a fresh process for everything else."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from threading import Event, Lock, Thread
from typing import Any, NamedTuple

import orjson

from qingting.core import errors
from qingting.core.errors import EngineError, QingtingError
from qingting.engines.protocol import AnyJob
from qingting.engines.worker import Request

_POLL_S = 0.05


class JobOutcome(NamedTuple):
    """What a finished job says, and what it cost."""

    result: Mapping[str, Any]
    resolved: Mapping[str, Any]
    """The fields of the job's ``resolved`` event: settings as they were."""
    wall_s: float
    cpu_s: float
    peak_memory_bytes: int


class _Ended(NamedTuple):
    status: int
    wall_s: float
    cpu_s: float
    peak_memory_bytes: int


def environment(n_threads: int) -> dict[str, str]:
    """Return the environment of workers: offline, quiet, one pool of threads."""
    threads = str(n_threads)
    return {
        **os.environ,
        "OMP_NUM_THREADS": threads,
        "MKL_NUM_THREADS": threads,
        "OPENBLAS_NUM_THREADS": threads,
        "TOKENIZERS_PARALLELISM": "false",
        "HF_HUB_OFFLINE": "1",
        "TRANSFORMERS_OFFLINE": "1",
        "TRANSFORMERS_VERBOSITY": "error",
        "TRANSFORMERS_NO_ADVISORY_WARNINGS": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "PYTHONHASHSEED": "0",
        "CUBLAS_WORKSPACE_CONFIG": ":4096:8",
        "JE_ARROW_MALLOC_CONF": "background_thread:false",  # forking wants one thread
    }


class _Server:
    """One fork server: its process, and the jobs that it was given and has not ended yet."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "qingting.engines.host"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
            start_new_session=True,
        )
        self._lock = Lock()
        self._next = 0
        self._waiting: dict[int, tuple[Event, list[_Ended]]] = {}
        self._is_over = False
        self._ready = Event()
        Thread(target=self._listen, daemon=True).start()

    def submit(self, request: Request) -> _End | None:
        """Hand over a job once the imports are done; None where the server is gone."""
        self._ready.wait()
        done, ended = Event(), list[_Ended]()
        with self._lock:
            if self._is_over:
                return None
            self._waiting[self._next] = (done, ended)
            message = {"id": self._next, "request": request.model_dump()}
            self._next += 1
            assert self.process.stdin is not None
            with contextlib.suppress(BrokenPipeError):  # the listener notices, and ends the job
                self.process.stdin.write(orjson.dumps(message) + b"\n")
                self.process.stdin.flush()
        return _End(done, ended)

    def close(self) -> None:
        """Kill the server and all its workers."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        with contextlib.suppress(BrokenPipeError):  # what it was told and never read
            if self.process.stdin is not None:
                self.process.stdin.close()

    def _listen(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as answers:
            for line in answers:
                message = orjson.loads(line)
                if "ready" in message:
                    self._ready.set()
                elif "status" in message:
                    with self._lock:
                        done, ended = self._waiting.pop(message["id"])
                    ended.append(_Ended(*(message[name] for name in _Ended._fields)))
                    done.set()
        with self._lock:
            self._is_over = True
            for done, _ in self._waiting.values():
                done.set()
        self._ready.set()


class Launcher:
    """Runs jobs in worker processes; one instance for a run, closed at its end.

    ``run`` may be called from several threads at once. A worker dies with the *thread* that
    started it, so call ``warm`` in the main thread; the threads of an executor live as long as
    the launcher, too.
    """

    def __init__(self, *, n_threads: int = 1, fork: bool = True) -> None:
        self._environment = environment(n_threads)
        self._fork = fork and sys.platform == "linux"
        self._server: _Server | None = None
        self._lock = Lock()
        self._fresh: set[subprocess.Popen[bytes]] = set()
        self._is_closed = False

    def warm(self) -> None:
        """Start the fork server, if this launcher uses one; its imports go on in the background."""
        with self._lock:
            if self._fork and self._server is None and not self._is_closed:
                self._server = _Server(self._environment)

    def run(
        self,
        engine: str,
        job: AnyJob,
        *,
        attempt: Path,
        listener: Callable[[dict[str, Any]], None],
    ) -> JobOutcome:
        """Run one job to its end; events go to ``listener`` as they come.

        Raises:
            QingtingError: the class that the worker named, with its message.
        """
        request = Request(
            engine=engine,
            job=str(attempt / "job.json"),
            events=str(attempt / "events.jsonl"),
            log=str(attempt / "worker.log"),
        )
        Path(request.job).write_bytes(job.model_dump_json().encode())
        Path(request.events).write_bytes(b"")  # an earlier job of this attempt may have failed
        forked = self._fork and job.runtime.device == "cpu"
        end = self._run_forked(request) if forked else self._run_fresh(request, attempt)
        failure: dict[str, Any] | None = None
        resolved: dict[str, Any] = {}
        for event in _follow(Path(request.events), end):
            if event["event"] == "failed":
                failure = event
            else:
                if event["event"] == "resolved":
                    resolved = {name: value for name, value in event.items() if name != "event"}
                listener(event)
        ended = end.value
        if failure is not None:
            raise _error(failure)
        result = Path(job.output, "result.json")
        if ended.status != 0 or not result.is_file():
            raise EngineError(_death(ended.status, attempt / "worker.log"))
        return JobOutcome(
            orjson.loads(result.read_bytes()),
            resolved,
            ended.wall_s,
            ended.cpu_s,
            ended.peak_memory_bytes,
        )

    def close(self) -> None:
        """End every worker at once; what they did so far is safe on disk."""
        with self._lock:
            self._is_closed = True
            server, fresh = self._server, list(self._fresh)
        if server is not None:
            server.close()
        for process in fresh:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)

    def _run_forked(self, request: Request) -> _End:
        """Hand a job to the fork server; one that died under us is started again once."""
        for _ in range(2):
            self.warm()
            server = self._server
            end = server.submit(request) if server is not None else None
            if end is not None:
                return end
            with self._lock:
                if self._server is server and server is not None:
                    server.close()
                    self._server = None
        raise EngineError("the fork server died twice before it could take this job")

    def _run_fresh(self, request: Request, attempt: Path) -> _End:
        path = attempt / "request.json"
        path.write_bytes(request.model_dump_json().encode())
        began = time.monotonic()
        with self._lock:  # together, so that ``close`` misses no process
            if self._is_closed:
                raise EngineError("the run is being ended")
            process = subprocess.Popen(
                [sys.executable, "-m", "qingting.engines.worker", str(path)],
                stdin=subprocess.DEVNULL,
                env=self._environment,
                start_new_session=True,
            )
            self._fresh.add(process)
        done, ended = Event(), list[_Ended]()

        def wait() -> None:
            _, status, usage = os.wait4(process.pid, 0)  # this child's own peak, not the largest
            process.returncode = os.waitstatus_to_exitcode(status)
            scale = 1 if sys.platform == "darwin" else 1024
            ended.append(
                _Ended(
                    process.returncode,
                    time.monotonic() - began,
                    usage.ru_utime + usage.ru_stime,
                    usage.ru_maxrss * scale,
                )
            )
            with self._lock:
                self._fresh.discard(process)
            done.set()

        Thread(target=wait, daemon=True).start()
        return _End(done, ended)


class _End:
    """The end of a worker, waited for by its event file's reader."""

    def __init__(self, done: Event, ended: list[_Ended]) -> None:
        self.done = done
        self._ended = ended

    @property
    def value(self) -> _Ended:
        if not self._ended:
            return _Ended(-signal.SIGKILL, 0.0, 0.0, 0)
        return self._ended[0]


def _follow(path: Path, end: _End) -> Any:
    """Yield the events of a file while it grows, until its worker has ended."""
    with path.open("rb") as file:
        pending = b""
        while True:
            over = end.done.wait(_POLL_S)
            *lines, pending = (pending + file.read()).split(b"\n")
            for line in lines:
                yield orjson.loads(line)
            if over:
                return


def _error(failure: Mapping[str, Any]) -> QingtingError:
    kind = getattr(errors, str(failure["error"]), EngineError)
    if not (isinstance(kind, type) and issubclass(kind, QingtingError)):
        kind = EngineError
    error: QingtingError = kind(failure["message"])
    if failure.get("traceback"):
        error.add_note(failure["traceback"])
    return error


def _death(status: int, log: Path) -> str:
    try:
        tail = log.read_text(errors="replace").strip().splitlines()[-1:]
    except OSError:
        tail = []
    last = f"; its last words: {tail[0]}" if tail else ""
    if status < 0:
        name = signal.Signals(-status).name
        hint = " (often the system's answer to memory running out)" if name == "SIGKILL" else ""
        return f"the worker was ended by {name}{hint}{last}"
    return f"the worker ended with status {status} and no result{last}"
