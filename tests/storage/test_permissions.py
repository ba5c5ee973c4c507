"""A store that may not be written or read, with real permissions."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from flowfile_nb.errors import FlowfileNbError, StoreError
from flowfile_nb.storage import lock
from flowfile_nb.storage.private_files import read_private
from flowfile_nb.vault import Vault

fork = multiprocessing.get_context("fork")
NOBODY = 65534


def as_ordinary_user(action: Callable[[], object]) -> str:
    """Return what *action* gives, or its error's text, in a process that is not root's."""
    receiver, sender = fork.Pipe(duplex=False)

    def run() -> None:
        if os.geteuid() == 0:
            os.setgid(NOBODY)
            os.setuid(NOBODY)
        try:
            sender.send(repr(action()))
        except FlowfileNbError as error:
            sender.send(str(error))

    child = fork.Process(target=run)
    child.start()
    text: str = receiver.recv()
    child.join()
    return text


@pytest.fixture
def open_home(home: Path) -> Path:
    """A home that belongs to an ordinary user, on a path that one may go along."""
    for folder in [home, *home.parents]:
        # Several of them were made for the tests alone, and for their user.
        if folder.stat().st_uid == os.geteuid() and not folder.stat().st_mode & 0o001:
            folder.chmod(0o755)
    if os.geteuid() == 0:
        os.chown(home, NOBODY, NOBODY)
    return home


def test_a_folder_that_is_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What to set is said; the file's permissions are not the matter."""
    (tmp_path / "file").touch()
    monkeypatch.setenv("FLOWFILE_SECURE_STORAGE_PATH", str(tmp_path / "file"))

    with pytest.raises(StoreError, match="is a file") as caught:
        Vault(os.environ).set("a", "x", replace=False)

    assert "FLOWFILE_SECURE_STORAGE_PATH" in caught.value.hint


def test_a_folder_that_is_not_writable(open_home: Path) -> None:
    """A first secret in a home that may not be written: two lines, and nothing half made."""
    open_home.chmod(0o555)

    text = as_ordinary_user(lambda: Vault({}).set("a", "x", replace=False))

    assert "cannot write in" in text
    assert "FLOWFILE_SECURE_STORAGE_PATH" in text
    assert len(text.split("\n")) == 2
    assert list(open_home.iterdir()) == []


def test_a_store_that_became_read_only(open_home: Path) -> None:
    """What is stored can still be read; writing says what is wrong and changes nothing."""
    as_ordinary_user(lambda: Vault({}).set("a", "kept", replace=False))
    directory = open_home / ".config" / "flowfile"
    directory.chmod(0o500)
    before = (directory / "flowfile_nb.db").read_bytes()

    assert as_ordinary_user(lambda: Vault({}).reveal("a")) == "'kept'"
    # The owner of a folder may make it writable again, and so would a write: so it is somebody else's.
    if os.geteuid() == 0:
        for path in (directory, *directory.iterdir()):
            os.chown(path, 0, 0)
            path.chmod(0o555 if path == directory else 0o444)
        text = as_ordinary_user(lambda: Vault({"JUPYTER_ALLOW_INSECURE_WRITES": "1"}).set("b", "x", replace=False))
        assert len(text.split("\n")) == 2
        assert "writ" in text

    assert (directory / "flowfile_nb.db").read_bytes() == before


def test_a_key_that_cannot_be_read(open_home: Path) -> None:
    """A key file without read permission is an error that names it."""
    as_ordinary_user(lambda: Vault({}).set("a", "x", replace=False))
    key = open_home / ".config" / "flowfile" / "flowfile.json.enc"
    key.chmod(0o000)

    text = as_ordinary_user(lambda: Vault({}).reveal("a"))

    assert f"cannot read {key}" in text
    assert len(text.split("\n")) == 2


def test_a_folder_in_place_of_a_file(home: Path) -> None:
    """Whatever cannot be read is our error, not a traceback."""
    with pytest.raises(StoreError, match="cannot read"):
        read_private(str(home), {})


def test_a_lock_file_that_cannot_be_made(home: Path) -> None:
    """The error is about the folder."""
    with pytest.raises(StoreError, match="cannot write in"), lock.exclusive(str(home / "none" / "lock")):
        pass


def test_the_lock_is_held_once_and_may_be_taken_again_by_its_holder(home: Path) -> None:
    """Another process waits until it is released; the same thread does not wait for itself."""
    path = str(home / "lock")
    order: Any = fork.SimpleQueue()
    started = fork.Event()

    def second() -> None:
        started.set()
        with lock.exclusive(path):
            order.put("second")

    with lock.exclusive(path), lock.exclusive(path):
        other = fork.Process(target=second)
        other.start()
        started.wait()
        order.put("first")
    other.join()

    assert [order.get(), order.get()] == ["first", "second"]


def test_without_file_locks_the_work_goes_on(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a file system without locks SQLite's own remain."""

    def no_locks(*_: object) -> None:
        raise OSError(37, "No locks available")

    monkeypatch.setattr(lock.fcntl, "flock", no_locks)

    assert Vault({}).set("a", "x", replace=False) is False
    assert Vault({}).reveal("a") == "x"
