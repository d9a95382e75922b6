"""``qingting judge owner``: who may run studies."""

from __future__ import annotations

from typing import Annotated

import typer

from qingting.cli.judge_options import AsJson, DatabaseOption, opened
from qingting.cli.output import print_json

app = typer.Typer(no_args_is_help=True)


@app.command("add")
def add(
    name: Annotated[str, typer.Argument(help="Name to sign in with.")],
    password: Annotated[
        bool,
        typer.Option("--password", help="Ask for a password; without it, one-time links sign in."),
    ] = False,
    database: DatabaseOption = None,
    as_json: AsJson = False,
) -> None:
    """Add an owner. There is no default owner and no default password."""
    from qingting.judging.owners import add_owner

    secret = (
        typer.prompt("Password", hide_input=True, confirmation_prompt=True) if password else None
    )
    with opened(database, create=True) as base, base.writing() as session:
        add_owner(session, name, password=secret)
    if as_json:
        print_json({"owner": name, "has_password": password})
    else:
        typer.echo(f"owner {name} added")


@app.command("link")
def link(
    name: Annotated[
        str | None, typer.Argument(help="Owner; the only one where none is named.")
    ] = None,
    url: Annotated[
        str, typer.Option(help="Address that people reach the server by.")
    ] = "http://127.0.0.1:8080",
    database: DatabaseOption = None,
    as_json: AsJson = False,
) -> None:
    """Print a link that signs an owner in once, within half an hour."""
    from qingting.judging.owners import find_owner, new_link
    from qingting.judging.tokens import now_ms

    with opened(database) as base, base.writing() as session:
        secret = new_link(session, find_owner(session, name), at_ms=now_ms())
    address = f"{url.rstrip('/')}/owner/link/{secret}"
    if as_json:
        print_json({"link": address})
    else:
        typer.echo(address)
