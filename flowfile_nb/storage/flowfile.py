"""What Flowfile's own tables say about its saved connections: what they lead to, and which secrets they use."""

from __future__ import annotations

import sqlite3
from typing import Any, NamedTuple

from flowfile_nb.storage.database import has_table

# How Flowfile's kinds of connection name the secrets they use.
_USED_BY = (
    ("database_connections", "connection_name", ("password_id",)),
    (
        "cloud_storage_connections",
        "connection_name",
        (
            "aws_secret_access_key_id",
            "aws_session_token_id",
            "azure_account_key_id",
            "azure_client_secret_id",
            "azure_sas_token_id",
            "gcs_service_account_key_id",
        ),
    ),
    ("kafka_connections", "connection_name", ("sasl_password_id", "ssl_key_id")),
    ("google_analytics_connections", "connection_name", ("credential_secret_id",)),
)


def connections_using(catalog: sqlite3.Connection, row_id: int) -> list[str]:
    """Return the names of Flowfile's connections, of every kind, that use a row of `secrets`."""
    used: list[str] = []
    for table, label, columns in _USED_BY:
        if has_table(catalog, table):
            test = " OR ".join(f"{column} = ?" for column in columns)
            query = f"SELECT {label} FROM {table} WHERE {test}"  # noqa: S608 - made of our own constants
            used += [name for (name,) in catalog.execute(query, [row_id] * len(columns))]
    return used


# The columns that are not for reading a connection: who made it and when, and what refers to a row of `secrets`.
_NOT_SHOWN = {"id", "connection_name", "user_id", "created_at", "updated_at", "extra_config"}
_KINDS = (
    ("database", "database_connections", "database_connection"),
    ("cloud", "cloud_storage_connections", "cloud_connection"),
)


class ConnectionRow(NamedTuple):
    """A connection that was saved in Flowfile's own interface, for a database or for cloud storage."""

    name: str
    kind: str
    """`database` or `cloud`."""
    parts: dict[str, Any]
    """Flowfile's columns that are set; nothing in them is secret."""
    rows: dict[str, int]
    """Which column of the connection names which row of `secrets`."""


def saved_connections(catalog: sqlite3.Connection, user_id: int, name: str | None = None) -> list[ConnectionRow]:
    """
    Return the connections a user can use, one of each name; of one name alone if that is given.

    As in Flowfile an own connection comes before a shared one, and the lowest id before others.
    """
    found: dict[str, ConnectionRow] = {}
    for kind, table, resource in _KINDS:
        for fields in _usable(catalog, table, resource, user_id, name):
            rows = {column: fields[column] for column in _secret_columns(table) if fields.get(column) is not None}
            kept = {
                column: value
                for column, value in fields.items()
                if value is not None and column not in _NOT_SHOWN and column not in _secret_columns(table)
            }
            label = fields["connection_name"]
            found.setdefault(label, ConnectionRow(label, kind, kept, rows))
    return list(found.values())


def _usable(catalog: sqlite3.Connection, table: str, resource: str, user_id: int, name: str | None) -> list[dict[str, Any]]:
    if not has_table(catalog, table):
        return []
    granted = "0"
    arguments: list[object] = [user_id]
    if has_table(catalog, "resource_grants"):
        granted = """c.id IN (SELECT g.resource_id FROM resource_grants g
            JOIN user_group_memberships m ON m.group_id = g.group_id AND m.user_id = ? WHERE g.resource_type = ?)"""
        arguments += [user_id, resource]
    # All columns, whichever a version of Flowfile has.
    query = f"SELECT c.* FROM {table} c WHERE (c.user_id = ? OR {granted}) AND c.connection_name IS NOT NULL"  # noqa: S608 - our own constants
    if name is not None:
        query += " AND c.connection_name = ?"
        arguments.append(name)
    rows = catalog.execute(f"{query} ORDER BY c.user_id <> ?, c.id", [*arguments, user_id])
    names = [column[0] for column in rows.description]
    return [dict(zip(names, row, strict=True)) for row in rows]


def _secret_columns(table: str) -> tuple[str, ...]:
    return next(columns for named, _, columns in _USED_BY if named == table)
