"""The judging database: SQLite beside the study, or PostgreSQL by its address.

SQLite runs with a write-ahead log, one writer at a time and ``synchronous=FULL``: what is
acknowledged was committed and survives the loss of the process, and of the machine as far as its
disk keeps its word.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
from sqlalchemy import Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DatabaseError
from sqlalchemy.orm import Session

from qingting.core.errors import StoreError

BUSY_TIMEOUT_S = 15


@dataclass(frozen=True)
class Database:
    """An open database. ``reading()`` and ``writing()`` each give one transaction."""

    engine: Engine
    _reader: Engine | None = field(default=None, repr=False)
    """With connections of its own that never open a transaction; None: there are no others."""
    _writer: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @property
    def is_sqlite(self) -> bool:
        """Return whether the database is a file of SQLite."""
        return self.engine.dialect.name == "sqlite"

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """Yield a session to read with; nothing that is done in it is kept.

        SQLite shows one moment throughout; PostgreSQL each statement's own, which spares the two
        round trips of a transaction.
        """
        engine = self._reader or self.engine
        with Session(engine, expire_on_commit=False, autoflush=False) as session:
            yield session

    @contextmanager
    def writing(self, *, sees_one_moment: bool = False) -> Iterator[Session]:
        """Yield a session that is committed at the end, or rolled back on an error.

        With ``sees_one_moment`` what others commit meanwhile stays unseen, on PostgreSQL too; for
        work that reads much and changes nothing that others change.

        With SQLite writers take turns within the process and ``BEGIN IMMEDIATE`` makes them take
        turns with other processes, so that a transaction never fails half-way for want of the lock.
        """
        if not self.is_sqlite:
            engine = self.engine
            if sees_one_moment:
                engine = engine.execution_options(isolation_level="REPEATABLE READ")
            with Session(engine, expire_on_commit=False) as session, session.begin():
                yield session
            return
        with self._writer, Session(self.engine, expire_on_commit=False) as session:
            session.connection(execution_options={"qingting_writes": True})
            try:
                yield session
                session.commit()
            except BaseException:
                session.rollback()
                raise

    @contextmanager
    def alone_on(self, table: type[Any], identity: int) -> Iterator[None]:
        """Keep others who ask the same away from a row meanwhile; rows that refer to it may come.

        SQLite lets one writer in anyway.
        """
        if self.is_sqlite:
            yield
            return
        with Session(self.engine) as session, session.begin():
            session.get(table, identity, with_for_update={"key_share": True})
            yield

    def backup(self, into: Path) -> None:
        """Write a copy of one moment, while others go on writing; SQLite only.

        A plain copy of the file lacks what still stands in its write-ahead log.

        Raises:
            StoreError: the database is a server's, which has tools of its own.
        """
        if not self.is_sqlite:
            raise StoreError("back a PostgreSQL database up with pg_dump")
        with self.engine.connect() as connection:
            connection.exec_driver_sql("COMMIT")  # of the transaction that connecting begins
            connection.exec_driver_sql("VACUUM INTO ?", (str(into),))
            connection.exec_driver_sql("BEGIN")
        into.chmod(0o600)

    def close(self) -> None:
        """Close every connection."""
        for engine in filter(None, (self.engine, self._reader)):
            engine.dispose()


def open_database(address: str | Path, *, create: bool = False) -> Database:
    """Return the database at a path (SQLite) or an address such as ``postgresql://…``.

    Its schema is brought to the newest; rows are kept (see ``store/migrations``).

    Args:
        create: whether a new SQLite file may be made.

    Raises:
        StoreError: there is no such file, no such server, or the schema is from a later version.
    """
    from qingting.store.migrate import upgrade

    url = _url_of(address)
    if url.get_backend_name() == "sqlite" and url.database not in (None, "", ":memory:"):
        path = Path(str(url.database))
        if not create and not path.is_file():
            raise StoreError(f"{path}: no such database; `qingting judge create` makes one")
        path.parent.mkdir(parents=True, exist_ok=True)
        if create and not path.exists():
            path.touch(mode=0o600)  # it holds names of raters
    engine = _engine(url)
    database = Database(engine, _reader_of(url))
    try:
        upgrade(database)
    except DatabaseError as error:  # no server, no rights, or a file that is no database
        database.close()
        where = url.render_as_string(hide_password=True)
        raise StoreError(f"{where}: {str(error.orig).splitlines()[0]}") from None
    except BaseException:
        database.close()
        raise
    return database


def shown_address(address: str | Path) -> str:
    """Return an address as messages may show it: without its password."""
    text = str(address)
    return _url_of(text).render_as_string(hide_password=True) if "://" in text else text


def _url_of(address: str | Path) -> Any:
    text = str(address)
    if "://" not in text:
        return make_url(f"sqlite:///{text}")
    try:
        url = make_url(text)
    except ArgumentError:
        raise StoreError(
            "not an address of a database; write a path or postgresql://user@host/name"
        ) from None
    if url.get_backend_name() == "postgresql" and "+" not in url.drivername:
        url = url.set(drivername="postgresql+psycopg")
    if url.get_backend_name() not in ("sqlite", "postgresql"):
        raise StoreError(f"{url.drivername}: not supported; use SQLite or PostgreSQL")
    return url


_POOL: dict[str, Any] = {
    "pool_size": 10,
    "max_overflow": 10,
    "pool_recycle": 1800,
    "json_deserializer": orjson.loads,
}
"""Of a server's connections."""


def _reader_of(url: Any) -> Engine | None:
    if url.get_backend_name() != "postgresql":
        return None
    # nothing to roll back when a connection returns, and no mode to change when it is taken
    return create_engine(url, isolation_level="AUTOCOMMIT", pool_reset_on_return=None, **_POOL)


def _engine(url: Any) -> Engine:
    if url.get_backend_name() == "postgresql":
        try:
            return create_engine(url, **_POOL)
        except ModuleNotFoundError:
            raise StoreError("PostgreSQL needs psycopg: pip install 'qingting[postgres]'") from None
    engine = create_engine(
        url,
        connect_args={"timeout": BUSY_TIMEOUT_S},
        pool_size=20,
        json_deserializer=orjson.loads,
    )

    @event.listens_for(engine, "connect")
    def _configure(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # the driver would begin transactions behind our back
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Any) -> None:
        writes = connection.get_execution_options().get("qingting_writes", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine
