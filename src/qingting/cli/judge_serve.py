"""``qingting judge serve``: the web application for raters and owners."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from qingting.cli.judge_options import AsJson, DatabaseOption, opened

_SNAPSHOTS = Path("judging/snapshots")


def serve(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen on.")] = 8080,
    url: Annotated[
        str | None,
        typer.Option(help="Address that people reach the server by, if it differs (https://…)."),
    ] = None,
    snapshots: Annotated[Path, typer.Option(help="Folder for snapshots.")] = _SNAPSHOTS,
    behind_proxy: Annotated[
        bool,
        typer.Option(
            "--behind-proxy",
            help="A reverse proxy stands before the server: take visitors' addresses from it.",
        ),
    ] = False,
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
    import sys

    import uvicorn

    from qingting.cli.output import print_json
    from qingting.core.errors import BusyError
    from qingting.web.app import create_app
    from qingting.web.limits import Limits
    from qingting.web.settings import WebSettings
    from qingting.web.workers import listen, run_workers

    shown_host = f"[{host}]" if ":" in host else host
    public = url or f"http://{shown_host}:{port}"
    with opened(database) as base:
        settings = WebSettings(public, snapshots)
        if workers > 1 and base.is_sqlite:
            raise typer.BadParameter(
                "SQLite is served by one process; leave --workers out, or use PostgreSQL"
            )
        limits = Limits.shared() if workers > 1 else Limits.of_one_process()

        def server() -> uvicorn.Server:
            # a thread that comes back from the database waits this long for the interpreter, not
            # 5 ms
            sys.setswitchinterval(0.0005)
            return uvicorn.Server(
                uvicorn.Config(
                    create_app(base, settings, limits=limits),
                    host=host,
                    port=port,
                    log_level="warning",
                    access_log=False,  # addresses of raters and their links stay out of logs
                    proxy_headers=behind_proxy,
                    forwarded_allow_ips="*" if behind_proxy else "",
                    timeout_keep_alive=75,  # longer than a judgment: a connection stays open
                    server_header=False,
                    date_header=False,
                )
            )

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
            server().run(sockets=listeners)
        else:
            base.close()  # each worker opens connections of its own
            run_workers(server, listeners)
        for listener in listeners:
            listener.close()
