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
READING, WRITING, NOTHING = "reading", "writing", "nothing"
"""How a transaction begins: for one state of the store, alone in writing, or not: each statement is one by itself."""
_BEGINS = {
    "sqlite": {READING: "BEGIN", WRITING: "BEGIN IMMEDIATE"},
    "postgresql": {READING: "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", WRITING: "BEGIN"},
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
    """
    Return an engine for an address of `address_of`; nothing is connected yet.

    How a transaction begins is said by the execution option `begin` of its connection; `READING`, if it is not given.
    """
    # `hide_parameters`: what is stored never stands in an error.
    options: dict[str, Any] = {"hide_parameters": True, "pool_size": 10, "max_overflow": 20}
    if url.get_backend_name() == "sqlite":
        engine = sqlalchemy.create_engine(url, connect_args={"timeout": _BUSY_MS / 1000}, **options)
        event.listen(engine, "connect", _prepare_sqlite)
    else:
        # Drivers would begin transactions by themselves, also round a single statement: a wait before it and one after it.
        options |= {"isolation_level": "AUTOCOMMIT", "connect_args": _LINE}
        # Windows has no `poll`.
        engine = sqlalchemy.create_engine(url, pool_pre_ping=sys.platform == "win32", **options)
        if sys.platform != "win32":
            event.listen(engine, "checkout", _look_at_line)
    begins = _BEGINS[engine.dialect.name]

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        begin = connection.get_execution_options().get("begin", READING)
        if begin != NOTHING:
            connection.exec_driver_sql(begins[begin])

    return engine


def _prepare_sqlite(connection: Any, _: Any) -> None:
    # Python's sqlite3 would begin transactions by itself, and too late: at the first write.
    connection.isolation_level = None
    for pragma in ("journal_mode = WAL", "secure_delete = ON", "foreign_keys = ON", "trusted_schema = OFF"):
        connection.execute(f"PRAGMA {pragma}")


def _look_at_line(connection: Any, *_: Any) -> None:
    """Refuse a connection of the pool that is lost, without asking the server: that would be a wait in each use."""
    # On a line that was closed, or is lost (by `_LINE` the system knows), there is something to read; on an idle one not.
    if not connection.closed:
        looked = select.poll()
        looked.register(connection.fileno(), select.POLLIN)
        if not looked.poll(0):
            return
    # The pool takes another one, or connects anew.
    raise sqlalchemy.exc.DisconnectionError
