"""Flowfile's saved connections as rows: what is shown of them, and which secrets they name."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

from flowfile_nb.storage.paths import find_paths
from flowfile_nb.storage.store import Store
from flowfile_nb.vault import Vault
from tests.support.stores import write_flowfile_catalog, write_flowfile_store


def in_catalog(catalog: Path, *statements: str) -> None:
    connection = sqlite3.connect(catalog)
    for statement in statements:
        connection.execute(statement)
    connection.commit()
    connection.close()


def database(name: str, user_id: int, host: str = "h", password_id: str = "1") -> str:
    columns = "connection_name, database_type, host, password_id, user_id"
    return f"INSERT INTO database_connections ({columns}) VALUES ('{name}', 'postgresql', '{host}', {password_id}, {user_id})"


def test_no_store_and_our_own_have_none(home: Path) -> None:
    """Only Flowfile's catalog has such tables."""
    store = Store(find_paths(os.environ))
    assert (store.flowfile_connections(1), store.row(1), store.copies()) == ([], None, 0)

    store.put(1, "a", "token", replace=False)

    assert store.flowfile_connections(1) == []
    row = store.row(1)
    assert row is not None
    assert (row.name, row.token, row.owner_id) == ("a", "token", 1)
    assert (store.row(99), store.copies()) == (None, 0)


def test_what_is_set_is_shown_and_secrets_are_named_by_row(home: Path) -> None:
    """Columns that are empty, or say who made it and when, are left out."""
    catalog = write_flowfile_catalog(home)
    cloud = "connection_name, storage_type, auth_method, aws_access_key_id, aws_secret_access_key_id, verify_ssl, user_id"
    in_catalog(
        catalog,
        database("warehouse", 1),
        f"INSERT INTO cloud_storage_connections ({cloud}) VALUES ('lake', 's3', 'access_key', 'AKIA', 2, 0, 1)",
    )
    store = Store(find_paths(os.environ))

    warehouse, lake = store.flowfile_connections(1)

    assert warehouse == ("warehouse", "database", {"database_type": "postgresql", "host": "h"}, {"password_id": 1})
    shown = {"storage_type": "s3", "auth_method": "access_key", "aws_access_key_id": "AKIA", "verify_ssl": 0}
    assert lake == ("lake", "cloud", shown, {"aws_secret_access_key_id": 2})
    assert store.flowfile_connections(1, "lake") == [lake]
    assert store.flowfile_connections(1, "none") == []


def test_own_before_shared_and_the_lowest_id(home: Path) -> None:
    """As Flowfile resolves a name; a connection of others that is not shared is not there."""
    catalog = write_flowfile_catalog(home)
    grant = "INSERT INTO resource_grants (resource_type, resource_id, group_id, granted_by) VALUES"
    in_catalog(
        catalog,
        database("a", 2, "alices"),
        database("a", 3, "bobs first"),
        database("a", 3, "bobs second"),
        database("private", 2),
        database("shared", 2, "alices"),
        f"{grant} ('database_connection', 1, 1, 2)",
        f"{grant} ('database_connection', 5, 1, 2)",
        # A secret's grant with the same number is none for a connection.
        f"{grant} ('secret', 4, 1, 2)",
    )
    store = Store(find_paths(os.environ))

    hosts = {user: {found.name: found.parts["host"] for found in store.flowfile_connections(user)} for user in (2, 3, 4)}

    assert hosts[2] == {"a": "alices", "private": "h", "shared": "alices"}
    assert hosts[3] == {"a": "bobs first", "shared": "alices"}
    assert hosts[4] == {}


def test_a_version_without_groups(home: Path) -> None:
    """An older Flowfile has no table of grants, and no column for each option."""
    catalog = write_flowfile_catalog(home)
    in_catalog(catalog, database("warehouse", 1), "DROP TABLE resource_grants", "DROP TABLE cloud_storage_connections")

    assert [found.name for found in Store(find_paths(os.environ)).flowfile_connections(1)] == ["warehouse"]


def test_a_secret_that_is_gone_or_hidden_is_told(home: Path) -> None:
    """A part whose row is gone is no part; one whose name leads to another row has no name."""
    catalog = write_flowfile_store(home)
    in_catalog(
        catalog,
        database("gone", 1, password_id="99"),
        database("plain", 1, password_id="NULL"),
        "INSERT INTO secrets (id, name, encrypted_value, iv, user_id) VALUES (50, 'special_characters', 't', '', 1)",
        database("hidden", 1, password_id="50"),
        database("named", 1, password_id="1"),
    )
    secrets = {name: found.secrets for name, found in Vault(os.environ).flowfile_connections().items()}

    assert secrets == {
        "gone": {},
        "plain": {},
        "hidden": {"password_id": ""},
        "named": {"password_id": "prod_database_password"},
    }
