"""Whatever is wrong with the master key: an error that says what was found, which key is expected and what to do."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from flowfile_nb.core.crypto import generate_master_key
from flowfile_nb.errors import FlowfileNbError, MasterKeyError, StoreError, WrongKeyError
from flowfile_nb.vault import Vault

STORE, SEAL = "flowfile.json.enc", ".secret_key"
FOREIGN_SEAL = Fernet.generate_key()
FOREIGN = Fernet(FOREIGN_SEAL).encrypt(b'{"master_key": "%s"}' % generate_master_key())


def resealed(plain: bytes) -> Callable[[Path], None]:
    """Return what puts something else into the key store, sealed by the right key."""

    def change(directory: Path) -> None:
        (directory / STORE).write_bytes(Fernet((directory / SEAL).read_bytes()).encrypt(plain))

    return change


def written(name: str, change: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    """Return what changes a key file."""

    def write(directory: Path) -> None:
        (directory / name).write_bytes(change((directory / name).read_bytes()))

    return write


def flipped(content: bytes) -> bytes:
    """Change one character in the middle of the ciphertext to another one of base64."""
    middle = len(content) // 2
    return content[:middle] + (b"A" if content[middle : middle + 1] != b"A" else b"B") + content[middle + 1 :]


def both_foreign(directory: Path) -> None:
    (directory / SEAL).write_bytes(FOREIGN_SEAL)
    (directory / STORE).write_bytes(FOREIGN)


FILES: dict[str, tuple[Callable[[Path], None], type[FlowfileNbError], str]] = {
    "store empty": (written(STORE, lambda _: b""), MasterKeyError, "flowfile.json.enc is empty"),
    "store blank": (written(STORE, lambda _: b" \n"), MasterKeyError, "flowfile.json.enc is empty"),
    "store cut": (written(STORE, lambda all_: all_[:-7]), MasterKeyError, "flowfile.json.enc is damaged or cut short"),
    "store cut at a byte": (
        written(STORE, lambda all_: all_[:-8]),
        MasterKeyError,
        "flowfile.json.enc is damaged or cut short",
    ),
    "store cut to its head": (written(STORE, lambda all_: all_[:8]), MasterKeyError, "is not a whole Fernet token"),
    "store garbage": (written(STORE, lambda _: b"\xff\x00garbage"), MasterKeyError, "it is not a Fernet token"),
    "store of no version": (written(STORE, lambda all_: b"AAAA" + all_[4:]), MasterKeyError, "is not a whole Fernet token"),
    "store flipped": (written(STORE, flipped), MasterKeyError, "or is damaged"),
    "store foreign": (written(STORE, lambda _: FOREIGN), MasterKeyError, "was sealed by another .secret_key"),
    "store gone": (lambda directory: (directory / STORE).unlink(), MasterKeyError, "does not exist"),
    "store no JSON": (resealed(b"not json"), MasterKeyError, "it holds no JSON object"),
    "store no object": (resealed(b"[1]"), MasterKeyError, "it holds no JSON object"),
    "store no text": (resealed(b'{"master_key": 5}'), MasterKeyError, "its entry master_key is not text"),
    "store without key": (resealed(b'{"jwt_secret": "x"}'), MasterKeyError, "is gone"),
    "store no key": (resealed(b'{"master_key": "hunter2"}'), MasterKeyError, "is not a Fernet key"),
    "store other key": (resealed(b'{"master_key": "%s"}' % generate_master_key()), WrongKeyError, "does not open"),
    "seal empty": (written(SEAL, lambda _: b""), MasterKeyError, ".secret_key is empty"),
    "seal cut": (written(SEAL, lambda all_: all_[:20]), MasterKeyError, ".secret_key is damaged"),
    "seal garbage": (written(SEAL, lambda _: b"\xff\x00"), MasterKeyError, ".secret_key is damaged"),
    "seal foreign": (written(SEAL, lambda _: FOREIGN_SEAL), MasterKeyError, "was sealed by another .secret_key"),
    "seal gone": (lambda directory: (directory / SEAL).unlink(), MasterKeyError, ".secret_key is missing"),
    "both foreign": (both_foreign, WrongKeyError, "does not open"),
}

GIVEN: dict[str, tuple[str, type[FlowfileNbError], str]] = {
    "other key": (generate_master_key().decode(), WrongKeyError, "does not open"),
    "no key": ("hunter2", MasterKeyError, "is not a Fernet key"),
    "key cut": (generate_master_key().decode()[:-3], MasterKeyError, "is not a Fernet key"),
}

ACTIONS: dict[str, Callable[[Vault], object]] = {
    "read": lambda vault: vault.reveal("a"),
    "write": lambda vault: vault.set("b", "new", replace=False),
    "replace": lambda vault: vault.set("a", "new", replace=True),
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A key directory whose store holds one secret, and the id of its key; made once, because that waits for the disk."""
    directory = tmp_path_factory.mktemp("made") / "flowfile"
    vault = Vault({"FLOWFILE_SECURE_STORAGE_PATH": str(directory), "FLOWFILE_STORAGE_DIR": str(directory / "none")})
    vault.set("a", "kept", replace=False)
    vault.store.close()
    return directory, vault.key.keychain().key_id


@pytest.fixture
def key_id(made: tuple[Path, str], key_directory: Path) -> str:
    """The id of the key of a store that holds one secret, in this test's home."""
    shutil.copytree(made[0], key_directory)
    return made[1]


def contents(home: Path) -> dict[str, bytes]:
    """Return all files by name; SQLite makes and empties its two companions as it likes."""
    files = [path for path in home.rglob("*") if path.is_file() and not path.name.endswith(("-wal", "-shm", ".log"))]
    return {str(path.relative_to(home)): path.read_bytes() for path in files}


def check(
    home: Path, action: str, expected: tuple[type[FlowfileNbError], str], key_id: str, mounted: Path | None = None
) -> None:
    """Do something with a store whose key is wrong: it stops with the error expected, and every file is what it was."""
    error, found = expected
    before = contents(home)
    vault = Vault(os.environ)
    if mounted is not None:
        vault.paths.mounted_key = str(mounted)

    if action == "doctor":
        message, hint = next((f.state, f.remedy) for f in vault.findings() if not f.ok and f.topic == "master key")
        found = "is written with" if error is WrongKeyError else found
    else:
        with pytest.raises(error) as caught:
            ACTIONS[action](vault)
        assert type(caught.value) is error
        message, hint = caught.value.message, caught.value.hint
    vault.store.close()

    assert found in message
    assert key_id in message
    assert hint
    assert "\n" not in message + hint
    assert "hunter2" not in message + hint
    assert contents(home) == before


@pytest.mark.parametrize("action", [*ACTIONS, "doctor"])
@pytest.mark.parametrize("case", FILES)
def test_key_files(home: Path, key_directory: Path, key_id: str, case: str, action: str) -> None:
    """Damaged, cut, empty, foreign or lost: each of the two files."""
    spoil, error, found = FILES[case]
    spoil(key_directory)

    check(home, action, (error, found), key_id)


@pytest.mark.parametrize("action", [*ACTIONS, "doctor"])
@pytest.mark.parametrize("case", GIVEN)
def test_the_variable(home: Path, key_id: str, case: str, action: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong FLOWFILE_MASTER_KEY is said to be the one in use."""
    value, error, found = GIVEN[case]
    monkeypatch.setenv("FLOWFILE_MASTER_KEY", value)

    check(home, action, (error, found if action == "doctor" else "FLOWFILE_MASTER_KEY"), key_id)


@pytest.mark.parametrize("action", [*ACTIONS, "doctor"])
@pytest.mark.parametrize("case", GIVEN)
def test_the_mounted_file(home: Path, key_id: str, case: str, action: str) -> None:
    """A wrong mounted key is named by its path."""
    value, error, found = GIVEN[case]
    (home / "mounted").write_text(value, encoding="utf-8")

    check(home, action, (error, found if action == "doctor" else str(home / "mounted")), key_id, home / "mounted")


@pytest.mark.parametrize("action", [*ACTIONS, "doctor"])
def test_an_empty_mounted_file(home: Path, key_id: str, action: str) -> None:
    """What a container mounts by mistake is not taken for no key."""
    (home / "mounted").write_bytes(b"")

    check(home, action, (MasterKeyError, "mounted is empty"), key_id, home / "mounted")


@pytest.mark.parametrize("action", [*ACTIONS, "doctor"])
def test_a_mounted_file_that_cannot_be_read(home: Path, key_id: str, action: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of another user is an error of its own, and the key files are not used instead."""
    (home / "mounted").write_bytes(b"")
    # Root reads everything: a name that is a file when it is looked at, and gone when it is opened.
    monkeypatch.setattr(
        "flowfile_nb.storage.master_key.os.path.isfile", lambda path: path.endswith("gone") or os.path.exists(path)
    )

    check(home, action, (MasterKeyError, "cannot read the master key that is mounted at"), key_id, home / "gone")


@pytest.mark.parametrize("action", [*ACTIONS, "doctor"])
def test_docker_without_a_key(home: Path, key_id: str, action: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a container that was given no key the files of a desktop are not used, and the store's key is named."""
    monkeypatch.setenv("FLOWFILE_MODE", "docker")

    check(home, action, (MasterKeyError, "no master key was given"), key_id)


def test_docker_awaits_a_key_until_there_is_something_that_one_has_encrypted(
    home: Path, key_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And on a desktop none is awaited: one is made with the first secret."""
    assert not Vault(os.environ).awaits_key()
    monkeypatch.setenv("FLOWFILE_MODE", "docker")
    assert Vault(os.environ).awaits_key()

    monkeypatch.setenv("FLOWFILE_MASTER_KEY", generate_master_key().decode())
    assert not Vault(os.environ).awaits_key()
    Vault(os.environ).set("a", "x", replace=False)
    monkeypatch.delenv("FLOWFILE_MASTER_KEY")
    assert not Vault(os.environ).awaits_key()


def test_a_mounted_key_can_be_masked(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A container is given the key as a file, or none."""
    key = generate_master_key().decode()
    vault = Vault(os.environ)
    mounted = home / "flowfile_master_key"
    vault.paths.mounted_key = str(mounted)
    assert vault.key.given() is None

    mounted.write_text(f"{key}\n", encoding="utf-8")
    assert vault.key.given() == key

    mounted.unlink()
    # Gone between the look and the reading; what needs the key says so.
    monkeypatch.setattr("flowfile_nb.storage.master_key.os.path.isfile", lambda path: True)
    assert vault.key.given() is None


def test_a_key_file_that_cannot_be_written(home: Path, key_directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk while the key is made is a two-line error, and no half key is left."""
    resealable = Fernet.generate_key()
    key_directory.mkdir(parents=True, mode=0o700)
    for name, content in ((SEAL, resealable), (STORE, Fernet(resealable).encrypt(b'{"jwt_secret": "kept"}'))):
        (key_directory / name).write_bytes(content)
        (key_directory / name).chmod(0o600)
    before = contents(home)

    def full(one: str, other: str) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("flowfile_nb.storage.private_files._exchange", full)
        with pytest.raises(StoreError, match="No space left"):
            Vault(os.environ).set("a", "x", replace=False)

    after = contents(home)
    assert after.pop(str((key_directory / "flowfile_nb.lock").relative_to(home))) == b""
    assert {name: content for name, content in after.items() if not name.endswith(".tmp")} == before
