"""``qingting judge serve``: the web application for raters and owners."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from qingting.cli.judge_options import AsJson, DatabaseOption, opened, snapshots_folder

if TYPE_CHECKING:
    import uvicorn

    from qingting.store.database import Database
    from qingting.web.limits import Limits
    from qingting.web.settings import WebSettings


def serve(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen on.")] = 8080,
    url: Annotated[
        str | None,
        typer.Option(help="Address that people reach the server by, if it differs (https://…)."),
    ] = None,
    snapshots: Annotated[
        Path | None,
        typer.Option(
            help="Folder for snapshots. [default: snapshots/ beside the database]",
            show_default=False,
        ),
    ] = None,
    behind_proxy: Annotated[
        bool,
        typer.Option(
            "--behind-proxy",
            help="A reverse proxy stands before the server: take visitors' addresses from it.",
        ),
    ] = False,
    proxy_address: Annotated[
        str,
        typer.Option(
            help="Where that proxy stands, several by commas. Who else sends a visitor's address is "
            "not believed."
        ),
    ] = "127.0.0.1,::1",
    workers: Annotated[
        int,
        typer.Option(
            min=1,
            help="Processes that serve; more than one needs PostgreSQL. At most one per core helps.",
        ),
    ] = 1,
    database: DatabaseOption = None,
    as_json: AsJson = False,
) -> None:
    """Serve the pages and the API until it is stopped; every answer given was committed first."""
    from qingting.cli.output import print_json
    from qingting.core.errors import BusyError
    from qingting.web.limits import Limits
    from qingting.web.settings import WebSettings
    from qingting.web.workers import listen, run_workers

    shown_host = f"[{host}]" if ":" in host else host
    public = url or f"http://{shown_host}:{port}"
    with opened(database) as base, _alone(base):
        if workers > 1 and base.is_sqlite:
            raise typer.BadParameter(
                "one process serves SQLite; leave --workers out, or use PostgreSQL"
            )
        settings = WebSettings(public, snapshots_folder(snapshots, database))
        settings = replace(
            settings, max_conversations=max(1, settings.max_conversations // workers)
        )
        limits = Limits.shared() if workers > 1 else Limits.of_one_process()
        # before anything listens, so that nobody waits for it
        proxies = proxy_address if behind_proxy else None
        server = _server(base, settings, limits, proxies=proxies)
        try:
            listeners = listen(host, port, n_sockets=workers)
        except OSError as error:
            raise BusyError(
                f"{host}:{port}: {error.strerror}; choose another with --port"
            ) from None
        if as_json:
            print_json({"url": public})
        else:
            typer.echo(f"serving {public} (Ctrl-C stops)")
        if workers == 1:
            server.run(sockets=listeners)
        else:
            base.close()  # each worker opens connections of its own
            run_workers(server, listeners)


@contextmanager
def _alone(base: Database) -> Iterator[None]:
    """Keep a second server from a file of SQLite: limits and caches are those of one process."""
    from qingting.store.lock import hold_file

    if not base.is_sqlite:
        yield
        return
    path = Path(str(base.engine.url.database))
    refusal = (
        f"{path}: another server (process {{holder}}) serves this database; stop it first, or use "
        "PostgreSQL"
    )
    with hold_file(path.with_name(f"{path.name}.served"), refusal=refusal):
        yield


def _server(
    base: Database, settings: WebSettings, limits: Limits, *, proxies: str | None
) -> uvicorn.Server:
    import sys

    import uvicorn

    from qingting.web.app import create_app

    # a thread that comes back from the database waits this long for the interpreter, not 5 ms
    sys.setswitchinterval(0.0005)
    return uvicorn.Server(
        uvicorn.Config(
            create_app(base, settings, limits=limits),
            log_level="warning",
            access_log=False,  # addresses of raters and their links stay out of logs
            proxy_headers=proxies is not None,
            forwarded_allow_ips=proxies or "",
            timeout_keep_alive=75,  # longer than a judgment: a rater's connection stays open
            server_header=False,
            date_header=False,
        )
    )
