"""A disk that takes nothing more: a clear error, and nothing half made. `tests/reliability/disks.py` does it at every page."""

from __future__ import annotations

import errno
import os
import sqlite3
from pathlib import Path

import pytest

from flowfile_nb.errors import StoreError
from flowfile_nb.storage import database
from flowfile_nb.storage.private_files import create_private, replace_private
from flowfile_nb.vault import Vault


@pytest.fixture
def no_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk on which nothing can be made durable."""

    def fail(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", fail)


@pytest.mark.usefixtures("no_room")
def test_a_first_secret_on_a_full_disk(key_directory: Path) -> None:
    """The error says to free space, and no half of a key file is left."""
    with pytest.raises(StoreError, match="free some space") as caught:
        Vault({}).set("a", "x", replace=False)

    assert len(str(caught.value).split("\n")) == 2
    assert {path.name for path in key_directory.iterdir()} == {"flowfile_nb.lock", "flowfile_nb.log"}


@pytest.mark.usefixtures("no_room")
def test_a_file_on_a_full_disk(tmp_path: Path) -> None:
    """What is not written whole is not there, and what was there before stays."""
    path = tmp_path / "file"
    path.write_bytes(b"before")

    for write in (create_private, replace_private):
        with pytest.raises(StoreError, match="free some space"):
            write(str(path), b"after")

    assert path.read_bytes() == b"before"
    assert list(tmp_path.glob("*.tmp")) == []


@pytest.mark.parametrize(
    ("error", "remedy"),
    [
        (sqlite3.OperationalError("database or disk is full"), "free some space"),
        (sqlite3.OperationalError("disk I/O error"), "free some space"),
        (OSError(errno.ENOSPC, "No space left on device"), "free some space"),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), "free some space"),
        (OSError(errno.EFBIG, "File too large"), "free some space"),
        (OSError(errno.EROFS, "Read-only file system"), "make the folder writable"),
        # The path of a file is no part of what happened to it.
        (PermissionError(errno.EACCES, "Permission denied", "/home/full/locked.db"), "make the folder writable"),
    ],
)
def test_each_failure_has_its_remedy(error: Exception, remedy: str) -> None:
    """What a user has to do about a full disk is not what helps against a read-only one."""
    assert remedy in database.store_error("/home/x/flowfile_nb.db", error).hint
