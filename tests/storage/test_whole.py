"""Everything a store holds, read at once, and put into another; and what can be read of a damaged one."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from flowfile_nb.errors import StoreError
from flowfile_nb.storage import merge as merging
from flowfile_nb.storage import salvage
from flowfile_nb.storage.merge import Item, Sharing, add_users, merge, merge_connections
from flowfile_nb.storage.paths import find_paths
from flowfile_nb.storage.private_files import place_private
from flowfile_nb.storage.store import Store
from flowfile_nb.storage.whole import Grant, Group, Membership, SavedConnection, read_whole
from tests.support.stores import write_flowfile_catalog

NOTHING = Sharing([], [], [])


@pytest.fixture
def store(home: Path) -> Store:
    return Store(find_paths({}))


@pytest.fixture
def large(store: Store) -> Store:
    """A store of more rows than are read at once, over many pages, closed."""
    merge(store, [Item(1, f"s{number:03}", "token" * 20, None, number) for number in range(600)], NOTHING)
    store.close()
    return store


def pages_of(path: str, name: str) -> list[int]:
    """Return the numbers of the leaf pages of a table or an index, in order, of a database that nobody has open."""
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    size = connection.execute("PRAGMA page_size").fetchone()[0]
    (root,) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (name,)).fetchone()
    connection.close()
    content = Path(path).read_bytes()

    def leaves(number: int) -> list[int]:
        page = content[(number - 1) * size : number * size]
        if page[0] in {10, 13}:
            return [number]
        # An interior page (sqlite.org/fileformat2.html, 1.6): its cells begin with the number of a child.
        cells = int.from_bytes(page[3:5], "big")
        places = [int.from_bytes(page[12 + 2 * cell : 14 + 2 * cell], "big") for cell in range(cells)]
        children = [int.from_bytes(page[place : place + 4], "big") for place in places]
        return [leaf for child in [*children, int.from_bytes(page[8:12], "big")] for leaf in leaves(child)]

    return leaves(root)


def corrupt(path: str, page: int) -> None:
    """Overwrite a page, as a bad sector would."""
    with open(path, "r+b") as file:
        size = 4096
        file.seek((page - 1) * size)
        file.write(b"\xa5" * size)


def test_an_empty_home(store: Store, home: Path) -> None:
    """Nothing is there, and nothing is made."""
    assert read_whole(store) == ({}, [], [], [], [], [], [])
    assert list(home.iterdir()) == []


def test_all_of_our_database(large: Store) -> None:
    """Every row, in the order of the ids, with users and connections; and nothing is lost."""
    large.save_connection("b", "two")
    large.save_connection("a", "one")

    whole = read_whole(large)

    assert [row.name for row in whole.rows] == [f"s{number:03}" for number in range(600)]
    assert whole.users == {1: "local_user"}
    assert [(connection.name, connection.body) for connection in whole.connections] == [("a", "one"), ("b", "two")]
    assert whole.lost == []


def test_all_of_flowfiles_catalog(store: Store, home: Path) -> None:
    """Groups, members and grants by the names of groups; what Flowfile stored twice means the lowest id."""
    catalog = sqlite3.connect(write_flowfile_catalog(home), isolation_level=None)
    insert = "INSERT INTO secrets (name, encrypted_value, iv, user_id) VALUES (?, ?, '', ?)"
    catalog.executemany(insert, [("twice", "first", 1), ("twice", "second", 1), (None, "nameless", 1), ("nobody's", "x", None)])
    catalog.execute(insert, (b"\xff not text", "x", 1))

    whole = read_whole(store)

    assert whole.owns(1)["twice"].token == "first"
    assert whole.groups == [Group("analysts", whole.groups[0].description, 2)]
    assert {(member.group, member.user_id) for member in whole.memberships} == {("analysts", 2), ("analysts", 3)}
    assert {(grant.row_id, grant.group, grant.permission) for grant in whole.grants} == {
        (10, "analysts", "use"),
        (12, "analysts", "use"),
    }
    assert whole.mentions() == ({1, 2, 3}, {"analysts"})
    # Rows without a name or an owner are nobody's; one whose name is no text is damage.
    assert whole.lost == [f"row {catalog.execute('SELECT max(id) FROM secrets').fetchone()[0]}"]
    catalog.close()


@pytest.mark.parametrize("which", ["first", "middle", "last"])
def test_a_corrupted_page_of_rows(large: Store, which: str) -> None:
    """All others are read, and those on the page are named by the index."""
    pages = pages_of(large.paths.database, "secrets")
    corrupt(large.paths.database, pages[{"first": 0, "middle": len(pages) // 2, "last": -1}[which]])

    whole = read_whole(large)

    names = [f"s{number:03}" for number in range(600)]
    assert sorted([row.name for row in whole.rows] + whole.lost) == names
    assert 0 < len(whole.lost) < 60
    assert whole.lost == names[names.index(whole.lost[0]) :][: len(whole.lost)]


@pytest.mark.parametrize("which", ["first", "middle", "last"])
def test_a_corrupted_page_of_rows_and_one_of_the_index(large: Store, which: str) -> None:
    """Without an index all other rows are read as well; of what is lost the place is known."""
    pages = pages_of(large.paths.database, "secrets")
    corrupt(large.paths.database, pages[{"first": 0, "middle": len(pages) // 2, "last": -1}[which]])
    corrupt(large.paths.database, pages_of_closed_index(large))

    whole = read_whole(large)

    assert len(whole.lost) == 1
    assert whole.lost[0].startswith("the rows from" if which == "last" else "rows ")
    assert 540 < len(whole.rows) < 600


def pages_of_closed_index(store: Store) -> int:
    pages = pages_of(store.paths.database, "uq_secrets_user_name")
    return pages[len(pages) // 2]


def test_a_page_of_something_else(large: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where users cannot be read, the store is refused, and the secrets are read all the same; so with saved connections."""
    large.save_connection("a", "one")
    large.close()
    for table in ("users", "nb_connections"):
        corrupt(large.paths.database, pages_of(large.paths.database, table)[0])
    with pytest.raises(StoreError, match="%secret backup"):
        large.names(1)

    whole = read_whole(large)

    assert len(whole.rows) == 600
    # The users' names are in an index as well.
    assert (whole.users, whole.lost) == ({1: "local_user"}, ["the table nb_connections"])
    monkeypatch.setattr(salvage, "readable_rows", lambda db: pytest.fail("not reached"))
    corrupt(large.paths.database, 1)
    with pytest.raises(StoreError, match="damaged"):
        read_whole(large)


def test_a_store_of_a_newer_version_is_no_damage(store: Store) -> None:
    """It is refused, and not read past what it says."""
    store.put(1, "a", "token", replace=False)
    store.close()
    connection = sqlite3.connect(store.paths.database)
    connection.execute("PRAGMA user_version = 99")
    connection.close()

    with pytest.raises(StoreError, match="pip install -U"):
        read_whole(store)


def test_a_damaged_database_beside_an_empty_catalog(store: Store, home: Path) -> None:
    """A catalog that Flowfile has not made yet holds nothing to save."""
    os.makedirs(store.paths.directory)
    Path(store.paths.database).write_bytes(b"no database at all " * 500)
    Path(store.paths.catalog).parent.mkdir(parents=True)
    sqlite3.connect(store.paths.catalog).close()

    with pytest.raises(StoreError, match="damaged"):
        read_whole(store)


def test_merging_rows(store: Store) -> None:
    """New ones are added, seen ones replaced with what they were kept; what has changed since is left alone."""
    store.put(1, "seen", "old", replace=False)
    store.put(1, "changed", "old", replace=False)
    row = store.find(1, "seen")
    assert row is not None
    items = [
        Item(1, name, "token", seen, 1) for name, seen in (("new", None), ("seen", "old"), ("changed", "older"), ("gone", "x"))
    ]

    assert [item.name for item in merge(store, items, NOTHING)] == ["changed", "gone"]

    after = store.find(1, "seen")
    assert after is not None
    assert (after.id, after.token) == (row.id, "token")
    assert [previous.token for previous in store.previous(1, "seen")] == ["old"]
    assert store.names(1) == ["seen", "changed", "new"]


def test_merging_shares(store: Store) -> None:
    """Groups that are new get their members, rows that are new their grants; users are made once, and cannot log in."""
    store.put(1, "here", "old", replace=False)
    users = add_users(store, ["local_user", "ann"])
    assert add_users(store, ["ann", "local_user"]) == users == {"local_user": 1, "ann": 2}
    sharing = Sharing([Group("g", None, 1)], [Membership("g", 2, "member")], [Grant(7, "g", "use", 1), Grant(8, "g", "use", 1)])

    merge(store, [Item(1, "new", "token", None, 7), Item(1, "here", "token", "old", 8)], sharing)
    merge(store, [Item(1, "newer", "token", None, 8)], sharing._replace(memberships=[Membership("g", 1, "owner")]))

    assert store.names(2) == ["new", "newer"]
    whole = read_whole(store)
    assert whole.memberships == [Membership("g", 2, "member")]
    connection = sqlite3.connect(store.paths.database)
    assert connection.execute("SELECT disabled, hashed_password FROM users WHERE id = 2").fetchone() == (1, None)
    connection.close()


def test_merging_into_a_flowfile_from_before_groups(store: Store, home: Path) -> None:
    """Its rows come in without shares."""
    catalog = sqlite3.connect(write_flowfile_catalog(home))
    catalog.executescript("DROP TABLE resource_grants; DROP TABLE user_group_memberships; DROP TABLE user_groups")

    merge(store, [Item(1, "new", "token", None, 7)], Sharing([Group("g", None, 1)], [], [Grant(7, "g", "use", 1)]))

    assert "new" in store.names(1)
    assert read_whole(store).groups == []
    catalog.close()


def test_merging_is_all_or_nothing(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A crash in the middle leaves none of it, and what is kept for undoing neither."""
    store.put(1, "here", "old", replace=False)
    monkeypatch.setattr(merging, "_share", _crash)

    with pytest.raises(KeyboardInterrupt):
        merge(store, [Item(1, "new", "token", None, 7), Item(1, "here", "token", "old", 8)], NOTHING)

    assert [(row.name, row.token) for row in store.rows(1)] == [("here", "old")]
    assert store.previous(1, "here") == []


def _crash(*_: object) -> None:
    raise KeyboardInterrupt


def test_merging_connections(store: Store) -> None:
    """They take the place of others of their names."""
    store.save_connection("a", "one")

    merge_connections(store, [SavedConnection("a", "two", 1), SavedConnection("b", "three", 2)])

    assert store.connection_bodies() == {"a": "two", "b": "three"}


def _refuse(temporary: str) -> None:
    assert os.path.exists(temporary)
    raise StoreError("refused")


@pytest.mark.parametrize(
    ("break_it", "error"),
    [(lambda patch: None, StoreError), (lambda patch: patch.setattr(os, "fsync", _full), OSError)],
)
def test_a_file_that_is_not_placed_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, break_it: Callable[[pytest.MonkeyPatch], None], error: type[Exception]
) -> None:
    """Whether it was refused or the disk was full: what was there stays, and no other file does."""
    (tmp_path / "x").write_bytes(b"before")
    break_it(monkeypatch)

    with pytest.raises(error):
        place_private(str(tmp_path / "x"), b"after", _refuse, overwrite=True)

    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["x"]
    assert (tmp_path / "x").read_bytes() == b"before"


def _full(descriptor: int) -> None:
    raise OSError(28, "No space left on device")
