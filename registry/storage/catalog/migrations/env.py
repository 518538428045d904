"""Alembic's entry point: runs on the connection that `Database.open` hands over, never on one of its own."""

from alembic import context

from registry.storage.catalog.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata, render_as_batch=True)
with context.begin_transaction():
    context.run_migrations()
