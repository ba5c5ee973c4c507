"""What Flowfile's own tables say about a secret: which of its saved connections use it."""

from __future__ import annotations

import sqlite3

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
