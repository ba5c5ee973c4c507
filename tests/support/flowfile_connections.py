"""Connections as Flowfile 0.23.3 saves them, in a copy of the frozen store."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

from flowfile_nb import session


def save_connection(catalog: Path, table: str, columns: dict[str, Any], secrets: dict[str, str], user_id: int = 1) -> None:
    """
    Save a connection, and its secrets in rows of their own, under the names that Flowfile gives them.

    Args:
        catalog: Flowfile's database.
        table: `database_connections` or `cloud_storage_connections`.
        columns: What is shown of it.
        secrets: The value of each column that names a secret.
        user_id: Whose it is.
    """
    name = columns["connection_name"]
    keychain = session.vault().key.keychain(create=True)
    connection = sqlite3.connect(catalog)
    for column, value in secrets.items():
        label = name if column == "password_id" else f"{name}_{column.removesuffix('_id')}"
        row = connection.execute(
            "INSERT INTO secrets (name, encrypted_value, iv, user_id) VALUES (?, ?, '', ?)",
            (label, keychain.encrypt_secret(value, user_id), user_id),
        )
        columns = {**columns, column: row.lastrowid}
    columns = {**columns, "user_id": user_id}
    places = ", ".join("?" * len(columns))
    connection.execute(f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({places})", list(columns.values()))
    connection.commit()
    connection.close()


def save_database(catalog: Path, name: str, password: str, user_id: int = 1, **columns: Any) -> None:
    """Save a database connection of Flowfile's."""
    save_connection(catalog, "database_connections", {"connection_name": name, **columns}, {"password_id": password}, user_id)


def save_cloud(catalog: Path, name: str, kind: str, method: str, secrets: dict[str, str], **columns: Any) -> None:
    """Save a cloud connection of Flowfile's."""
    shown = {"connection_name": name, "storage_type": kind, "auth_method": method, **columns}
    save_connection(catalog, "cloud_storage_connections", shown, secrets)
