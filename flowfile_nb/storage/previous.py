"""
The value that a secret had before it was replaced, for a while: `nb_previous`, in our own database alone.

Each row belongs to one replacement: it holds the token that was replaced and the one that took its place (`successor`). It may
be put back only where that successor's value is still the secret's, so a value that Flowfile itself replaced meanwhile, or
another secret under the same name, never gets a wrong one back.

Two databases share no transaction. What has to be there after a change is on disk before it, and what the change makes useless
is deleted after it; a crash in between leaves a row that belongs to no present value, or the one before beside it.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from flowfile_nb.core.names import UNDO_DAYS
from flowfile_nb.errors import NothingToUndoError, StoreError
from flowfile_nb.storage.active import ActiveDatabase
from flowfile_nb.storage.database import has_table

if TYPE_CHECKING:
    from flowfile_nb.storage.rows import Row
    from flowfile_nb.storage.store import Store
    from flowfile_nb.storage.store_key import StoreKey

_KEPT_S = UNDO_DAYS * 86_400


class Previous:
    """
    One former value of a secret, still encrypted.

    Args:
        token: The token that was replaced.
        successor: The token that took its place.
        replaced_at: When, in seconds since 1970.
    """

    __slots__ = ("replaced_at", "successor", "token")

    def __init__(self, token: str, successor: str, replaced_at: int) -> None:
        self.token = token
        self.successor = successor
        self.replaced_at = replaced_at


class Change:
    """
    What becomes of previous values beside a change of `secrets`.

    Args:
        active: The databases.
        db: The one that holds the secrets, in the transaction of the change.
    """

    def __init__(self, active: ActiveDatabase, db: sqlite3.Connection) -> None:
        self._active = active
        self._db = db
        self._afterwards: list[tuple[str, tuple[object, ...]]] = []

    def replaced(self, user_id: int, name: str, token: str, successor: str) -> None:
        """Keep *token*; what was kept before it is not needed any more once *successor* is there."""
        self._before("INSERT OR REPLACE INTO nb_previous VALUES (?, ?, ?, ?, ?)", user_id, name, successor, token, _now())
        self._after("DELETE FROM nb_previous WHERE user_id = ? AND name = ? AND successor <> ?", user_id, name, successor)

    def renamed(self, user_id: int, old: str, new: str) -> None:
        """What is kept goes along; what there may be of a former secret of that name does not."""
        copy = "SELECT user_id, ?, successor, token, replaced_at FROM nb_previous WHERE user_id = ? AND name = ?"
        if self._exists():
            self._before("DELETE FROM nb_previous WHERE user_id = ? AND name = ?", user_id, new)
            self._before(f"INSERT INTO nb_previous {copy}", new, user_id, old)
            self.gone(user_id, old)

    def gone(self, user_id: int, name: str) -> None:
        """Delete what is kept of a secret."""
        if self._exists():
            self._after("DELETE FROM nb_previous WHERE user_id = ? AND name = ?", user_id, name)

    def finish(self) -> None:
        """Do what was left for after the change."""
        if self._afterwards:
            # The change itself is done. What cannot be deleted now is never put back all the same, and a later sweep finds it.
            with suppress(StoreError, sqlite3.Error), self._active.beside(self._db) as ours:
                for statement, arguments in self._afterwards:
                    ours.execute(statement, arguments)

    def _before(self, statement: str, *arguments: object) -> None:
        with self._active.beside(self._db) as ours:
            ours.execute(statement, arguments)

    def _after(self, statement: str, *arguments: object) -> None:
        if self._active.one_database:
            # The same transaction, and so the same sync.
            self._db.execute(statement, arguments)
        else:
            self._afterwards.append((statement, arguments))

    def _exists(self) -> bool:
        return self._active.one_database or self._active.has_ours


@contextmanager
def change(active: ActiveDatabase, db: sqlite3.Connection) -> Iterator[Change]:
    """Go round the transaction of a change of `secrets`; after an error nothing more is done."""
    around = Change(active, db)
    yield around
    around.finish()


def sweep(active: ActiveDatabase, db: sqlite3.Connection) -> None:
    """Delete what was kept long enough, inside of `ActiveDatabase.writing`. What cannot be deleted now is found later."""
    # On either side: where the clock was wrong for a while, nothing is kept until that time comes.
    latest = _now() + _KEPT_S
    with suppress(StoreError, sqlite3.Error), active.beside(db) as ours:
        ours.execute("DELETE FROM nb_previous WHERE replaced_at NOT BETWEEN ? AND ?", (latest - 2 * _KEPT_S, latest))


def find_previous(active: ActiveDatabase, user_id: int, name: str) -> list[Previous]:
    """Return what is kept of a secret and may still be put back, the newest first; after a crash that can be two."""
    query = (
        "SELECT token, successor, replaced_at FROM nb_previous WHERE user_id = ? AND name = ?"
        " AND abs(replaced_at - ?) <= ? ORDER BY replaced_at DESC"
    )
    with active.ours() as ours:
        # A database of an earlier version that nobody has written to since has no such table.
        there = ours is not None and has_table(ours, "nb_previous")
        found = ours.execute(query, (user_id, name, _now(), _KEPT_S)).fetchall() if ours is not None and there else []
    return [Previous(*row) for row in found]


def _now() -> int:
    return int(time.time())


def of_present(row: Row, store: Store, key: StoreKey) -> Previous:
    """
    Return what `undo` puts back in the place of the user's own *row*.

    Raises:
        NothingToUndoError: If nothing is kept that belongs to its present value.
    """
    for previous in store.previous(row.owner_id, row.name):
        if previous.successor == row.token or _same_value(previous.successor, row, key):
            return previous
    raise NothingToUndoError(
        f"no previous value of {row.name!r} is kept; nothing was changed",
        hint=f"one is kept for {UNDO_DAYS} days after a replace here, unless Flowfile has replaced it since",
    )


def _same_value(token: str, row: Row, key: StoreKey) -> bool:
    """Whether two tokens are of one value: after a rotation of the master key it has another token."""
    try:
        return key.decrypt_kept(token, row) == key.decrypt(row)
    except StoreError:
        return False
