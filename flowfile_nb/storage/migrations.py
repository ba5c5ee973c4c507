"""
The schema of our own database, in ordered steps; each is one transaction together with its record (`PRAGMA user_version`).

The tables without the prefix `nb_` are Flowfile's, as in its catalog (0.23.3, Alembic revision 035), so that rows can move
there unchanged. Flowfile's catalog itself is never altered.
"""

from __future__ import annotations

import sqlite3

from flowfile_nb.errors import StoreError

_FLOWFILE_TABLES = (
    """CREATE TABLE users (
        id INTEGER NOT NULL, username VARCHAR, email VARCHAR, full_name VARCHAR, hashed_password VARCHAR,
        disabled BOOLEAN, is_admin BOOLEAN, must_change_password BOOLEAN, PRIMARY KEY (id))""",
    "CREATE UNIQUE INDEX ix_users_username ON users (username)",
    """CREATE TABLE secrets (
        id INTEGER NOT NULL, name VARCHAR, encrypted_value TEXT, iv VARCHAR, user_id INTEGER, PRIMARY KEY (id),
        FOREIGN KEY (user_id) REFERENCES users (id))""",
    # Flowfile does not enforce this; we do.
    "CREATE UNIQUE INDEX uq_secrets_user_name ON secrets (user_id, name)",
    """CREATE TABLE user_groups (
        id INTEGER NOT NULL, name VARCHAR NOT NULL, description TEXT, created_by INTEGER NOT NULL,
        created_at DATETIME DEFAULT CURRENT_TIMESTAMP NOT NULL, updated_at DATETIME DEFAULT CURRENT_TIMESTAMP NOT NULL,
        PRIMARY KEY (id), FOREIGN KEY (created_by) REFERENCES users (id))""",
    "CREATE UNIQUE INDEX ix_user_groups_name ON user_groups (name)",
    """CREATE TABLE user_group_memberships (
        id INTEGER NOT NULL, group_id INTEGER NOT NULL, user_id INTEGER NOT NULL, role VARCHAR DEFAULT 'member' NOT NULL,
        created_at DATETIME DEFAULT CURRENT_TIMESTAMP NOT NULL, PRIMARY KEY (id),
        CONSTRAINT uq_group_member UNIQUE (group_id, user_id),
        FOREIGN KEY (group_id) REFERENCES user_groups (id), FOREIGN KEY (user_id) REFERENCES users (id))""",
    """CREATE TABLE resource_grants (
        id INTEGER NOT NULL, resource_type VARCHAR NOT NULL, resource_id INTEGER NOT NULL, group_id INTEGER NOT NULL,
        permission VARCHAR DEFAULT 'use' NOT NULL, granted_by INTEGER NOT NULL,
        created_at DATETIME DEFAULT CURRENT_TIMESTAMP NOT NULL, PRIMARY KEY (id),
        CONSTRAINT uq_resource_group_grant UNIQUE (resource_type, resource_id, group_id),
        FOREIGN KEY (group_id) REFERENCES user_groups (id), FOREIGN KEY (granted_by) REFERENCES users (id))""",
    "INSERT INTO users (id, username, full_name, disabled) VALUES (1, 'local_user', 'Local User', 0)",
)

_OUR_TABLES = (
    # key_id: which master key the rows are written with.
    "CREATE TABLE nb_facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
    # Definitions of connections hold references, never values.
    "CREATE TABLE nb_connections (name TEXT PRIMARY KEY, body TEXT NOT NULL, saved_at INTEGER NOT NULL) WITHOUT ROWID",
)

_PREVIOUS = (
    # What a secret was before it was replaced, for a while (storage/previous.py).
    """CREATE TABLE nb_previous (
        user_id INTEGER NOT NULL, name TEXT NOT NULL, successor TEXT NOT NULL, token TEXT NOT NULL,
        replaced_at INTEGER NOT NULL, PRIMARY KEY (user_id, name, successor)) WITHOUT ROWID""",
)

_USED_CONNECTIONS = (
    # What we know of a definition of a connection, a saved one (origin '') or a project file's: when it was last opened, and
    # the digest of what was agreed to.
    """CREATE TABLE nb_used_connections (
        origin TEXT NOT NULL, name TEXT NOT NULL, digest TEXT NOT NULL, used_at INTEGER, PRIMARY KEY (origin, name)
        ) WITHOUT ROWID""",
)

STEPS: tuple[tuple[str, ...], ...] = (_FLOWFILE_TABLES + _OUR_TABLES, _PREVIOUS, _USED_CONNECTIONS)


def schema_version(connection: sqlite3.Connection) -> int:
    """
    Return the schema of our own database; 0 is an empty file.

    Raises:
        StoreError: If a newer version of this package wrote it.
    """
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > len(STEPS):
        raise StoreError(
            f"the store has schema {version}, and this version of flowfile_nb knows {len(STEPS)}",
            hint="pip install -U flowfile-nb",
        )
    return version


def migrate(connection: sqlite3.Connection) -> None:
    """
    Bring our own database to the newest schema. Callers hold the store's lock.

    Raises:
        StoreError: If a newer version of this package wrote it.
    """
    version = schema_version(connection)
    for number, statements in enumerate(STEPS[version:], start=version + 1):
        connection.execute("BEGIN IMMEDIATE")
        try:
            for statement in statements:
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {number:d}")
        except BaseException:
            connection.execute("ROLLBACK")
            raise
        connection.execute("COMMIT")
