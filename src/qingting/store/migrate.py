"""Bringing a judging database to the newest schema, rows kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from qingting.core.errors import StoreError

if TYPE_CHECKING:
    from qingting.store.database import Database


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", "qingting.store:migrations")
    config.set_main_option("path_separator", "os")
    return config


def newest_revision() -> str:
    """Return the name of the newest schema."""
    head = ScriptDirectory.from_config(_config()).get_current_head()
    assert head is not None
    return head


def revision_of(connection: Any) -> str | None:
    """Return the schema that a database has; null where it is empty."""
    return MigrationContext.configure(connection).get_current_revision()


def upgrade(database: Database, *, revision: str = "head") -> None:
    """Bring the schema to a revision in one transaction; nothing happens if it is there.

    Raises:
        StoreError: the database has a schema that this version does not know.
    """
    with database.engine.connect() as connection:
        current = revision_of(connection)
    script = ScriptDirectory.from_config(_config())
    known = {entry.revision for entry in script.walk_revisions()}
    if current is not None and current not in known:
        raise StoreError(
            f"the database has schema {current}, which this version does not know; "
            "use the newer version of qingting that wrote it"
        )
    if current == (newest_revision() if revision == "head" else revision):
        return
    config = _config()
    with database.writing() as session:
        config.attributes["connection"] = session.connection()
        command.upgrade(config, revision)
