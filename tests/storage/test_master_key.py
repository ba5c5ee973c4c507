"""The master key: made once, private from its first byte, and never replaced by a new one."""

from __future__ import annotations

import json
import multiprocessing
import os
import stat
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet

from flowfile_nb.core.crypto import Keychain, generate_master_key
from flowfile_nb.errors import MasterKeyError, StoreError, UnsafePermissionsError
from flowfile_nb.storage import private_files
from flowfile_nb.storage.master_key import create_master_key, key_source, read_master_key
from flowfile_nb.storage.paths import Paths, find_paths
from flowfile_nb.storage.private_files import create_private
from tests.support.stores import expected, write_flowfile_key

fork = multiprocessing.get_context("fork")


@pytest.fixture
def paths(home: Path) -> Paths:
    found = find_paths({})
    return Paths(found.directory, found.catalog, str(home / "mounted"))


def mode(path: str) -> int:
    return stat.S_IMODE(os.stat(path).st_mode)


def test_made_in_flowfiles_layout(paths: Paths) -> None:
    """A new key is where Flowfile looks for it, in its layout, 0600 in a folder 0700."""
    key = create_master_key(paths, {})

    seal = Fernet(Path(paths.secret_key).read_bytes())
    assert json.loads(seal.decrypt(Path(paths.key_store).read_bytes())) == {"master_key": key.decode()}
    assert (mode(paths.directory), mode(paths.secret_key), mode(paths.key_store)) == (0o700, 0o600, 0o600)
    assert read_master_key(paths, {}) == key
    assert sorted(os.listdir(paths.directory)) == [".secret_key", "flowfile.json.enc", "flowfile_nb.lock"]


def test_reading_makes_nothing(paths: Paths) -> None:
    """Where there is no key, asking for it leaves no trace."""
    assert read_master_key(paths, {}) is None
    assert not os.path.exists(paths.directory)


def test_private_from_the_first_byte(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every file is opened 0600: with a lax umask too, there is no moment at which others could read it."""
    opened: list[tuple[str, int]] = []
    real_open = os.open

    def spy(path: Any, flags: int, mode: int = 0o777, **more: Any) -> int:
        if flags & os.O_CREAT:
            opened.append((os.path.basename(str(path)), mode))
        return real_open(path, flags, mode, **more)

    monkeypatch.setattr(os, "open", spy)
    before = os.umask(0)
    try:
        create_master_key(paths, {})
    finally:
        os.umask(before)

    assert len(opened) == 3
    assert {given for _, given in opened} == {0o600}
    assert mode(paths.directory) == 0o700


def test_the_key_of_a_real_flowfile(home: Path, paths: Paths) -> None:
    """The key files written by Flowfile 0.23.3 give its master key."""
    write_flowfile_key(home)

    assert read_master_key(paths, {}) == expected()["master_key"].encode()
    assert create_master_key(paths, {}) == expected()["master_key"].encode()


def test_other_entries_of_flowfile_are_kept(home: Path, paths: Paths) -> None:
    """Flowfile keeps more in its key store; where only the master key is missing, it is added."""
    seal = Fernet.generate_key()
    os.makedirs(paths.directory, mode=0o700)
    for path, content in ((paths.secret_key, seal), (paths.key_store, Fernet(seal).encrypt(b'{"jwt_secret": "kept"}'))):
        create_private(path, content)

    key = create_master_key(paths, {})

    entries = json.loads(Fernet(seal).decrypt(Path(paths.key_store).read_bytes()))
    assert entries == {"jwt_secret": "kept", "master_key": key.decode()}
    assert mode(paths.key_store) == 0o600


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("flowfile.json.enc", b""),
        ("flowfile.json.enc", b"damaged"),
        ("flowfile.json.enc", Fernet(Fernet.generate_key()).encrypt(b'{"master_key": "foreign"}')),
        (".secret_key", b""),
        (".secret_key", b"damaged"),
        pytest.param(".secret_key", Fernet.generate_key(), id=".secret_key-foreign"),
        (".secret_key", None),
    ],
)
def test_a_damaged_key_stops_and_is_left_alone(home: Path, paths: Paths, file: str, content: bytes | None) -> None:
    """A damaged, foreign or lost file is an error that names it; no new key is made and no file is changed."""
    write_flowfile_key(home)
    path = Path(paths.directory, file)
    path.unlink() if content is None else path.write_bytes(content)
    before = {found.name: found.read_bytes() for found in Path(paths.directory).iterdir()}

    for action in (read_master_key, create_master_key):
        with pytest.raises(MasterKeyError) as caught:
            action(paths, {})
        assert paths.directory in str(caught.value)
        assert len(str(caught.value).split("\n")) == 2

    after = {found.name: found.read_bytes() for found in Path(paths.directory).iterdir() if found.suffix != ".lock"}
    assert after == before


@pytest.mark.parametrize("entries", [b"[1]", b'{"master_key": 5}', b"not json"])
def test_a_key_store_of_another_shape_stops(home: Path, paths: Paths, entries: bytes) -> None:
    """What opens and is not Flowfile's object is damage, too."""
    write_flowfile_key(home)
    seal = Fernet(Path(paths.secret_key).read_bytes())
    Path(paths.key_store).write_bytes(seal.encrypt(entries))

    with pytest.raises(MasterKeyError):
        read_master_key(paths, {})


def test_a_key_file_that_others_can_read_is_refused(home: Path, paths: Paths) -> None:
    """The error gives the command that mends it; Jupyter's own switch allows file systems without permissions."""
    write_flowfile_key(home)
    os.chmod(paths.key_store, 0o644)

    with pytest.raises(UnsafePermissionsError) as caught:
        read_master_key(paths, {})

    assert f"chmod 600 '{paths.key_store}'" in str(caught.value)
    assert read_master_key(paths, {"JUPYTER_ALLOW_INSECURE_WRITES": "true"}) == expected()["master_key"].encode()


def test_given_keys_come_first(home: Path, paths: Paths) -> None:
    """The variable, then the mounted file, then the key files; quotes and line breaks round it do not count."""
    write_flowfile_key(home)
    Path(paths.mounted_key).write_text("from the file\n", encoding="utf-8")

    assert read_master_key(paths, {"FLOWFILE_MASTER_KEY": ' "from the variable" '}) == b"from the variable"
    assert read_master_key(paths, {}) == b"from the file"
    assert key_source(paths, {"FLOWFILE_MASTER_KEY": "x"}) == "the environment variable FLOWFILE_MASTER_KEY"
    assert key_source(paths, {}) == paths.mounted_key


def test_docker_mode_makes_no_key(paths: Paths) -> None:
    """In docker mode a missing key is an error that says what to set, and nothing is made."""
    for action in (read_master_key, create_master_key):
        with pytest.raises(MasterKeyError, match="FLOWFILE_MODE=docker"):
            action(paths, {"FLOWFILE_MODE": "docker"})
    assert not os.path.exists(paths.key_store)


def test_without_hard_links_the_first_still_wins(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a file system without hard links a file is created once as well."""

    def no_links(*_: object) -> None:
        raise PermissionError(1, "no hard links here")

    monkeypatch.setattr(private_files.os, "link", no_links)
    key = create_master_key(paths, {})

    assert create_private(paths.key_store, b"second") is False
    assert read_master_key(paths, {}) == key
    assert mode(paths.key_store) == 0o600


def test_a_folder_that_cannot_be_made(home: Path) -> None:
    """A home in which nothing can be written is a two-line error."""
    (home / "file").write_text("in the way", encoding="utf-8")
    paths = find_paths({"FLOWFILE_SECURE_STORAGE_PATH": str(home / "file" / "key")})

    with pytest.raises(StoreError, match="FLOWFILE_SECURE_STORAGE_PATH"):
        create_master_key(paths, {})


def _create(directory: str, barrier: Any, results: Any) -> None:
    barrier.wait()
    key = create_master_key(Paths(directory, "", ""), {})
    results.put(Keychain(key).key_id)


def test_many_processes_at_once_end_with_one_key(home: Path) -> None:
    """Sixteen processes that start together on an empty home all hold the one key that was kept; ten times."""
    for trial in range(10):
        directory = str(home / f"trial{trial}")
        barrier, results = fork.Barrier(16), fork.SimpleQueue()
        processes = [fork.Process(target=_create, args=(directory, barrier, results)) for _ in range(16)]
        for process in processes:
            process.start()
        for process in processes:
            process.join()

        held = {results.get() for _ in processes}

        kept = read_master_key(Paths(directory, "", ""), {})
        assert kept is not None
        assert held == {Keychain(kept).key_id}


def test_losing_the_race_to_flowfile_is_winning_its_key(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    """Flowfile does not take our lock: if its key appears while we make ours, everybody uses Flowfile's."""
    theirs = generate_master_key()
    real_create = create_private

    def flowfile_first(path: str, content: bytes) -> bool:
        if path == paths.key_store:
            seal = Fernet(Path(paths.secret_key).read_bytes())
            real_create(path, seal.encrypt(json.dumps({"master_key": theirs.decode()}).encode()))
        return real_create(path, content)

    monkeypatch.setattr("flowfile_nb.storage.master_key.create_private", flowfile_first)

    assert create_master_key(paths, {}) == theirs


def test_a_key_that_appears_between_two_looks_is_kept(home: Path, paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    """Flowfile may write its key after we found none: it is used, not overwritten."""
    write_flowfile_key(home)
    looks = iter([None])
    real_read = read_master_key
    monkeypatch.setattr("flowfile_nb.storage.master_key.read_master_key", lambda *args: next(looks, real_read(*args)))

    assert create_master_key(paths, {}) == expected()["master_key"].encode()
    assert real_read(paths, {}) == expected()["master_key"].encode()
