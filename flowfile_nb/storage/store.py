"""Rows of ciphertext, in whichever database holds them now. Never sees a plaintext or a key."""

from __future__ import annotations

import sqlite3
import time
from typing import Any

from flowfile_nb.core.names import quoted
from flowfile_nb.errors import NoSuchSecretError, SecretExistsError
from flowfile_nb.storage.active import ActiveDatabase
from flowfile_nb.storage.database import ALL, columns, transaction
from flowfile_nb.storage.paths import Paths

# Enough of a token for `$ffsec$1$<owner id>$` and the 12 characters that hold the time.
_HEAD = 48
_LOOK_UP = "SELECT id, encrypted_value FROM secrets WHERE name = ? AND user_id = ? ORDER BY id LIMIT 1"
_OWN = "SELECT id, name, encrypted_value, user_id FROM secrets WHERE name = ? AND user_id = ? ORDER BY id LIMIT 1"
_SHARED_WITH = """
    FROM secrets s
    JOIN resource_grants g ON g.resource_type = 'secret' AND g.resource_id = s.id
    JOIN user_group_memberships m ON m.group_id = g.group_id AND m.user_id = ?
    WHERE s.user_id <> m.user_id
"""
_SHARED = f"SELECT s.id, s.name, s.encrypted_value, s.user_id {_SHARED_WITH} AND s.name = ? ORDER BY s.id LIMIT 1"


class Row:
    """One stored secret, still encrypted. No NamedTuple: to make its first one costs a cold process a millisecond."""

    __slots__ = ("id", "name", "owner_id", "token")

    def __init__(self, row_id: int, name: str, token: str, owner_id: int) -> None:
        self.id = row_id
        self.name = name
        self.token = token
        self.owner_id = owner_id


class Store:
    """
    The rows, wherever they are now.

    Args:
        paths: Where the databases are, or would be. Nothing is created before the first write.
    """

    def __init__(self, paths: Paths) -> None:
        self.paths = paths
        self._active = ActiveDatabase(paths)

    @property
    def location(self) -> str | None:
        """The database that holds the secrets now, or None if there is none yet."""
        return self._active.location

    # Reading

    def version(self) -> object:
        """Return something that differs when a row may have changed since, by this process or another."""
        with self._active.reading() as db:
            # The first counts what others commit, the second what we do.
            return db and (self.location, db.execute("PRAGMA data_version").fetchone()[0], db.total_changes)

    def find(self, user_id: int, name: str) -> Row | None:
        """Return the row *name* means for a user: the own one with the lowest id, else the shared one with the lowest id."""
        # `reading` written out: it would be a fifth of a warm read.
        active = self._active
        with active.mutex:
            try:
                for look in (active.recent, active.current):
                    db = look()
                    if db is not None:
                        found = db.execute(_LOOK_UP, (name, user_id)).fetchone()
                        if found is not None:
                            return Row(found[0], name, found[1], user_id)
                        if active.has_shares:
                            found = db.execute(_SHARED, (user_id, name)).fetchone()
                            if found is not None:
                                return Row(*found)
            except (sqlite3.Error, OSError) as error:
                raise active.error(error) from None
        return None

    def names(self, user_id: int) -> list[str]:
        """Return the names a user can use, each once, the oldest first."""
        (names,) = self._usable(user_id, "s.name")
        return names

    def count(self, user_id: int) -> int:
        """Return how many names a user can use."""
        with self._active.reading() as db:
            if db is None:
                return 0
            own: int = db.execute("SELECT count(DISTINCT name) FROM secrets WHERE user_id = ?", (user_id,)).fetchone()[0]
            if not self._active.has_shares:
                return own
            others = "NOT EXISTS (SELECT 1 FROM secrets o WHERE o.user_id = m.user_id AND o.name = s.name)"
            shared: int = db.execute(f"SELECT count(DISTINCT s.name) {_SHARED_WITH} AND {others}", (user_id,)).fetchone()[0]
            return own + shared

    def rows(self, user_id: int) -> list[Row]:
        """Return the rows a user can use, one for each name, the oldest first."""
        names, ids, tokens, owners = self._usable(user_id, "s.name", "s.id", "s.encrypted_value", "s.user_id")
        return list(map(Row, ids, names, tokens, owners))

    def listing(self, user_id: int, limit: int = ALL) -> list[list[Any]]:
        """
        Return what can be listed of the secrets a user can use, one of each name, the oldest first.

        Args:
            user_id: Whose.
            limit: How many, at most.

        Returns:
            Three columns: the names, the heads of the tokens with version, owner and time, and the owners' ids.
        """
        return self._usable(user_id, "s.name", f"substr(s.encrypted_value, 1, {_HEAD})", "s.user_id", limit=limit)

    def user_names(self) -> dict[int, str]:
        """Return the user name of each user id."""
        with self._active.reading() as db:
            return {} if db is None else dict(db.execute("SELECT id, username FROM users"))

    def tokens(self, limit: int) -> list[tuple[str, int]]:
        """Return up to *limit* (token, owner id) of any user, the newest first."""
        with self._active.reading() as db:
            if db is None:
                return []
            query = "SELECT encrypted_value, user_id FROM secrets ORDER BY id DESC LIMIT ?"
            return db.execute(query, (limit,)).fetchall()

    def used_by(self, row_id: int) -> list[str]:
        """Return the names of Flowfile's connections that use a row."""
        from flowfile_nb.storage.flowfile import connections_using

        with self._active.reading() as db:
            return [] if db is None else connections_using(db, row_id)

    def _usable(self, user_id: int, *what: str, limit: int = ALL) -> list[list[Any]]:
        """Return columns of the rows a user can use; the first is the name, and each name is there once, the oldest first."""
        with self._active.reading() as db:
            if db is None:
                return [[] for _ in what]
            # A store has the secrets of few users: reading the table in its own order is quicker than an index and sorting.
            found = columns(db, what, "FROM secrets s NOT INDEXED WHERE s.user_id = ? ORDER BY s.id LIMIT ?", user_id, limit)
            if self._active.has_shares and len(found[0]) != limit:
                shared = columns(db, what, f"{_SHARED_WITH} ORDER BY s.id LIMIT ?", user_id, limit)
                found = [own + theirs for own, theirs in zip(found, shared, strict=True)]
        if len(set(found[0])) == len(found[0]):
            return found
        first: dict[str, int] = {}
        for number, name in enumerate(found[0]):
            first.setdefault(name, number)
        return [[column[number] for number in first.values()] for column in found]

    # Writing

    def put(self, user_id: int, name: str, token: str, *, replace: bool) -> bool:
        """
        Store a token under a user's own *name*. When this returns, it is on disk.

        Returns:
            Whether an existing row was replaced; it keeps its id, so its shares and connections hold.

        Raises:
            SecretExistsError: If the name is taken and *replace* is false.
        """
        with self._active.writing() as db, transaction(db):
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
        with self._active.writing() as db, transaction(db):
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
        with self._active.writing() as db, transaction(db):
            row = self._own(db, user_id, name)
            if self._active.has_shares:
                db.execute("DELETE FROM resource_grants WHERE resource_type = 'secret' AND resource_id = ?", (row.id,))
            db.execute("DELETE FROM secrets WHERE id = ?", (row.id,))

    # Our own facts, which Flowfile's tables have no column for

    def fact(self, name: str) -> str | None:
        """Return a fact about the store, such as `key_id`."""
        with self._active.ours() as db:
            found = None if db is None else db.execute("SELECT value FROM nb_facts WHERE name = ?", (name,)).fetchone()
            return found[0] if found else None

    def set_fact(self, name: str, value: str) -> None:
        """Store a fact about the store."""
        with self._active.ours(create=True) as db:
            assert db is not None
            db.execute(
                "INSERT INTO nb_facts VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value", (name, value)
            )

    def connection_bodies(self) -> dict[str, str]:
        """Return the saved definitions of connections by name; they hold references, never values."""
        with self._active.ours() as db:
            return {} if db is None else dict(db.execute("SELECT name, body FROM nb_connections ORDER BY name"))

    def save_connection(self, name: str, body: str) -> None:
        """Save the definition of a connection, in place of an earlier one of that name."""
        with self._active.ours(create=True) as db:
            assert db is not None
            db.execute("INSERT OR REPLACE INTO nb_connections VALUES (?, ?, ?)", (name, body, int(time.time())))

    def delete_connection(self, name: str) -> bool:
        """Delete a definition; return whether there was one."""
        with self._active.ours() as db:
            if db is None:
                return False
            with transaction(db):
                db.execute("DELETE FROM nb_used_connections WHERE origin = '' AND name = ?", (name,))
                return db.execute("DELETE FROM nb_connections WHERE name = ?", (name,)).rowcount > 0

    def used_connections(self) -> dict[tuple[str, str], tuple[str, int | None]]:
        """Return what is known of definitions: for (origin, name) the digest agreed to, and when it was last opened."""
        with self._active.ours() as db:
            rows = [] if db is None else db.execute("SELECT origin, name, digest, used_at FROM nb_used_connections")
            return {(origin, name): (digest, used_at) for origin, name, digest, used_at in rows}

    def note_connection(self, origin: str, name: str, digest: str, used_at: int | None) -> None:
        """Keep what is known of a definition; None leaves the time as it is."""
        with self._active.ours(create=True) as db:
            assert db is not None
            db.execute(
                """INSERT INTO nb_used_connections VALUES (?, ?, ?, ?) ON CONFLICT (origin, name) DO UPDATE
                SET digest = excluded.digest, used_at = coalesce(excluded.used_at, used_at)""",
                (origin, name, digest, used_at),
            )

    def close(self) -> None:
        """Close the database; the next call opens it again."""
        self._active.close()

    def _own(self, db: sqlite3.Connection, user_id: int, name: str) -> Row:
        found = db.execute(_OWN, (name, user_id)).fetchone()
        if found is None:
            raise NoSuchSecretError(f"you have no secret named {name!r}", hint="list yours:  %secret list")
        return Row(*found)
