"""Alembic's entry: runs the migrations on the connection that `store.migrate` hands over, each in its own transaction."""

from alembic import context

from gleichtakt.store.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table="schema_version",
    transaction_per_migration=True,
)
with context.begin_transaction():
    context.run_migrations()
