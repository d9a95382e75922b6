"""Options that the commands of judging share."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from qingting.judging.run_studies import StudyPlace
    from qingting.store.database import Database

DATABASE_VARIABLE = "QINGTING_DATABASE"
DEFAULT_DATABASE = "judging/judging.db"
RUN_DATABASE = "judging.db"
"""Name of the database in the work folder of an experiment with `judging`."""
SNAPSHOTS = "snapshots"

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


def place_of_run(work: Path, given: str | None) -> StudyPlace:
    """Return where the study of a run lives, as option, variable or else the work folder say."""
    from qingting.judging.run_studies import StudyPlace
    from qingting.store.database import shown_address

    in_variable = os.environ.get(DATABASE_VARIABLE)
    address = given or in_variable or str(work / RUN_DATABASE)
    snapshots = snapshots_beside(address) or work / SNAPSHOTS
    # commands find a database in the variable without being told
    is_told = given is not None or not in_variable
    option = f"--database {shlex.quote(shown_address(address))}" if is_told else ""
    return StudyPlace(address, snapshots, option)


def snapshots_beside(address: str) -> Path | None:
    """Return the folder of snapshots beside a database file; None where it is a server's."""
    return None if "://" in address else Path(address).parent / SNAPSHOTS


def snapshots_folder(out: Path | None, database: str | None) -> Path:
    """Return where snapshots go: as asked for, else beside the database."""
    if out is not None:
        return out
    address = database or os.environ.get(DATABASE_VARIABLE) or DEFAULT_DATABASE
    return snapshots_beside(address) or Path(DEFAULT_DATABASE).parent / SNAPSHOTS


def refuse_withdrawn(snapshot: Path, given: str | None) -> None:
    """Raise where a database at hand knows that a snapshot holds data of someone who withdrew.

    Looked at: the database of the option, the variable, the default, or the one beside the folder
    of snapshots. A copy of a snapshot elsewhere does not carry the mark that its folder got.

    Raises:
        DataError: the snapshot is superseded.
    """
    from qingting.judging.snapshot import digest_in, refuse_superseded

    address = given or os.environ.get(DATABASE_VARIABLE)
    if address is None:
        beside = snapshot.resolve().parent.parent / RUN_DATABASE
        found = next((one for one in (Path(DEFAULT_DATABASE), beside) if one.is_file()), None)
        if found is None:
            return
        address = str(found)
    with opened(address) as database:
        refuse_superseded(database, digest_in(snapshot))


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
