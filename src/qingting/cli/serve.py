"""``qingting serve``: a model behind an OpenAI-compatible address until it is told to stop."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NoReturn

import typer

from qingting.core.errors import EngineError

if TYPE_CHECKING:
    from qingting.engines.serving import Served

_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_POLL_S = 0.2


def serve(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL",
            help="A model that ships, a folder, a hub id that was fetched; or an arm: WORK/ARM.",
            show_default=False,
        ),
    ],
    arm: Annotated[
        str | None, typer.Option(help="MODEL is an experiment's work folder: serve this arm.")
    ] = None,
    revision: Annotated[str | None, typer.Option(help="Revision of a hub model.")] = None,
    name: Annotated[
        str | None, typer.Option(help="What clients call it. [default: its own name]")
    ] = None,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one.")
    ] = 8000,
    api_key: Annotated[
        str | None,
        typer.Option(envvar="QINGTING_API_KEY", help="What clients must send.", show_default=False),
    ] = None,
    device: Annotated[
        Literal["auto", "cpu", "cuda"], typer.Option(help="Where it computes.")
    ] = "auto",
    precision: Annotated[
        Literal["auto", "fp32", "bf16", "fp16"], typer.Option(help="In what it computes.")
    ] = "auto",
    threads: Annotated[int, typer.Option(min=1, help="Threads that compute.")] = 1,
    slots: Annotated[int, typer.Option(min=1, max=256, help="Answers written at once.")] = 8,
    queue: Annotated[
        int, typer.Option(min=0, max=10_000, help="Requests that wait; more are refused.")
    ] = 64,
    context: Annotated[
        int, typer.Option(min=2, help="Tokens of prompt and answer, if the model can.")
    ] = 4096,
    max_tokens: Annotated[int, typer.Option(min=1, help="Most tokens of one answer.")] = 1024,
    log: Annotated[
        Path | None, typer.Option(help="Log file, without what anybody said. [default: none]")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Say when it is ready as one line of JSON.")
    ] = False,
) -> None:
    """Serve a model to any OpenAI client, answering several at once; Ctrl-C ends it."""
    from qingting.engines.serving import serve as serve_model
    from qingting.engines.serving_checkpoints import find_checkpoint
    from qingting.engines.serving_protocol import Limits

    found = find_checkpoint(model, arm=arm, revision=revision)
    limits = Limits(n_slots=slots, n_waiting=queue, context=context, max_new_tokens=max_tokens)
    if host not in _LOOPBACK and api_key is None:
        _say(f"{host} is open to others and asks for no key; set one with QINGTING_API_KEY")
    signal.signal(signal.SIGTERM, _end)
    try:
        with serve_model(
            found.folder,
            model=name or found.name,
            host=host,
            port=port,
            api_key=api_key,
            limits=limits,
            device=None if device == "auto" else device,
            precision=None if precision == "auto" else precision,
            n_threads=threads,
            log=log,
            on_event=lambda _: _say(f"loading {found.folder}"),
        ) as served:
            _announce(served, as_json=as_json)
            _wait(served)
    except _EndedError:
        _say("stopped")
    except KeyboardInterrupt:
        _say("stopped")
        raise typer.Exit(130) from None


class _EndedError(BaseException):
    """SIGTERM came."""


def _end(*_: Any) -> NoReturn:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # a second one must not stop the stopping
    raise _EndedError


def _announce(served: Served, *, as_json: bool) -> None:
    if as_json:
        import orjson

        record = {
            "event": "ready",
            "url": served.base_url,
            "model": served.model,
            "pid": served.pid,
            "port": served.port,
            "fingerprint": served.fingerprint,
        }
        typer.echo(orjson.dumps(record).decode())
    else:
        typer.echo(f"{served.model}: {served.base_url}")
    sys.stdout.flush()


def _wait(served: Served) -> None:
    import subprocess

    while True:
        try:
            status = served.process.wait(_POLL_S)
        except subprocess.TimeoutExpired:
            continue
        raise EngineError(
            f"the server ended by itself (status {status}); run it with --log to see why"
        )


def _say(message: str) -> None:
    print(f"qingting: {message}", file=sys.stderr, flush=True)
