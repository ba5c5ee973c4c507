"""Opening a connection: find its family, check the secrets it needs, hand over to the family."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from flowfile_nb.backend import FlowfileConnection
from flowfile_nb.connections import database
from flowfile_nb.connections.spec import read_spec, secrets_in

Require = Callable[[str], None]
Reveal = Callable[[str], str]


def open_connection(description: str | Mapping[str, Any], require: Require, reveal: Reveal, *, test: bool = True) -> Any:
    """
    Return the native object for a description: a SQLAlchemy `Engine` for a database.

    Args:
        description: A URL, TOML text or its parts, with references.
        require: Raises unless a secret of that name can be used.
        reveal: Returns the value of a secret; called at each new database connection, never earlier.
        test: Whether to open it once now.

    Raises:
        ConnectionSpecError, NoSuchSecretError, MissingDriverError, ConnectionFailedError: As `flowfile_nb.connect`.
    """
    spec = read_spec(description)
    for name in secrets_in(spec):
        require(name)
    engine = database.make_engine(spec, reveal)
    if test:
        database.check(engine)
    return engine


def open_flowfile_connection(connection: FlowfileConnection, reveal_part: Reveal, *, test: bool = True) -> Any:
    """
    Return the native object for a connection that was saved in Flowfile: an `Engine`, or an fsspec filesystem.

    Args:
        connection: As Flowfile has it.
        reveal_part: Returns the value of a secret part; called at each new database connection or request, never earlier.
        test: Whether to open it once now.

    Raises:
        ConnectionSpecError, MissingDriverError, ConnectionFailedError: As `flowfile_nb.connect`.
    """
    from flowfile_nb.connections import flowfile, object_storage

    remedy = flowfile.remedy(connection)
    if connection.kind == "database":
        engine = database.make_engine(flowfile.database_spec(connection), reveal_part, remedy)
        if test:
            database.check(engine)
        return engine
    filesystem = object_storage.open_filesystem(connection, reveal_part, remedy)
    if test:
        object_storage.check(filesystem)
    return filesystem


def flowfile_target(connection: FlowfileConnection) -> str:
    """Return in a few words where a connection of Flowfile's leads, without opening it."""
    parts = connection.parts
    if connection.kind == "database":
        host = ":".join(str(parts[part]) for part in ("host", "port") if parts.get(part))
        return "/".join(str(part) for part in (parts.get("database_type"), host, parts.get("database")) if part)
    return f"{parts.get('storage_type')} {parts.get('endpoint_url') or ''}".rstrip()


def describe(connection: Any) -> str:
    """Return one line about an opened connection, such as `postgresql://app@db.example.com:5432/sales`, without values."""
    # Only what `object_storage` has made knows that; its library is not imported to ask.
    return getattr(connection, "flowfile_nb_target", None) or database.target(connection.url)


def close_connection(connection: Any) -> None:
    """Close an opened connection, and its pooled database connections."""
    if hasattr(connection, "dispose"):
        connection.dispose()
    else:
        from flowfile_nb.connections import object_storage

        object_storage.close(connection)
