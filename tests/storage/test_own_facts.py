"""What our own database knows of definitions of connections."""

from __future__ import annotations

from pathlib import Path

import pytest

from flowfile_nb.storage.paths import find_paths
from flowfile_nb.storage.store import Store


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
