"""
Rows of ciphertext, in Flowfile's catalog where there is one and in our own database where not.

Never sees a plaintext or a key. Which of the two databases is in use is asked anew at each call, so a Flowfile that is
installed while a kernel runs is found, and our rows move over to it.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from operator import itemgetter
from typing import NamedTuple

from flowfile_nb.core.names import quoted
from flowfile_nb.errors import NoSuchSecretError, SecretExistsError
from flowfile_nb.storage.database import connect, create_database, has_table, is_current, store_error, transaction, translated
from flowfile_nb.storage.flowfile import connections_using
from flowfile_nb.storage.handover import move_rows
from flowfile_nb.storage.lock import exclusive
from flowfile_nb.storage.paths import Paths, make_private_directory

_OWN = "SELECT id, name, encrypted_value, user_id FROM secrets WHERE name = ? AND user_id = ? ORDER BY id LIMIT 1"
_SHARED_WITH = """
    FROM secrets s
    JOIN resource_grants g ON g.resource_type = 'secret' AND g.resource_id = s.id
    JOIN user_group_memberships m ON m.group_id = g.group_id AND m.user_id = ?
    WHERE s.user_id <> m.user_id
"""


class Row(NamedTuple):
    """One stored secret, still encrypted."""

    id: int
    name: str
    token: str
    owner_id: int


class Store:
    """
    The rows, wherever they are now.

    Args:
        paths: Where the databases are, or would be. Nothing is created before the first write.
    """

    def __init__(self, paths: Paths) -> None:
        self.paths = paths
        self._process, self._process_mutex = os.getpid(), threading.RLock()
        self._connection: sqlite3.Connection | None = None
        self._open_file: tuple[int, str, int, int] | None = None
        self._shares = False
        self._inherited: list[sqlite3.Connection] = []

    @property
    def location(self) -> str | None:
        """The database that holds the secrets now, or None if there is none yet."""
        with self._reading():
            return self._open_file[1] if self._open_file else None

    # Reading

    def find(self, user_id: int, name: str) -> Row | None:
        """Return the row *name* means for a user: the own one with the lowest id, else the shared one with the lowest id."""
        with self._reading() as db:
            if db is None:
                return None
            found = db.execute(_OWN, (name, user_id)).fetchone()
            if found is None and self._shares:
                query = f"SELECT s.id, s.name, s.encrypted_value, s.user_id {_SHARED_WITH} AND s.name = ? ORDER BY s.id LIMIT 1"
                found = db.execute(query, (user_id, name)).fetchone()
            return Row(*found) if found else None

    def names(self, user_id: int) -> list[str]:
        """Return the names a user can use, each once, the oldest first."""
        with self._reading() as db:
            if db is None:
                return []
            found = db.execute("SELECT name FROM secrets WHERE user_id = ? ORDER BY id", (user_id,)).fetchall()
            if self._shares:
                found += db.execute(f"SELECT s.name {_SHARED_WITH} ORDER BY s.id", (user_id,)).fetchall()
            return list(dict.fromkeys(map(itemgetter(0), found)))

    def count(self, user_id: int) -> int:
        """Return how many names a user can use."""
        with self._reading() as db:
            if db is None:
                return 0
            own: int = db.execute("SELECT count(DISTINCT name) FROM secrets WHERE user_id = ?", (user_id,)).fetchone()[0]
            if not self._shares:
                return own
            others = "NOT EXISTS (SELECT 1 FROM secrets o WHERE o.user_id = m.user_id AND o.name = s.name)"
            shared: int = db.execute(f"SELECT count(DISTINCT s.name) {_SHARED_WITH} AND {others}", (user_id,)).fetchone()[0]
            return own + shared

    def rows(self, user_id: int) -> list[Row]:
        """Return the rows a user can use, one for each name, the oldest first."""
        with self._reading() as db:
            if db is None:
                return []
            own = "SELECT id, name, encrypted_value, user_id FROM secrets WHERE user_id = ? ORDER BY id"
            found = db.execute(own, (user_id,)).fetchall()
            if self._shares:
                shared = f"SELECT s.id, s.name, s.encrypted_value, s.user_id {_SHARED_WITH} ORDER BY s.id"
                found += db.execute(shared, (user_id,)).fetchall()
        by_name: dict[str, Row] = {}
        for row in map(Row._make, found):
            by_name.setdefault(row.name, row)
        return list(by_name.values())

    def user_names(self) -> dict[int, str]:
        """Return the user name of each user id."""
        with self._reading() as db:
            return {} if db is None else dict(db.execute("SELECT id, username FROM users"))

    def tokens(self, limit: int) -> list[tuple[str, int]]:
        """Return up to *limit* (token, owner id) of any user, the newest first."""
        with self._reading() as db:
            if db is None:
                return []
            query = "SELECT encrypted_value, user_id FROM secrets ORDER BY id DESC LIMIT ?"
            return db.execute(query, (limit,)).fetchall()

    def used_by(self, row_id: int) -> list[str]:
        """Return the names of Flowfile's connections that use a row."""
        with self._reading() as db:
            return [] if db is None else connections_using(db, row_id)

    # Writing

    def put(self, user_id: int, name: str, token: str, *, replace: bool) -> bool:
        """
        Store a token under a user's own *name*. When this returns, it is on disk.

        Returns:
            Whether an existing row was replaced; it keeps its id, so its shares and connections hold.

        Raises:
            SecretExistsError: If the name is taken and *replace* is false.
        """
        with self._writing() as db, transaction(db):
            found = db.execute(_OWN, (name, user_id)).fetchone()
            if found is None:
                insert = "INSERT INTO secrets (name, encrypted_value, iv, user_id) VALUES (?, ?, '', ?)"
                db.execute(insert, (name, token, user_id))
            elif not replace:
                raise SecretExistsError(
                    f"there is already a secret named {name!r}; it was not changed",
                    hint=f"%secret set {quoted(name)} --replace  keeps its shares and connections",
                )
            else:
                db.execute("UPDATE secrets SET encrypted_value = ?, iv = '' WHERE id = ?", (token, found[0]))
            return found is not None

    def rename(self, user_id: int, old: str, new: str) -> None:
        """
        Give a user's own secret another name.

        Raises:
            NoSuchSecretError: If the user owns none named *old*.
            SecretExistsError: If the user owns one named *new*.
        """
        with self._writing() as db, transaction(db):
            row = self._own(db, user_id, old)
            if db.execute(_OWN, (new, user_id)).fetchone() is not None:
                raise SecretExistsError(
                    f"there is already a secret named {new!r}; nothing was renamed",
                    hint="choose another name, or delete that one",
                )
            db.execute("UPDATE secrets SET name = ? WHERE id = ?", (new, row.id))

    def delete(self, user_id: int, name: str) -> None:
        """
        Delete a user's own secret and its grants, as Flowfile does.

        Raises:
            NoSuchSecretError: If the user owns none of that name.
        """
        with self._writing() as db, transaction(db):
            row = self._own(db, user_id, name)
            if self._shares:
                db.execute("DELETE FROM resource_grants WHERE resource_type = 'secret' AND resource_id = ?", (row.id,))
            db.execute("DELETE FROM secrets WHERE id = ?", (row.id,))

    # Our own facts, which Flowfile's tables have no column for

    def fact(self, name: str) -> str | None:
        """Return a fact about the store, such as `key_id`."""
        with self._ours() as db:
            found = None if db is None else db.execute("SELECT value FROM nb_facts WHERE name = ?", (name,)).fetchone()
            return found[0] if found else None

    def set_fact(self, name: str, value: str) -> None:
        """Store a fact about the store."""
        with self._ours(create=True) as db:
            assert db is not None
            db.execute(
                "INSERT INTO nb_facts VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value", (name, value)
            )

    def connection_bodies(self) -> dict[str, str]:
        """Return the saved definitions of connections by name; they hold references, never values."""
        with self._ours() as db:
            return {} if db is None else dict(db.execute("SELECT name, body FROM nb_connections ORDER BY name"))

    def save_connection(self, name: str, body: str) -> None:
        """Save the definition of a connection, in place of an earlier one of that name."""
        with self._ours(create=True) as db:
            assert db is not None
            db.execute("INSERT OR REPLACE INTO nb_connections VALUES (?, ?, ?)", (name, body, int(time.time())))

    def close(self) -> None:
        """Close the database; the next call opens it again."""
        with self._mutex:
            if self._connection is not None:
                self._connection.close()
            self._connection = self._open_file = None

    # Which database, and opening it

    @property
    def _mutex(self) -> threading.RLock:
        if self._process != os.getpid():
            # In a forked child the parent's may be held for ever by a thread that is not here.
            self._process, self._process_mutex = os.getpid(), threading.RLock()
        return self._process_mutex

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection | None]:
        with self._mutex:
            try:
                yield self._current()
            except (sqlite3.Error, OSError) as error:
                raise store_error(self.paths.catalog if self._in_catalog else self.paths.database, error) from None

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        make_private_directory(self.paths.directory)
        with self._mutex, exclusive(self.paths.lock):
            with translated(self.paths.database):
                db = self._current()
                if db is None:
                    create_database(self.paths.database)
                    db = self._current()
                assert db is not None
            with translated(self.paths.catalog if self._in_catalog else self.paths.database):
                yield db

    @contextmanager
    def _ours(self, *, create: bool = False) -> Iterator[sqlite3.Connection | None]:
        """Our own database, whichever holds the secrets."""
        if create:
            make_private_directory(self.paths.directory)
            with self._mutex, exclusive(self.paths.lock):
                create_database(self.paths.database)
        with self._mutex, translated(self.paths.database):
            if self._connection is not None and self._current() is self._connection and not self._in_catalog:
                yield self._connection
            elif not os.path.exists(self.paths.database):
                yield None
            else:
                db = connect(self.paths.database)
                try:
                    yield db if has_table(db, "nb_facts") else None
                finally:
                    db.close()

    @property
    def _in_catalog(self) -> bool:
        return self._open_file is not None and self._open_file[1] == self.paths.catalog

    def _current(self) -> sqlite3.Connection | None:
        """Return the connection to the database that holds the secrets now, opening it where it changed under us."""
        process = os.getpid()
        for path in (self.paths.catalog, self.paths.database):
            try:
                found = os.stat(path)
            except OSError:
                continue
            file = (process, path, found.st_dev, found.st_ino)
            if file == self._open_file:
                return self._connection
            db = self._open(path)
            if db is not None:
                self._forget()
                self._connection, self._open_file = db, file
                self._shares = has_table(db, "resource_grants")
                return db
        self._forget()
        return None

    def _open(self, path: str) -> sqlite3.Connection | None:
        db = connect(path)
        try:
            if path == self.paths.database and not is_current(db, path) and os.access(self.paths.directory, os.W_OK):
                # Written by an earlier version, or its home moved to another kind of disk since.
                db.close()
                with exclusive(self.paths.lock):
                    create_database(path)
                db = connect(path)
            ready = has_table(db, "secrets") and db.execute("SELECT 1 FROM users WHERE id = 1").fetchone() is not None
            if ready and path == self.paths.catalog:
                move_rows(self.paths, db)
        except BaseException:
            db.close()
            raise
        # A catalog that Flowfile is still making is not there yet.
        if not ready:
            db.close()
            return None
        return db

    def _forget(self) -> None:
        if self._connection is not None:
            if self._open_file is not None and self._open_file[0] == os.getpid():
                self._connection.close()
            else:
                # After a fork it is the parent's: SQLite forbids even closing it here.
                self._inherited.append(self._connection)
        self._connection = self._open_file = None

    def _own(self, db: sqlite3.Connection, user_id: int, name: str) -> Row:
        found = db.execute(_OWN, (name, user_id)).fetchone()
        if found is None:
            raise NoSuchSecretError(f"you have no secret named {name!r}", hint="list yours:  %secret list")
        return Row(*found)
