"""Runs the migrations of the catalogue on the connection it is handed; see `penstock.catalogue.migrate`."""

from alembic import context

from penstock.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,  # SQLite cannot alter a column in place
)
with context.begin_transaction():
    context.run_migrations()
