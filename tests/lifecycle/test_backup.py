"""One file with key and data: written whole, read back, and restored anywhere without overwriting anything."""

from __future__ import annotations

import json
import os
import sqlite3
import stat
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowfile_nb.core.crypto import Keychain, generate_master_key
from flowfile_nb.core.sealed import STRONG, Cost, seal, unseal
from flowfile_nb.errors import (
    BackupError,
    DamagedBackupError,
    ForeignBackupError,
    MasterKeyError,
    NewerBackupError,
    StoreError,
    UsageError,
    WrongKeyError,
    WrongPassphraseError,
)
from flowfile_nb.lifecycle import backup as module
from flowfile_nb.lifecycle.backup import BackupSummary, write_backup
from flowfile_nb.lifecycle.contents import from_bytes, to_bytes
from flowfile_nb.lifecycle.restore import preview, read_backup
from flowfile_nb.vault import Vault
from tests.support.stores import write_flowfile_store

CHEAP = Cost(1, 1, 1)
PASSPHRASE = "correct horse battery"


def quick_backup(vault: Vault, path: Path, **options: Any) -> BackupSummary:
    """Write a backup whose passphrase costs nothing."""
    return write_backup(vault, str(path), PASSPHRASE, cost=CHEAP, **options)


@pytest.fixture
def vault(home: Path) -> Vault:
    """A vault with two secrets and a connection."""
    vault = Vault({})
    vault.set("pw", "hunter2-canary", replace=False)
    vault.set("my name", "p@ss:w/or d?#ü密", replace=False)
    vault.save_connection("warehouse", "postgresql://a:%secret pw@h/x")
    return vault


def test_a_backup_is_private_whole_and_sealed(vault: Vault, tmp_path: Path) -> None:
    """0600, nothing beside it, nothing readable in it; the summary says what it holds, and the store remembers when."""
    told: list[tuple[int, int]] = []
    done = write_backup(vault, str(tmp_path / "b.backup"), PASSPHRASE, tell=lambda now, of: told.append((now, of)))

    assert done == BackupSummary(str(tmp_path / "b.backup"), 2, 1, vault.key.keychain().key_id, [], [])
    assert told == [(2, 2)]
    assert stat.S_IMODE((tmp_path / "b.backup").stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["b.backup"]
    content = (tmp_path / "b.backup").read_bytes()
    assert not any(text in content for text in (b'"pw"', b"warehouse", b"ffsec", b"master_key", b"local_user"))
    assert tuple(content[28:31]) == STRONG
    last = vault.store.fact("last_backup")
    assert last is not None
    made_at, _, path = last.partition(" ")
    assert int(made_at) > 1_700_000_000
    assert path == done.path


def test_it_is_private_while_it_is_written(vault: Vault, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before it has its name, it is 0600 in the same folder; and what it is called is decided only after it was read back."""
    seen = []
    real = unseal

    def look(sealed: bytes, passphrase: str) -> bytes:
        seen.extend((path.name, stat.S_IMODE(path.stat().st_mode)) for path in tmp_path.iterdir() if path.is_file())
        return real(sealed, passphrase)

    monkeypatch.setattr(module, "unseal", look)
    quick_backup(vault, tmp_path / "b")

    assert len(seen) == 1
    assert seen[0][0].startswith("b.")
    assert seen[0][1] == 0o600


def test_what_the_disk_changed_is_no_backup(vault: Vault, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If what is read back differs, there is no file, and an earlier one stays."""
    (tmp_path / "b").write_bytes(b"an earlier one")
    for broken in (lambda *_: b"other", lambda *_: unseal(b"", "")):
        monkeypatch.setattr(module, "unseal", broken)
        with pytest.raises(BackupError):
            quick_backup(vault, tmp_path / "b", overwrite=True)
        with pytest.raises(BackupError):
            quick_backup(vault, tmp_path / "new")

    assert {path.name for path in tmp_path.iterdir() if path.is_file()} == {"b"}
    assert (tmp_path / "b").read_bytes() == b"an earlier one"


def test_a_file_is_not_overwritten_unasked(vault: Vault, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever it is, it stays; also one that appears meanwhile."""
    (tmp_path / "b").write_bytes(b"something")
    with pytest.raises(UsageError, match="--overwrite"):
        quick_backup(vault, tmp_path / "b")
    monkeypatch.setattr(os.path, "lexists", lambda path: False)
    with pytest.raises(UsageError, match="--overwrite"):
        quick_backup(vault, tmp_path / "b")
    assert (tmp_path / "b").read_bytes() == b"something"

    quick_backup(vault, tmp_path / "b", overwrite=True)
    assert len(read_backup(str(tmp_path / "b"), PASSPHRASE).whole.rows) == 2


@pytest.mark.parametrize("passphrase", ["", "           ", "short", "eleven char"])
def test_a_short_passphrase_is_refused(vault: Vault, tmp_path: Path, passphrase: str) -> None:
    """It guards everything; the message has the reason, and not the passphrase."""
    with pytest.raises(UsageError, match="at least 12") as caught:
        write_backup(vault, str(tmp_path / "b"), passphrase)

    assert not passphrase.strip() or passphrase not in str(caught.value)
    assert not (tmp_path / "b").exists()


def test_where_there_is_nothing_to_back_up(home: Path, tmp_path: Path) -> None:
    """No key was ever made: that is said, and none is made."""
    with pytest.raises(MasterKeyError, match="nothing to back up"):
        quick_backup(Vault({}), tmp_path / "b")

    assert not (home / ".config").exists()


def test_where_nothing_can_be_written(vault: Vault, tmp_path: Path) -> None:
    """A folder that is not there is an error of ours."""
    with pytest.raises(BackupError, match="No such file"):
        quick_backup(vault, tmp_path / "nowhere" / "b")


def test_a_key_that_opens_nothing_makes_no_backup(vault: Vault, tmp_path: Path) -> None:
    """It would be useless, and would look like a backup."""
    other = Vault({"FLOWFILE_MASTER_KEY": generate_master_key().decode()})

    with pytest.raises(WrongKeyError, match="useless"):
        quick_backup(other, tmp_path / "b")
    assert not (tmp_path / "b").exists()


def test_what_no_key_opens_is_carried_and_named(vault: Vault, tmp_path: Path) -> None:
    """A row of a lost key is in the backup as it is; one that only the vault can open, under the present key."""
    foreign = Keychain(generate_master_key()).encrypt_secret("x", 1)
    vault.store.put(1, "of a lost key", foreign, replace=False)

    done = quick_backup(vault, tmp_path / "b")

    assert (done.secrets, done.unreadable) == (3, ["of a lost key"])
    assert read_backup(str(tmp_path / "b"), PASSPHRASE).whole.rows[-1].token == foreign
    vault.key.decrypt = lambda row: "value under a former key"  # type: ignore[method-assign]
    assert quick_backup(vault, tmp_path / "b", overwrite=True).unreadable == []
    backup = read_backup(str(tmp_path / "b"), PASSPHRASE)
    assert Keychain(backup.master_key).decrypt_secret(backup.whole.rows[-1].token, 1) == "value under a former key"


def test_all_of_flowfiles_store_is_in_it(home: Path, tmp_path: Path) -> None:
    """Secrets of all users, groups, members and grants; and the catalog is not touched."""
    catalog = write_flowfile_store(home)
    before = catalog.read_bytes()

    done = quick_backup(Vault({}), tmp_path / "b")

    whole = read_backup(str(tmp_path / "b"), PASSPHRASE).whole
    assert done.secrets == len(whole.rows) == 13
    assert set(whole.users.values()) == {"local_user", "alice", "bob", "carol"}
    assert [group.name for group in whole.groups] == ["analysts"]
    assert {(member.group, member.user_id) for member in whole.memberships} == {("analysts", 2), ("analysts", 3)}
    assert [(grant.row_id, grant.group) for grant in whole.grants] == [(10, "analysts"), (12, "analysts")]
    assert catalog.read_bytes() == before


def test_the_key_of_a_container_is_in_it(home: Path, tmp_path: Path) -> None:
    """Where the environment gives the key, the backup alone suffices as well."""
    key = generate_master_key()
    vault = Vault({"FLOWFILE_MASTER_KEY": key.decode()})
    vault.set("pw", "value", replace=False)

    quick_backup(vault, tmp_path / "b")

    assert read_backup(str(tmp_path / "b"), PASSPHRASE).master_key == key


def test_no_repr_shows_the_key(vault: Vault, tmp_path: Path) -> None:
    """Neither in a traceback with locals nor in a log."""
    quick_backup(vault, tmp_path / "b")
    backup = read_backup(str(tmp_path / "b"), PASSPHRASE)

    assert repr(backup) == "<Contents: 2 secrets>"
    shown = repr(preview(vault, backup))
    assert backup.master_key.decode() not in shown
    assert all(row.token not in shown for row in backup.whole.rows)


# Reading


def test_each_byte_of_a_backup_flipped(vault: Vault, tmp_path: Path, key_directory: Path) -> None:
    """A clean error of the right class at each byte, also where the checksum was made anew; never a value, nothing changed."""
    from tests.core.test_sealed import with_checksum

    path = tmp_path / "b"
    quick_backup(vault, path)
    vault.store.close()
    whole, before = path.read_bytes(), {file.name: file.read_bytes() for file in key_directory.iterdir()}
    seen = set()

    for place in range(len(whole)):
        altered = bytearray(whole)
        altered[place] ^= 1 << place % 8
        expected: tuple[type[BackupError], ...] = (DamagedBackupError,)
        if place < 20:
            expected = (ForeignBackupError,) if place < 19 else (NewerBackupError, DamagedBackupError)
        path.write_bytes(altered)
        with pytest.raises(expected):
            read_backup(str(path), PASSPHRASE)
        if 19 < place < len(whole) - 32:
            with pytest.raises(BackupError) as caught:
                from_bytes(unseal(with_checksum(bytes(altered)), PASSPHRASE))
            seen.add(type(caught.value))

    assert seen == {DamagedBackupError, NewerBackupError, WrongPassphraseError}
    assert {file.name: file.read_bytes() for file in key_directory.iterdir()} == before


def test_other_files_and_other_passphrases(vault: Vault, tmp_path: Path) -> None:
    """Each has its own error."""
    path = tmp_path / "b"
    quick_backup(vault, path)
    with pytest.raises(WrongPassphraseError):
        read_backup(str(path), PASSPHRASE + "x")
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(DamagedBackupError):
        read_backup(str(path), PASSPHRASE)
    path.write_bytes(b"")
    with pytest.raises(DamagedBackupError):
        read_backup(str(path), PASSPHRASE)
    with pytest.raises(ForeignBackupError):
        read_backup(vault.paths.database, PASSPHRASE)
    for missing in (tmp_path / "none", tmp_path):
        with pytest.raises(UsageError, match="cannot read"):
            read_backup(str(missing), PASSPHRASE)


def _altered(content: dict[str, Any], how: str) -> Any:
    secret = content["secrets"][0]
    changes: dict[str, Any] = {
        "a list": [],
        "no key": {name: item for name, item in content.items() if name != "master_key"},
        "a bad key": {**content, "master_key": "x"},
        "a text for a number": {**content, "made_at": "now"},
        "true for a number": {**content, "user_id": True},
        "a field too much": {**content, "secrets": [{**secret, "more": 1}]},
        "a field too little": {**content, "secrets": [{"id": 1}]},
        "a secret of nobody": {**content, "secrets": [{**secret, "user_id": 99}]},
        "a grant of no group": {**content, "grants": [{"row_id": 1, "group": "g", "permission": "use", "granted_by": 1}]},
        "secrets of numbers": {**content, "secrets": [1]},
        "format 2": {**content, "format": 2},
    }
    return changes[how]


@pytest.mark.parametrize(
    "how",
    [
        "a list",
        "no key",
        "a bad key",
        "a text for a number",
        "true for a number",
        "a field too much",
        "a field too little",
        "a secret of nobody",
        "a grant of no group",
        "secrets of numbers",
        "format 2",
    ],
)
def test_a_sealed_file_of_something_else(vault: Vault, tmp_path: Path, how: str) -> None:
    """What was sealed under the passphrase and is not what a backup holds is refused as a whole."""
    path = tmp_path / "b"
    quick_backup(vault, path)
    content = json.loads(unseal(path.read_bytes(), PASSPHRASE))
    path.write_bytes(seal(json.dumps(_altered(content, how)).encode(), PASSPHRASE, CHEAP))

    with pytest.raises(NewerBackupError if how == "format 2" else DamagedBackupError):
        read_backup(str(path), PASSPHRASE)
    with pytest.raises(DamagedBackupError):
        from_bytes(b"\xff[[[")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=4,
)
FIELDS = [
    "format",
    "made_at",
    "user_id",
    "master_key",
    "users",
    "secrets",
    "groups",
    "memberships",
    "grants",
    "connections",
    "lost",
]


@given(st.fixed_dictionaries(dict.fromkeys(FIELDS, JSON)) | JSON, st.booleans())
def test_whatever_json_is_sealed(found: Any, key: bool) -> None:
    """It is contents, or an error of ours."""
    if key and isinstance(found, dict):
        found = {**found, "format": 1, "master_key": generate_master_key().decode(), "made_at": 1, "user_id": 1}

    with suppress(BackupError):
        assert from_bytes(to_bytes(from_bytes(json.dumps(found).encode()))).made_at == 1


# A damaged store


def test_what_is_readable_of_a_damaged_store_is_in_it(vault: Vault, tmp_path: Path) -> None:
    """With a corrupted page the store is refused with the remedy; the backup has the rest, says what is lost, and restores."""
    names = [f"secret-{number:03}" for number in range(200)]
    for name in names:
        vault.set(name, f"value of {name}", replace=False)
    vault.store.close()
    corrupt_a_page_of(vault.paths.database, "secrets")
    with pytest.raises(StoreError, match="%secret backup"):
        vault.names()

    done = quick_backup(vault, tmp_path / "b")

    assert 0 < len(done.lost) < 100
    assert done.secrets + len(done.lost) == 202
    assert set(done.lost) <= {*names, "pw", "my name"}
    backup = read_backup(str(tmp_path / "b"), PASSPHRASE)
    with pytest.raises(StoreError, match="damaged"):
        preview(vault, backup)
    vault.store.close()
    for suffix in ("", "-wal", "-shm"):
        if os.path.exists(vault.paths.database + suffix):
            os.rename(vault.paths.database + suffix, tmp_path / f"damaged{suffix}")
    from flowfile_nb.lifecycle.restore import apply

    apply(vault, preview(vault, backup), replace=False)
    assert {name: vault.reveal(name) for name in vault.names()} == {
        row.name: {"pw": "hunter2-canary", "my name": "p@ss:w/or d?#ü密"}.get(row.name, f"value of {row.name}")
        for row in backup.whole.rows
    }


def corrupt_a_page_of(path: str, table: str) -> None:
    """Overwrite one page in the middle of a table's rows, as a bad sector would."""
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    size = connection.execute("PRAGMA page_size").fetchone()[0]
    connection.execute("PRAGMA writable_schema=ON")
    (root,) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (table,)).fetchone()
    connection.close()
    with open(path, "r+b") as file:
        file.seek((root - 1) * size)
        page = file.read(size)
        assert page[0] == 5, "the table has one page only"
        # An interior page: after a header of 12 bytes the places of its cells, each of which begins with a child's number.
        cells = int.from_bytes(page[3:5], "big")
        middle = int.from_bytes(page[12 + 2 * (cells // 2) :][:2], "big")
        child = int.from_bytes(page[middle : middle + 4], "big")
        file.seek((child - 1) * size)
        file.write(b"\xa5" * size)
