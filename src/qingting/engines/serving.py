"""A model server of one's own: started, proven, and gone when the block ends.

``with serve(checkpoint) as served:`` owns the process, its group, its port, its log and its
health. The socket is opened here and inherited, so the port is the one that was asked for or an
error, and nobody can take it in between. The child ends with its owner, however that ends: it
watches a pipe that only the owner holds.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import orjson

from qingting.core import errors
from qingting.core.errors import EngineError, QingtingError
from qingting.engines.hardware import Device, Precision, resolve_device, resolve_precision
from qingting.engines.launch import environment
from qingting.engines.openai_compatible import ChatEndpoint
from qingting.engines.protocol import Runtime
from qingting.engines.serving_protocol import Limits, ServerJob

_SHOWN_LOG_LINES = 3


class PortError(EngineError):
    """The port that was asked for cannot be had."""


class Served(NamedTuple):
    """A server that answered for itself."""

    base_url: str
    model: str
    pid: int
    port: int
    log: Path
    fingerprint: str
    api_key: str | None
    process: subprocess.Popen[bytes]

    def chat(self, *, timeout_s: float = 60.0) -> ChatEndpoint:
        """Return a client of this server."""
        return ChatEndpoint(self.base_url, self.model, api_key=self.api_key, timeout_s=timeout_s)


@contextmanager
def serve(
    checkpoint: Path,
    *,
    model: str | None = None,
    host: str = "127.0.0.1",
    port: int = 0,
    api_key: str | None = None,
    limits: Limits | None = None,
    device: Device | None = None,
    precision: Precision | None = None,
    n_threads: int = 1,
    log: Path | None = None,
    start_timeout_s: float = 600.0,
    on_event: Callable[[dict[str, Any]], None] | None = None,
) -> Iterator[Served]:
    """Yield a running server of one model; it is stopped when the block ends.

    Args:
        checkpoint: Folder of a complete model.
        model: The name that clients ask for; the folder's where None.
        host: Address to listen on.
        port: 0 takes a free one.
        api_key: What clients must send, where not None.
        limits: Bounds; the usual ones where None.
        device: The GPU where there is one, where None.
        precision: What the hardware multiplies fastest, where None.
        n_threads: Threads that compute.
        log: File for the log; a temporary one, removed at the end, where None.
        start_timeout_s: How long loading may take.
        on_event: Told of ``loading``.

    Raises:
        PortError: The port is taken, or the address not this machine's.
        QingtingError: The model cannot be served; says why.
    """
    limits = limits or Limits.model_validate({})
    where = device or resolve_device()
    runtime = Runtime(
        device=where, precision=precision or resolve_precision(where), n_threads=n_threads
    )
    with contextlib.ExitStack() as stack:
        if log is None:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="qingting-serve-"))
            log = Path(folder) / "serve.log"
        listening = stack.enter_context(_listen(host, port))
        bound: int = listening.getsockname()[1]
        job = ServerJob(
            checkpoint=str(checkpoint),
            model=model or checkpoint.resolve().name,
            runtime=runtime,
            limits=limits,
            socket=listening.fileno(),
            log=str(log),
            instance=secrets.token_hex(8),
            api_key=api_key,
        )
        child = _Child(job, log)
        stack.callback(child.stop, limits.drain_s + 5.0)
        listening.close()  # the child's copy is the only one: without a child nobody listens
        ready = child.wait_until_ready(start_timeout_s, on_event)
        shown = f"[{host}]" if ":" in host else host
        reached = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, shown)
        served = Served(
            f"http://{reached}:{bound}/v1",
            job.model,
            int(ready["pid"]),
            bound,
            log,
            str(ready["fingerprint"]),
            api_key,
            child.process,
        )
        _prove(served, job.instance)
        yield served


def _listen(host: str, port: int) -> socket.socket:
    """Return a listening socket on exactly this address."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen(2048)
    except (OSError, OverflowError) as error:
        listening.close()
        reason = getattr(error, "strerror", None) or str(error)
        raise PortError(
            f"{host}:{port}: {reason.lower()}; choose another with --port (0 takes a free one)"
        ) from None
    return listening


class _Child:
    """The server process: told its job, listened to, and stopped with everything it started."""

    def __init__(self, job: ServerJob, log: Path) -> None:
        self._log = log
        self._ended = threading.Condition()
        self._events: list[dict[str, Any]] = []
        self._is_silent = False
        with _errors_of_log(log), log.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "qingting.engines.native.server"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=output,
                env=environment(job.runtime.n_threads),
                pass_fds=[job.socket],
                start_new_session=True,
            )
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # noticed when its events end
            self.process.stdin.write(job.model_dump_json().encode() + b"\n")
            self.process.stdin.flush()
        threading.Thread(target=self._listen, daemon=True).start()

    def wait_until_ready(
        self, timeout_s: float, on_event: Callable[[dict[str, Any]], None] | None
    ) -> dict[str, Any]:
        """Return the event that says the model is loaded."""
        deadline = time.monotonic() + timeout_s
        seen = 0
        while True:
            with self._ended:
                if len(self._events) == seen and not self._is_silent:
                    self._ended.wait(max(0.0, deadline - time.monotonic()))
                new, is_silent = self._events[seen:], self._is_silent
            seen += len(new)
            for event in new:
                if event["event"] == "ready":
                    return event
                if event["event"] == "failed":
                    raise _error(event)
                if on_event is not None:
                    on_event(event)
            if not new and is_silent:
                raise EngineError(f"the server ended while it started{self._last_words()}")
            if not new:
                raise EngineError(f"the model was not loaded within {timeout_s:g} s")

    def stop(self, grace_s: float) -> None:
        """End the process: let answers end for a while, then kill its group."""
        if self.process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                self.process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(grace_s)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        with contextlib.suppress(BrokenPipeError):
            if self.process.stdin is not None:
                self.process.stdin.close()

    def _listen(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as lines:
            for line in lines:
                with self._ended:
                    self._events.append(orjson.loads(line))
                    self._ended.notify_all()
        with self._ended:
            self._is_silent = True
            self._ended.notify_all()

    def _last_words(self) -> str:
        try:
            lines = self._log.read_text(errors="replace").strip().splitlines()
        except OSError:
            return ""
        return f"; its last words: {' | '.join(lines[-_SHOWN_LOG_LINES:])}" if lines else ""


@contextmanager
def _errors_of_log(log: Path) -> Iterator[None]:
    """Turn a log file that cannot be written into one line."""
    try:
        yield
    except OSError as error:
        if error.filename is None or Path(os.fsdecode(error.filename)) != log:
            raise
        raise EngineError(f"{log}: the log cannot be written ({error.strerror})") from None


def _error(event: dict[str, Any]) -> QingtingError:
    kind = getattr(errors, str(event["error"]), EngineError)
    if not (isinstance(kind, type) and issubclass(kind, QingtingError)):
        kind = EngineError
    error: QingtingError = kind(event["message"])
    return error


def _prove(served: Served, instance: str) -> None:
    """Check that the process that was started is the one that answers."""
    try:
        with httpx.Client(timeout=10.0, trust_env=False) as client:
            record = client.get(served.base_url.removesuffix("/v1") + "/health").json()
    except (httpx.HTTPError, ValueError) as error:
        raise EngineError(
            f"{served.base_url}: the server started and does not answer ({type(error).__name__})"
        ) from None
    if record.get("instance") != instance:
        raise EngineError(f"{served.base_url}: another server answers there")
