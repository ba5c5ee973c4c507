"""The steps of the store's tables, by Alembic. A step never changes once it was released."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, inspect, text

from flowfile_nb.errors import MissingDriverError, StoreError

HEAD = "0002"
"""The newest step."""
TABLE = "nb_alembic_version"
"""Beside Flowfile's own `alembic_version`, which its catalog has."""


def version(connection: Connection) -> str | None:
    """
    Return the step at which the store is; None for one without our tables.

    Raises:
        StoreError: If a newer version of this package has written it.
    """
    if not inspect(connection).has_table(TABLE):
        return None
    step = connection.execute(text(f"SELECT version_num FROM {TABLE}")).scalar()  # noqa: S608 - a constant
    if step is not None and step > HEAD:
        raise StoreError(
            "a newer version of flowfile_nb has written the broker's store", hint="pip install -U 'flowfile-nb[team]'"
        )
    return None if step is None else str(step)


def upgrade(connection: Connection) -> None:
    """
    Bring the store to the newest step, inside the caller's transaction.

    Raises:
        StoreError: As `version`.
        MissingDriverError: If Alembic, or what it needs, is not installed; nothing is changed then.
    """
    if version(connection) == HEAD:
        # Another process was first.
        return
    try:
        from alembic import command
        from alembic.config import Config
    except ModuleNotFoundError as error:
        raise MissingDriverError(
            f"the broker needs the library {error.name}", hint="pip install 'flowfile-nb[team]'  in the broker's environment"
        ) from None

    config = Config()
    # Not `set_main_option`: in that a `%` of a path would mean something.
    config.attributes["connection"] = connection
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    command.upgrade(config, "head")
