"""``qingting judge serve``: the web application for raters and owners."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from qingting.cli.judge_options import AsJson, DatabaseOption, opened, snapshots_folder


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
    database: DatabaseOption = None,
    as_json: AsJson = False,
) -> None:
    """Serve the pages and the API until it is stopped; every answer given was committed first."""
    import socket
    import sys

    import uvicorn

    from qingting.cli.output import print_json
    from qingting.core.errors import BusyError
    from qingting.web.app import create_app
    from qingting.web.settings import WebSettings

    shown_host = f"[{host}]" if ":" in host else host
    public = url or f"http://{shown_host}:{port}"
    with opened(database) as base:
        settings = WebSettings(public, snapshots_folder(snapshots, database))
        config = uvicorn.Config(
            create_app(base, settings),
            host=host,
            port=port,
            log_level="warning",
            access_log=False,  # addresses of raters and their links stay out of logs
            proxy_headers=behind_proxy,
            forwarded_allow_ips="*" if behind_proxy else "",
            timeout_keep_alive=75,  # longer than a judgment: a rater's connection stays open
            server_header=False,
            date_header=False,
        )
        # named as TCP, for asyncio turns off Nagle's delay (40 ms a page) on such sockets only
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
        except OSError as error:
            listener.close()
            raise BusyError(
                f"{host}:{port}: {error.strerror}; choose another with --port"
            ) from None
        listener.listen(2048)
        if as_json:
            print_json({"url": public})
        else:
            typer.echo(f"serving {public} (Ctrl-C stops)")
        # a thread that comes back from the database waits this long for the interpreter, not 5 ms
        sys.setswitchinterval(0.0005)
        with listener:
            uvicorn.Server(config).run(sockets=[listener])
