"""Opening a connection: find its family, check the secrets it needs, hand over to the family."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

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


def describe(connection: Any) -> str:
    """Return one line about an opened connection, such as `postgresql://app@db.example.com:5432/sales`, without values."""
    return database.target(connection.url)
