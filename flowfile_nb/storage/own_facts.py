"""What Flowfile's tables have no column for: facts about the store, and saved connections. It is in our own database always."""

from __future__ import annotations

import sqlite3
import time

from flowfile_nb.storage.active import ActiveDatabase
from flowfile_nb.storage.database import transaction


class OwnFacts:
    """
    Facts and definitions of connections, beside the rows.

    Args:
        active: The databases.
    """

    def __init__(self, active: ActiveDatabase) -> None:
        self.active = active
        """For what cares for the store as a whole."""

    def fact(self, name: str) -> str | None:
        """Return a fact about the store, such as `key_id`."""
        with self.active.ours() as db:
            found = None if db is None else db.execute("SELECT value FROM nb_facts WHERE name = ?", (name,)).fetchone()
            return found[0] if found else None

    def set_fact(self, name: str, value: str) -> None:
        """Store a fact about the store."""
        with self.active.ours(create=True) as db:
            assert db is not None
            db.execute(
                "INSERT INTO nb_facts VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value", (name, value)
            )

    def connection_bodies(self) -> dict[str, str]:
        """Return the saved definitions of connections by name; they hold references, never values."""
        with self.active.ours() as db:
            return {} if db is None else dict(db.execute("SELECT name, body FROM nb_connections ORDER BY name"))

    def save_connection(self, name: str, body: str) -> None:
        """Save the definition of a connection, in place of an earlier one of that name."""
        with self.active.ours(create=True) as db:
            assert db is not None
            db.execute("INSERT OR REPLACE INTO nb_connections VALUES (?, ?, ?)", (name, body, int(time.time())))

    def rename_references(self, old: str, new: str) -> list[str]:
        """Let the saved definitions refer to a secret by its new name, in a transaction of their own; as the function."""
        with self.active.ours(create=True) as db:
            assert db is not None
            with transaction(db):
                return rename_references(db, old, new)

    def delete_connection(self, name: str) -> bool:
        """Delete a definition; return whether there was one."""
        with self.active.ours() as db:
            if db is None:
                return False
            with transaction(db):
                db.execute("DELETE FROM nb_used_connections WHERE origin = '' AND name = ?", (name,))
                return db.execute("DELETE FROM nb_connections WHERE name = ?", (name,)).rowcount > 0

    def used_connections(self) -> dict[tuple[str, str], tuple[str, int | None]]:
        """Return what is known of definitions: for (origin, name) the digest agreed to, and when it was last opened."""
        with self.active.ours() as db:
            rows = [] if db is None else db.execute("SELECT origin, name, digest, used_at FROM nb_used_connections")
            return {(origin, name): (digest, used_at) for origin, name, digest, used_at in rows}

    def note_connection(self, origin: str, name: str, digest: str, used_at: int | None) -> None:
        """Keep what is known of a definition; None leaves the time as it is."""
        with self.active.ours(create=True) as db:
            assert db is not None
            db.execute(
                """INSERT INTO nb_used_connections VALUES (?, ?, ?, ?) ON CONFLICT (origin, name) DO UPDATE
                SET digest = excluded.digest, used_at = coalesce(excluded.used_at, used_at)""",
                (origin, name, digest, used_at),
            )

    def copies(self) -> int:
        """Return how many rows of our own database are copies of rows that are, or were, in Flowfile's catalog."""
        from flowfile_nb.storage.handover import count_copies

        with self.active.ours() as db:
            return 0 if db is None else count_copies(db)


def rename_references(db: sqlite3.Connection, old: str, new: str) -> list[str]:
    """
    Let the saved definitions refer to a secret by its new name, as a part of a transaction.

    Args:
        db: Our own database.
        old: What they call it.
        new: What it is called from now on.

    Returns:
        The names of those that were changed.

    Raises:
        ReferenceSyntaxError: If one refers to *old*, and no reference can say *new*.
    """
    # Imported here: most calls change no name.
    from flowfile_nb.core.references import renamed_in

    bodies = dict(db.execute("SELECT name, body FROM nb_connections ORDER BY name"))
    followed = renamed_in(bodies, old, new)
    db.executemany("UPDATE nb_connections SET body = ? WHERE name = ?", [(body, name) for name, body in followed.items()])
    return list(followed)
