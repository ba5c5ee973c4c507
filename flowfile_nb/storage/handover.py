"""Moving our rows into Flowfile's catalog when Flowfile appears: the same tokens, the same key, the same user id."""

from __future__ import annotations

import os
import sqlite3

from flowfile_nb.errors import StoreError
from flowfile_nb.storage.database import connect, has_table, transaction
from flowfile_nb.storage.paths import Paths

SUFFIX = " (flowfile_nb)"


def move_rows(paths: Paths, catalog: sqlite3.Connection) -> None:
    """
    Move the rows of our own database into Flowfile's catalog, if there are any.

    A row is deleted here only after it is committed there, and one that is there already is not added again; so a crash
    between the two leaves nothing lost and nothing twice. Where both have the name, Flowfile's keeps it and ours gets a suffix.

    Raises:
        StoreError: If their key is in the OS keychain, where Flowfile cannot read it.
    """
    if not os.path.exists(paths.database) or not os.access(paths.directory, os.W_OK):
        return
    ours = connect(paths.database)
    try:
        if not has_table(ours, "secrets") or ours.execute("SELECT 1 FROM secrets").fetchone() is None:
            return
        if ours.execute("SELECT 1 FROM nb_facts WHERE name = 'key_home' AND value = 'keychain'").fetchone() is not None:
            raise StoreError(
                f"the master key of {paths.database} is in the OS keychain, and FLOWFILE_NB_KEY_HOME is not set",
                hint="set FLOWFILE_NB_KEY_HOME=keychain  before the kernel starts; nothing was moved to Flowfile's catalog",
            )
        # Imported here: hardly ever is there anything to move.
        from flowfile_nb.storage.lock import exclusive

        with exclusive(paths.lock):
            rows = ours.execute("SELECT id, name, encrypted_value, user_id FROM secrets ORDER BY id").fetchall()
            with transaction(catalog):
                there = catalog.execute("SELECT name, encrypted_value, user_id FROM secrets").fetchall()
                taken = {(user_id, name) for name, _, user_id in there}
                tokens = {token for _, token, _ in there}
                for _, name, token, user_id in rows:
                    if token not in tokens:
                        free = name
                        while (user_id, free) in taken:
                            free += SUFFIX
                        insert = "INSERT INTO secrets (name, encrypted_value, iv, user_id) VALUES (?, ?, '', ?)"
                        catalog.execute(insert, (free, token, user_id))
                        taken.add((user_id, free))
            with transaction(ours):
                ours.executemany("DELETE FROM secrets WHERE id = ?", [(row[0],) for row in rows])
    finally:
        ours.close()
