"""
Which of the two databases holds the secrets, opened: Flowfile's catalog where there is one, our own where not.

It is asked anew at each call, so a Flowfile that is installed while a kernel runs is found, and our rows move over to it.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from typing import TYPE_CHECKING, Any

from flowfile_nb.errors import StoreError
from flowfile_nb.storage.alone import Alone, Writing
from flowfile_nb.storage.database import (
    FOREIGN,
    connect,
    create_database,
    damaged,
    has_table,
    is_current,
    store_error,
    translated,
)
from flowfile_nb.storage.migrations import schema_version
from flowfile_nb.storage.paths import Paths
from flowfile_nb.storage.private_files import make_private_directory

if TYPE_CHECKING:
    from threading import RLock

    from flowfile_nb.storage.lock import Lock
else:
    # The same lock; the module `threading`, as those that only writing needs, would be a fiftieth of a cold read.
    from _thread import RLock


# To look which database is active is an eighth of a warm read: in a loop it is asked now and then.
_MOMENT_S = 0.002


class ActiveDatabase:
    """
    The connection to the database that holds the secrets now.

    Args:
        paths: Where the databases are, or would be. Nothing is created before the first write.
    """

    def __init__(self, paths: Paths) -> None:
        self._paths = paths
        # Flowfile cannot read a key in the OS keychain: its catalog is left alone then.
        self._candidates = (paths.database,) if paths.keychain else (paths.catalog, paths.database)
        self._process, self._process_mutex = os.getpid(), RLock()
        self._connection: sqlite3.Connection | None = None
        self._open_file: tuple[int, str, int, int] | None = None
        self.fresh_until = 0.0
        self.is_alone = False
        """Whether who holds `mutex` holds the store's lock, too."""
        self._lock: Lock | None = None
        self._inherited: list[sqlite3.Connection] = []
        self.has_shares = False
        """Whether it has the table that shares secrets with groups."""

    @property
    def location(self) -> str | None:
        """Its path, or None if there is none yet."""
        with self.reading():
            return self._open_file[1] if self._open_file else None

    @property
    def recent_location(self) -> str | None:
        """`location` as of `recent`."""
        with self.mutex:
            try:
                self.recent()
            except FOREIGN as error:
                raise self.error(error) from None
            return self._open_file[1] if self._open_file else None

    def close(self) -> None:
        """Close it; the next call opens it again."""
        with self.mutex:
            if self._connection is not None:
                self._connection.close()
            self._connection = self._open_file = None
            self.fresh_until = 0.0

    @property
    def mutex(self) -> RLock:
        """Held while the connection is in use: by one thread at a time, which may take it again."""
        if self._process != os.getpid():
            # In a forked child the parent's may be held for ever by a thread that is not here.
            self._process, self._process_mutex = os.getpid(), RLock()
            self.fresh_until = 0.0  # the connection is the parent's
            self.is_alone, self._lock = False, None  # so is the lock
        return self._process_mutex

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection | None]:
        """The database that holds the secrets now, to read, or None where there is none yet."""
        with self.mutex:
            try:
                yield self.current()
            except FOREIGN as error:
                raise self.error(error) from None

    def alone(self, *, wait: bool = True) -> Alone:
        """
        Hold the store's lock: no other process of ours writes rows or changes the key meanwhile.

        Without *wait* the block runs at once, and is told whether it holds the lock.
        """
        return Alone(self, wait=wait)

    def writing(self) -> Writing:
        """The database that holds the secrets now, made where there is none, to write while no other process does."""
        return Writing(self)

    def take_lock(self, *, wait: bool) -> Lock:
        """Wait for the store's lock, or only try to get it; the folder is made where there is none."""
        if self._lock is None:
            # Imported here: only writing needs it.
            from flowfile_nb.storage.lock import Lock

            make_private_directory(self._paths.directory)
            self._lock = Lock(self._paths.lock)
        try:
            self.is_alone = self._lock.acquire(wait=wait)
        except StoreError:
            # Its folder was there when this process wrote first.
            make_private_directory(self._paths.directory)
            self.is_alone = self._lock.acquire(wait=wait)
        # What another process did while it had the lock is seen.
        self.fresh_until = 0.0
        return self._lock

    def made(self) -> sqlite3.Connection:
        """Return the connection to our own database, made now."""
        create_database(self._paths.database)
        db = self.current()
        assert db is not None
        return db

    @contextmanager
    def ours(self, *, create: bool = False) -> Iterator[sqlite3.Connection | None]:
        """Our own database, whichever holds the secrets; None where there is none yet, unless *create* makes it."""
        if create:
            with self.alone():
                create_database(self._paths.database)
        with self.mutex, translated(self._paths.database):
            if self._connection is not None and self.current() is self._connection and not self.in_catalog:
                yield self._connection
            elif not os.path.exists(self._paths.database):
                yield None
            else:
                db = connect(self._paths.database)
                try:
                    yield db if has_table(db, "nb_facts") else None
                finally:
                    db.close()

    @contextmanager
    def beside(self, db: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
        """Our own database inside of `writing`: *db* itself, and so the same transaction, where that holds the secrets."""
        if self.one_database:
            yield db
        else:
            with translated(self._paths.database):
                create_database(self._paths.database)
                ours = connect(self._paths.database)
                try:
                    yield ours
                finally:
                    ours.close()

    @property
    def one_database(self) -> bool:
        """Whether our own database holds the secrets, too."""
        return not self.in_catalog

    @property
    def has_ours(self) -> bool:
        """Whether our own database was ever made."""
        return os.path.exists(self._paths.database)

    def error(self, error: Exception) -> StoreError:
        """Return our error for one of SQLite's."""
        return store_error(self._paths.catalog if self.in_catalog else self._paths.database, error)

    @property
    def in_catalog(self) -> bool:
        """Whether Flowfile's catalog is what holds the secrets, as of the last look."""
        return self._open_file is not None and self._open_file[1] == self._paths.catalog

    def first(self, query: str, *arguments: object) -> Any:
        """
        Return the first row of a query, from the database that was looked up a moment ago.

        Rows may have moved since: None, where there is no row, is no answer yet, and `current` is to be asked.
        """
        # `reading` and `mutex` written out: the calls would be a fifth of a warm read.
        with self._process_mutex if self._process == os.getpid() else self.mutex:
            try:
                db = self._connection if monotonic() < self.fresh_until else self.current()
                return None if db is None else db.execute(query, arguments).fetchone()
            except FOREIGN as error:
                raise self.error(error) from None

    def recent(self) -> sqlite3.Connection | None:
        """Return what `current` does, or did a moment ago; who is `alone` has looked since then."""
        return self._connection if monotonic() < self.fresh_until else self.current()

    def current(self) -> sqlite3.Connection | None:
        """Return the connection to the database that holds the secrets now, opening it where it changed under us."""
        process, opened = os.getpid(), self._open_file
        for path in self._candidates:
            if not (opened and opened[1] == path) and not os.access(path, os.F_OK):
                # Asked ahead: what `stat` raises takes three times as long, and most have no catalog.
                continue
            try:
                # A file is itself by inode and device.
                file = (process, path, *os.stat(path)[1:3])
            except OSError:
                continue
            if file == self._open_file:
                self.fresh_until = monotonic() + _MOMENT_S
                return self._connection
            db = self._open(path)
            if db is not None:
                self._forget()
                self._connection, self._open_file = db, file
                self.fresh_until = monotonic() + _MOMENT_S
                self.has_shares = has_table(db, "resource_grants")
                return db
        self._forget()
        return None

    def _open(self, path: str) -> sqlite3.Connection | None:
        db = connect(path)
        try:
            if path == self._paths.database and not is_current(db, path) and os.access(self._paths.directory, os.W_OK):
                # Written by an earlier version, or its home moved to another kind of disk since.
                from flowfile_nb.storage.lock import exclusive

                db.close()
                with exclusive(self._paths.lock):
                    create_database(path)
                db = connect(path)
            ready = has_table(db, "secrets") and db.execute("SELECT 1 FROM users WHERE id = 1").fetchone() is not None
            if not ready and path == self._paths.database:
                _require_unmade(db, path)
            if ready and path == self._paths.catalog:
                from flowfile_nb.storage.handover import move_rows

                move_rows(self._paths, db)
        except BaseException:
            db.close()
            raise
        # A catalog that Flowfile is still making is not there yet.
        if not ready:
            db.close()
            return None
        return db

    def _forget(self) -> None:
        self.fresh_until = 0.0
        if self._connection is not None:
            if self._open_file is not None and self._open_file[0] == os.getpid():
                self._connection.close()
            else:
                # After a fork it is the parent's: SQLite forbids even closing it here.
                self._inherited.append(self._connection)
        self._connection = self._open_file = None


def _require_unmade(ours: sqlite3.Connection, path: str) -> None:
    """Let our own database without our tables pass only if nothing was ever made in it. A catalog may be in the making."""
    if schema_version(ours):
        raise damaged(path)
