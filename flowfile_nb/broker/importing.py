"""Taking over what a Flowfile in Docker mode has: users, groups, shares and secrets, with their ids and as they are sealed."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy import Boolean, Connection, DateTime, Table, func, select, text

from flowfile_nb.broker.database import Store
from flowfile_nb.broker.keeping import Keeper, unseal
from flowfile_nb.broker.tables import grants, groups, memberships, secrets, users
from flowfile_nb.core.crypto import Keychain
from flowfile_nb.errors import DamagedSecretError, StoreError, WrongKeyError

_TABLES = (users, groups, memberships, grants, secrets)


def is_flowfiles(path: str) -> bool:
    """Return whether a file is a database that Flowfile itself writes: its tables, and none of ours. It is only read."""
    try:
        with closing(sqlite3.connect(f"{Path(os.path.abspath(path)).as_uri()}?mode=ro", uri=True)) as source:
            names = {str(row[0]) for row in source.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    except (sqlite3.Error, ValueError):
        return False
    return {secrets.name, users.name} <= names and not any(name.startswith("nb_") for name in names)


class Imported(NamedTuple):
    """How many rows came over of each table, and how many stayed behind because a user or group of theirs is gone."""

    users: int
    groups: int
    memberships: int
    grants: int
    secrets: int
    left_behind: int


def import_flowfile(store: Store, keeper: Keeper, path: str) -> Imported:
    """
    Copy a Flowfile database into an empty store; it is only read, and all of it comes or nothing.

    A shared secret is of no use to its group before its owner has saved a connection with it and entered it again: Flowfile
    has no targets to go by.

    Args:
        store: The broker's.
        keeper: Has Flowfile's master key: the rows stay sealed as they are.
        path: Of Flowfile's `flowfile_catalog.db`.

    Raises:
        StoreError: If it is no Flowfile database, or the store is not empty.
        WrongKeyError: If the broker's key does not open a row of it.
    """
    keys = keeper.keys()
    rows = _read(path)
    people = {row["id"] for row in rows["users"]}
    teams = {row["id"] for row in rows["user_groups"] if row["created_by"] in people}
    sealed = {row["id"] for row in rows["secrets"] if row["user_id"] in people}
    kept = {
        users: rows["users"],
        groups: [row for row in rows["user_groups"] if row["id"] in teams],
        memberships: [row for row in rows["user_group_memberships"] if row["group_id"] in teams and row["user_id"] in people],
        grants: [row for row in rows["resource_grants"] if _holds(row, people, teams, sealed)],
        secrets: [_ours(keys, row) for row in rows["secrets"] if row["id"] in sealed],
    }
    with store.writing(policy=True) as connection:
        if connection.execute(select(func.count()).select_from(users)).scalar():
            raise StoreError("the broker's store is not empty", hint="import into a new one, before anybody has used it")
        for table in _TABLES:
            if kept[table]:
                connection.execute(table.insert(), [_converted(table, row) for row in kept[table]])
            if not store.is_sqlite:
                _go_on_counting(connection, table)
    counts = [len(kept[table]) for table in _TABLES]
    return Imported._make([*counts, sum(map(len, rows.values())) - sum(counts)])


def _read(path: str) -> dict[str, list[dict[str, Any]]]:
    try:
        # `mode=ro`: a path that is mistyped makes no file.
        with closing(sqlite3.connect(f"{Path(os.path.abspath(path)).as_uri()}?mode=ro", uri=True)) as source:
            source.row_factory = sqlite3.Row
            source.execute("BEGIN")
            return {
                table.name: [
                    {column.name: row[column.name] for column in table.columns}
                    for row in source.execute(f"SELECT * FROM {table.name} ORDER BY id")  # noqa: S608 - our constants
                ]
                for table in _TABLES
            }
    except (sqlite3.Error, IndexError, ValueError):
        raise StoreError(
            f"{path} is not the database of a Flowfile that has groups",
            hint="it is called flowfile_catalog.db; a Flowfile older than 0.23 makes the tables when it is updated",
        ) from None


def _holds(row: dict[str, Any], people: set[int], teams: set[int], sealed: set[int]) -> bool:
    """Return whether all is there that a grant speaks of. What else Flowfile shares, flows and tables, is none of ours."""
    there = row["resource_type"] == "secret" and row["resource_id"] in sealed
    return there and row["group_id"] in teams and row["granted_by"] in people


def _ours(keys: Keychain, row: dict[str, Any]) -> dict[str, Any]:
    """Return a secret's row as it is; one from before tokens named their user is sealed anew for its owner."""
    try:
        try:
            unseal(keys, row["encrypted_value"], row["user_id"])
        except DamagedSecretError:
            value = keys.decrypt_secret(row["encrypted_value"] or "", row["user_id"])
            token: str = row["encrypted_value"]
            if token.startswith("$"):
                raise
            return {**row, "encrypted_value": keys.encrypt_secret(value, row["user_id"])}
    except DamagedSecretError:
        raise WrongKeyError(
            f"the broker's master key does not open the secret {row['name']!r} of that database; nothing was imported",
            hint="give the broker the key of that Flowfile: its FLOWFILE_MASTER_KEY; a row that Flowfile itself cannot open"
            " is deleted there first",
        ) from None
    return row


def _converted(table: Table, row: dict[str, Any]) -> dict[str, Any]:
    """Return a row with Python's types for what SQLite keeps as numbers and text."""
    converted = dict(row)
    for column in table.columns:
        item = row[column.name]
        if item is not None and isinstance(column.type, Boolean):
            converted[column.name] = bool(item)
        elif isinstance(item, str) and isinstance(column.type, DateTime):
            converted[column.name] = datetime.fromisoformat(item)
    return converted


def _go_on_counting(connection: Connection, table: Table) -> None:
    """Let new rows begin after the copied ids: PostgreSQL counts them by itself."""
    name = table.name
    connection.execute(
        text(f"SELECT setval(pg_get_serial_sequence('{name}', 'id'), (SELECT COALESCE(MAX(id), 0) + 1 FROM {name}), false)")  # noqa: S608
    )
