"""A backup restored: on a new home, on one with another key, into Flowfile's catalog; and nothing overwritten unasked."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sqlite3
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from flowfile_nb.core.crypto import Keychain, generate_master_key
from flowfile_nb.core.sealed import Cost
from flowfile_nb.errors import MasterKeyError, NothingToUndoError, StoreError, WrongKeyError
from flowfile_nb.lifecycle import restore as module
from flowfile_nb.lifecycle.backup import write_backup
from flowfile_nb.lifecycle.contents import Contents
from flowfile_nb.lifecycle.restore import (
    DIFFERS,
    NEW,
    SAME,
    SHADOWED,
    UNREADABLE,
    Restored,
    apply,
    preview,
    read_backup,
)
from flowfile_nb.storage import merge as merging
from flowfile_nb.vault import Vault
from tests.support.stores import expected, write_flowfile_catalog, write_flowfile_store

fork = multiprocessing.get_context("fork")
PASSPHRASE = "correct horse battery"
VALUE = "p@ss:w/or d?#%\"'\\ü密🔑"


def backup_of(vault: Vault) -> Contents:
    """Return the backup of a store as it is read from its file."""
    path = os.path.join(os.environ["HOME"], "backup")
    write_backup(vault, path, PASSPHRASE, cost=Cost(1, 1, 1), overwrite=True)
    return read_backup(path, PASSPHRASE)


@pytest.fixture
def elsewhere(tmp_path: Path) -> Callable[[str], Vault]:
    """Return a vault on a home of its own, by name."""

    def vault_on(name: str) -> Vault:
        directory = tmp_path / name
        return Vault(
            {"FLOWFILE_SECURE_STORAGE_PATH": str(directory / "config"), "FLOWFILE_STORAGE_DIR": str(directory / "flowfile")}
        )

    return vault_on


def values(vault: Vault) -> dict[str, str]:
    return {name: vault.reveal(name) for name in vault.names()}


def states(vault: Vault, backup: Contents) -> dict[str, str]:
    return {entry.row.name: entry.state for entry in preview(vault, backup).entries}


def stored(vault: Vault) -> dict[str, Any]:
    """Return the bytes of everything on disk."""
    vault.store.close()
    found = {}
    for folder in (vault.paths.directory, os.path.dirname(vault.paths.catalog)):
        for path in Path(folder).glob("*") if os.path.isdir(folder) else ():
            # What another connection has open is in its WAL only while there is something in it.
            if path.suffix not in {".lock", ".log", ".db-shm"} and path.read_bytes():
                found[str(path)] = path.read_bytes()
    return found


def test_on_a_new_home(home: Path, elsewhere: Callable[[str], Vault]) -> None:
    """The same key, values, times and connections; a copy of the old database opens there, too."""
    vault = Vault({})
    vault.set("pw", VALUE, replace=False)
    vault.set("other", "x", replace=False)
    vault.save_connection("warehouse", "postgresql://a:%secret pw@h/x")
    backup, new = backup_of(vault), elsewhere("new")

    plan = preview(new, backup)
    assert plan.takes_key
    assert [entry.state for entry in plan.entries] == [NEW, NEW]
    assert not os.path.exists(new.paths.directory)
    assert apply(new, plan, replace=False) == Restored(3, 0, [])

    assert values(new) == {"pw": VALUE, "other": "x"}
    assert new.connection_bodies() == vault.connection_bodies()
    assert new.key.keychain().key_id == vault.key.keychain().key_id
    assert [row.token for row in new.store.rows(1)] == [row.token for row in vault.store.rows(1)]
    assert values(elsewhere("new")) == {"pw": VALUE, "other": "x"}
    assert all(os.stat(path).st_mode & 0o077 == 0 for path in Path(new.paths.directory).iterdir())


def test_on_a_home_with_another_key(home: Path, elsewhere: Callable[[str], Vault]) -> None:
    """Its key stays; what is new comes in, what differs is kept, and `--replace` says otherwise: ids stay, and undo works."""
    vault, other = Vault({}), elsewhere("other")
    for name, value in (("new", VALUE), ("same", "same"), ("differs", "from the backup")):
        vault.set(name, value, replace=False)
    for name, value in (("same", "same"), ("differs", "from here"), ("only here", "stays")):
        other.set(name, value, replace=False)
    backup = backup_of(vault)
    key, row = other.key.keychain().key_id, other.store.find(1, "differs")

    assert states(other, backup) == {"new": NEW, "same": SAME, "differs": DIFFERS}
    assert apply(other, preview(other, backup), replace=False) == Restored(1, 0, [])
    assert values(other) == {"new": VALUE, "same": "same", "differs": "from here", "only here": "stays"}

    assert apply(other, preview(other, backup), replace=True) == Restored(0, 1, [])
    after = other.store.find(1, "differs")
    assert row is not None
    assert after is not None
    assert (after.id, other.reveal("differs"), other.key.keychain().key_id) == (row.id, "from the backup", key)
    other.undo("differs")
    assert other.reveal("differs") == "from here"
    with pytest.raises(NothingToUndoError):
        other.undo("new")


def test_again_changes_nothing(home: Path, elsewhere: Callable[[str], Vault]) -> None:
    """A restore can be repeated: what is there is the same."""
    vault, other = Vault({}), elsewhere("other")
    vault.set("pw", VALUE, replace=False)
    vault.save_connection("warehouse", "sqlite://")
    other.set("own", "x", replace=False)
    backup = backup_of(vault)
    apply(other, preview(other, backup), replace=True)
    before = stored(other)

    plan = preview(other, backup)
    assert {entry.state for entry in plan.entries} == {state for _, state in plan.connections} == {SAME}
    assert apply(other, plan, replace=True) == Restored(0, 0, [])

    assert stored(other) == before


def test_a_preview_changes_nothing(home: Path, elsewhere: Callable[[str], Vault]) -> None:
    """Not one byte, here or on a new home."""
    vault, other = Vault({}), elsewhere("other")
    vault.set("pw", VALUE, replace=False)
    other.set("pw", "x", replace=False)
    backup = backup_of(vault)
    before = stored(other)

    preview(other, backup)
    preview(elsewhere("new"), backup)

    assert stored(other) == before
    assert not os.path.exists(elsewhere("new").paths.directory)


def test_saved_connections(home: Path, elsewhere: Callable[[str], Vault]) -> None:
    """Those that differ stay unless it is said."""
    vault, other = Vault({}), elsewhere("other")
    vault.set("pw", VALUE, replace=False)
    vault.save_connection("a", "sqlite:///backup")
    other.set("pw", VALUE, replace=False)
    other.save_connection("a", "sqlite:///here")
    backup = backup_of(vault)

    apply(other, preview(other, backup), replace=False)
    assert other.connection_bodies() == {"a": "sqlite:///here"}
    assert apply(other, preview(other, backup), replace=True) == Restored(0, 1, [])
    assert other.connection_bodies() == {"a": "sqlite:///backup"}


def test_what_changed_since_the_preview_is_left_alone(home: Path, elsewhere: Callable[[str], Vault]) -> None:
    """Between the table and the answer another kernel stored values: they were not in the table, so they stay."""
    vault, other = Vault({}), elsewhere("other")
    for name in ("a", "b", "c"):
        vault.set(name, "from the backup", replace=False)
    other.set("a", "from here", replace=False)
    plan = preview(other, backup_of(vault))

    elsewhere("other").set("a", "later", replace=True)
    elsewhere("other").set("b", "later", replace=False)

    assert apply(other, plan, replace=True) == Restored(1, 0, ["a", "b"])
    assert values(other) == {"a": "later", "b": "later", "c": "from the backup"}


# Flowfile's store


def test_flowfiles_store_on_a_new_home(home: Path, elsewhere: Callable[[str], Vault]) -> None:
    """Everybody's secrets, and who may use whose, as the real Flowfile says; a token of an older version, too."""
    write_flowfile_store(home)
    new = elsewhere("new")

    apply(new, preview(new, backup_of(Vault({}))), replace=False)

    assert values(new) == {**expected()["secrets"], **expected()["legacy"]}
    users = {name: user_id for user_id, name in new.store.user_names().items()}
    # Carol has nothing, and is in no group.
    assert set(users) == {"local_user", "alice", "bob"}
    for user in ("alice", "bob"):
        resolved = expected()["team"]["resolves"][user]
        theirs = Vault(new.environ, user_id=users[user])
        assert values(theirs) == {name: value for name, value in resolved.items() if value is not None}


def test_into_flowfiles_catalog(home: Path, elsewhere: Callable[[str], Vault]) -> None:
    """Where Flowfile is, its catalog gets the rows, under its own key; and no table."""
    catalog = sqlite3.connect(write_flowfile_store(home))
    tables = catalog.execute("SELECT sql FROM sqlite_master ORDER BY 1").fetchall()
    other, vault = elsewhere("other"), Vault({})
    other.set("ours", VALUE, replace=False)
    other.set("prod_database_password", "from the backup", replace=False)

    plan = preview(vault, backup_of(other))
    assert not plan.takes_key
    apply(vault, plan, replace=True)

    assert catalog.execute("SELECT count(*) FROM secrets WHERE name = 'ours'").fetchone() == (1,)
    assert (vault.reveal("ours"), vault.reveal("prod_database_password")) == (VALUE, "from the backup")
    assert catalog.execute("SELECT sql FROM sqlite_master ORDER BY 1").fetchall() == tables
    vault.undo("prod_database_password")
    assert vault.reveal("prod_database_password") == "hunter2"


def test_users_have_other_numbers_elsewhere(home: Path, elsewhere: Callable[[str], Vault]) -> None:
    """Rows of others go by their user names; whoever restores gets what was their own."""
    write_flowfile_store(home)
    backup, other = backup_of(Vault({})), elsewhere("other")
    other.set("own", "x", replace=False)
    database = sqlite3.connect(other.paths.database, isolation_level=None)
    database.execute("INSERT INTO users (id, username) VALUES (7, 'bob'), (9, 'me')")
    database.close()

    me = Vault(other.environ, user_id=9)
    me.set("unicode_value", "mine", replace=False)
    assert states(me, backup)["unicode_value"] == DIFFERS
    me.delete("unicode_value")
    apply(me, preview(me, backup), replace=False)

    assert values(me) == {**expected()["secrets"], **expected()["legacy"]}
    assert values(Vault(other.environ, user_id=7)) == {"team_warehouse": "alice-s-value", "shadowed": "bob own"}
    assert values(other) == {"own": "x"}


def test_a_share_that_was_taken_away_is_not_given_back(home: Path) -> None:
    """A secret that is here keeps the grants it has, a group its members; a secret that was deleted comes back with its own."""
    catalog = sqlite3.connect(write_flowfile_store(home), isolation_level=None)
    backup = backup_of(Vault({}))
    catalog.execute("DELETE FROM user_group_memberships WHERE user_id = 3")
    catalog.execute("DELETE FROM resource_grants WHERE resource_id = 10")
    alice = Vault({}, user_id=2)
    alice.delete("shadowed")
    alice.set("team_warehouse", "new", replace=True)

    apply(Vault({}), preview(Vault({}), backup), replace=True)

    assert alice.reveal("team_warehouse") == "alice-s-value"
    assert catalog.execute("SELECT user_id FROM user_group_memberships").fetchall() == [(2,)]
    shared = "SELECT name FROM resource_grants JOIN secrets ON resource_id = secrets.id"
    assert catalog.execute(shared).fetchall() == [("shadowed",)]
    catalog.close()


def test_a_group_that_is_gone_comes_back_with_its_members(home: Path) -> None:
    """And with the grants of secrets that come back; a second restore gives nothing twice."""
    catalog = sqlite3.connect(write_flowfile_store(home), isolation_level=None)
    backup = backup_of(Vault({}))
    Vault({}, user_id=2).delete("team_warehouse")
    catalog.execute("DELETE FROM user_group_memberships")
    catalog.execute("DELETE FROM user_groups")

    plan = preview(Vault({}), backup)
    assert plan.groups == ["analysts"]
    apply(Vault({}), plan, replace=False)
    apply(Vault({}), preview(Vault({}), backup), replace=False)

    assert Vault({}, user_id=3).reveal("team_warehouse") == "alice-s-value"
    assert catalog.execute("SELECT count(*) FROM user_group_memberships").fetchone() == (2,)
    catalog.close()


def test_a_flowfile_from_before_groups(home: Path, elsewhere: Callable[[str], Vault]) -> None:
    """It has no tables for shares: the secrets come in all the same."""
    write_flowfile_store(home)
    backup, other = backup_of(Vault({})), elsewhere("other")
    os.makedirs(os.path.dirname(other.paths.catalog))
    write_flowfile_catalog(Path(os.path.dirname(other.paths.catalog)) / "x").rename(other.paths.catalog)
    catalog = sqlite3.connect(other.paths.catalog)
    catalog.executescript(
        "DROP TABLE resource_grants; DROP TABLE user_group_memberships; DROP TABLE user_groups; DELETE FROM secrets"
    )
    catalog.close()

    apply(other, preview(other, backup), replace=False)

    assert values(other) == {**expected()["secrets"], **expected()["legacy"]}


def test_names_that_flowfile_stored_twice(home: Path, elsewhere: Callable[[str], Vault]) -> None:
    """The one that counts is restored, the one it hides is named."""
    catalog = sqlite3.connect(write_flowfile_store(home), isolation_level=None)
    token = Vault({}).key.keychain().encrypt_secret("hidden", 1)
    catalog.execute("INSERT INTO secrets (name, encrypted_value, iv, user_id) VALUES ('unicode_value', ?, '', 1)", (token,))
    catalog.execute("INSERT INTO secrets (name, encrypted_value, iv, user_id) VALUES (NULL, 'x', '', 1)")
    catalog.close()
    backup, new = backup_of(Vault({})), elsewhere("new")

    plan = preview(new, backup)
    assert [entry.row.name for entry in plan.entries if entry.state == SHADOWED] == ["unicode_value"]
    apply(new, plan, replace=False)

    assert new.reveal("unicode_value") == "pässwörd-密码-🔑"
    # Here, too: a row without a name, which nobody can use, is no damage.
    assert plan.backup.whole.lost == []
    assert set(states(Vault({}), backup).values()) == {SAME, SHADOWED}


def test_what_no_key_opens_comes_along(home: Path, elsewhere: Callable[[str], Vault]) -> None:
    """As it is, where its name is free; never in the place of something."""
    vault, other = Vault({}), elsewhere("other")
    foreign = Keychain(generate_master_key()).encrypt_secret("x", 1)
    vault.set("pw", VALUE, replace=False)
    vault.store.put(1, "broken", foreign, replace=False)
    vault.store.put(1, "taken", foreign, replace=False)
    other.set("taken", "readable", replace=False)

    plan = preview(other, backup_of(vault))
    assert [entry.state for entry in plan.entries] == [NEW, UNREADABLE, UNREADABLE]
    assert apply(other, plan, replace=True) == Restored(2, 0, [])

    assert (other.reveal("pw"), other.reveal("taken")) == (VALUE, "readable")
    found = other.store.find(1, "broken")
    assert found is not None
    assert found.token == foreign


def test_a_row_that_is_damaged_here_is_mended(home: Path, elsewhere: Callable[[str], Vault]) -> None:
    """It differs, and `--replace` puts the value back."""
    vault = Vault({})
    vault.set("pw", VALUE, replace=False)
    vault.set("other", "x", replace=False)
    backup = backup_of(vault)
    vault.store.put(1, "pw", Keychain(generate_master_key()).encrypt_secret("x", 1), replace=True)

    assert states(vault, backup) == {"pw": DIFFERS, "other": SAME}
    apply(vault, preview(vault, backup), replace=True)

    assert vault.reveal("pw") == VALUE


# Keys


def test_lost_key_files(home: Path) -> None:
    """A backup of before opens the store again; one of another store is refused, and nothing is changed."""
    vault = Vault({})
    vault.set("pw", VALUE, replace=False)
    right = backup_of(vault)
    stranger = Vault({"FLOWFILE_SECURE_STORAGE_PATH": str(home / "stranger"), "FLOWFILE_STORAGE_DIR": str(home / "s")})
    stranger.set("pw", "x", replace=False)
    wrong = backup_of(stranger)
    os.unlink(vault.paths.key_store)
    os.unlink(vault.paths.secret_key)
    before = stored(vault)

    with pytest.raises(MasterKeyError, match="gone"):
        Vault({}).reveal("pw")
    with pytest.raises(WrongKeyError, match="does not open the secrets that are here"):
        preview(Vault({}), wrong)
    assert stored(vault) == before
    apply(Vault({}), preview(Vault({}), right), replace=False)

    assert Vault({}).reveal("pw") == VALUE


def test_a_damaged_key_file_is_not_overwritten(home: Path) -> None:
    """It says to move it away; then the backup's key takes its place."""
    vault = Vault({})
    vault.set("pw", VALUE, replace=False)
    backup = backup_of(vault)
    Path(vault.paths.key_store).write_bytes(b"damaged")
    before = stored(vault)

    with pytest.raises(MasterKeyError, match="move what is in use now"):
        preview(Vault({}), backup)
    assert stored(vault) == before
    os.rename(vault.paths.key_store, home / "away")
    os.rename(vault.paths.secret_key, home / "away too")
    apply(Vault({}), preview(Vault({}), backup), replace=False)

    assert Vault({}).reveal("pw") == VALUE


def test_a_wrong_key_here(home: Path) -> None:
    """A key that opens nothing of what is here is not written with."""
    vault = Vault({})
    vault.set("pw", VALUE, replace=False)
    backup = backup_of(vault)

    with pytest.raises(WrongKeyError, match="master key in use"):
        preview(Vault({"FLOWFILE_MASTER_KEY": generate_master_key().decode()}), backup)
    with pytest.raises(MasterKeyError, match="set FLOWFILE_MASTER_KEY"):
        preview(Vault({"FLOWFILE_MODE": "docker"}), backup)


def test_another_kernel_makes_a_key_at_the_same_moment(home: Path, elsewhere: Callable[[str], Vault]) -> None:
    """That key wins, and what comes in is encrypted under it."""
    vault, new = Vault({}), elsewhere("new")
    vault.set("pw", VALUE, replace=False)
    plan = preview(new, backup_of(vault))
    elsewhere("new").set("theirs", "x", replace=False)

    apply(new, plan, replace=False)

    assert values(new) == values(elsewhere("new")) == {"theirs": "x", "pw": VALUE}


# Crashes


def _restore_and_die(environ: Mapping[str, str], backup: Contents, step: str, when: str) -> None:
    room = merging if step == "_share" else module
    real = getattr(room, step)

    def die(*arguments: Any) -> None:
        if when == "after":
            real(*arguments)
        os.kill(os.getpid(), signal.SIGKILL)

    setattr(room, step, die)
    vault = Vault(environ)
    apply(vault, preview(vault, backup), replace=False)


@pytest.mark.parametrize("step", ["create_master_key", "add_users", "merge", "_share", "merge_connections"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_kill_9_at_any_step(home: Path, elsewhere: Callable[[str], Vault], step: str, when: str) -> None:
    """What is there then is whole, and the same restore finishes it; `_share` is in the middle of the one transaction."""
    write_flowfile_store(home)
    vault = Vault({})
    vault.save_connection("warehouse", "sqlite://")
    backup, new = backup_of(vault), elsewhere("new")

    process = fork.Process(target=_restore_and_die, args=(new.environ, backup, step, when))
    process.start()
    process.join()

    assert process.exitcode == -signal.SIGKILL
    everything = {**expected()["secrets"], **expected()["legacy"]}
    done = step == "merge_connections" or (step, when) == ("merge", "after")
    assert values(new) == (everything if done else {})
    apply(new, preview(new, backup), replace=False)
    assert values(new) == everything
    assert new.connection_bodies() == {"warehouse": "sqlite://"}
    assert values(Vault(new.environ, user_id=3))["team_warehouse"] == "alice-s-value"


def test_a_merge_that_fails_in_the_middle_leaves_nothing(
    home: Path, elsewhere: Callable[[str], Vault], monkeypatch: pytest.MonkeyPatch
) -> None:
    """All secrets or none."""
    vault, other = Vault({}), elsewhere("other")
    for number in range(5):
        vault.set(f"s{number}", "x", replace=False)
    other.set("own", "x", replace=False)
    plan = preview(other, backup_of(vault))
    database = sqlite3.connect(other.paths.database, isolation_level=None)
    database.execute(
        "CREATE TRIGGER full BEFORE INSERT ON secrets WHEN NEW.name = 's3' BEGIN SELECT raise(ABORT, 'disk is full'); END"
    )
    database.close()

    with pytest.raises(StoreError, match="full"):
        apply(other, plan, replace=False)

    assert other.names() == ["own"]
