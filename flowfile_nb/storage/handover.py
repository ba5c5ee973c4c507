"""
Our rows and Flowfile's catalog: they move there when Flowfile appears, and a copy of each stays here for the day it is gone.

Moving changes nothing about a row: the same token, the same key, the same user id. From then on the catalog is the store, and
the copy in our own database (marked in the column `iv`, which nobody uses any more) only follows it. When the catalog is
deleted together with Flowfile, our own database is the store again, with the copies in it. When another catalog appears, they
move there.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Sequence
from contextlib import suppress
from typing import Literal

from flowfile_nb.errors import StoreError
from flowfile_nb.storage.database import connect, create_database, has_table, transaction
from flowfile_nb.storage.paths import Paths

SUFFIX = " (flowfile_nb)"
COPY = "copy"
_CATALOG = "catalog"
# So many copies are looked up one by one: reading all of a large catalog would be a tenth of a cold read, and more.
_FEW = 100
_OWN = "SELECT encrypted_value FROM secrets WHERE user_id = ? AND name = ? ORDER BY id LIMIT 1"


class _Row:
    # No NamedTuple: to make its first one costs a cold process a millisecond, and with a catalog each comes by here.
    __slots__ = ("id", "mark", "name", "token", "user_id")

    def __init__(self, row_id: int, name: str, token: str, user_id: int, mark: str) -> None:
        self.id = row_id
        self.name = name
        self.token = token
        self.user_id = user_id
        self.mark = mark


def move_rows(paths: Paths, catalog: sqlite3.Connection) -> None:
    """
    Move the rows of our own database into Flowfile's catalog, if there are any, and let the copies of earlier ones follow it.

    A row is marked here only after it is committed there, and one that is there already is not added again; so a crash
    between the two leaves nothing lost and nothing twice. Where both have the name, Flowfile's keeps it and ours gets a suffix.

    Raises:
        StoreError: If their key is in the OS keychain, where Flowfile cannot read it.
    """
    if not os.path.exists(paths.database) or not os.access(paths.directory, os.W_OK):
        return
    ours = connect(paths.database)
    try:
        if not has_table(ours, "secrets") or not (rows := _rows(ours)):
            return
        if ours.execute("SELECT 1 FROM nb_facts WHERE name = 'key_home' AND value = 'keychain'").fetchone() is not None:
            raise StoreError(
                f"the master key of {paths.database} is in the OS keychain, and FLOWFILE_NB_KEY_HOME is not set",
                hint="set FLOWFILE_NB_KEY_HOME=keychain  before the kernel starts; nothing was moved to Flowfile's catalog",
            )
        relation = _relation(ours, paths, catalog)
        ours_only = any(row.mark != COPY for row in rows)
        if not ours_only and (relation == "other" or (relation == "same" and not _changes(rows, catalog))):
            return
        # Imported here: hardly ever is there anything to do.
        from flowfile_nb.storage.lock import exclusive

        with exclusive(paths.lock):
            rows = _rows(ours)
            moving = [row for row in rows if row.mark != COPY or relation == "new"]
            names = _insert(catalog, moving, {(row.user_id, row.name) for row in rows})
            with transaction(ours):
                if relation == "other":
                    ours.executemany("DELETE FROM secrets WHERE id = ?", [(row.id,) for row in moving])
                    return
                for row, name in zip(moving, names, strict=True):
                    ours.execute("UPDATE secrets SET name = ?, iv = ? WHERE id = ?", (name, COPY, row.id))
                _remember(ours, paths, catalog)
                _apply(ours, _changes(_rows(ours), catalog))
    finally:
        ours.close()


def copy_rows(paths: Paths, catalog: sqlite3.Connection, user_id: int, names: Sequence[str]) -> None:
    """
    Let the copies of a user's rows follow what was just written to the catalog. Callers hold the lock.

    The rows themselves are on disk already, so a copy that cannot be written fails nothing.
    """
    with suppress(sqlite3.Error, OSError, StoreError):
        if not os.path.exists(paths.database):
            create_database(paths.database)
        ours = connect(paths.database)
        try:
            if _relation(ours, paths, catalog) == "other":
                return
            # What is acknowledged is in the catalog, and synced there.
            ours.execute("PRAGMA synchronous=OFF")
            with transaction(ours):
                for name in names:
                    ours.execute("DELETE FROM secrets WHERE user_id = ? AND name = ? AND iv = ?", (user_id, name, COPY))
                    row = catalog.execute(_OWN, (user_id, name)).fetchone()
                    if row is not None:
                        insert = "INSERT OR IGNORE INTO secrets (name, encrypted_value, iv, user_id) VALUES (?, ?, ?, ?)"
                        ours.execute(insert, (name, row[0], COPY, user_id))
                _remember(ours, paths, catalog)
        finally:
            ours.close()


def count_copies(ours: sqlite3.Connection) -> int:
    """Return how many rows of our own database are copies of rows that are, or were, in a catalog of Flowfile's."""
    count: int = ours.execute("SELECT count(*) FROM secrets WHERE iv = ?", (COPY,)).fetchone()[0]
    return count


def _rows(ours: sqlite3.Connection) -> list[_Row]:
    found = ours.execute("SELECT id, name, encrypted_value, user_id, iv FROM secrets ORDER BY id")
    return [_Row(*row) for row in found]


def _insert(catalog: sqlite3.Connection, moving: list[_Row], ours: set[tuple[int, str]]) -> list[str]:
    """Add rows to the catalog, and return the names that they have there."""
    names: list[str] = []
    if not moving:
        return names
    with transaction(catalog):
        there = catalog.execute("SELECT name, encrypted_value, user_id FROM secrets ORDER BY id DESC").fetchall()
        # Where it is there already, it may have got a suffix; one that is another row of ours is not it.
        tokens = {(user_id, token): name for name, token, user_id in there if (user_id, name) not in ours}
        whole = {*there}
        taken = {(user_id, name) for name, _, user_id in there}
        for row in moving:
            is_there = (row.name, row.token, row.user_id) in whole
            name = row.name if is_there else tokens.get((row.user_id, row.token))
            if name is None:
                name = row.name
                while (row.user_id, name) in taken or (name != row.name and (row.user_id, name) in ours):
                    name += SUFFIX
                insert = "INSERT INTO secrets (name, encrypted_value, iv, user_id) VALUES (?, ?, '', ?)"
                catalog.execute(insert, (name, row.token, row.user_id))
            taken.add((row.user_id, name))
            names.append(name)
    return names


def _changes(rows: list[_Row], catalog: sqlite3.Connection) -> list[tuple[_Row, str | None]]:
    """Return the copies that the catalog has otherwise by now, each with its token there; None where it is deleted."""
    copies = [row for row in rows if row.mark == COPY]
    if len(copies) <= _FEW and all(_is_as_there(row, catalog) for row in copies):
        return []
    # What an index does not lead to may be there all the same.
    there = {}
    for name, token, user_id in catalog.execute("SELECT name, encrypted_value, user_id FROM secrets ORDER BY id DESC"):
        there[user_id, name] = token
    now = [(row, there.get((row.user_id, row.name))) for row in copies]
    return [(row, token) for row, token in now if token != row.token]


def _is_as_there(row: _Row, catalog: sqlite3.Connection) -> bool:
    found = catalog.execute(_OWN, (row.user_id, row.name)).fetchone()
    return found is not None and found[0] == row.token


def _apply(ours: sqlite3.Connection, changes: list[tuple[_Row, str | None]]) -> None:
    for row, token in changes:
        if token is None:
            ours.execute("DELETE FROM secrets WHERE id = ?", (row.id,))
        else:
            ours.execute("UPDATE secrets SET encrypted_value = ? WHERE id = ?", (token, row.id))


def _identity(paths: Paths, catalog: sqlite3.Connection) -> str:
    """
    Return what tells this catalog from any other: its file, and the salt that Flowfile drew for its user.

    Both: a new catalog may get the deleted one's inode, and one that was put back from a backup has the same salt. Where it is
    another, what is only copied here is added to it, and nothing is lost.
    """
    found = os.stat(paths.catalog)
    user = catalog.execute("SELECT hashed_password FROM users WHERE id = 1").fetchone()
    # Of `$2b$12$` and 22 characters of salt the hash follows, which is nobody's business here.
    return f"{found.st_dev}:{found.st_ino}:{str(user[0] or '')[7:29]}"


def _relation(ours: sqlite3.Connection, paths: Paths, catalog: sqlite3.Connection) -> Literal["same", "new", "other"]:
    """
    Return what the catalog is to our copies: the one they follow, one that takes its place, or one beside it.

    Whoever works with two catalogs (`FLOWFILE_DB_PATH`) has the copies of the first, and nothing goes from one to the other.
    """
    found = ours.execute("SELECT value FROM nb_facts WHERE name = ?", (_CATALOG,)).fetchone()
    identity, _, path = found[0].partition("|") if found else ("", "", "")
    if (identity, path) == (_identity(paths, catalog), paths.catalog):
        return "same"
    return "other" if path and path != paths.catalog and os.path.exists(path) else "new"


def _remember(ours: sqlite3.Connection, paths: Paths, catalog: sqlite3.Connection) -> None:
    fact = f"{_identity(paths, catalog)}|{paths.catalog}"
    ours.execute("INSERT OR REPLACE INTO nb_facts VALUES (?, ?)", (_CATALOG, fact))
