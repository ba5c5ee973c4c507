"""What can be amiss in the tables that hold secrets: names that are there twice, and shares of what is gone."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import NamedTuple

from flowfile_nb.storage.database import connect, has_table, transaction, translated
from flowfile_nb.storage.lock import exclusive

_TWICE = """
    SELECT name, min(id), group_concat(id) FROM (SELECT name, id FROM secrets WHERE user_id = ? ORDER BY id)
    GROUP BY name HAVING count(*) > 1 ORDER BY min(id)
"""
# SQLite gives the number of a deleted row to a new one: a share that stayed behind would share the new secret.
_ORPHANED = """
    FROM resource_grants WHERE
    resource_type = 'secret' AND resource_id NOT IN (SELECT id FROM secrets)
    OR group_id NOT IN (SELECT id FROM user_groups)
"""


class Twice(NamedTuple):
    """A name under which one user has several rows; Flowfile allows it."""

    name: str
    used_id: int
    """The row that the name means, here and in Flowfile: the lowest id."""
    hidden_ids: list[int]


@contextmanager
def opened(location: str) -> Iterator[sqlite3.Connection]:
    """The database that holds the secrets, by a connection of its own. Raises StoreError if it cannot be read."""
    with translated(location), closing(connect(location)) as db:
        yield db


def stored_twice(db: sqlite3.Connection, user_id: int) -> list[Twice]:
    """Return the names that a user has more than once."""
    found = [(name, used, [int(number) for number in ids.split(",")]) for name, used, ids in db.execute(_TWICE, (user_id,))]
    return [Twice(name, used, sorted(ids)[1:]) for name, used, ids in found]


def orphaned_grants(db: sqlite3.Connection) -> list[str]:
    """Return in words the shares of secrets, or with groups, that are not there any more."""
    if not (has_table(db, "resource_grants") and has_table(db, "user_groups")):
        return []
    grants = db.execute(f"SELECT resource_type, resource_id, group_id {_ORPHANED}").fetchall()
    return [f"{kind} {resource} with group {group}" for kind, resource, group in grants]


def mend_rows(location: str, lock: str, user_id: int) -> list[str]:
    """
    Give hidden rows a name of their own, and delete orphaned shares. No secret is deleted or changes its value.

    Returns:
        What was done, a line each.

    Raises:
        StoreError: If the database cannot be written. Nothing was changed then.
    """
    done = []
    with exclusive(lock), opened(location) as db, transaction(db):
        taken = {name for (name,) in db.execute("SELECT name FROM secrets WHERE user_id = ?", (user_id,))}
        for twice in stored_twice(db, user_id):
            for row_id in twice.hidden_ids:
                free = next(name for count in range(2, len(taken) + 3) if (name := f"{twice.name} ({count})") not in taken)
                db.execute("UPDATE secrets SET name = ? WHERE id = ?", (free, row_id))
                taken.add(free)
                done.append(f"the hidden second {twice.name!r} is now {free!r}")
        if grants := orphaned_grants(db):
            db.execute(f"DELETE {_ORPHANED}")
            done.append(f"orphaned shares deleted: {', '.join(grants)}")
    return done
