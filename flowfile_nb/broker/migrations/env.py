"""What Alembic runs for a migration: on the connection, and in the transaction, that it is given."""

from __future__ import annotations

from alembic import context

from flowfile_nb.broker.migrations import TABLE
from flowfile_nb.broker.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table=TABLE,
    render_as_batch=True,
)
context.run_migrations()
