"""Run by Alembic: migrates on the connection, and in the transaction, of `migrate.py`."""

from alembic import context

from bouncer.store.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transactional_ddl=True,  # all or nothing, on SQLite too
)
context.run_migrations()
