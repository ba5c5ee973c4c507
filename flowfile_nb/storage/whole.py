"""Everything that a store holds, read at once: for a backup, and to compare one with it."""

from __future__ import annotations

import os
import sqlite3
from typing import Any, NamedTuple

from flowfile_nb.errors import StoreError
from flowfile_nb.storage.database import connect, has_table, translated
from flowfile_nb.storage.migrations import schema_version
from flowfile_nb.storage.rows import Row
from flowfile_nb.storage.salvage import readable_rows
from flowfile_nb.storage.store import Store


class Group(NamedTuple):
    """A group that secrets are shared with."""

    name: str
    description: str | None
    created_by: int


class Membership(NamedTuple):
    """Who is in a group, as what."""

    group: str
    user_id: int
    role: str


class Grant(NamedTuple):
    """A secret that is shared with a group."""

    row_id: int
    group: str
    permission: str
    granted_by: int


class SavedConnection(NamedTuple):
    """A definition that `%%connect --save` kept; it holds references, never values."""

    name: str
    body: str
    saved_at: int


class Whole(NamedTuple):
    """What a store holds. Values are as they are stored: encrypted."""

    users: dict[int, str]
    rows: list[Row]
    groups: list[Group]
    memberships: list[Membership]
    grants: list[Grant]
    connections: list[SavedConnection]
    lost: list[str]
    """What cannot be read of a damaged database: the names of secrets, `row 7`, or the name of a table."""

    def owns(self, user_id: int) -> dict[str, Row]:
        """Return the rows that the names of a user mean: of names that Flowfile stored twice, the one with the lowest id."""
        return {row.name: row for row in reversed(self.rows) if row.owner_id == user_id}

    def mentions(self) -> tuple[set[int], set[str]]:
        """Return the ids of the users and the names of the groups that something in it belongs to."""
        users = {row.owner_id for row in self.rows} | {group.created_by for group in self.groups}
        users |= {membership.user_id for membership in self.memberships} | {grant.granted_by for grant in self.grants}
        return users, {membership.group for membership in self.memberships} | {grant.group for grant in self.grants}


_GROUPS = "SELECT name, description, created_by FROM user_groups ORDER BY id"
_MEMBERSHIPS = """
    SELECT g.name, m.user_id, m.role FROM user_group_memberships m JOIN user_groups g ON g.id = m.group_id ORDER BY m.id
"""
_GRANTS = """
    SELECT r.resource_id, g.name, r.permission, r.granted_by FROM resource_grants r JOIN user_groups g ON g.id = r.group_id
    WHERE r.resource_type = 'secret' ORDER BY r.id
"""


def read_whole(store: Store) -> Whole:
    """
    Return everything, as far as it can be read.

    Raises:
        StoreError: If the database that holds the secrets cannot even be opened.
    """
    lost: list[str] = []
    path = _location(store)
    if path is None:
        return Whole({}, [], [], [], [], _connections(store, lost), lost)
    with translated(path):
        db = connect(path)
        try:
            # What other programs write from now on is not in it.
            db.execute("BEGIN")
            found, missing = readable_rows(db)
            lost += missing
            rows = [Row(*row) for row in found if _is_whole(row)]
            # Flowfile's columns allow rows without a name or an owner, which nobody can use.
            lost += [f"row {row[0]}" for row in found if not _is_whole(row) and None not in row]
            users = dict(_table(db, "users", "SELECT id, username FROM users", lost))
            groups = [Group(*row) for row in _table(db, "user_groups", _GROUPS, lost)]
            memberships = [Membership(*row) for row in _table(db, "user_group_memberships", _MEMBERSHIPS, lost)]
            grants = [Grant(*row) for row in _table(db, "resource_grants", _GRANTS, lost)]
        finally:
            db.close()
    return Whole(users, rows, groups, memberships, grants, _connections(store, lost), lost)


def _location(store: Store) -> str | None:
    try:
        return store.location
    except StoreError:
        # So damaged that it cannot be used; what can be read is there all the same.
        there = filter(os.path.exists, (store.paths.catalog, store.paths.database))
        return next(filter(_has_secrets, there), store.paths.database)


def _has_secrets(path: str) -> bool:
    with translated(path):
        db = connect(path)
        try:
            schema_version(db)
            return has_table(db, "secrets")
        finally:
            db.close()


def _connections(store: Store, lost: list[str]) -> list[SavedConnection]:
    if not os.path.exists(store.paths.database):
        return []
    with translated(store.paths.database):
        ours = connect(store.paths.database)
        try:
            query = "SELECT name, body, saved_at FROM nb_connections ORDER BY name"
            return [SavedConnection(*row) for row in _table(ours, "nb_connections", query, lost)]
        finally:
            ours.close()


def _table(db: sqlite3.Connection, table: str, query: str, lost: list[str]) -> list[Any]:
    try:
        return db.execute(query).fetchall() if has_table(db, table) else []
    except sqlite3.DatabaseError:
        lost.append(f"the table {table}")
        return []


def _is_whole(row: Any) -> bool:
    return [type(item) for item in row] == [int, str, str, int]
