"""What our own database knows of definitions of connections."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from flowfile_nb.errors import ReferenceSyntaxError, StoreError
from flowfile_nb.storage.paths import find_paths
from flowfile_nb.storage.store import Store
from tests.support.stores import write_flowfile_catalog


@pytest.fixture
def store(home: Path) -> Store:
    """A store on an empty home."""
    return Store(find_paths({}))


def test_definitions_of_connections_come_and_go(store: Store) -> None:
    """What is known of one goes with it; what is known of a project file's stays."""
    assert not store.delete_connection("warehouse")
    assert store.used_connections() == {}
    store.save_connection("warehouse", "sqlite://")
    store.note_connection("", "warehouse", "", 5)
    store.note_connection("/p/connections.toml", "warehouse", "digest", None)

    assert store.delete_connection("warehouse")

    assert store.connection_bodies() == {}
    assert store.used_connections() == {("/p/connections.toml", "warehouse"): ("digest", None)}
    assert not store.delete_connection("warehouse")


def test_what_is_known_of_a_definition_is_brought_up_to_date(store: Store) -> None:
    """Agreeing to another text keeps the time of the last use."""
    store.note_connection("/p", "x", "one", 5)
    store.note_connection("/p", "x", "two", None)
    assert store.used_connections() == {("/p", "x"): ("two", 5)}

    store.note_connection("/p", "x", "two", 9)
    assert store.used_connections() == {("/p", "x"): ("two", 9)}


def test_definitions_follow_a_renamed_secret_or_nothing_does(store: Store) -> None:
    """In one database it is one transaction: where a definition cannot be changed, the secret keeps its name."""
    store.put(1, "pw", "token", replace=False)
    store.save_connection("warehouse", "postgresql://a:%secret pw@h/x")
    store.save_connection("broken", "postgresql://a:%secret @h/x ${secret:pw}")
    with sqlite3.connect(store.paths.database) as ours:
        ours.execute("CREATE TRIGGER refuse BEFORE UPDATE ON nb_connections BEGIN SELECT raise(ABORT, 'no'); END")

    with pytest.raises(StoreError):
        store.rename(1, "pw", "new")
    assert (store.names(1), store.connection_bodies()["warehouse"]) == (["pw"], "postgresql://a:%secret pw@h/x")

    with sqlite3.connect(store.paths.database) as ours:
        ours.execute("DROP TRIGGER refuse")
    assert store.rename(1, "pw", "new") == ["warehouse"]
    assert store.connection_bodies() == {
        "broken": "postgresql://a:%secret @h/x ${secret:pw}",
        "warehouse": "postgresql://a:%secret new@h/x",
    }


def test_definitions_follow_a_rename_in_flowfiles_catalog(store: Store, home: Path) -> None:
    """They are in our own database, and follow after it; where that cannot be written, the caller is told of none."""
    write_flowfile_catalog(home)
    store.put(1, "pw", "token", replace=False)
    store.save_connection("warehouse", "postgresql://a:%secret pw@h/x")

    assert store.rename(1, "pw", "new") == ["warehouse"]
    assert store.connection_bodies() == {"warehouse": "postgresql://a:%secret new@h/x"}

    with pytest.raises(ReferenceSyntaxError):
        store.rename(1, "new", "x %secret y")
    assert "new" in store.names(1)

    with sqlite3.connect(store.paths.database) as ours:
        ours.execute("CREATE TRIGGER refuse BEFORE UPDATE ON nb_connections BEGIN SELECT raise(ABORT, 'no'); END")
    assert store.rename(1, "new", "newer") == []
    assert ("newer" in store.names(1), store.connection_bodies()) == (True, {"warehouse": "postgresql://a:%secret new@h/x"})
