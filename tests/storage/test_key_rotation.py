"""Another master key for a store: everything under it, nothing lost, whoever else is at work meanwhile."""

from __future__ import annotations

import multiprocessing
import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from flowfile_nb.core.crypto import Keychain, generate_master_key, token_times
from flowfile_nb.errors import DamagedSecretError, MasterKeyError, StoreError
from flowfile_nb.lifecycle.rotation import preview, rotate
from flowfile_nb.storage import key_rotation
from flowfile_nb.storage.master_key import ENTRY, NEXT, PREVIOUS, read_entries, replace_entries
from flowfile_nb.storage.renewal import Renewal
from flowfile_nb.vault import Vault
from tests.support.stores import expected, write_flowfile_catalog, write_flowfile_store

fork = multiprocessing.get_context("fork")
# Two programs that write without a pause keep SQLite polling.
MOST_ROWS = 30


@pytest.fixture
def vault(home: Path) -> Vault:
    made = Vault({})
    for name in ("a", "b", "c"):
        made.set(name, f"value of {name}", replace=False)
    return made


def turn(vault: Vault) -> str:
    """Rotate the key; return its new id."""
    return rotate(vault, backup=None, tell=lambda done, total: None).new_key_id


def entries_of(vault: Vault) -> dict[str, Any]:
    return read_entries(vault.paths, {}) or {}


def token_of(vault: Vault, name: str) -> str:
    row = vault.store.find(1, name)
    assert row is not None
    return row.token


def put(vault: Vault, name: str, token: str) -> None:
    """Write a row as Flowfile does: without our lock."""
    with closing(sqlite3.connect(str(vault.store.location))) as database, database:
        database.execute("INSERT INTO secrets (name, encrypted_value, iv, user_id) VALUES (?, ?, '', 1)", (name, token))


def test_everything_is_under_the_new_key(vault: Vault) -> None:
    """The old key opens nothing any more, and the new one all; values, names and times are what they were."""
    old = vault.key.keychain()
    before = vault.describe()

    new_id = turn(vault)

    entries = entries_of(vault)
    assert Keychain(entries[PREVIOUS].encode()).key_id == old.key_id
    assert Keychain(entries[ENTRY].encode()).key_id == new_id == vault.store.fact("key_id") != old.key_id
    assert NEXT not in entries
    for name in vault.names():
        with pytest.raises(DamagedSecretError):
            old.decrypt_secret(token_of(vault, name), 1)
        assert vault.reveal(name) == Vault({}).reveal(name) == f"value of {name}"
    assert vault.describe()[:4] == before[:4]


def test_the_time_of_a_value_is_kept(vault: Vault) -> None:
    """How old a password is does not depend on the key: `%secret list` shows the same age."""
    put(vault, "old", vault.key.keychain().encrypt_secret("x", 1, 1_600_000_000))

    turn(vault)

    assert token_times([token_of(vault, "old")]) == [1_600_000_000]


def test_a_flowfile_store_with_several_users(home: Path) -> None:
    """The secrets of all users, of every format, and shared ones, read as before."""
    write_flowfile_store(home)
    team = expected()["team"]

    turn(Vault({}))

    known = {**expected()["secrets"], **expected()["legacy"]}
    assert {name: Vault({}).reveal(name) for name in known} == known
    for user, names in team["resolves"].items():
        for name, value in names.items():
            if value is not None:
                assert Vault({}, team["users"][user]).reveal(name) == value


def test_what_cannot_be_opened_is_named_and_left(vault: Vault) -> None:
    """Damage is not made worse, and not deleted."""
    dead = (
        "$ffsec$1$1$gAAAAAdead",
        "$ffsec$9$1$gAAAAA",
        "no token at all",
        Keychain(generate_master_key()).encrypt_secret("x", 1),
    )
    for number, token in enumerate(dead):
        put(vault, f"dead {number}", token)

    done = rotate(vault, backup=None, tell=lambda done, total: None)

    assert done.contents.unopened == [f"secrets.encrypted_value: dead {number}" for number in range(4)]
    assert [token_of(vault, f"dead {number}") for number in range(4)] == list(dead)
    assert vault.reveal("a") == "value of a"


def test_a_row_written_with_the_old_key_meanwhile(vault: Vault) -> None:
    """Flowfile may have read the key just before: the row is readable, doctor names it, reading puts it under the new key."""
    late = vault.key.keychain().encrypt_secret("late", 1)
    turn(vault)
    put(vault, "late", late)

    (finding,) = [finding for finding in Vault({}).findings() if not finding.ok]
    assert "late: still under the key from before the last rotation" in finding.state
    assert Vault({}).reveal("late") == "late"

    assert token_of(vault, "late") != late
    assert vault.key.keychain().decrypt_secret(token_of(vault, "late"), 1) == "late"
    assert all(finding.ok for finding in vault.findings())


def test_the_next_rotation_takes_such_rows_along(vault: Vault) -> None:
    """Two rotations later it would be lost otherwise."""
    late = vault.key.keychain().encrypt_secret("late", 1)
    turn(vault)
    put(vault, "late", late)

    turn(vault)
    turn(vault)

    assert Vault({}).reveal("late") == "late"


def test_such_a_row_is_readable_where_nothing_can_be_written(vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading does not depend on putting it under the new key."""
    late = vault.key.keychain().encrypt_secret("late", 1)
    turn(vault)
    put(vault, "late", late)

    def refused(*_: object) -> None:
        raise StoreError("read-only")

    monkeypatch.setattr(vault.store, "renew", refused)
    assert vault.reveal("late") == "late"
    assert token_of(vault, "late") == late


def test_such_a_row_that_a_rotation_has_just_taken_along(vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading puts nothing in its place then."""
    late = vault.key.keychain().encrypt_secret("late", 1)
    turn(vault)
    put(vault, "late", late)
    reader = Vault({})
    alone, turned = reader.store.active.alone, []

    def after_a_rotation(**options: Any) -> Any:
        if not turned:
            turned.append(turn(vault))
        return alone(**options)

    monkeypatch.setattr(reader.store.active, "alone", after_a_rotation)
    assert reader.reveal("late") == "late"

    assert turned
    assert Keychain(entries_of(vault)[ENTRY].encode()).decrypt_secret(token_of(vault, "late"), 1) == "late"


def test_a_row_that_changed_after_it_was_found(vault: Vault) -> None:
    """Two rotations between finding a row and opening it: the row is looked up again."""
    found = vault.store.find(1, "a")
    assert found is not None
    for _ in range(2):
        turn(Vault({}))

    # One that holds no key yet: the first one would open the row as it was found.
    assert Vault({}).key.decrypt(found) == "value of a"


def test_a_writer_that_waits_for_a_rotation_writes_with_the_new_key(vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    """The key is taken under the store's lock: a rotation that comes between does not leave a row behind."""
    writer = Vault({})
    writer.reveal("a")
    alone, turned = writer.store.active.alone, []

    def after_a_rotation(**options: Any) -> Any:
        if not turned:
            turned.append(turn(vault))
        return alone(**options)

    monkeypatch.setattr(writer.store.active, "alone", after_a_rotation)
    writer.set("d", "written", replace=False)

    assert Keychain(entries_of(vault)[ENTRY].encode()).decrypt_secret(token_of(vault, "d"), 1) == "written"


def test_a_rotation_between_looking_for_the_key_and_at_the_rows(vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    """The key does not fit what is there by then, and is no wrong one for that: it is looked up again."""
    writer = Vault({})
    fact, turned = writer.store.fact, []

    def after_a_rotation(name: str) -> str | None:
        if not turned:
            turned.append(turn(vault))
        return fact(name)

    monkeypatch.setattr(writer.store, "fact", after_a_rotation)
    writer.set("d", "written", replace=False)

    assert turned
    assert Keychain(entries_of(vault)[ENTRY].encode()).decrypt_secret(token_of(vault, "d"), 1) == "written"


@pytest.mark.parametrize("error", [KeyboardInterrupt(), StoreError("the disk is full")])
def test_what_fails_is_undone(vault: Vault, error: BaseException, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk, or Ctrl+C: the key and the rows are what they were, and nothing waits to be finished."""
    before = entries_of(vault)
    tokens = [token_of(vault, name) for name in vault.names()]
    real = Renewal._renewed

    def failing(self: Renewal, text: str, owner: int) -> str:
        if NEXT in entries_of(vault):
            raise error
        return real(self, text, owner)

    with monkeypatch.context() as patch:
        patch.setattr(Renewal, "_renewed", failing)
        with pytest.raises(type(error)):
            turn(vault)

    assert entries_of(vault) == before
    assert [token_of(vault, name) for name in vault.names()] == tokens
    vault.set("d", "x", replace=False)


def test_an_interrupt_inside_of_sqlite_is_that_interrupt(vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    """SQLite reports only that a function failed; the user pressed Ctrl+C."""
    before = entries_of(vault)
    real = Renewal._renewed
    calls = iter(range(7))

    def failing(self: Renewal, text: str, owner: int) -> str:
        # Three rows are surveyed, three looked at, then the statement runs.
        if next(calls) == 6:
            raise KeyboardInterrupt
        return real(self, text, owner)

    with monkeypatch.context() as patch:
        patch.setattr(Renewal, "_renewed", failing)
        with pytest.raises(KeyboardInterrupt):
            turn(vault)

    assert entries_of(vault) == before
    assert Vault({}).reveal("a") == "value of a"


def test_an_error_of_sqlite_stays_one(vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    """A table that cannot be changed is our error, not a rotation that half happened."""
    with closing(sqlite3.connect(str(vault.store.location))) as database, database:
        database.execute("CREATE TRIGGER t BEFORE UPDATE ON secrets BEGIN SELECT no_such_function(); END")
    before = entries_of(vault)

    with pytest.raises(StoreError):
        turn(vault)

    assert entries_of(vault) == before


def cut_short(vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave a rotation behind whose rows are committed and whose key file is not."""
    real = Renewal.apply

    def interrupted(self: Renewal, connection: sqlite3.Connection) -> None:
        real(self, connection)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Renewal, "apply", interrupted)
        with pytest.raises(KeyboardInterrupt):
            turn(vault)


def test_an_interrupt_just_after_the_commit_is_finished_later(vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows are under the new key by then: it is not forgotten, and the next start finishes."""
    cut_short(vault, monkeypatch)

    assert NEXT in entries_of(vault)
    assert Vault({}).reveal("a") == "value of a"
    assert NEXT not in entries_of(vault)


def test_reading_does_not_wait_for_a_rotation_under_way(vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who has the lock is at work; a reader opens rows with either key meanwhile."""
    cut_short(vault, monkeypatch)
    inside, leave = fork.Event(), fork.Event()

    def hold() -> None:
        with Vault({}).store.active.alone():
            inside.set()
            leave.wait()

    vault.store.close()
    holder = fork.Process(target=hold)
    holder.start()
    inside.wait()

    try:
        assert Vault({}).reveal("a") == "value of a"
        assert NEXT in entries_of(vault)
    finally:
        leave.set()
        holder.join()
    assert Vault({}).reveal("b") == "value of b"
    assert NEXT not in entries_of(vault)


def test_what_cannot_be_finished_can_be_read_and_is_not_written(vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that is full still: reading works with both keys, writing stops and says why, and later it is finished."""
    cut_short(vault, monkeypatch)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("flowfile_nb.storage.private_files._exchange", full)
        fresh = Vault({})
        assert fresh.reveal("a") == "value of a"
        with pytest.raises(StoreError, match="No space left"):
            fresh.set("d", "x", replace=False)
        (said,) = [finding for finding in fresh.findings() if finding.topic == "master key"]
        assert (said.ok, "cut short" in said.state) == (False, True)

    fresh.set("d", "x", replace=False)
    assert NEXT not in entries_of(vault)
    assert Vault({}).reveal("d") == "x"


def test_a_lost_master_key_beside_the_next_one(vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    """If only the new key is left, it becomes the master key."""
    cut_short(vault, monkeypatch)
    entries = entries_of(vault)
    del entries[ENTRY]
    replace_entries(vault.paths, {}, entries)

    assert Vault({}).reveal("a") == "value of a"


def race(monkeypatch: pytest.MonkeyPatch, when: Callable[[dict[str, Any]], bool], vault: Vault) -> None:
    """Let Flowfile, which has no lock, write back what it had read before one of our writes, once."""
    before = {**entries_of(vault), "jwt_secret": "theirs"}
    done = []

    def replaced(paths: Any, environ: Any, entries: Any) -> None:
        replace_entries(paths, environ, entries)
        if when(entries) and not done:
            done.append(True)
            replace_entries(paths, environ, before)

    monkeypatch.setattr(key_rotation, "replace_entries", replaced)


def test_flowfile_overwrites_the_key_file_before_the_rows_are_changed(vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    """The new key would be lost: nothing is changed, and the user may try again."""
    race(monkeypatch, lambda entries: NEXT in entries, vault)

    with pytest.raises(MasterKeyError, match="another program wrote the key file"):
        turn(vault)

    assert Vault({}).reveal("a") == "value of a"
    assert entries_of(vault)["jwt_secret"] == "theirs"
    assert turn(vault) == Vault({}).key.keychain().key_id


def test_flowfile_overwrites_the_key_file_at_the_end(vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is written again, with what Flowfile added."""
    race(monkeypatch, lambda entries: PREVIOUS in entries, vault)

    new_id = turn(vault)

    entries = entries_of(vault)
    assert Keychain(entries[ENTRY].encode()).key_id == new_id
    assert entries["jwt_secret"] == "theirs"
    assert Vault({}).reveal("a") == "value of a"


def test_rows_that_were_not_handed_over(home: Path, vault: Vault) -> None:
    """A crash while rows moved to Flowfile's catalog, then a rotation: no row is there twice afterwards."""
    tokens = {name: token_of(vault, name) for name in vault.names()}
    vault.store.close()
    catalog = write_flowfile_catalog(home)
    with closing(sqlite3.connect(catalog)) as database, database:
        database.execute("DELETE FROM secrets")
    assert vault.names() == ["a", "b", "c"]
    with closing(sqlite3.connect(vault.paths.database)) as database, database:
        for name, token in tokens.items():
            database.execute("UPDATE secrets SET encrypted_value = ?, iv = '' WHERE name = ?", (token, name))

    turn(vault)

    with closing(sqlite3.connect(vault.paths.database)) as database:
        assert database.execute("SELECT count(*) FROM secrets WHERE iv <> 'copy'").fetchone() == (0,)
    assert Vault({}).names() == ["a", "b", "c"]
    assert {name: Vault({}).reveal(name) for name in "abc"} == {name: f"value of {name}" for name in "abc"}


def test_a_preview_changes_nothing(vault: Vault) -> None:
    """It counts, and works out the tokens: what fails then would have failed in earnest."""
    put(vault, "dead", "no token at all")
    before, tokens = entries_of(vault), [token_of(vault, name) for name in vault.names()]

    found = preview(vault, tell=lambda done, total: None).contents

    assert found == (str(vault.store.location), {"local_user": 4}, {}, ["secrets.encrypted_value: dead"])
    assert entries_of(vault) == before
    assert [token_of(vault, name) for name in vault.names()] == tokens


def test_the_key_of_a_variable(home: Path) -> None:
    """Rows and record go under the key that the user gives; there is no key file then."""
    old, new = generate_master_key(), generate_master_key()
    vault = Vault({"FLOWFILE_MASTER_KEY": old.decode()})
    vault.set("a", "x", replace=False)

    done = rotate(vault, backup=None, tell=lambda done, total: None, new_key=new)

    changed = Vault({"FLOWFILE_MASTER_KEY": new.decode()})
    assert changed.reveal("a") == "x"
    assert changed.store.fact("key_id") == changed.key.keychain().key_id == done.new_key_id
    assert not os.path.exists(vault.paths.key_store)


def test_a_disk_without_locks(vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some network drives have none; SQLite's own remain, and an interrupted rotation is finished all the same."""
    cut_short(vault, monkeypatch)

    def no_locks(*_: object) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr("fcntl.flock", no_locks)

    assert Vault({}).reveal("a") == "value of a"
    assert NEXT not in entries_of(vault)


def test_progress_is_told(vault: Vault) -> None:
    """Of how many, and in the end all."""
    for number in range(450):
        put(vault, f"more {number}", vault.key.keychain().encrypt_secret("x", 1))
    told: list[tuple[int, int]] = []

    rotate(vault, backup=None, tell=lambda *numbers: told.append(numbers))

    assert told == [(200, 453), (400, 453), (453, 453)]


def _use(environ: dict[str, str], number: int, going: Any, failures: Any) -> None:
    vault, round_ = Vault(environ), 0
    try:
        while going.is_set() or round_ < 5:
            vault.set(f"from {number}", f"round {round_}", replace=True)
            assert vault.reveal(f"from {number}") == f"round {round_}"
            assert vault.reveal("a") == "value of a"
            round_ += 1
        failures.put("")
    except BaseException as error:
        failures.put(f"{type(error).__name__}: {error}")


def _flowfile(vault: Vault, begun: Any, going: Any, failures: Any) -> None:
    """Write as Flowfile does: read the key file, encrypt, write the row; without a lock, and the key is not kept."""
    number = 0
    try:
        while number < 5 or (going.is_set() and number < MOST_ROWS):
            begun.set()
            token = Keychain(entries_of(vault)[ENTRY].encode()).encrypt_secret(f"theirs {number}", 1)
            put(vault, f"theirs {number}", token)
            number += 1
        failures.put(number)
    except BaseException as error:
        failures.put(f"{type(error).__name__}: {error}")


def test_kernels_that_hold_an_old_key_read_and_write_meanwhile(home: Path, vault: Vault) -> None:
    """Three processes use the store while its key is rotated ten times: no error, and nothing is lost or left behind."""
    vault.store.close()
    going, failures = fork.Event(), fork.SimpleQueue()
    going.set()
    users = [fork.Process(target=_use, args=({}, number, going, failures)) for number in range(3)]
    for user in users:
        user.start()

    ids = {turn(vault) for _ in range(10)}
    going.clear()

    assert [failures.get() for _ in users] == [""] * 3
    for user in users:
        user.join()
    assert len(ids) == 10
    assert all(finding.ok for finding in Vault({}).findings())
    assert all(Vault({}).reveal(f"from {number}").startswith("round ") for number in range(3))


def test_flowfile_writes_meanwhile(home: Path) -> None:
    """It takes no lock of ours and may have read the old key: what it wrote is readable, and reading mends what is left."""
    write_flowfile_store(home)
    vault = Vault({})
    vault.set("a", "value of a", replace=False)
    location = vault.store.location
    vault.store.close()
    assert location == vault.paths.catalog
    begun, going, failures = fork.Event(), fork.Event(), fork.SimpleQueue()
    going.set()
    writer = fork.Process(target=_flowfile, args=(Vault({}), begun, going, failures))
    writer.start()
    begun.wait()

    for _ in range(3):
        turn(vault)
    going.clear()
    written = failures.get()
    writer.join()

    assert isinstance(written, int), written
    fresh = Vault({})
    assert [fresh.reveal(f"theirs {number}") for number in range(written)] == [f"theirs {number}" for number in range(written)]
    assert all(finding.ok for finding in fresh.findings())


def test_rotated_between_reading_the_key_and_proving_it(vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    """The key that was read opens nothing by then: it is looked up once more before the write is refused."""
    fresh = Vault({})
    tokens = fresh.store.tokens
    rotations = [vault, vault]

    def after_rotations(limit: int) -> list[tuple[str, int]]:
        while rotations:
            turn(rotations.pop())
        return tokens(limit)

    fresh.key.keychain()
    monkeypatch.setattr(fresh.store, "tokens", after_rotations)
    fresh.set("d", "x", replace=False)

    assert rotations == []
    assert Vault({}).reveal("d") == "x"
