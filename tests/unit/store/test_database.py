"""The judging database: transactions, refusals, and a schema that grows with its rows kept."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import select, text

from qingting.core.errors import StoreError
from qingting.store.database import open_database
from qingting.store.judging_tables import Owner, Table
from qingting.store.migrate import newest_revision, revision_of


def test_a_new_database_has_the_schema_of_the_tables(tmp_path: Path) -> None:
    database = open_database(tmp_path / "new" / "judging.db", create=True)
    with database.engine.connect() as connection:
        assert revision_of(connection) == newest_revision()
        context = MigrationContext.configure(connection)
        assert compare_metadata(context, Table.metadata) == []
    database.close()


def test_a_database_that_does_not_exist_is_not_made_by_accident(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no such database"):
        open_database(tmp_path / "none.db")
    assert not (tmp_path / "none.db").exists()


def test_an_address_of_another_kind_is_refused() -> None:
    with pytest.raises(StoreError, match="use SQLite or PostgreSQL"):
        open_database("mysql://host/name")


def test_a_later_schema_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "judging.db"
    database = open_database(path, create=True)
    with database.writing() as session:
        session.execute(text("update alembic_version set version_num = '9999'"))
    database.close()
    with pytest.raises(StoreError, match="schema 9999, which this version does not know"):
        open_database(path)


def test_an_error_rolls_a_transaction_back(tmp_path: Path) -> None:
    database = open_database(tmp_path / "judging.db", create=True)
    with pytest.raises(KeyError), database.writing() as session:
        session.add(Owner(name="a", password_hash=None))
        session.flush()
        raise KeyError
    with database.reading() as session:
        assert session.scalars(select(Owner)).all() == []
    database.close()


def test_writers_take_turns_and_none_is_told_that_the_database_is_locked(tmp_path: Path) -> None:
    path = tmp_path / "judging.db"
    open_database(path, create=True).close()
    # two openings stand for two processes: the lock within one does not help them
    databases = [open_database(path) for _ in range(2)]
    with databases[0].writing() as session:
        session.add(Owner(name="counter", password_hash="0"))
    failures: list[BaseException] = []

    def count(place: int) -> None:
        try:
            for _ in range(25):
                with databases[place % 2].writing() as session:
                    owner = session.scalars(select(Owner)).one()
                    owner.password_hash = str(int(owner.password_hash or 0) + 1)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=count, args=(place,)) for place in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    with databases[1].reading() as session:
        assert session.scalars(select(Owner)).one().password_hash == "200"
    for database in databases:
        database.close()
