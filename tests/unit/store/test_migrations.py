"""A database of the first schema upgrades to the newest and keeps every row."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import JSON, BigInteger, Boolean, Float, Integer, MetaData, Table, select

from contract.postgres import postgres_server, server_programs
from qingting.core.errors import StoreError
from qingting.store.database import Database, _engine, _url_of, open_database
from qingting.store.judging_tables import Owner
from qingting.store.judging_tables import Table as Newest
from qingting.store.migrate import newest_revision, revision_of, upgrade

FIRST = "0001"


def value_of(column: Any, number: int) -> Any:
    kind = column.type
    if isinstance(kind, Boolean):
        return True
    if isinstance(kind, BigInteger | Integer):
        return number
    if isinstance(kind, Float):
        return 0.25
    if isinstance(kind, JSON):
        return {"列": [number, "值"]}
    return f"{column.name[:12]}-{number}-听"[: getattr(kind, "length", None) or 60]


def fill(database: Database) -> dict[str, list[dict[str, Any]]]:
    """Put two rows into every table of the first schema; return them."""
    metadata = MetaData()
    metadata.reflect(database.engine)
    rows: dict[str, list[dict[str, Any]]] = {}
    with database.writing() as session:
        for table in metadata.sorted_tables:
            if table.name == "alembic_version":
                continue
            for number in (1, 2):
                row = {column.name: value_of(column, number) for column in table.columns}
                session.execute(table.insert().values(row))
                rows.setdefault(table.name, []).append(row)
    return rows


def check_upgrade(address: str) -> None:
    database = Database(_engine(_url_of(address)))
    upgrade(database, revision=FIRST)
    before = fill(database)
    database.close()
    database = open_database(address)
    metadata = MetaData()
    metadata.reflect(database.engine)
    with database.reading() as session:
        for name, rows in before.items():
            table: Table = metadata.tables[name]
            found = [dict(row) for row in session.execute(select(table)).mappings()]
            assert len(found) == len(rows), name
            key = next(iter(table.primary_key.columns)).name
            by_key = {row[key]: row for row in found}
            for row in rows:
                kept = {k: v for k, v in row.items() if k in table.columns}
                assert kept.items() <= by_key[row[key]].items(), name
        # judgments of the first schema were not asked what they guess, which is not an empty guess
        asked = select(metadata.tables["judgments"].c.guess)
        assert session.execute(asked).scalars().all() == [None, None]
    with database.engine.connect() as connection:
        assert revision_of(connection) == newest_revision()
        context = MigrationContext.configure(connection)
        assert compare_metadata(context, Newest.metadata) == []
    database.close()


def test_sqlite_keeps_every_row(tmp_path: Path) -> None:
    check_upgrade(str(tmp_path / "judging.db"))


@pytest.mark.postgres
@pytest.mark.skipif(server_programs() is None, reason="PostgreSQL is not installed")
def test_postgresql_keeps_every_row() -> None:
    with postgres_server() as server:
        check_upgrade(server.address)


def test_a_file_that_is_no_database_is_said_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "notes.md"
    path.write_text("# no database\n" * 100, encoding="utf-8")
    with pytest.raises(StoreError, match="file is not a database"):
        open_database(path)


def test_a_backup_holds_what_still_stands_in_the_log(tmp_path: Path) -> None:
    database = open_database(tmp_path / "judging.db", create=True)
    assert (tmp_path / "judging.db").stat().st_mode & 0o077 == 0  # names of raters stand in it
    with database.writing() as session:
        session.add(Owner(name="王", password_hash=None))
    with database.reading() as busy:
        busy.scalars(select(Owner)).all()
        database.backup(tmp_path / "copy.db")
    database.close()
    copy = open_database(tmp_path / "copy.db")
    with copy.reading() as session:
        assert [one.name for one in session.scalars(select(Owner))] == ["王"]
    copy.close()
