"""Rows of ciphertext: durable, unique, in Flowfile's catalog where there is one."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import shutil
import signal
import sqlite3
import stat
import threading
from pathlib import Path
from typing import Any

import pytest

from flowfile_nb.errors import NoSuchSecretError, SecretExistsError, StoreError
from flowfile_nb.storage import database
from flowfile_nb.storage.migrations import STEPS
from flowfile_nb.storage.paths import Paths, find_paths
from flowfile_nb.storage.store import Store
from tests.support.stores import write_flowfile_catalog

fork = multiprocessing.get_context("fork")


@pytest.fixture
def store(home: Path) -> Store:
    return Store(find_paths({}))


def pragma(path: str, name: str) -> Any:
    connection = sqlite3.connect(path)
    try:
        return connection.execute(f"PRAGMA {name}").fetchone()[0]
    finally:
        connection.close()


def test_reading_an_empty_home_makes_nothing(store: Store, home: Path) -> None:
    """Nothing is created before the first write."""
    assert store.find(1, "x") is None
    assert store.names(1) == []
    assert store.count(1) == 0
    assert store.rows(1) == []
    assert store.tokens(5) == []
    assert store.user_names() == {}
    assert store.used_by(1) == []
    assert store.fact("key_id") is None
    assert store.connection_bodies() == {}
    assert store.location is None
    assert list(home.iterdir()) == []


def test_put_find_replace_rename_delete(store: Store) -> None:
    """The life of a row: it keeps its id when it is replaced or renamed."""
    assert store.put(1, "a", "token-1", replace=False) is False
    row = store.find(1, "a")
    assert row is not None
    assert store.used_by(row.id) == []

    assert store.put(1, "a", "token-2", replace=True) is True
    store.rename(1, "a", "b")

    assert store.find(1, "a") is None
    renamed = store.find(1, "b")
    assert renamed is not None
    assert (renamed.id, renamed.name, renamed.token, renamed.owner_id) == (row.id, "b", "token-2", 1)
    assert store.find(2, "b") is None
    store.delete(1, "b")
    assert store.names(1) == []


def test_what_another_program_deletes_while_it_is_replaced_is_stored(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Flowfile knows nothing of our lock: a row that was there when it was looked for may be gone when it is replaced."""
    store.put(1, "a", "token-1", replace=False)
    find = store._find_own

    def delete_and_find(db: sqlite3.Connection, user_id: int, name: str) -> Any:
        db.execute("DELETE FROM secrets WHERE name = ?", (name,))
        return find(db, user_id, name)

    monkeypatch.setattr(store, "_find_own", delete_and_find)

    assert store.put(1, "a", "token-2", replace=True) is False
    assert [row.token for row in store.rows(1)] == ["token-2"]


def test_a_folder_that_is_deleted_between_two_writes(store: Store, home: Path) -> None:
    """It is made again, and with it database and lock: the first write of a process is not the only one that looks."""
    store.put(1, "a", "token", replace=False)
    shutil.rmtree(store.paths.directory)

    store.put(1, "b", "token", replace=False)

    assert store.names(1) == ["b"]
    assert Path(store.paths.directory).stat().st_mode & 0o777 == 0o700


def test_a_lock_that_cannot_be_made_is_an_error_and_holds_nobody_up(store: Store) -> None:
    """Another thread can read afterwards."""
    os.makedirs(store.paths.lock)

    with pytest.raises(StoreError, match="cannot write in"):
        store.put(1, "a", "token", replace=False)

    names: list[list[str]] = []
    reader = threading.Thread(target=lambda: names.append(store.names(1)))
    reader.start()
    reader.join()
    assert names == [[]]


def test_a_database_that_is_none_is_our_error_where_it_is_looked_up(store: Store) -> None:
    """Also by who asks where it is, in the middle of writing."""
    store.put(1, "a", "token", replace=False)
    store.close()
    Path(store.paths.database).write_bytes(b"no database at all" * 100)

    with store.active.alone(), pytest.raises(StoreError, match="damaged"):
        _ = store.active.recent_location


def test_version_differs_after_each_change(store: Store) -> None:
    """Of this process and of another; and it stays the same while nothing changes."""
    assert store.version() == store.version()
    store.put(1, "a", "token-1", replace=False)
    first = store.version()
    assert store.version() == first

    store.put(1, "a", "token-2", replace=True)
    second = store.version()
    Store(store.paths).put(1, "a", "token-3", replace=True)

    assert len({str(version) for version in (first, second, store.version())}) == 3


def test_what_is_refused_changes_nothing(store: Store) -> None:
    """A taken name and a missing one are errors, and the rows stay."""
    store.put(1, "a", "token-a", replace=False)
    store.put(1, "b", "token-b", replace=False)

    with pytest.raises(SecretExistsError):
        store.put(1, "a", "other", replace=False)
    with pytest.raises(SecretExistsError):
        store.rename(1, "a", "b")
    for action in (lambda: store.rename(1, "none", "c"), lambda: store.delete(1, "none"), lambda: store.delete(2, "a")):
        with pytest.raises(NoSuchSecretError):
            action()

    assert [row.token for row in store.rows(1)] == ["token-a", "token-b"]


def test_our_database_is_private_durable_and_in_wal(store: Store, key_directory: Path) -> None:
    """0600, WAL on a local disk, every commit synced, and the schema's version recorded."""
    store.put(1, "a", "token", replace=False)

    path = str(key_directory / "flowfile_nb.db")
    for file in key_directory.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert pragma(path, "journal_mode") == "wal"
    assert pragma(path, "user_version") == len(STEPS)
    connection = database.connect(path)
    assert connection.execute("PRAGMA synchronous").fetchone()[0] >= 2
    assert connection.execute("PRAGMA secure_delete").fetchone()[0] == 1
    connection.close()


def test_a_network_home_has_no_wal(store: Store, key_directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a disk that is not local the rollback journal is used; a database that was in WAL is taken out of it."""
    store.put(1, "a", "token", replace=False)
    store.close()
    monkeypatch.setattr(database, "is_local", lambda path: False)

    assert store.names(1) == ["a"]

    assert pragma(str(key_directory / "flowfile_nb.db"), "journal_mode") == "delete"
    assert not (key_directory / "flowfile_nb.db-wal").exists()


def test_deleted_tokens_are_overwritten(store: Store, key_directory: Path) -> None:
    """A deleted row's token is in no page of the database any more."""
    store.put(1, "a", "token-to-be-gone", replace=False)
    store.delete(1, "a")
    store.close()
    connection = sqlite3.connect(key_directory / "flowfile_nb.db")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()

    assert b"token-to-be-gone" not in (key_directory / "flowfile_nb.db").read_bytes()


def test_a_newer_schema_is_refused(store: Store, key_directory: Path) -> None:
    """A store from a newer version says so and is not touched."""
    store.put(1, "a", "token", replace=False)
    store.close()
    connection = sqlite3.connect(key_directory / "flowfile_nb.db")
    connection.execute("PRAGMA user_version = 99")
    connection.close()

    with pytest.raises(StoreError, match="pip install -U flowfile-nb"):
        store.names(1)
    with pytest.raises(StoreError):
        store.put(1, "b", "token", replace=False)


def test_a_file_that_is_no_database(store: Store, key_directory: Path) -> None:
    """A damaged database is an error of ours, and stays as it is."""
    key_directory.mkdir(parents=True)
    (key_directory / "flowfile_nb.db").write_bytes(b"this is not a database, although it is long enough" * 100)
    before = (key_directory / "flowfile_nb.db").read_bytes()

    for action in (lambda: store.find(1, "a"), lambda: store.names(1), lambda: store.put(1, "a", "token", replace=True)):
        with pytest.raises(StoreError, match="damaged"):
            action()

    assert (key_directory / "flowfile_nb.db").read_bytes() == before


def test_a_lock_that_is_kept_too_long(store: Store, key_directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A writer waits for the busy timeout, and then says who to look for."""
    monkeypatch.setattr(database, "BUSY_TIMEOUT_S", 0.05)
    store.put(1, "a", "token", replace=False)
    other = sqlite3.connect(key_directory / "flowfile_nb.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    store.close()

    with pytest.raises(StoreError, match="locked"):
        store.put(1, "b", "token", replace=False)

    other.execute("ROLLBACK")
    other.close()
    store.put(1, "b", "token", replace=False)
    assert store.names(1) == ["a", "b"]


def test_a_read_only_store_can_be_read(store: Store, key_directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing may be written, what is there is read, and a write says what is wrong."""
    store.put(1, "a", "token", replace=False)
    store.close()
    monkeypatch.setattr(os, "access", lambda path, how: not how & os.W_OK)

    assert store.names(1) == ["a"]
    with pytest.raises(StoreError, match="FLOWFILE_SECURE_STORAGE_PATH"):
        store.put(1, "b", "token", replace=False)


def test_a_full_disk_and_other_failures_are_said(store: Store) -> None:
    """SQLite's errors become ours: what happened, and what to do."""
    for text, word in (("database or disk is full", "disk is full"), ("something else", "something else")):
        with pytest.raises(StoreError, match=word), database.translated("/x.db"):
            raise sqlite3.OperationalError(text)


# Threads and processes


def test_threads_share_one_store(store: Store) -> None:
    """Eight threads at once lose nothing."""
    threads = [threading.Thread(target=store.put, args=(1, f"t{n}", "token"), kwargs={"replace": False}) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(store.names(1)) == [f"t{n}" for n in range(8)]


def _write(paths: Paths, writer: int, barrier: Any) -> None:
    store = Store(paths)
    barrier.wait()
    for number in range(10):
        store.put(1, f"{writer}-{number}", "token", replace=False)
        store.put(1, "common", f"token-{writer}", replace=True)


def test_many_processes_write_at_once(home: Path) -> None:
    """Eight kernels on an empty home: no error, nothing lost, no name twice, although none of them made the store before."""
    paths = find_paths({})
    barrier = fork.Barrier(8)
    processes = [fork.Process(target=_write, args=(paths, writer, barrier)) for writer in range(8)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()

    assert [process.exitcode for process in processes] == [0] * 8
    names = [row[0] for row in sqlite3.connect(paths.database).execute("SELECT name FROM secrets")]
    assert len(names) == len(set(names)) == 81


def _write_until_killed(paths: Paths, acknowledged: Any) -> None:
    store = Store(paths)
    for number in range(100_000):
        store.put(1, f"n{number}", f"token-{number}", replace=False)
        acknowledged.send(number)


def test_an_acknowledged_row_survives_kill_9(home: Path) -> None:
    """Every write that returned is there after the writer was killed in the middle of the next."""
    paths = find_paths({})
    for last in (0, 7, 23):
        receiver, sender = fork.Pipe(duplex=False)
        writer = fork.Process(target=_write_until_killed, args=(paths, sender))
        writer.start()
        while receiver.recv() < last:
            pass
        os.kill(writer.pid or 0, signal.SIGKILL)
        writer.join()
        acknowledged = last
        while receiver.poll():
            acknowledged = receiver.recv()

        store = Store(paths)

        assert {f"n{number}" for number in range(acknowledged + 1)} <= set(store.names(1))
        assert pragma(paths.database, "integrity_check") == "ok"
        for name in store.names(1):
            store.delete(1, name)
        store.close()


def test_a_fork_opens_the_store_for_itself(store: Store) -> None:
    """A child process neither uses nor closes its parent's connection."""
    store.put(1, "parent", "token", replace=False)

    child = fork.Process(target=store.put, args=(1, "child", "token"), kwargs={"replace": False})
    child.start()
    child.join()

    assert child.exitcode == 0
    assert store.names(1) == ["parent", "child"]


# Flowfile's catalog


def test_the_catalog_is_used_where_it_is(store: Store, home: Path) -> None:
    """With a Flowfile here, its catalog holds the rows, and no table is added to it."""
    catalog = write_flowfile_catalog(home)
    before = sqlite3.connect(catalog).execute("SELECT sql FROM sqlite_master ORDER BY 1").fetchall()

    store.put(1, "ours", "token", replace=False)
    store.set_fact("key_id", "abc")
    store.save_connection("warehouse", "sqlite://")

    assert store.location == str(catalog)
    assert sqlite3.connect(catalog).execute(
        "SELECT encrypted_value, iv, user_id FROM secrets WHERE name = 'ours'"
    ).fetchall() == [("token", "", 1)]
    assert sqlite3.connect(catalog).execute("SELECT sql FROM sqlite_master ORDER BY 1").fetchall() == before
    assert store.fact("key_id") == "abc"
    assert store.connection_bodies() == {"warehouse": "sqlite://"}


def test_a_flowfile_installed_later_gets_our_rows(store: Store, home: Path) -> None:
    """Rows move over unchanged, while the kernel runs; on a clash Flowfile's keeps the name and ours stays readable."""
    store.put(1, "ours", "token-ours", replace=False)
    store.put(1, "prod_database_password", "token-clash", replace=False)

    catalog = write_flowfile_catalog(home)

    found = store.find(1, "ours")
    assert found is not None
    assert found.token == "token-ours"
    clash = store.find(1, "prod_database_password (flowfile_nb)")
    assert clash is not None
    assert clash.token == "token-clash"
    assert store.location == str(catalog)
    store.rename(1, "ours", "renamed")
    assert store.names(1).count("renamed") == 1
    assert "ours" not in store.names(1)


def test_a_move_that_was_cut_off_is_finished_once(store: Store, home: Path) -> None:
    """A row that was committed there and not yet deleted here is not added again."""
    store.put(1, "ours", "token-ours", replace=False)
    catalog = write_flowfile_catalog(home)
    there = sqlite3.connect(catalog)
    there.execute("INSERT INTO secrets (name, encrypted_value, iv, user_id) VALUES ('ours', 'token-ours', '', 1)")
    there.commit()

    assert store.names(1).count("ours") == 1
    assert "ours (flowfile_nb)" not in store.names(1)
    assert there.execute("SELECT count(*) FROM secrets WHERE name LIKE 'ours%'").fetchone() == (1,)


def test_a_catalog_that_is_still_being_made_is_not_there_yet(store: Store, home: Path) -> None:
    """Until Flowfile's migration has made its tables and its user, our own database serves."""
    catalog = home / ".flowfile/database/flowfile_catalog.db"
    catalog.parent.mkdir(parents=True)
    catalog.touch()

    store.put(1, "a", "token", replace=False)

    assert store.names(1) == ["a"]
    assert store.location == str(home / ".config/flowfile/flowfile_nb.db")


def test_names_that_flowfile_stored_twice(store: Store, home: Path) -> None:
    """The lowest id is the one that counts, for reading, replacing and listing, as in Flowfile."""
    catalog = sqlite3.connect(write_flowfile_catalog(home))
    catalog.executemany(
        "INSERT INTO secrets (name, encrypted_value, iv, user_id) VALUES ('twice', ?, '', 1)", [("first",), ("second",)]
    )
    catalog.commit()

    found = store.find(1, "twice")
    assert found is not None
    assert found.token == "first"
    assert store.names(1).count("twice") == 1
    assert [row.token for row in store.rows(1) if row.name == "twice"] == ["first"]
    store.put(1, "twice", "replaced", replace=True)

    tokens = catalog.execute("SELECT encrypted_value FROM secrets WHERE name = 'twice' ORDER BY id").fetchall()
    assert tokens == [("replaced",), ("second",)]


def test_deleting_removes_the_grants(store: Store, home: Path) -> None:
    """A deleted secret leaves no share behind, as in Flowfile; a replaced one keeps its shares."""
    catalog = sqlite3.connect(write_flowfile_catalog(home))
    grants = "SELECT count(*) FROM resource_grants WHERE resource_type = 'secret' AND resource_id = 10"

    store.put(2, "team_warehouse", "replaced", replace=True)
    assert catalog.execute(grants).fetchone() == (1,)

    store.delete(2, "team_warehouse")
    assert catalog.execute(grants).fetchone() == (0,)


def test_flowfiles_connections_that_use_a_secret(store: Store, home: Path) -> None:
    """Every kind of connection that Flowfile saves is asked."""
    catalog = sqlite3.connect(write_flowfile_catalog(home))
    catalog.execute("INSERT INTO database_connections (connection_name, password_id, user_id) VALUES ('warehouse', 1, 1)")
    catalog.execute(
        "INSERT INTO cloud_storage_connections (connection_name, storage_type, auth_method, aws_secret_access_key_id, user_id)"
        " VALUES ('lake', 's3', 'key', 1, 1)"
    )
    catalog.commit()

    assert store.used_by(1) == ["warehouse", "lake"]
    assert store.used_by(2) == []


def test_after_a_fork_nothing_of_the_parents_is_used(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a child the parent's connection is put aside unclosed, and a mutex that the parent held is not waited for."""
    store.put(1, "a", "token", replace=False)
    parents = store.active._connection
    store.active.mutex.acquire()
    real = os.getpid()

    monkeypatch.setattr(os, "getpid", lambda: real + 1)

    assert store.names(1) == ["a"]
    assert store.active._connection is not parents
    assert store.active._inherited == [parents]
    store.close()
    store.close()


def test_a_child_does_not_have_the_lock_of_its_parent(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that is forked while its parent writes is not alone."""
    real = os.getpid()
    with store.active.alone():
        monkeypatch.setattr(os, "getpid", lambda: real + 1)

        with store.active.alone(wait=False) as held:
            assert not held


def test_who_got_the_lock_writes_to_the_database_that_is_there_then(
    store: Store, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What another process exchanged while it had the lock is seen, however short the wait for it was."""
    store.put(1, "a", "token", replace=False)
    monkeypatch.setattr("flowfile_nb.storage.active.monotonic", lambda: 0.0)
    assert store.find(1, "a") is not None
    catalog = write_flowfile_catalog(home)

    store.put(1, "b", "token", replace=False)

    with contextlib.closing(sqlite3.connect(catalog)) as theirs:
        assert theirs.execute("SELECT count(*) FROM secrets WHERE name = 'b'").fetchone() == (1,)


def test_a_flowfile_from_before_groups(store: Store, home: Path) -> None:
    """An older catalog without shares is read and written as well."""
    catalog = sqlite3.connect(write_flowfile_catalog(home))
    catalog.executescript("DROP TABLE resource_grants; DROP TABLE user_group_memberships; DROP TABLE user_groups")

    store.put(1, "a", "token", replace=False)

    assert store.find(1, "none") is None
    assert "a" in store.names(1)
    assert store.count(1) == len(store.names(1))
    assert "a" in [row.name for row in store.rows(1)]
    store.delete(1, "a")
    assert "a" not in store.names(1)


def test_a_database_in_use_is_opened_by_sqlite_alone(
    store: Store, key_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Opening and closing its file by ourselves would drop this process's locks on it, and acknowledged rows would be lost."""
    store.put(1, "a", "token", replace=False)
    opened: list[str] = []
    real_open = os.open

    def spy(path: Any, *more: Any, **named: Any) -> int:
        opened.append(str(path))
        return real_open(path, *more, **named)

    monkeypatch.setattr(os, "open", spy)
    store.set_fact("key_id", "abc")
    store.save_connection("warehouse", "sqlite://")
    store.put(1, "b", "token", replace=False)
    database.create_database(str(key_directory / "flowfile_nb.db"))

    assert opened
    assert str(key_directory / "flowfile_nb.db") not in opened


def test_some_names_are_listed_alone(store: Store) -> None:
    """Those that were asked for and are there, each once."""
    for name in ("a", "b", "c"):
        store.put(1, name, f"token {name}", replace=False)

    names, heads, owners = store.listing(1, names=["c", "a", "none", "a"])

    assert (names, heads, owners) == (["a", "c"], ["token a", "token c"], [1, 1])


def test_copies_are_counted(store: Store, home: Path) -> None:
    """Of what is written to Flowfile's catalog; without a catalog, and before anything was written, there are none."""
    assert store.copies() == 0
    write_flowfile_catalog(home)

    store.put(1, "a", "token", replace=False)

    assert store.copies() == 1
