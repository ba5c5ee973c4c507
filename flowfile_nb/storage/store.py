"""Writing rows of ciphertext, in whichever database holds them now. Never sees a plaintext or a key."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from flowfile_nb.core.names import quoted
from flowfile_nb.errors import NothingToUndoError, SecretExistsError, StoreError
from flowfile_nb.storage.database import transaction
from flowfile_nb.storage.own_facts import rename_references
from flowfile_nb.storage.paths import Paths
from flowfile_nb.storage.rows import Rows

if TYPE_CHECKING:
    from flowfile_nb.storage.previous import Change

# Each by itself a transaction: it waits for other writers, and is on disk when it returns.
_ADD = "INSERT OR IGNORE INTO secrets (name, encrypted_value, iv, user_id) VALUES (?1, ?2, '', ?3)"
# Flowfile's catalog has no index that keeps a name unique.
_ADD_TO_CATALOG = """
    INSERT INTO secrets (name, encrypted_value, iv, user_id) SELECT ?1, ?2, '', ?3
    WHERE NOT EXISTS (SELECT 1 FROM secrets WHERE name = ?1 AND user_id = ?3)
"""
_UPDATE = "UPDATE secrets SET encrypted_value = ?, iv = '' WHERE id = ?"
_SWEEP_EVERY_S = 3_600


class Store(Rows):
    """
    The rows, to read and to write, wherever they are now.

    Args:
        paths: Where the databases are, or would be. Nothing is created before the first write.
    """

    def __init__(self, paths: Paths) -> None:
        super().__init__(paths)
        self._swept_at = 0.0

    def put(self, user_id: int, name: str, token: str, *, replace: bool) -> bool:
        """
        Store a token under a user's own *name*. When this returns, it is on disk.

        Returns:
            Whether an existing row was replaced; it keeps its id, so its shares and connections hold, and its former token is
            kept for a while (`undo`).

        Raises:
            SecretExistsError: If the name is taken and *replace* is false.
        """
        with self.active.writing() as db:
            # Most names are new.
            if self._add(db, user_id, name, token):
                self._changed(db, user_id, (name,))
                return False
            if not replace:
                raise SecretExistsError(
                    f"there is already a secret named {name!r}; it was not changed",
                    hint=f"%secret set {quoted(name)} --replace  keeps its shares and connections",
                )
            return self._replace(user_id, name, token)

    def _replace(self, user_id: int, name: str, token: str) -> bool:
        with self._changing(user_id, name) as (db, previous):
            row = self._find_own(db, user_id, name)
            if row is None:
                # Flowfile has deleted it at this moment.
                self._add(db, user_id, name, token)
                return False
            previous.replaced(user_id, name, row.token, token)
            db.execute(_UPDATE, (token, row.id))
            return True

    def _add(self, db: sqlite3.Connection, user_id: int, name: str, token: str) -> bool:
        """Add a row; return whether there was none of that name."""
        return db.execute(_ADD_TO_CATALOG if self.active.in_catalog else _ADD, (name, token, user_id)).rowcount == 1

    def renew(self, row_id: int, old: str, new: str) -> None:
        """Put the token *new* of the same value in the place of *old*, if a row still has that."""
        with self.active.writing() as db:
            db.execute("UPDATE secrets SET encrypted_value = ? WHERE id = ? AND encrypted_value = ?", (new, row_id, old))

    def undo(self, user_id: int, name: str, present: str, former: str) -> None:
        """
        Put the token *former* in the place of *present*; neither is kept beside it.

        Raises:
            NoSuchSecretError: If the user owns none of that name.
            NothingToUndoError: If its token is not *present* any more.
        """
        with self._changing(user_id, name) as (db, previous):
            row = self._own(db, user_id, name)
            if row.token != present:
                raise NothingToUndoError(
                    f"{name!r} was changed by another program at this moment; nothing was undone",
                    hint="look at it, and try again",
                )
            previous.gone(user_id, name)
            db.execute(_UPDATE, (former, row.id))

    def rename(self, user_id: int, old: str, new: str) -> list[str]:
        """
        Give a user's own secret another name, and let the saved definitions of connections refer to it by that.

        Where Flowfile's catalog holds the secrets, the definitions follow when the secret is renamed there: two databases share
        no transaction.

        Returns:
            The names of those that were changed: not of one that could not be, after the change in the catalog.

        Raises:
            NoSuchSecretError: If the user owns none named *old*.
            SecretExistsError: If the user owns one named *new*.
            ReferenceSyntaxError: If a definition refers to *old*, and no reference can say *new*.
        """
        # Imported here: most calls change no name.
        from flowfile_nb.core.references import renamed_in

        followed: list[str] = []
        with self._changing(user_id, old, new) as (db, previous):
            row = self._own(db, user_id, old)
            if self._find_own(db, user_id, new) is not None:
                raise SecretExistsError(
                    f"there is already a secret named {new!r}; nothing was renamed",
                    hint=f"choose another name, or delete that one before:  %secret delete {quoted(new)}",
                )
            one_database = self.active.one_database
            if one_database:
                followed = rename_references(db, old, new)
            else:
                # What no reference can say is refused while nothing is changed yet.
                renamed_in(self.connection_bodies(), old, new)
            previous.renamed(user_id, old, new)
            db.execute("UPDATE secrets SET name = ? WHERE id = ?", (new, row.id))
        if not one_database:
            with suppress(StoreError):
                followed = self.rename_references(old, new)
        return followed

    def delete(self, user_id: int, name: str) -> None:
        """
        Delete a user's own secret and its grants, as Flowfile does; what was kept of its former value, too.

        Raises:
            NoSuchSecretError: If the user owns none of that name.
        """
        with self._changing(user_id, name) as (db, previous):
            row = self._own(db, user_id, name)
            if self.active.has_shares:
                db.execute("DELETE FROM resource_grants WHERE resource_type = 'secret' AND resource_id = ?", (row.id,))
            db.execute("DELETE FROM secrets WHERE id = ?", (row.id,))
            previous.gone(user_id, name)

    @contextmanager
    def _changing(self, user_id: int, *names: str) -> Iterator[tuple[sqlite3.Connection, Change]]:
        """One write transaction, and what comes after it."""
        # Imported here: only changing what is there needs it.
        from flowfile_nb.storage.previous import change

        with self.active.writing() as db:
            with change(self.active, db) as previous, transaction(db):
                yield db, previous
            self._changed(db, user_id, names)

    def _changed(self, db: sqlite3.Connection, user_id: int, names: Sequence[str]) -> None:
        """Copy what Flowfile's catalog has under these names into our own database; now and then tidy up there."""
        if self.active.in_catalog:
            from flowfile_nb.storage.handover import copy_rows

            copy_rows(self.paths, db, user_id, names)
        # Either way: a clock that was set back must not put it off.
        if not 0 <= (now := time.time()) - self._swept_at < _SWEEP_EVERY_S:
            from flowfile_nb.storage.previous import sweep

            sweep(self.active, db)
            self._swept_at = now
