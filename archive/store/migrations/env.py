"""What alembic runs: the revisions, on the connection it was given."""

from alembic import context

from archive.store.schema import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata, render_as_batch=True)
with context.begin_transaction():
    context.run_migrations()
