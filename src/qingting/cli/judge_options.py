"""Options that the commands of judging share."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from qingting.store.database import Database

DATABASE_VARIABLE = "QINGTING_DATABASE"
DEFAULT_DATABASE = "judging/judging.db"

DatabaseOption = Annotated[
    str | None,
    typer.Option(
        "--database",
        help=f"File (SQLite) or postgresql:// address; by default ${DATABASE_VARIABLE}, else "
        f"{DEFAULT_DATABASE}. Keep passwords in the variable.",
    ),
]
StudyOption = Annotated[
    str | None,
    typer.Option("--study", help="Name of the study, where the database holds several."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


@contextmanager
def opened(given: str | None, *, create: bool = False) -> Iterator[Database]:
    """Yield the judging database that an option, the variable or the default names."""
    from qingting.store.database import open_database

    address = given or os.environ.get(DATABASE_VARIABLE) or DEFAULT_DATABASE
    database = open_database(address, create=create)
    try:
        yield database
    finally:
        database.close()
