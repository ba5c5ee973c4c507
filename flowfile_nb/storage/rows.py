"""Reading rows of ciphertext, from whichever database holds them now. Never sees a plaintext or a key."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from flowfile_nb.errors import NoSuchSecretError, StoreError
from flowfile_nb.storage.active import ActiveDatabase
from flowfile_nb.storage.database import ALL, columns, readable
from flowfile_nb.storage.own_facts import OwnFacts
from flowfile_nb.storage.paths import Paths

if TYPE_CHECKING:
    from flowfile_nb.storage.flowfile import ConnectionRow
    from flowfile_nb.storage.previous import Previous

# Enough of a token for `$ffsec$1$<owner id>$` and the 12 characters that hold the time.
_HEAD = 48
# Whatever became of a name or a token on disk concerns its own row only: no text any more, or none at all.
_NAME, _TEXT = "ifnull(CAST(s.name AS TEXT), '')", "ifnull(CAST(s.encrypted_value AS TEXT), '')"
_BYTES = "ifnull(CAST(s.encrypted_value AS BLOB), x'')"
# Found by an index, and read from the table: an index that is damaged must not lead to another secret's value.
_OWN = f"""
    SELECT s.id, s.name, {_BYTES}, s.user_id FROM secrets s
    WHERE s.id = (SELECT id FROM secrets WHERE name = ? AND user_id = ? ORDER BY id LIMIT 1)
"""  # noqa: S608 - made of our own constants
_SHARED_WITH = """
    FROM secrets s
    JOIN resource_grants g ON g.resource_type = 'secret' AND g.resource_id = s.id
    JOIN user_group_memberships m ON m.group_id = g.group_id AND m.user_id = ?
    WHERE s.user_id <> m.user_id
"""
_SHARED = f"SELECT s.id, s.name, {_BYTES}, s.user_id {_SHARED_WITH} AND s.name = ? ORDER BY s.id LIMIT 1"

NOT_STORED = 0
"""The id of no row: SQLite counts from 1."""


class Row:
    """One stored secret, still encrypted. No NamedTuple: to make its first one costs a cold process a millisecond."""

    __slots__ = ("id", "name", "owner_id", "token")

    def __init__(self, row_id: int, name: str, token: str, owner_id: int) -> None:
        self.id = row_id
        self.name = name
        self.token = token
        self.owner_id = owner_id


class Rows(OwnFacts):
    """
    The rows, to read, wherever they are now.

    Args:
        paths: Where the databases are, or would be. Nothing is created before the first write.
    """

    def __init__(self, paths: Paths) -> None:
        super().__init__(ActiveDatabase(paths))
        self.paths = paths

    @property
    def location(self) -> str | None:
        """The database that holds the secrets now, or None if there is none yet."""
        return self.active.location

    def version(self) -> object:
        """Return something that differs when a row may have changed since, by this process or another."""
        with self.active.reading() as db:
            # The first counts what others commit, the second what we do.
            return db and (self.active.recent_location, db.execute("PRAGMA data_version").fetchone()[0], db.total_changes)

    def find(self, user_id: int, name: str) -> Row | None:
        """Return the row *name* means for a user: the own one with the lowest id, else the shared one with the lowest id."""
        found = self.active.first(_OWN, name, user_id)
        if found is None:
            with self.active.reading() as db:
                if db is not None:
                    found = db.execute(_OWN, (name, user_id)).fetchone()
                    if found is None and self.active.has_shares:
                        found = db.execute(_SHARED, (user_id, name)).fetchone()
        return None if found is None else self._row(name, *found)

    def is_indexed(self, user_id: int, name: str) -> bool:
        """Return whether the index of our own database has a user's name, whatever the table has."""
        return self.active.first("SELECT 1 FROM secrets WHERE name = ? AND user_id = ?", name, user_id) is not None

    def names(self, user_id: int) -> list[str]:
        """Return the names a user can use, each once, the oldest first."""
        (names,) = self._usable(user_id, _NAME)
        return names

    def count(self, user_id: int) -> int:
        """Return how many names a user can use."""
        with self.active.reading() as db:
            if db is None:
                return 0
            own: int = db.execute("SELECT count(DISTINCT name) FROM secrets WHERE user_id = ?", (user_id,)).fetchone()[0]
            if not self.active.has_shares:
                return own
            others = "NOT EXISTS (SELECT 1 FROM secrets o WHERE o.user_id = m.user_id AND o.name = s.name)"
            shared: int = db.execute(f"SELECT count(DISTINCT s.name) {_SHARED_WITH} AND {others}", (user_id,)).fetchone()[0]
            return own + shared

    def rows(self, user_id: int) -> list[Row]:
        """Return the rows a user can use, one for each name, the oldest first."""
        names, ids, tokens, owners = self._usable(user_id, _NAME, "s.id", _TEXT, "s.user_id")
        return list(map(Row, ids, names, tokens, owners))

    def listing(self, user_id: int, limit: int = ALL, names: Sequence[str] | None = None) -> list[list[Any]]:
        """
        Return what can be listed of the secrets a user can use, one of each name, the oldest first.

        Args:
            user_id: Whose.
            limit: With it, the first so many own ones and as many shared ones, by name in any case (of ASCII's letters).
            names: With them, only those.

        Returns:
            Three columns: the names, the heads of the tokens with version, owner and time, and the owners' ids.
        """
        return self._usable(user_id, _NAME, f"substr({_TEXT}, 1, {_HEAD})", "s.user_id", limit=limit, names=names)

    def user_names(self) -> dict[int, str]:
        """Return the user name of each user id."""
        with self.active.reading() as db:
            return {} if db is None else dict(db.execute("SELECT id, username FROM users"))

    def tokens(self, limit: int) -> list[tuple[str, int]]:
        """Return up to *limit* (token, owner id) of any user, the newest first."""
        with self.active.reading() as db:
            if db is None:
                return []
            query = f"SELECT {_BYTES}, ifnull(CAST(user_id AS INTEGER), 0) FROM secrets s ORDER BY id DESC LIMIT ?"  # noqa: S608 - made of our own constants
            return [(readable(token), owner) for token, owner in db.execute(query, (limit,))]

    def token(self, row_id: int) -> str | None:
        """Return the token that a row has now, or None if it is gone."""
        with self.active.reading() as db:
            query = f"SELECT {_BYTES} FROM secrets s WHERE id = ?"  # noqa: S608 - made of our own constants
            found = db and db.execute(query, (row_id,)).fetchone()
            return readable(found[0]) if found else None

    def used_by(self, row_id: int) -> list[str]:
        """Return the names of Flowfile's connections that use a row."""
        from flowfile_nb.storage.flowfile import connections_using

        with self.active.reading() as db:
            return [] if db is None else connections_using(db, row_id)

    def flowfile_connections(self, user_id: int, name: str | None = None) -> list[ConnectionRow]:
        """Return the connections that were saved in Flowfile's own interface; of one name alone if that is given."""
        from flowfile_nb.storage.flowfile import saved_connections

        with self.active.reading() as db:
            return [] if db is None else saved_connections(db, user_id, name)

    def row(self, row_id: int) -> Row | None:
        """Return one row of `secrets` by its id."""
        with self.active.reading() as db:
            query = "SELECT id, name, encrypted_value, user_id FROM secrets WHERE id = ?"
            found = None if db is None else db.execute(query, (row_id,)).fetchone()
            return Row(*found) if found else None

    def previous(self, user_id: int, name: str) -> list[Previous]:
        """Return what is kept of a user's own secret from before it was replaced, the newest first."""
        from flowfile_nb.storage.previous import find_previous

        return find_previous(self.active, user_id, name)

    def close(self) -> None:
        """Close the database; the next call opens it again."""
        self.active.close()

    def _usable(self, user_id: int, *what: str, limit: int = ALL, names: Sequence[str] | None = None) -> list[list[Any]]:
        """Return columns of the rows a user can use; the first is the name, each name there once, ordered as in `listing`."""
        with self.active.reading() as db:
            if db is None:
                return [[] for _ in what]
            # A store has the secrets of few users: reading the table in its own order is quicker than an index and sorting.
            arguments: list[object] = [user_id]
            hint, some = "NOT INDEXED", ""
            if names is not None:
                hint, some = "", "AND s.name IN (SELECT value FROM json_each(?))"
                arguments.append(json.dumps(names))
            order = "s.id" if limit == ALL else "s.name COLLATE NOCASE, s.id"
            own = f"FROM secrets s {hint} WHERE s.user_id = ? {some} ORDER BY {order} LIMIT ?"
            found = columns(db, what, own, *arguments, limit)
            if self.active.has_shares:
                shared = columns(db, what, f"{_SHARED_WITH} {some} ORDER BY {order} LIMIT ?", *arguments, limit)
                found = [mine + theirs for mine, theirs in zip(found, shared, strict=True)]
        if len(set(found[0])) == len(found[0]):
            return found
        first: dict[str, int] = {}
        for number, name in enumerate(found[0]):
            first.setdefault(name, number)
        return [[column[number] for number in first.values()] for column in found]

    def _own(self, db: sqlite3.Connection, user_id: int, name: str) -> Row:
        row = self._find_own(db, user_id, name)
        if row is None:
            if db.execute("SELECT 1 FROM secrets NOT INDEXED WHERE name = ? AND user_id = ?", (name, user_id)).fetchone():
                raise self.damaged()
            raise NoSuchSecretError(f"you have no secret named {name!r}", hint="list yours:  %secret list")
        return row

    def _find_own(self, db: sqlite3.Connection, user_id: int, name: str) -> Row | None:
        found = db.execute(_OWN, (name, user_id)).fetchone()
        return self._row(name, *found) if found else None

    def _row(self, name: str, row_id: int, stored_name: object, token: bytes, owner_id: object) -> Row:
        if stored_name != name or not isinstance(owner_id, int):
            raise self.damaged()
        # `readable` written out: every warm read comes by here.
        return Row(row_id, name, token.decode("utf-8", "replace"), owner_id)

    def damaged(self) -> StoreError:
        """Return the error for a database whose index and rows do not fit each other any more."""
        return self.active.error(sqlite3.DatabaseError("malformed"))
