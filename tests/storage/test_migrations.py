"""Steps of the schema: each whole or not at all."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from flowfile_nb.storage import database, migrations
from tests.support.stores import write_flowfile_catalog


def test_a_step_that_fails_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A crash in the middle of a step leaves the schema of the step before it."""
    connection = sqlite3.connect(":memory:", isolation_level=None)
    migrations.migrate(connection)
    monkeypatch.setattr(migrations, "STEPS", (*migrations.STEPS, ("CREATE TABLE new (x)", "THIS FAILS")))

    with pytest.raises(sqlite3.OperationalError):
        migrations.migrate(connection)

    assert migrations.schema_version(connection) == len(migrations.STEPS) - 1
    assert not database.has_table(connection, "new")
    monkeypatch.setattr(migrations, "STEPS", (*migrations.STEPS[:-1], ("CREATE TABLE new (x)",)))
    migrations.migrate(connection)
    assert migrations.schema_version(connection) == len(migrations.STEPS)
    assert database.has_table(connection, "new")


def test_an_older_store_is_brought_up_to_date_on_opening(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store of an earlier version is migrated when it is opened, and keeps its rows."""
    from flowfile_nb.storage.paths import find_paths
    from flowfile_nb.storage.store import Store

    store = Store(find_paths({}))
    store.put(1, "a", "token", replace=False)
    store.close()
    monkeypatch.setattr(migrations, "STEPS", (*migrations.STEPS, ("CREATE TABLE new (x)",)))
    monkeypatch.setattr(database, "STEPS", migrations.STEPS)

    assert store.names(1) == ["a"]

    connection = sqlite3.connect(store.paths.database)
    assert database.has_table(connection, "new")
    connection.close()


@pytest.mark.parametrize("table", ["secrets", "users", "user_groups", "user_group_memberships", "resource_grants"])
def test_shared_tables_have_flowfiles_columns(home: Path, table: str) -> None:
    """Names and order of the columns are those of the real Flowfile's catalog, so that rows can move unchanged."""
    ours = sqlite3.connect(":memory:", isolation_level=None)
    migrations.migrate(ours)
    theirs = sqlite3.connect(write_flowfile_catalog(home))
    columns = f"SELECT name, type, \"notnull\", dflt_value, pk FROM pragma_table_info('{table}')"

    assert ours.execute(columns).fetchall() == theirs.execute(columns).fetchall()
    theirs.close()


def test_a_journal_mode_that_another_kernel_holds_up_waits_for_the_next_opening(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A store that is open elsewhere is used in the mode it has; a new one has to get the right mode."""
    path = str(home / "x.db")
    database.create_database(path)
    other = sqlite3.connect(path)
    other.execute("SELECT count(*) FROM secrets").fetchone()
    monkeypatch.setattr(database, "is_local", lambda path: False)

    database.create_database(path)

    assert other.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    other.close()
    connection = sqlite3.connect(":memory:")
    monkeypatch.setattr(database, "_journal_mode", lambda path: "wal'")
    with pytest.raises(sqlite3.OperationalError):
        database._set_journal_mode(connection, path)
