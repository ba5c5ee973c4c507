"""A rotation that is killed at every step: each secret stays readable, and the next start finishes or undoes it."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import keyring
import pytest
from cryptography.fernet import Fernet
from keyrings.alt.file import PlaintextKeyring

from flowfile_nb.core.crypto import Keychain, generate_master_key
from flowfile_nb.lifecycle.rotation import rotate
from flowfile_nb.storage.master_key import NEXT, read_entries, replace_entries
from flowfile_nb.storage.renewal import places_of
from flowfile_nb.vault import Vault
from tests.support.killing import kill_at, steps_of
from tests.support.stores import expected, write_flowfile_store

# Enough that none of the tests below can be empty: files, statements, commits, and the middle of a statement.
FEWEST_STEPS = 12
USERS = (1, 2, 3)
DEAD = "dead"
MORE = """
CREATE TABLE notification_channels (id INTEGER PRIMARY KEY, name TEXT, webhook_url_encrypted TEXT NOT NULL);
CREATE TABLE app_settings (key TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID;
"""


class Place:
    """A home with a store, what is in it, and a vault that read from it before anything happened."""

    def __init__(self, home: Path, environ: dict[str, str]) -> None:
        self.home, self.environ = home, environ
        vault = Vault(environ)
        self.old = Vault(environ)
        known = [(user, name) for user in USERS for name in Vault(environ, user).names() if name != DEAD]
        self.values = {key: self.reveal(*key) for key in known}
        self.key_id = vault.key.keychain().key_id
        self.old.reveal(self.old.names()[0])
        # No connection is open when a process is forked.
        self.old.store.close()
        self.snapshot = home.with_name("snapshot")
        shutil.copytree(home, self.snapshot)

    def reveal(self, user: int, name: str) -> str:
        """Read a secret with a vault of its own, as another process does."""
        vault = Vault(self.environ, user)
        try:
            return vault.reveal(name)
        finally:
            vault.store.close()

    def put_back(self) -> None:
        """Make the home what it was."""
        shutil.rmtree(self.home)
        shutil.copytree(self.snapshot, self.home)

    def rotate(self) -> None:
        """Rotate the key, as another process does."""
        vault = Vault(self.environ)
        rotate(vault, backup=None, tell=lambda done, total: None)
        vault.store.close()


def ours(home: Path) -> dict[str, str]:
    """A store of ours; a previous value is kept beside it, of the oldest format."""
    vault = Vault({})
    for number in range(5):
        vault.set(f"secret {number}", f"value {number}", replace=False)
    keychain, database = vault.key.keychain(), vault.store.location
    vault.store.close()
    with closing(sqlite3.connect(str(database))) as connection, connection:
        bare = keychain.encrypt_secret("before", 1).rpartition("$")[2]
        after = keychain.encrypt_secret("value 0", 1)
        connection.execute("INSERT INTO nb_previous VALUES (1, 'secret 0', ?, ?, 1700000000)", (after, bare))
    entries = read_entries(vault.paths, {}) or {}
    replace_entries(vault.paths, {}, {**entries, "jwt_secret": "kept"})
    return {}


def catalog(home: Path) -> dict[str, str]:
    """Flowfile's store with several users, tokens of every format, and other tables that hold some."""
    path = write_flowfile_store(home)
    keychain = Keychain(expected()["master_key"].encode())
    with closing(sqlite3.connect(path)) as connection, connection:
        oldest = Fernet(expected()["master_key"].encode()).encrypt(b"oldest").decode()
        insert = "INSERT INTO secrets (name, encrypted_value, iv, user_id) VALUES (?, ?, '', 1)"
        connection.execute(insert, ("oldest", oldest))
        # Flowfile can leave rows of a lost key behind.
        connection.execute(insert, (DEAD, Keychain(generate_master_key()).encrypt_secret("lost", 1)))
        connection.executescript(MORE)
        connection.execute(
            "INSERT INTO notification_channels VALUES (1, 'chat', ?)", (keychain.encrypt_secret("https://x", 1),)
        )
        two = f'{{"a": "{keychain.encrypt_secret("one", 1)}", "b": ["{keychain.encrypt_secret("two", 2)}"]}}'
        connection.execute("INSERT INTO app_settings VALUES ('both', ?)", (two,))
    vault = Vault({})
    # Our own database is beside it, for what Flowfile has no column for.
    vault.set("ours", "too", replace=False)
    vault.store.close()
    return {}


def keychain(home: Path) -> dict[str, str]:
    """A store of ours whose key is in a keychain, here a file in the home."""
    environ = {"FLOWFILE_NB_KEY_HOME": "keychain"}
    vault = Vault(environ)
    for number in range(5):
        vault.set(f"secret {number}", f"value {number}", replace=False)
    vault.store.close()
    return environ


@pytest.fixture
def tmp_path(tmp_path: Path) -> Iterator[Path]:
    """In memory where that is possible: a killed process loses nothing that it wrote, and hundreds of syncs take their time."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else tmp_path) as folder:
        yield Path(folder)


@pytest.fixture(params=[ours, catalog, keychain], ids=lambda made: made.__name__)
def place(request: pytest.FixtureRequest, home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    before = keyring.get_keyring()
    backend: Any = PlaintextKeyring()
    monkeypatch.setattr(PlaintextKeyring, "file_path", str(home / "keyring.cfg"), raising=False)
    keyring.set_keyring(backend)
    yield Place(home, request.param(home))
    keyring.set_keyring(before)


def read_fresh(place: Place) -> None:
    """A process that starts reads everything."""
    assert {key: place.reveal(*key) for key in place.values} == place.values


def read_old(place: Place) -> None:
    """A kernel that held the old key reads everything."""
    assert {name: place.old.reveal(name) for user, name in place.values if user == 1} == {
        name: value for (user, name), value in place.values.items() if user == 1
    }
    place.old.store.close()


def write_old(place: Place) -> None:
    """A kernel that held the old key writes; the secret is readable elsewhere."""
    place.old.set("written after", "x", replace=True)
    place.old.store.close()
    assert place.reveal(1, "written after") == "x"


def look(place: Place) -> None:
    """`doctor` finds nothing."""
    vault = Vault(place.environ)
    assert [finding for finding in vault.findings() if not finding.ok and DEAD not in finding.state] == []
    vault.store.close()


def again(place: Place) -> None:
    """Whoever was cut short tries it once more."""
    place.rotate()


ACTIONS: tuple[Callable[[Place], None], ...] = (read_fresh, read_old, write_old, look, again)


def check_settled(place: Place) -> None:
    """One key is the store's, opens every token wherever it is, and the record says so."""
    entries = read_entries(Vault(place.environ).paths, place.environ)
    assert entries is not None
    assert NEXT not in entries
    if (place.snapshot / ".config/flowfile/flowfile.json.enc").exists() and not place.environ:
        assert entries.get("jwt_secret", "kept") == "kept"
    vault = Vault(place.environ)
    keys = Keychain(entries["master_key"].encode())
    assert vault.key.proved_keychain().key_id == keys.key_id == vault.store.fact("key_id")
    with vault.store.active.writing() as db, vault.store.active.ours() as beside:
        tokens = 0
        for database in {db, beside} - {None}:
            for found in places_of(database):
                rows = database.execute(f"SELECT {found.column}, {found.label} FROM {found.table} WHERE {found.where}")
                for text, _ in [row for row in rows if row[1] != DEAD]:
                    for token in text.split('"') if text.startswith("{") else [text]:
                        if "gAAAA" in token:
                            keys.decrypt_secret(token, 1)
                            tokens += 1
    vault.store.close()
    assert tokens >= len(place.values)


def test_killed_at_every_step(place: Place) -> None:
    """
    Whatever comes first afterwards, nothing is lost and one key is the store's.

    A process is killed at each step of a rotation. First comes in turn a new process, a kernel that held the old key and reads
    or writes, doctor, another rotation; then everybody reads, and the old kernel writes.
    """
    steps = steps_of(place.rotate)
    place.put_back()
    assert len(steps) >= FEWEST_STEPS, steps
    assert {"BEGIN IMMEDIATE", "a row", "COMMIT", "write_keychain" if place.environ else "exchange"} <= set(steps)

    for step in range(1, len(steps) + 1):
        kill_at(step, place.rotate)
        for action in (ACTIONS[step % len(ACTIONS)], read_fresh, read_old, write_old):
            action(place)
        check_settled(place)
        place.put_back()
