"""What Alembic runs for a migration: on the connection, and in the transaction, that it is given."""

from __future__ import annotations

from typing import Any

from alembic import context

from flowfile_nb.broker.migrations import TABLE
from flowfile_nb.broker.tables import metadata


def run(connection: Any) -> None:
    """Run the steps that are missing."""
    context.configure(connection=connection, target_metadata=metadata, version_table=TABLE, render_as_batch=True)
    context.run_migrations()


# Only Alembic gives it; whoever else imports this file runs nothing.
if (config := getattr(context, "config", None)) is not None:
    run(config.attributes["connection"])
