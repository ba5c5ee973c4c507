"""Reading the rows of a damaged database: what can be read, and what cannot, by name where an index still has it."""

from __future__ import annotations

import sqlite3
from typing import Any

from flowfile_nb.storage.database import readable

_SLICE = 500
# Where no index says which rows there were: after so many ids without a row the end is reached.
_GAP = 10_000
# As bytes: one that is no text any more would make SQLite's driver fail, and the rest of the token may still be opened.
_TOKEN = "CASE typeof(encrypted_value) WHEN 'text' THEN CAST(encrypted_value AS BLOB) WHEN 'null' THEN NULL ELSE 0 END"  # noqa: S105
_COLUMNS = f"id, CAST(name AS BLOB), {_TOKEN}, user_id"
_ROW = f"SELECT {_COLUMNS} FROM secrets WHERE id = ?"  # noqa: S608 - our own constants


def readable_rows(db: sqlite3.Connection) -> tuple[list[Any], list[str]]:
    """
    Return the rows of `secrets` in the order of their ids, and what is known of those that cannot be read.

    Args:
        db: Of a database that can be opened and has the table.

    Returns:
        The rows as (id, name, token, owner id), and a text for each lost one: its name, or `row 7`.
    """
    rows: list[Any] = []
    try:
        while True:
            query = f"SELECT {_COLUMNS} FROM secrets WHERE id > ? ORDER BY id LIMIT {_SLICE}"  # noqa: S608 - our own constants
            found = _decoded(db.execute(query, (rows[-1][0] if rows else -1,)))
            rows += found
            if len(found) < _SLICE:
                return rows, []
    except sqlite3.DatabaseError:
        return _one_by_one(db)


def _decoded(rows: sqlite3.Cursor) -> list[Any]:
    return [(row_id, _name(name), _token(token), owner) for row_id, name, token, owner in rows]


def _token(stored: object) -> object:
    return readable(stored) if isinstance(stored, bytes) else stored


def _name(stored: bytes | None) -> str | bytes | None:
    """Return a name as text; one that is none stays what it is, and its row is lost: nobody could ask for it."""
    try:
        return stored and stored.decode()
    except UnicodeDecodeError:
        return stored


def _one_by_one(db: sqlite3.Connection) -> tuple[list[Any], list[str]]:
    named = _named_by_an_index(db)
    if named is None:
        return _walk(db)
    rows, lost = [], []
    for row_id in sorted(named):
        try:
            # An index that is damaged in another way can name a row that is not there.
            rows += _decoded(db.execute(_ROW, (row_id,)))
        except sqlite3.DatabaseError:
            lost.append(named[row_id] or f"row {row_id}")
    return rows, lost


def _named_by_an_index(db: sqlite3.Connection) -> dict[int, str] | None:
    """Return the ids of all rows with their names, or None where no index can be read: it has both, and pages of its own."""
    for index in ("uq_secrets_user_name", "ix_secrets_name"):
        try:
            return dict(db.execute(f"SELECT rowid, name FROM secrets INDEXED BY {index}"))  # noqa: S608 - as above
        except sqlite3.DatabaseError:
            # There is none of that name, or it is damaged as well.
            continue
    return None


def _walk(db: sqlite3.Connection) -> tuple[list[Any], list[str]]:
    rows: list[Any] = []
    lost, failed = [], []
    row_id = last = 0
    while row_id - last < _GAP:
        row_id += 1
        try:
            found = _decoded(db.execute(_ROW, (row_id,)))
        except sqlite3.DatabaseError:
            # Nobody knows whether there was a row.
            failed.append(row_id)
            continue
        if found:
            rows += found
            last = row_id
            lost += [f"rows {failed[0]} to {failed[-1]}"] if failed else []
            failed = []
    lost += [f"the rows from {failed[0]} on"] if failed else []
    return rows, lost
