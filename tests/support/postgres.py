"""A real PostgreSQL that asks for a password, for one test session."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from notebooks.throwaway import Postgres, start_postgres

HARD_PASSWORD = "p@ss:w/or d?#%\"'\\ü&=+${x}"
"""Every character that has a meaning in a URL, a DSN, TOML, a shell or SQL."""


@contextmanager
def running_postgres(password: str = HARD_PASSWORD) -> Iterator[Postgres]:
    """Start a server whose login has *password*, and stop it at the end."""
    server = start_postgres(password)
    try:
        yield server
    finally:
        server.stop()
