"""Where the broker's store is, and how its connections behave: SQLite in a file, or a PostgreSQL."""

from __future__ import annotations

import os
import select
import stat
import sys
from typing import Any

import sqlalchemy
from sqlalchemy import Connection, Engine, event

from flowfile_nb.errors import StoreError

_BUSY_MS = 15_000
# A line that is lost without a word is known for that after ten seconds: whoever listens on it would hear nothing for ever.
_LINE = {
    "connect_timeout": 10,
    "keepalives_idle": 4,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}
_DRIVERS = {"sqlite": "sqlite", "postgresql": "postgresql+psycopg", "postgres": "postgresql+psycopg"}


def address_of(given: str) -> sqlalchemy.URL:
    """
    Return an address with the driver that the broker takes for it.

    Raises:
        StoreError: If it is none, or of another kind of database. The message has no part of it.
    """
    try:
        url = sqlalchemy.make_url(given)
        driver = _DRIVERS[url.get_backend_name()]
    except (sqlalchemy.exc.ArgumentError, ValueError, KeyError):
        raise StoreError(
            "the address of the broker's store is not one that is understood",
            hint="--store sqlite   or   --store postgresql://user@host/database   (its password in PGPASSWORD or ~/.pgpass)",
        ) from None
    return url.set(drivername=driver)


def make_private_file(path: str | None) -> None:
    """Make the database's file 0600 from its first moment; refuse one that others can read."""
    if not path or path == ":memory:" or path.startswith("file:"):
        raise StoreError("the broker's store must be a file", hint="--store sqlite:////var/lib/flowfile-nb/team.db")
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    except FileExistsError:
        mode = stat.S_IMODE(os.stat(path).st_mode)
        if sys.platform != "win32" and mode & 0o077:
            raise StoreError(
                f"{path} can be read by others on this host (mode {mode:04o})", hint=f"chmod 600 '{path}'"
            ) from None
    except OSError as error:
        raise StoreError(f"cannot make {path}: {error.strerror}", hint="make its folder writable for the broker") from None


def engine_for(url: sqlalchemy.URL) -> Engine:
    """Return an engine for an address of `address_of`; nothing is connected yet."""
    # `hide_parameters`: what is stored never stands in an error.
    sizes = {"hide_parameters": True, "pool_size": 10, "max_overflow": 20}
    if url.get_backend_name() == "sqlite":
        return _as_we_use_sqlite(sqlalchemy.create_engine(url, connect_args={"timeout": _BUSY_MS / 1000}, **sizes))
    if sys.platform == "win32":
        return sqlalchemy.create_engine(url, connect_args=_LINE, pool_pre_ping=True, **sizes)
    return _without_lost_lines(sqlalchemy.create_engine(url, connect_args=_LINE, **sizes))


def _as_we_use_sqlite(engine: Engine) -> Engine:
    @event.listens_for(engine, "connect")
    def _connect(connection: Any, _: Any) -> None:
        # Python's sqlite3 would begin transactions by itself, and too late: at the first write.
        connection.isolation_level = None
        for pragma in ("journal_mode = WAL", "secure_delete = ON", "foreign_keys = ON", "trusted_schema = OFF"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        # None where each statement is a transaction by itself.
        if (begin := connection.get_execution_options().get("begin", "BEGIN")) is not None:
            connection.exec_driver_sql(begin)

    return engine


def _without_lost_lines(engine: Engine) -> Engine:
    """Have a connection of the pool looked at before it is used, without asking the server: that is a wait in each use."""

    @event.listens_for(engine, "checkout")
    def _checkout(connection: Any, record: Any, _: Any) -> None:
        # On a line that was closed, or is lost (by `_LINE` the system knows), there is something to read; on an idle one not.
        if connection.closed or _says_something(connection):
            # The pool takes another one, or connects anew.
            raise sqlalchemy.exc.DisconnectionError

    return engine


def _says_something(connection: Any) -> bool:
    looked = select.poll()
    looked.register(connection.fileno(), select.POLLIN)
    return bool(looked.poll(0))
