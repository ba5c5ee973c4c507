"""What can be amiss in the tables, and what mending changes: no value, ever."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from flowfile_nb.errors import StoreError
from flowfile_nb.storage.upkeep import Twice, mend_rows, opened, orphaned_grants, stored_twice
from tests.support.stores import write_flowfile_store


@pytest.fixture
def catalog(home: Path) -> Path:
    return write_flowfile_store(home)


def contents(path: Path) -> list[tuple[str, ...]]:
    """Return every token with its id."""
    return sqlite3.connect(path).execute("SELECT id, encrypted_value FROM secrets ORDER BY id").fetchall()


def test_names_that_are_there_twice(home: Path, catalog: Path) -> None:
    """The lowest id is the one that is used; other users' rows of that name are another matter."""
    with sqlite3.connect(catalog) as db:
        db.execute("INSERT INTO secrets (id, name, encrypted_value, iv, user_id) VALUES (50, 'shadowed', 'x', '', 3)")
        db.execute("INSERT INTO secrets (id, name, encrypted_value, iv, user_id) VALUES (49, 'shadowed', 'y', '', 3)")

    with opened(str(catalog)) as found:
        assert stored_twice(found, 3) == [Twice("shadowed", 13, [49, 50])]
        assert stored_twice(found, 2) == []


def test_mending_renames_and_unshares_and_leaves_the_rest(home: Path, catalog: Path) -> None:
    """Each hidden row gets a free name, orphaned shares go; no token is touched, and a second time there is nothing to do."""
    with sqlite3.connect(catalog) as db:
        for name in ("shadowed", "shadowed", "shadowed (2)"):
            db.execute("INSERT INTO secrets (name, encrypted_value, iv, user_id) VALUES (?, 'x', '', 3)", (name,))
        db.execute("INSERT INTO resource_grants (resource_type, resource_id, group_id, granted_by) VALUES ('flow', 7, 99, 2)")
    before = contents(catalog)

    done = mend_rows(str(catalog), str(home / "lock"), 3)

    assert done == [
        "the hidden second 'shadowed' is now 'shadowed (3)'",
        "the hidden second 'shadowed' is now 'shadowed (4)'",
        "orphaned shares deleted: flow 7 with group 99",
    ]
    assert contents(catalog) == before
    assert sqlite3.connect(catalog).execute("SELECT count(*) FROM resource_grants").fetchone() == (2,)
    assert mend_rows(str(catalog), str(home / "lock"), 3) == []


def test_a_catalog_without_groups_has_no_shares(home: Path) -> None:
    """An older Flowfile has no such tables."""
    with sqlite3.connect(home / "old.db") as db:
        db.execute("CREATE TABLE secrets (id INTEGER PRIMARY KEY, name, encrypted_value, iv, user_id)")

        assert orphaned_grants(db) == []


def test_a_database_that_cannot_be_mended(home: Path) -> None:
    """What is no database is said to be damaged, by an error of ours."""
    (home / "broken.db").write_bytes(b"no database" * 1_000)

    with pytest.raises(StoreError, match="damaged"):
        mend_rows(str(home / "broken.db"), str(home / "lock"), 1)
