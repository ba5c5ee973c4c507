"""Putting what another store held into this one, in one transaction: new rows, and new values of rows that are there."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from flowfile_nb.storage.database import transaction
from flowfile_nb.storage.previous import change
from flowfile_nb.storage.store import Store
from flowfile_nb.storage.whole import Grant, Group, Membership, SavedConnection

_OWN = "SELECT id, encrypted_value FROM secrets WHERE name = ? AND user_id = ? ORDER BY id LIMIT 1"


class Item(NamedTuple):
    """A secret to put there."""

    user_id: int
    name: str
    token: str
    """Under the key of this store."""
    seen: str | None
    """The token that the name had when that was looked up; None where there was no row."""
    former_id: int
    """The id of its row in the other store, which its grants name."""


class Sharing(NamedTuple):
    """Who may use what. Ids of users are those of this store."""

    groups: list[Group]
    memberships: list[Membership]
    grants: list[Grant]


def add_users(store: Store, names: Iterable[str]) -> dict[str, int]:
    """
    Return the ids of users by name, making those that are not there.

    A user that is made has no password and is disabled: in Flowfile, an administrator enables it.
    """
    with store.active.writing() as db, transaction(db):
        found: dict[str, int] = {}
        for name in names:
            row = db.execute("SELECT id FROM users WHERE username = ?", (name,)).fetchone()
            insert = "INSERT INTO users (username, full_name, disabled, is_admin) VALUES (?, ?, 1, 0)"
            found[name] = row[0] if row else _added(db, insert, name, name)
    return found


def merge(store: Store, items: Iterable[Item], sharing: Sharing) -> list[Item]:
    """
    Add new rows and replace values, all or nothing; replaced rows keep their ids, and can be undone one by one.

    Groups that are new here get their members, and rows that are new here get their grants. What was taken from somebody since
    is not given back: a group that is here keeps its members, and a row that is here its grants.

    Returns:
        The items that were left alone, because the name has another token now than when it was looked up.
    """
    late = []
    with store.active.writing() as db, change(store.active, db) as previous, transaction(db):
        added: dict[int, int] = {}
        for item in items:
            found = db.execute(_OWN, (item.name, item.user_id)).fetchone()
            if (found[1] if found else None) != item.seen:
                late.append(item)
            elif found is None:
                insert = "INSERT INTO secrets (name, encrypted_value, iv, user_id) VALUES (?, ?, '', ?)"
                added[item.former_id] = _added(db, insert, item.name, item.token, item.user_id)
            else:
                previous.replaced(item.user_id, item.name, found[1], item.token)
                db.execute("UPDATE secrets SET encrypted_value = ?, iv = '' WHERE id = ?", (item.token, found[0]))
        if store.active.has_shares:
            _share(db, sharing, added)
    return late


def _share(db: sqlite3.Connection, sharing: Sharing, added: Mapping[int, int]) -> None:
    ids = {name: group_id for group_id, name in db.execute("SELECT id, name FROM user_groups")}
    new = [group for group in sharing.groups if group.name not in ids]
    for group in new:
        insert = "INSERT INTO user_groups (name, description, created_by) VALUES (?, ?, ?)"
        ids[group.name] = _added(db, insert, *group)
    names = {group.name for group in new}
    for membership in sharing.memberships:
        if membership.group in names:
            db.execute(
                "INSERT OR IGNORE INTO user_group_memberships (group_id, user_id, role) VALUES (?, ?, ?)",
                (ids[membership.group], membership.user_id, membership.role),
            )
    for grant in sharing.grants:
        if grant.row_id in added:
            db.execute(
                "INSERT INTO resource_grants (resource_type, resource_id, group_id, permission, granted_by)"
                " VALUES ('secret', ?, ?, ?, ?)",
                (added[grant.row_id], ids[grant.group], grant.permission, grant.granted_by),
            )


def _added(db: sqlite3.Connection, insert: str, *arguments: object) -> int:
    """Insert a row, and return its id."""
    row_id = db.execute(insert, arguments).lastrowid
    assert row_id is not None
    return row_id


def merge_connections(store: Store, connections: Iterable[SavedConnection]) -> None:
    """Save definitions of connections, in place of others of those names."""
    with store.active.writing(), store.active.ours(create=True) as ours:
        assert ours is not None
        with transaction(ours):
            ours.executemany("INSERT OR REPLACE INTO nb_connections VALUES (?, ?, ?)", connections)
