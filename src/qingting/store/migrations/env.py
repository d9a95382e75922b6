"""What alembic runs: the steps, within the transaction that the caller opened."""

from alembic import context

from qingting.store.judging_tables import Table

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Table.metadata,
    render_as_batch=True,
    transactional_ddl=False,
)
context.run_migrations()
