"""The OS keychain as the master key's home: chosen, never fallen into, and never mixed up with the key files."""

from __future__ import annotations

import json
import multiprocessing
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keyring
import keyring.backend
import keyring.backends.fail
import keyring.backends.null
import keyring.errors
import pytest
from keyrings.alt.file import PlaintextKeyring

from flowfile_nb.core.crypto import generate_master_key
from flowfile_nb.errors import MasterKeyError, MissingDriverError, StoreError, WrongKeyError
from flowfile_nb.lifecycle.rotation import rotate
from flowfile_nb.storage.keychain_home import SERVICE
from flowfile_nb.vault import Vault
from tests.support.stores import write_flowfile_catalog, write_flowfile_store

fork = multiprocessing.get_context("fork")


@pytest.fixture(autouse=True)
def keychain(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PlaintextKeyring]:
    """A keychain that needs no desktop, chosen by the environment: a file in the home, which other processes find as well."""
    before = keyring.get_keyring()
    backend = PlaintextKeyring()
    monkeypatch.setattr(PlaintextKeyring, "file_path", str(home / "python_keyring" / "keyring_pass.cfg"))
    keyring.set_keyring(backend)
    monkeypatch.setenv("FLOWFILE_NB_KEY_HOME", "keychain")
    yield backend
    keyring.set_keyring(before)


def contents(home: Path) -> dict[str, bytes]:
    files = [path for path in home.rglob("*") if path.is_file() and not path.name.endswith(("-wal", "-shm", ".lock", ".log"))]
    return {str(path.relative_to(home)): path.read_bytes() for path in files}


def stored(value: str = "x") -> Vault:
    vault = Vault(os.environ)
    vault.set("a", value, replace=True)
    return vault


def test_the_key_is_in_the_keychain_and_nowhere_else(home: Path, key_directory: Path, keychain: PlaintextKeyring) -> None:
    """Service and account say whose it is; no key file is made, and doctor says where the key is."""
    vault = stored()

    entries = json.loads(keychain.get_password(SERVICE, str(key_directory)) or "")
    assert list(entries) == ["master_key"]
    assert vault.reveal("a") == Vault(os.environ).reveal("a") == "x"
    assert sorted(name for name in os.listdir(key_directory) if not name.endswith(("-wal", "-shm", ".log"))) == [
        "flowfile_nb.db",
        "flowfile_nb.lock",
    ]
    findings = {finding.topic: finding for finding in vault.findings()}
    assert "from the OS keychain" in findings["master key"].state
    assert "Flowfile cannot read" in findings["key home"].state
    assert all(finding.ok for finding in findings.values())


def test_nothing_yet(home: Path) -> None:
    """Looking makes nothing; doctor says where the key will be."""
    vault = Vault(os.environ)

    states = [finding.state for finding in vault.findings() if finding.topic == "master key"]

    assert states == ["none yet; it is made with the first secret, in the OS keychain"]
    assert list(home.iterdir()) == []


def test_flowfiles_catalog_is_left_alone(home: Path, key_directory: Path) -> None:
    """Flowfile could not open what is under this key: our own database is used, and nothing is handed over."""
    catalog = write_flowfile_catalog(home)
    before = catalog.read_bytes()

    vault = stored()

    assert vault.names() == ["a"]
    assert vault.store.location == str(key_directory / "flowfile_nb.db")
    assert catalog.read_bytes() == before


@pytest.mark.parametrize("with_catalog", [True, False])
def test_the_variable_is_missing(home: Path, with_catalog: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kernel without it says so, for reading and writing; nothing is made, changed or moved to Flowfile's catalog."""
    if with_catalog:
        write_flowfile_store(home)
    stored().store.close()
    before = contents(home)
    monkeypatch.delenv("FLOWFILE_NB_KEY_HOME")

    for action in (lambda vault: vault.reveal("a"), lambda vault: vault.set("b", "y", replace=False)):
        vault = Vault(os.environ)
        with pytest.raises(StoreError, match="FLOWFILE_NB_KEY_HOME is not set") as caught:
            action(vault)
        assert "set FLOWFILE_NB_KEY_HOME=keychain" in caught.value.hint
        vault.store.close()

    assert contents(home) == before


def test_the_variable_is_missing_and_all_secrets_were_deleted(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No second key comes into being beside the one in the keychain."""
    stored().delete("a")
    monkeypatch.delenv("FLOWFILE_NB_KEY_HOME")

    vault = Vault(os.environ)
    with pytest.raises(MasterKeyError, match="is in the OS keychain"):
        vault.set("b", "y", replace=False)

    assert any("FLOWFILE_NB_KEY_HOME is not set" in finding.state for finding in vault.findings() if not finding.ok)


def test_a_store_with_its_key_in_files(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is written with a key in files is not written with another; the error says how to go back."""
    monkeypatch.delenv("FLOWFILE_NB_KEY_HOME")
    stored().store.close()
    before = contents(home)
    monkeypatch.setenv("FLOWFILE_NB_KEY_HOME", "keychain")

    for action in (lambda vault: vault.reveal("a"), lambda vault: vault.set("b", "y", replace=False)):
        vault = Vault(os.environ)
        with pytest.raises(MasterKeyError, match="written with a key in files") as caught:
            action(vault)
        assert "unset FLOWFILE_NB_KEY_HOME" in caught.value.hint
        vault.store.close()

    assert contents(home) == before
    monkeypatch.setenv("FLOWFILE_NB_KEY_HOME", "files")
    assert Vault(os.environ).reveal("a") == "x"


def test_another_home_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """A misspelled home is not taken for the files; what was typed is not repeated, for it may be anything."""
    monkeypatch.setenv("FLOWFILE_NB_KEY_HOME", "keychian")

    with pytest.raises(StoreError, match="files or keychain") as caught:
        Vault(os.environ)

    assert "keychian" not in str(caught.value)


def test_without_the_library(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The extra is named exactly, and nothing is made."""
    monkeypatch.setitem(sys.modules, "keyring", None)

    with pytest.raises(MissingDriverError) as caught:
        stored()

    assert caught.value.hint == "pip install 'flowfile-nb[keyring]'"
    assert list(home.iterdir()) == []


@pytest.mark.parametrize("backend", [keyring.backends.fail.Keyring, keyring.backends.null.Keyring])
def test_without_a_keychain(home: Path, backend: type[keyring.backend.KeyringBackend]) -> None:
    """A machine without one is told so; nothing is stored where it would be lost, or in files without being asked."""
    keyring.set_keyring(backend())

    with pytest.raises(MasterKeyError, match="no OS keychain that can be used") as caught:
        stored()

    assert "unset FLOWFILE_NB_KEY_HOME" in caught.value.hint
    assert list(home.iterdir()) == []


class Broken(keyring.backend.KeyringBackend):
    """A keychain that is locked, or forgets."""

    priority = 1  # type: ignore[assignment]

    def __init__(self, reading: BaseException | str | None = None, writing: BaseException | None = None) -> None:
        super().__init__()
        self.reading, self.writing = reading, writing

    def get_password(self, service: str, username: str) -> str | None:
        if isinstance(self.reading, BaseException):
            raise self.reading
        return self.reading

    def set_password(self, service: str, username: str, password: str) -> None:
        if self.writing is not None:
            raise self.writing


@pytest.mark.parametrize(
    ("backend", "message"),
    [
        (Broken(reading=keyring.errors.KeyringLocked("a secret text")), r"cannot read .* \(KeyringLocked\)"),
        (Broken(reading=OSError("a secret text")), r"cannot read .* \(OSError\)"),
        (Broken(writing=keyring.errors.PasswordSetError("a secret text")), r"cannot write .* \(PasswordSetError\)"),
        (Broken(), "does not keep what it is given"),
        (Broken(reading="no json"), "is damaged"),
        (Broken(reading="[1]"), "is damaged"),
    ],
)
def test_a_keychain_that_fails(home: Path, backend: Broken, message: str) -> None:
    """Each failure is a two-line error of ours without the keychain's own text, and no secret is stored."""
    keyring.set_keyring(backend)

    with pytest.raises(MasterKeyError, match=message) as caught:
        stored()

    assert caught.value.hint
    assert "a secret text" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert Vault(os.environ).names() == []


def test_the_entry_is_lost_or_another(home: Path, key_directory: Path, keychain: PlaintextKeyring) -> None:
    """A lost entry is not replaced by a new key, and a foreign one writes nothing; both name the key expected."""
    key_id = stored().key.keychain().key_id

    keychain.delete_password(SERVICE, str(key_directory))
    with pytest.raises(MasterKeyError, match=f"{key_id} is gone from the OS keychain"):
        Vault(os.environ).set("b", "y", replace=False)
    assert keychain.get_password(SERVICE, str(key_directory)) is None

    keychain.set_password(SERVICE, str(key_directory), json.dumps({"master_key": generate_master_key().decode()}))
    with pytest.raises(WrongKeyError, match=f"written with {key_id}"):
        Vault(os.environ).set("b", "y", replace=False)


def test_rotation(home: Path) -> None:
    """A key in the keychain is rotated there; who held the old one goes on reading and writing."""
    vault, other = stored(), Vault(os.environ)
    other.reveal("a")

    done = rotate(vault, backup=None, tell=lambda done, total: None)

    assert done.new_key_id == other.key.keychain().key_id != done.old_key_id
    other.set("b", "y", replace=False)
    assert [Vault(os.environ).reveal(name) for name in "ab"] == ["x", "y"]
    assert not list(home.rglob("flowfile.json.enc"))


def _use(number: int, barrier: Any, results: Any) -> None:
    barrier.wait()
    vault = Vault(os.environ)
    vault.set(f"s{number}", "x", replace=False)
    results.put(vault.key.keychain().key_id)


def test_many_processes_at_once_end_with_one_key(home: Path) -> None:
    """A keychain cannot create an entry only if there is none: our lock does it."""
    barrier, results = fork.Barrier(8), fork.SimpleQueue()
    processes = [fork.Process(target=_use, args=(number, barrier, results)) for number in range(8)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()

    assert len({results.get() for _ in processes}) == 1
    assert len(Vault(os.environ).names()) == 8


PROGRAM = """
import sys
import flowfile_nb as fnb
if sys.argv[1:]:
    fnb.secrets["a"] = "y"
print(fnb.secrets["a"].get_secret_value(), "keyring" in sys.modules)
"""


def run(*arguments: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def test_in_a_process_of_its_own(home: Path) -> None:
    """The keychain is found by its own configuration, as users choose one; the library is loaded only where it was chosen."""
    chosen = {"PYTHON_KEYRING_BACKEND": "keyrings.alt.file.PlaintextKeyring", "XDG_DATA_HOME": str(home)}

    assert run("write", **chosen) == run(**chosen) == "y True"
    assert SERVICE in (home / "python_keyring" / "keyring_pass.cfg").read_text(encoding="utf-8").replace("_5F", "_")
    assert run("write", FLOWFILE_NB_KEY_HOME="", FLOWFILE_SECURE_STORAGE_PATH=str(home / "other")) == "y False"
