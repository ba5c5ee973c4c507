"""What becomes of our rows when Flowfile comes, changes them, goes, and comes again."""

from __future__ import annotations

import os
import shutil
import sqlite3
from pathlib import Path

import pytest

from flowfile_nb.errors import NoSuchSecretError
from flowfile_nb.storage import active
from flowfile_nb.storage.paths import find_paths
from flowfile_nb.storage.store import Store
from tests.support.stores import write_flowfile_catalog


@pytest.fixture(autouse=True)
def look_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Flowfile comes and goes here quicker than a store looks again."""
    monkeypatch.setattr(active, "_MOMENT_S", 0.0)


@pytest.fixture
def store(home: Path) -> Store:
    """A store on an empty home."""
    return new_store()


def new_store() -> Store:
    """Open the store as a process that starts now."""
    return Store(find_paths(os.environ))


def in_flowfile(catalog: Path, statement: str, *arguments: object) -> None:
    connection = sqlite3.connect(catalog)
    connection.execute(statement, arguments)
    connection.commit()
    connection.close()


def remove_flowfile(home: Path) -> None:
    shutil.rmtree(home / ".flowfile")


def token(store: Store, name: str) -> str | None:
    row = store.find(1, name)
    return None if row is None else row.token


def test_ours_go_on_when_flowfile_is_removed(store: Store, home: Path) -> None:
    """What was moved, added and replaced here is there as it was last; what was Flowfile's alone is gone with it."""
    store.put(1, "moved", "1", replace=False)
    store.put(1, "replaced", "1", replace=False)
    write_flowfile_catalog(home)
    store.put(1, "replaced", "2", replace=True)
    store.put(1, "added", "1", replace=False)
    store.put(1, "renamed", "1", replace=False)
    store.rename(1, "renamed", "new name")
    store.put(1, "deleted", "1", replace=False)
    store.delete(1, "deleted")
    assert "prod_database_password" in store.names(1)

    remove_flowfile(home)

    for one in (store, new_store()):
        assert {name: token(one, name) for name in one.names(1)} == {
            "moved": "1",
            "replaced": "2",
            "added": "1",
            "new name": "1",
        }
    store.put(1, "moved", "3", replace=True)
    assert token(new_store(), "moved") == "3"


def test_what_flowfile_changes_is_followed(store: Store, home: Path) -> None:
    """A value that was replaced in Flowfile is the one that stays, and what was deleted there is not there again."""
    store.put(1, "replaced", "1", replace=False)
    store.put(1, "deleted", "1", replace=False)
    catalog = write_flowfile_catalog(home)
    assert token(store, "deleted") == "1"
    in_flowfile(catalog, "UPDATE secrets SET encrypted_value = '2' WHERE name = 'replaced'")
    in_flowfile(catalog, "DELETE FROM secrets WHERE name = 'deleted'")

    # A process that starts later looks; nobody watches Flowfile meanwhile.
    assert token(new_store(), "deleted") is None
    assert new_store().names(1).count("replaced") == 1
    remove_flowfile(home)

    assert new_store().names(1) == ["replaced"]
    assert token(new_store(), "replaced") == "2"


def test_a_flowfile_that_comes_again_gets_them_again(store: Store, home: Path) -> None:
    """Once each, however often; and a secret that was deleted here meanwhile does not come back."""
    store.put(1, "a", "1", replace=False)
    store.put(1, "b", "1", replace=False)
    for _ in range(3):
        catalog = write_flowfile_catalog(home)
        assert (token(store, "a"), token(new_store(), "a")) == ("1", "1")
        rows = sqlite3.connect(catalog).execute("SELECT name FROM secrets WHERE name IN ('a', 'b') ORDER BY id").fetchall()
        assert rows.count(("a",)) == 1
        remove_flowfile(home)
        assert token(store, "a") == "1"
        if token(store, "b"):
            store.delete(1, "b")

    assert store.names(1) == ["a"]


def test_a_catalog_put_back_from_a_backup_gets_what_it_lacks(store: Store, home: Path) -> None:
    """Nothing that was written here since is lost."""
    store.put(1, "early", "1", replace=False)
    catalog = write_flowfile_catalog(home)
    assert token(store, "early") == "1"
    backup = home / "backup.db"
    source, copy = sqlite3.connect(catalog), sqlite3.connect(backup)
    source.backup(copy)
    source.close()
    copy.close()
    store.put(1, "late", "1", replace=False)
    store.close()

    os.replace(backup, catalog)

    assert (token(new_store(), "early"), token(new_store(), "late")) == ("1", "1")
    assert new_store().names(1).count("early") == 1


def test_nothing_goes_from_one_catalog_to_another_beside_it(store: Store, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever works with two catalogs keeps them apart."""
    store.put(1, "first", "1", replace=False)
    write_flowfile_catalog(home)
    assert token(store, "first") == "1"
    other = home / "other.db"
    shutil.copy(write_flowfile_catalog(home / "elsewhere"), other)
    monkeypatch.setenv("FLOWFILE_DB_PATH", str(other))

    second = new_store()
    assert second.location == str(other)
    assert token(second, "first") is None
    second.put(1, "second", "1", replace=False)
    second.close()
    monkeypatch.delenv("FLOWFILE_DB_PATH")

    assert token(new_store(), "second") is None
    assert token(new_store(), "first") == "1"
    remove_flowfile(home)
    assert new_store().names(1) == ["first"]

    # What is stored while there is none moves to the one that is there next, and to no other.
    new_store().put(1, "third", "1", replace=False)


def test_rows_of_ours_move_to_a_second_catalog_too(store: Store, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stored while none was there, they go where secrets are kept now; the copies of the first stay."""
    store.put(1, "first", "1", replace=False)
    first = write_flowfile_catalog(home)
    assert token(store, "first") == "1"
    hidden = first.rename(home / "hidden.db")
    new_store().put(1, "between", "1", replace=False)
    hidden.rename(first)
    other = home / "other.db"
    shutil.copy(write_flowfile_catalog(home / "elsewhere"), other)
    monkeypatch.setenv("FLOWFILE_DB_PATH", str(other))

    assert token(new_store(), "between") == "1"
    assert token(new_store(), "first") is None
    monkeypatch.delenv("FLOWFILE_DB_PATH")
    assert token(new_store(), "first") == "1"


def test_a_copy_that_cannot_be_written_fails_nothing(store: Store, home: Path) -> None:
    """The row is in the catalog; our own database is damaged, or is no database of ours."""
    write_flowfile_catalog(home)
    own = home / ".config/flowfile/flowfile_nb.db"
    own.parent.mkdir(parents=True)
    sqlite3.connect(own).close()

    store.put(1, "a", "1", replace=False)
    assert token(store, "a") == "1"
    store.delete(1, "a")
    with pytest.raises(NoSuchSecretError):
        store.delete(1, "a")
    own.write_bytes(b"no database" * 1000)
    store.put(1, "b", "1", replace=False)

    assert token(store, "b") == "1"
