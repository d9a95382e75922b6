"""The server process: one thread answers HTTP, one computes.

Started by :mod:`qingting.engines.serving`, which hands over the listening socket and one line of
JSON on stdin. Events go to stdout as JSON Lines: ``loading``, then ``ready`` or ``failed``. The
process ends at SIGTERM, when the answers under way have ended or had their time, and at once when
its stdin closes, which is when whoever started it is gone.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import logging.handlers
import os
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

import orjson
import uvicorn

from qingting.core.errors import ModelError, QingtingError
from qingting.engines.native.server_answers import Mailbox
from qingting.engines.native.server_api import create_app
from qingting.engines.native.server_service import Loaded, Service, Speech, Speeches
from qingting.engines.native.server_text import TextLayout
from qingting.engines.serving_protocol import Limits, ServerJob

_LOG_BYTES = 1 << 20
_SPARE_CONNECTIONS = 1000
"""Connections beyond those that are answered or wait: idle ones, and requests being read."""
_SWITCH_INTERVAL_S = 0.0005
"""How long one thread may keep the interpreter from the other: the usual 5 ms are a token's time."""

_SAMPLE = 64
"""Elements of each tensor that enter a model's fingerprint."""

logger = logging.getLogger("qingting.serve")


class WordlessFormatter(logging.Formatter):
    """Formats exceptions by kind and place alone: their messages may quote what people wrote."""

    def formatException(  # noqa: N802 (the name that logging calls)
        self,
        ei: tuple[type[BaseException], BaseException, TracebackType | None]
        | tuple[None, None, None],
    ) -> str:
        """Return where an exception came from, and its class."""
        kind, _, at = ei
        frames = "".join(traceback.format_tb(at)).rstrip()
        return f"{frames}\n{kind.__name__ if kind else 'no exception'}"


class _Server(uvicorn.Server):
    """A server that leaves signals to its owner."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def main() -> int:
    """Serve until told to stop; return the exit status."""
    job = ServerJob.model_validate_json(sys.stdin.buffer.readline())
    threading.Thread(target=_end_with_owner, daemon=True).start()
    events = os.dup(1)
    os.dup2(2, 1)  # what a library prints must not look like an event
    sys.setswitchinterval(_SWITCH_INTERVAL_S)
    _log_to(Path(job.log))

    def emit(name: str, **fields: Any) -> None:
        os.write(events, orjson.dumps({"event": name, **fields}) + b"\n")

    emit("loading", pid=os.getpid())
    return asyncio.run(_serve(job, emit))


async def _serve(job: ServerJob, emit: Any) -> int:
    loop = asyncio.get_running_loop()
    service = Service(job.model, job.limits, instance=job.instance, api_key=job.api_key)
    mailbox = Mailbox(loop)
    config = uvicorn.Config(
        create_app(service, lambda: mailbox),
        log_config=None,
        access_log=False,
        lifespan="off",
        ws="none",
        http="h11",
        loop="asyncio",
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=int(job.limits.drain_s) + 2,
        limit_concurrency=job.limits.n_slots + job.limits.n_waiting + _SPARE_CONNECTIONS,
    )
    server = _Server(config)
    status = 0

    def stop() -> None:
        server.force_exit = service.state == "ending"  # told twice: at once
        service.state, server.should_exit = "ending", True
        if service.loaded is not None:
            loop.call_later(job.limits.drain_s, service.loaded.scheduler.close)

    def fail() -> None:
        nonlocal status
        status = 1
        service.state, server.should_exit = "failed", True

    for one in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(one, stop)

    def compute() -> None:
        try:
            loaded = load(job)
        except QingtingError as error:
            emit("failed", error=type(error).__name__, message=str(error))
            loop.call_soon_threadsafe(fail)
            return
        except Exception as error:  # the process's boundary: a bug keeps its traceback
            logger.exception("the model could not be loaded")
            emit("failed", error="EngineError", message=f"{type(error).__name__}: {error}")
            loop.call_soon_threadsafe(fail)
            return
        service.loaded = loaded
        if service.state == "loading":
            service.state = "ready"
        emit("ready", model=job.model, pid=os.getpid(), fingerprint=loaded.fingerprint)
        loaded.scheduler.run()

    worker = threading.Thread(target=compute, daemon=True)
    worker.start()
    with socket.socket(fileno=job.socket) as listening:
        await server.serve(sockets=[listening])
    if service.loaded is not None:
        service.loaded.scheduler.close()
        await asyncio.to_thread(worker.join, 5.0)
    logger.info("stopped")
    return status


def load(job: ServerJob) -> Loaded:
    """Return the model of a job, ready to answer; imports torch.

    Raises:
        QingtingError: It cannot be served; says why.
    """
    from qingting.engines.native.batching import Scheduler
    from qingting.engines.native.batching_rows import rows_for
    from qingting.engines.native.loading import DTYPES, load_model, memory_errors, prepare
    from qingting.models.templates import max_positions

    folder = Path(job.checkpoint)
    device = prepare(job.runtime)
    speeches = _speeches(folder)
    with memory_errors("loading the model"):
        model = load_model(folder, device=device, dtype=DTYPES[job.runtime.precision])
        pad_id = (speeches.chat or speeches.text).template.pad_id  # type: ignore[union-attr]
        rows, reason = rows_for(model, job.limits.n_slots, pad_id)
    if reason is not None:
        logger.warning("%s: %s", type(model).__name__, reason)
    positions = max_positions(model.config.to_dict())
    limits: Limits = job.limits
    context = min(limits.context, positions) if positions else limits.context
    scheduler = Scheduler(rows, n_slots=limits.n_slots, n_waiting=limits.n_waiting)
    logger.info(
        "%s on %s in %s, context %d, %d slots",
        type(model).__name__,
        job.runtime.device,
        job.runtime.precision,
        context,
        limits.n_slots,
    )
    return Loaded(scheduler, speeches, context, _fingerprint(model))


def _speeches(folder: Path) -> Speeches:
    """Return how words become tokens for dialogues and for texts, at least one of them."""
    from qingting.models.chat import ChatTemplate
    from qingting.models.templates import TextTemplate

    problems = []
    chat, text = None, None
    try:
        one = ChatTemplate.load(folder)
        chat = Speech(one, TextLayout.of_chat(one.tokenizer, one.stop_ids))
    except ModelError as error:
        problems.append(error)
    try:
        other = TextTemplate.load(folder, "generation")
        text = Speech(other, TextLayout.of_text(other.tokenizer, other.stop_ids))
    except ModelError as error:
        problems.append(error)
    if chat is None and text is None:
        raise problems[0]
    return Speeches(chat, text)


def _fingerprint(model: Any) -> str:
    """Return a digest of a model's weights, from some elements of every tensor."""
    import torch

    digest = hashlib.sha256(type(model).__name__.encode())
    for name, parameter in sorted(model.named_parameters()):
        flat = parameter.detach().flatten()
        places = torch.linspace(0, flat.numel() - 1, min(_SAMPLE, flat.numel()), device=flat.device)
        sample = flat[places.long()].float().cpu().numpy()
        digest.update(f"{name}{tuple(parameter.shape)}".encode() + sample.tobytes())
    return f"fp_{digest.hexdigest()[:16]}"


def _log_to(path: Path) -> None:
    """Send log lines to a file that is started anew at 1 MiB, the one before it kept."""
    handler = logging.handlers.RotatingFileHandler(
        path, maxBytes=_LOG_BYTES, backupCount=1, encoding="utf-8"
    )
    handler.setFormatter(WordlessFormatter("%(asctime)s %(levelname)s %(message)s"))
    logging.getLogger().addHandler(handler)
    logging.getLogger("qingting.serve").setLevel(logging.INFO)


def _end_with_owner() -> None:
    """End this process when its stdin closes: the owner is gone, in whatever way."""
    while sys.stdin.buffer.read(1):
        pass
    os._exit(0)


if __name__ == "__main__":
    status = main()
    logging.shutdown()
    os._exit(status)  # a thread may still be loading; it has nothing to put in order
