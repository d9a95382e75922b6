"""The inside of a worker process: one job in, events out, the result file last.

Run by the fork server (``host.py``) in a fork of a warmed process, or as
``python -m qingting.engines.worker REQUEST`` in a fresh one (GPU jobs; systems without fork).
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import signal
import sys
import threading
import time
import traceback
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from typing import Any

import orjson

from qingting.core.errors import EngineError, QingtingError
from qingting.engines.protocol import JOB
from qingting.spec.base import Frozen
from qingting.store.atomic import CURES, storage_errors, write_bytes

ENGINES = MappingProxyType({"native": "qingting.engines.native.jobs:JOBS"})
"""Engine name → where its table of job functions stands."""


NO_ROOM = os.strerror(errno.ENOSPC)


class Request(Frozen):
    """What a worker is started with: the job file and where to write events and output."""

    engine: str
    job: str
    events: str
    log: str


def end_with_parent() -> None:
    """Make this process die when its parent does.

    On Linux the kernel sees to it; elsewhere a thread looks once a second.
    """
    parent = os.getppid()
    if sys.platform == "linux":
        pr_set_pdeathsig = 1
        ctypes.CDLL(None, use_errno=True).prctl(pr_set_pdeathsig, signal.SIGKILL)
    else:

        def watch() -> None:
            while os.getppid() == parent:
                time.sleep(1.0)
            os._exit(1)

        threading.Thread(target=watch, daemon=True).start()
    if os.getppid() != parent:  # it died before we asked
        os._exit(1)


def run(request: Request) -> int:
    """Do one job; return the exit status. Everything that happened is in the event file."""
    events = os.open(request.events, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)

    def emit(event: str, /, **fields: Any) -> None:
        line = orjson.dumps({"event": event, **fields}, option=orjson.OPT_SERIALIZE_NUMPY)
        os.write(events, line + b"\n")

    try:
        job = JOB.validate_json(Path(request.job).read_bytes())
        with storage_errors(Path(job.output), only_full=True):
            result = _function(request.engine, job.kind)(job, emit)
        write_bytes(
            Path(job.output, "result.json"),
            orjson.dumps(result, option=orjson.OPT_INDENT_2 | orjson.OPT_SERIALIZE_NUMPY),
        )
    except QingtingError as error:
        emit("failed", error=type(error).__name__, message=str(error))
        return 1
    except MemoryError as error:
        emit("failed", error="OutOfMemoryError", message=f"out of memory: {error}")
        return 1
    except Exception as error:  # the worker's boundary: a bug keeps its traceback
        if NO_ROOM in str(error):  # safetensors wraps the system's refusal in an error of its own
            emit("failed", error="StoreError", message=f"{job.output}: {CURES[errno.ENOSPC]}")
            return 1
        traceback.print_exc()
        emit(
            "failed",
            error="EngineError",
            message=f"{type(error).__name__}: {error}",
            traceback=traceback.format_exc(),
        )
        return 1
    finally:
        os.close(events)
    return 0


def _function(engine: str, kind: str) -> Any:
    """Return the function that does one kind of job for one engine."""
    try:
        module, table = ENGINES[engine].split(":")
        place = getattr(import_module(module), table)[kind]
    except KeyError:
        raise EngineError(f"engine {engine!r} does no job of kind {kind!r}") from None
    module, name = place.split(":")
    return getattr(import_module(module), name)


def redirect_output(log: str) -> None:
    """Send what libraries print, on both streams, to a log file."""
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.close(descriptor)


def main() -> int:
    """Run the request whose file is the only argument."""
    end_with_parent()
    request = Request.model_validate_json(Path(sys.argv[1]).read_bytes())
    redirect_output(request.log)
    with contextlib.suppress(KeyboardInterrupt):
        return run(request)
    return 130


if __name__ == "__main__":
    sys.exit(main())
