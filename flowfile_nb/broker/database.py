"""The broker's database: SQLite in its own directory, or a PostgreSQL that several replicas share."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import sqlalchemy
from sqlalchemy import Connection, Engine, select, text, update
from sqlalchemy.dialects import postgresql, sqlite

from flowfile_nb.broker import tables
from flowfile_nb.broker.changes import CHANNEL, Changes
from flowfile_nb.broker.store_engine import NOTHING, READING, WRITING, address_of, engine_for, make_private_file
from flowfile_nb.broker.write_turns import WriteTurns
from flowfile_nb.errors import BrokerError, FlowfileNbError, StoreError
from flowfile_nb.storage.lock import exclusive
from flowfile_nb.storage.private_files import make_private_directory

POLICY = "policy"
"""The fact that counts changes of what is allowed."""
# Any number does that nobody else takes as an advisory lock in the same database.
_MIGRATION_LOCK = 7_205_311_006
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


class Store:
    """
    An open store; its methods may be called from any thread.

    Every statement stands in a transaction: `reading` for what only looks, `writing` for what changes something, `asking` and
    `noting` for what is one statement. Errors of the database become BrokerError there, without their text: that can hold a
    row's values or the store's own address.
    """

    def __init__(self, engine: Engine, directory: str) -> None:
        self._engine = engine
        self.directory = directory
        self.changes = Changes(engine)
        self._turns = WriteTurns()

    def __repr__(self) -> str:
        return f"<Store on {self._engine.dialect.name}>"

    @property
    def place(self) -> str:
        """Where it is, to be read: a file's path, or a server's database without the login."""
        url = self._engine.url
        return url.database or "" if self.is_sqlite else f"postgresql://{url.host or 'localhost'}/{url.database or ''}"

    @property
    def is_sqlite(self) -> bool:
        """Whether the store is a file of this host."""
        return self._engine.dialect.name == "sqlite"

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Give a connection in a transaction that sees one state of the store."""
        with _translated(), self._engine.connect() as connection:
            yield connection.execution_options(begin=READING)

    @contextmanager
    def writing(self, *, policy: bool = False, first: bool = False) -> Iterator[Connection]:
        """
        Give a connection in a transaction that is alone in writing, and commit it at the end of the block.

        Args:
            policy: Whether what is allowed changes: all replicas ask anew then what still is.
            first: Whether it goes before what waits to be written: something is taken back.
        """
        with self._turns.turn(first=first), _translated(), self._engine.connect() as connection:
            if self.is_sqlite:
                _driver_of(connection).execute("PRAGMA synchronous = FULL")
            with connection.execution_options(begin=WRITING).begin():
                if policy and not self.is_sqlite:
                    # One change of policy at a time: two that each look first and then write could both find an owner left.
                    connection.execute(select(tables.facts).where(tables.facts.c.name == POLICY).with_for_update())
                yield connection
                if policy:
                    self._count_change(connection)
        if policy:
            self.changes.tell()

    @contextmanager
    def asking(self) -> Iterator[Connection]:
        """Give a connection on which each statement is a transaction by itself: one wait for the store and not three."""
        with _translated(), self._engine.connect() as connection:
            yield connection.execution_options(begin=NOTHING)

    @contextmanager
    def noting(self) -> Iterator[Connection]:
        """Give a connection as `asking`, for a note of a use: that need not be on disk if this host stops."""
        with self._turns.turn() if self.is_sqlite else nullcontext(), self.asking() as connection:
            if self.is_sqlite:
                _driver_of(connection).execute("PRAGMA synchronous = NORMAL")
            yield connection

    def fact(self, connection: Connection, name: str) -> str | None:
        """Return a fact of the store as a whole."""
        return connection.execute(select(tables.facts.c.fact).where(tables.facts.c.name == name)).scalar()

    def settle_fact(self, name: str, fact: str) -> str:
        """Keep a fact if there is none of that name yet, and return the one that is kept."""
        with self.reading() as connection:
            known = self.fact(connection, name)
        if known is None:
            with self.writing() as connection:
                connection.execute(insert(connection, tables.facts).values(name=name, fact=fact).on_conflict_do_nothing())
                known = self.fact(connection, name)
        assert known is not None
        return known

    def close(self) -> None:
        """Close all connections and stop listening for changes."""
        self.changes.close()
        self._engine.dispose()

    def _count_change(self, connection: Connection) -> None:
        counted = tables.facts.c.fact.cast(sqlalchemy.BigInteger) + 1
        connection.execute(
            update(tables.facts).where(tables.facts.c.name == POLICY).values(fact=counted.cast(sqlalchemy.String))
        )
        if not self.is_sqlite:
            # Sent with the commit, and only then.
            connection.execute(text(f"NOTIFY {CHANNEL}"))


def insert(connection: Connection, table: sqlalchemy.Table) -> Any:
    """Return an INSERT that can say `on_conflict_do_nothing` and `on_conflict_do_update`, which is each database's own."""
    return (sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert)(table)


def findable(name: str) -> str:
    """Return a name to look for: for one that no text column can hold, one that nothing is called."""
    return "\x01" if _UNSTORABLE.search(name) else name


def storable(text: str) -> str:
    """Return *text* as every database can hold it: without NUL and without halves of surrogate pairs."""
    return _UNSTORABLE.sub("\ufffd", text)


def open_store(url: str, directory: str) -> Store:
    """
    Open the broker's store, and make or migrate its tables. Any number of processes may do that at once.

    Args:
        url: `sqlite` for `team.db` in *directory*, a `sqlite:///PATH`, or `postgresql://…`.
        directory: The broker's own, made 0700 where it is not there.

    Raises:
        StoreError: If it cannot be opened, its file can be read by others or is Flowfile's own, or a newer version has written
            it. The message has no part of *url*.
    """
    _require_not_flowfiles(url, directory)
    make_private_directory(directory)
    target = address_of(f"sqlite:///{os.path.join(directory, 'team.db')}" if url == "sqlite" else url)
    if target.get_backend_name() == "sqlite":
        make_private_file(target.database)
    engine = engine_for(target)
    store = Store(engine, directory)
    try:
        if store.is_sqlite:
            # Several processes that switch a new file to WAL at once do not wait for each other.
            with exclusive(os.path.join(directory, "team.lock")):
                _migrate(engine)
        else:
            _migrate(engine)
    except StoreError:
        store.close()
        raise
    except sqlalchemy.exc.SQLAlchemyError:
        store.close()
        raise StoreError(
            "the broker's store cannot be opened",
            hint="check that the database is up, that its address and login are right, and that the login may make tables",
        ) from None
    return store


def _require_not_flowfiles(given: str, directory: str) -> None:
    """Refuse Flowfile's own catalog: it would get tables that Flowfile does not know, and that its migrations may undo."""
    from flowfile_nb.broker.importing import is_flowfiles

    path = given
    if given.startswith("sqlite:"):
        try:
            path = sqlalchemy.make_url(given).database or ""
        except sqlalchemy.exc.ArgumentError:
            return
    if os.path.isfile(path) and is_flowfiles(path):
        raise StoreError(
            f"{path} is Flowfile's own catalog: the broker keeps tables beside it that Flowfile would not know",
            hint=f"python -m flowfile_nb serve --directory '{directory}' --import '{path}'   copies its users, groups, shares"
            " and secrets into a store of the broker's own, and changes nothing there; then serve without --store",
        )


def _migrate(engine: Engine) -> None:
    from flowfile_nb.broker.migrations import HEAD, upgrade, version

    with engine.connect() as connection:
        if version(connection) == HEAD:
            return
    with engine.connect() as connection, connection.execution_options(begin=WRITING).begin():
        if engine.dialect.name != "sqlite":
            connection.execute(text(f"SELECT pg_advisory_xact_lock({_MIGRATION_LOCK})"))
        upgrade(connection)


def _driver_of(connection: Connection) -> Any:
    """Return the driver's connection, for what SQLite does not take inside a transaction."""
    return connection.connection.driver_connection


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except FlowfileNbError:
        raise
    except sqlalchemy.exc.SQLAlchemyError:
        raise BrokerError(
            "the broker's store did not do what was asked; nothing was changed",
            hint="try again; if it stays so, the broker's administrator looks whether its database is up and has room",
        ) from None
