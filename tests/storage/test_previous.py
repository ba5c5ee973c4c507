"""What a secret was before it was replaced: kept for a while, given back once, and never to another secret."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from flowfile_nb.core.crypto import Keychain, generate_master_key
from flowfile_nb.errors import DamagedSecretError, NoSuchSecretError, NothingToUndoError
from flowfile_nb.storage import previous
from flowfile_nb.storage.database import transaction
from flowfile_nb.storage.migrations import STEPS
from flowfile_nb.storage.store import Store
from flowfile_nb.vault import Vault
from tests.support.stores import write_flowfile_catalog, write_flowfile_store

DAY_S = 86_400
fork = multiprocessing.get_context("fork")


@pytest.fixture(params=["our database", "Flowfile's catalog"])
def vault(request: pytest.FixtureRequest, home: Path) -> Vault:
    """A vault with `pw`, replaced once, in either database."""
    if request.param == "Flowfile's catalog":
        write_flowfile_store(home)
    vault = Vault({})
    vault.set("pw", "old", replace=False)
    vault.set("pw", "new", replace=True)
    return vault


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A clock that a test sets: its one item is the time."""
    import time

    now = [time.time()]
    monkeypatch.setattr("time.time", lambda: now[0])
    return now


def kept(vault: Vault) -> list[str]:
    """Return whose former values are on disk, each once for each row."""
    connection = sqlite3.connect(vault.paths.database)
    try:
        return [name for (name,) in connection.execute("SELECT name FROM nb_previous ORDER BY name")]
    finally:
        connection.close()


def catalog_of(vault: Vault) -> sqlite3.Connection:
    """Return the database that holds the secrets, as another program opens it."""
    return sqlite3.connect(vault.store.location or "", isolation_level=None)


def test_a_value_comes_back_once(vault: Vault) -> None:
    """The row, and with it shares and connections, stays; then neither value is kept."""
    row = vault.store.find(1, "pw")
    assert row is not None

    assert vault.replaced_at("pw") > 1_700_000_000
    vault.undo("pw")

    after = vault.store.find(1, "pw")
    assert after is not None
    assert (after.id, vault.reveal("pw"), kept(vault)) == (row.id, "old", [])
    with pytest.raises(NothingToUndoError, match="7 days"):
        vault.undo("pw")
    assert vault.reveal("pw") == "old"


def test_only_the_last_value_is_kept(vault: Vault) -> None:
    """Of three values the second comes back, and the first is on disk no more."""
    vault.set("pw", "newest", replace=True)
    assert kept(vault) == ["pw"]

    vault.undo("pw")

    assert vault.reveal("pw") == "new"
    assert kept(vault) == []


def test_no_table_is_added_to_flowfiles_catalog(home: Path) -> None:
    """Former values are in our own database alone."""
    catalog = sqlite3.connect(write_flowfile_store(home))
    before = catalog.execute("SELECT sql FROM sqlite_master ORDER BY 1").fetchall()
    vault = Vault({})

    vault.set("prod_database_password", "new", replace=True)

    assert catalog.execute("SELECT sql FROM sqlite_master ORDER BY 1").fetchall() == before
    assert kept(vault) == ["prod_database_password"]
    vault.undo("prod_database_password")
    assert vault.reveal("prod_database_password") == "hunter2"


def test_a_flowfile_installed_later(home: Path) -> None:
    """The secret moves to its catalog, and what is kept in our own database is still its."""
    vault = Vault({})
    vault.set("pw", "old", replace=False)
    vault.set("pw", "new", replace=True)
    write_flowfile_catalog(home)

    vault.undo("pw")

    assert vault.store.location == vault.paths.catalog
    assert vault.reveal("pw") == "old"


def test_it_is_gone_after_seven_days(vault: Vault, clock: list[float]) -> None:
    """It is not given back, and the next write of a kernel, whatever it writes, deletes it."""
    vault.set("pw", "newest", replace=True)
    clock[0] += 7 * DAY_S - 1
    assert vault.replaced_at("pw")

    clock[0] += 2
    with pytest.raises(NothingToUndoError):
        vault.undo("pw")
    assert kept(vault) == ["pw"]

    Vault({}).set("other", "value", replace=False)
    assert kept(vault) == []


@pytest.mark.parametrize("days", [-1, 1])
def test_a_clock_that_was_set(vault: Vault, clock: list[float], days: int) -> None:
    """By a day it loses nothing; by years nothing is kept until the time comes that was wrong."""
    vault.set("pw", "newest", replace=True)

    clock[0] += days * DAY_S
    vault.set("other", "value", replace=False)
    assert vault.replaced_at("pw")

    clock[0] -= 3_000 * DAY_S
    vault.set("other", "value 2", replace=True)
    assert kept(vault) == ["other"]


def test_it_goes_along_with_a_rename(vault: Vault) -> None:
    """Under the new name it comes back; a secret that gets the old name has none."""
    vault.rename("pw", "renamed")
    vault.set("pw", "new", replace=False)

    with pytest.raises(NothingToUndoError):
        vault.undo("pw")
    vault.undo("renamed")

    assert vault.reveal("renamed") == "old"
    assert vault.reveal("pw") == "new"


def test_deleting_deletes_it(vault: Vault) -> None:
    """Nothing of a deleted secret is kept."""
    vault.delete("pw")

    assert kept(vault) == []
    vault.set("pw", "new", replace=False)
    with pytest.raises(NothingToUndoError):
        vault.undo("pw")


def test_a_value_that_flowfile_replaced_is_not_overwritten(vault: Vault) -> None:
    """What another program stored since stays; also where it deleted the row and made another, with its id or its name."""
    vault.store.close()
    other = catalog_of(vault)
    token = vault.key.keychain().encrypt_secret("from Flowfile", 1)
    (row_id,) = other.execute("SELECT id FROM secrets WHERE name = 'pw'").fetchone()

    other.execute("UPDATE secrets SET encrypted_value = ? WHERE id = ?", (token, row_id))
    with pytest.raises(NothingToUndoError, match="Flowfile"):
        vault.undo("pw")
    other.execute("DELETE FROM secrets WHERE id = ?", (row_id,))
    other.execute("INSERT INTO secrets VALUES (?, 'another', ?, '', 1)", (row_id, token))
    for name, error in (("another", NothingToUndoError), ("pw", NoSuchSecretError)):
        with pytest.raises(error):
            vault.undo(name)
    other.execute("INSERT INTO secrets (name, encrypted_value, iv, user_id) VALUES ('pw', ?, '', 1)", (token,))
    with pytest.raises(NothingToUndoError):
        vault.undo("pw")

    assert vault.reveal("pw") == vault.reveal("another") == "from Flowfile"
    # What there was of a former secret of a name does not come to one that is renamed to it.
    vault.delete("pw")
    vault.set("third", "3", replace=False)
    vault.rename("third", "pw")
    with pytest.raises(NothingToUndoError):
        vault.undo("pw")
    other.close()


def test_another_token_of_the_same_value_is_the_same_value(vault: Vault) -> None:
    """A rotation of the master key writes all tokens anew; what is kept still belongs to its secret."""
    other = catalog_of(vault)
    token = vault.key.keychain().encrypt_secret("new", 1)
    other.execute("UPDATE secrets SET encrypted_value = ? WHERE name = 'pw'", (token,))
    other.close()

    vault.undo("pw")

    assert vault.reveal("pw") == "old"


def test_a_value_that_cannot_be_decrypted_is_not_put_back(vault: Vault) -> None:
    """The present value stays where the former one is damaged; where the present one is, the former comes back by its token."""
    ours = sqlite3.connect(vault.paths.database, isolation_level=None)
    (good,) = ours.execute("SELECT token FROM nb_previous").fetchone()
    foreign = Keychain(generate_master_key()).encrypt_secret("x", 1)
    ours.execute("UPDATE nb_previous SET token = ?", (foreign,))
    with pytest.raises(DamagedSecretError):
        vault.undo("pw")
    assert vault.reveal("pw") == "new"

    ours.execute("UPDATE nb_previous SET token = ?, successor = ?", (good, foreign))
    with pytest.raises(NothingToUndoError):
        vault.undo("pw")
    other = catalog_of(vault)
    other.execute("UPDATE secrets SET encrypted_value = ? WHERE name = 'pw'", (foreign,))
    vault.undo("pw")

    assert vault.reveal("pw") == "old"
    ours.close()
    other.close()


def test_a_change_at_the_same_moment_is_not_overwritten(vault: Vault) -> None:
    """Between looking and undoing another kernel replaced the value: its value stays."""
    row = vault.store.find(1, "pw")
    assert row is not None
    Vault({}).set("pw", "from another kernel", replace=True)

    with pytest.raises(NothingToUndoError, match="at this moment"):
        vault.store.undo(1, "pw", row.token, "former")

    assert vault.reveal("pw") == "from another kernel"


def test_a_members_undo_does_not_touch_a_shared_secret(home: Path) -> None:
    """Only the owner replaces, and only the owner undoes."""
    write_flowfile_store(home)
    Vault({}, user_id=2).set("team_warehouse", "new", replace=True)

    with pytest.raises(NoSuchSecretError):
        Vault({}, user_id=3).undo("team_warehouse")
    Vault({}, user_id=2).undo("team_warehouse")

    assert Vault({}, user_id=3).reveal("team_warehouse") == "alice-s-value"


def _die(*_: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _change_and_die(step: str, change: Callable[[Vault], object]) -> None:
    real = getattr(previous.Change, step)
    setattr(previous.Change, step, _die if step == "finish" else lambda *all_: (real(*all_), _die()))
    change(Vault({}))


def killed(step: str, change: Callable[[Vault], object]) -> None:
    """Make a change in a process that is killed after a step of `Change`; before it, where that is the last."""
    process = fork.Process(target=_change_and_die, args=(step, change))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL


@pytest.mark.parametrize(("step", "present", "former"), [("replaced", "two", "one"), ("finish", "three", "two")])
def test_kill_9_between_the_databases(home: Path, step: str, present: str, former: str) -> None:
    """A replace that was not acknowledged loses nothing of one that was; one that was done can be undone."""
    write_flowfile_store(home)
    vault = Vault({})
    vault.set("pw", "one", replace=False)
    vault.set("pw", "two", replace=True)

    killed(step, lambda child: child.set("pw", "three", replace=True))

    assert vault.reveal("pw") == present
    assert kept(vault) == ["pw", "pw"]
    vault.undo("pw")
    assert vault.reveal("pw") == former
    assert kept(vault) == []


def test_kill_9_in_a_rename(home: Path) -> None:
    """What is kept is found under the name that the secret has, the old one or the new one."""
    write_flowfile_store(home)
    vault = Vault({})
    vault.set("pw", "old", replace=False)
    vault.set("pw", "new", replace=True)

    killed("renamed", lambda child: child.rename("pw", "renamed"))
    assert vault.replaced_at("pw")
    killed("finish", lambda child: child.rename("pw", "renamed"))
    vault.undo("renamed")

    assert vault.reveal("renamed") == "old"


def test_what_cannot_be_cleared_away_does_not_undo_the_change(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Deleting in Flowfile's catalog is done, although our own database cannot be written at this moment."""
    write_flowfile_store(home)
    vault = Vault({})
    vault.set("pw", "old", replace=False)
    vault.set("pw", "new", replace=True)
    monkeypatch.setattr("flowfile_nb.storage.active.create_database", _fail)

    vault.delete("pw")

    assert "pw" not in vault.names()


def _fail(path: str) -> None:
    raise sqlite3.OperationalError("database or disk is full")


def test_a_database_of_an_earlier_version(home: Path) -> None:
    """Beside Flowfile's catalog ours may still have the first schema: nothing is kept, and replacing migrates it."""
    vault = Vault({})
    os.makedirs(vault.paths.directory, 0o700)
    first = sqlite3.connect(vault.paths.database, isolation_level=None)
    with transaction(first):
        for statement in STEPS[0]:
            first.execute(statement)
        first.execute("PRAGMA user_version = 1")
    first.close()
    write_flowfile_catalog_and_key(home)

    with pytest.raises(NothingToUndoError):
        vault.undo("unicode_value")
    vault.set("unicode_value", "new", replace=True)
    vault.undo("unicode_value")

    assert vault.reveal("unicode_value") == "pässwörd-密码-🔑"


def write_flowfile_catalog_and_key(home: Path) -> None:
    """Put the frozen store beside a database of ours that is there."""
    from tests.support.stores import VECTORS

    write_flowfile_catalog(home)
    for source, name in (("dot_secret_key", ".secret_key"), ("flowfile.json.enc", "flowfile.json.enc")):
        path = home / ".config" / "flowfile" / name
        path.write_bytes((VECTORS / source).read_bytes())
        path.chmod(0o600)


def test_former_tokens_are_overwritten(home: Path) -> None:
    """What was undone is in no page of the database any more."""
    store = Store(Vault({}).paths)
    store.put(1, "a", "token-of-the-first", replace=False)
    store.put(1, "a", "token-to-be-gone", replace=True)
    store.undo(1, "a", "token-to-be-gone", "token-of-the-first")
    store.close()
    connection = sqlite3.connect(store.paths.database)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()

    content = Path(store.paths.database).read_bytes()
    assert b"token-to-be-gone" not in content
    assert content.count(b"token-of-the-first") == 1


def test_what_flowfile_wrote_has_no_former_value(home: Path) -> None:
    """Beside Flowfile's catalog, where our own database was never made, a rename and a delete have nothing to care for."""
    write_flowfile_store(home)
    store = Store(Vault({}).paths)

    store.rename(1, "unicode_value", "renamed")
    os.unlink(store.paths.database)
    store.delete(1, "renamed")

    assert "renamed" not in store.names(1)
    assert store.previous(1, "renamed") == []
