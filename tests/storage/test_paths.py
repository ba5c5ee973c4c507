"""The same folders as Flowfile, whatever the environment says."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from flowfile_nb.errors import StoreError
from flowfile_nb.storage.filesystem import file_system, is_local
from flowfile_nb.storage.paths import find_paths


def test_defaults(home: Path) -> None:
    """`~/.config/flowfile` for the key and our database, `~/.flowfile/database` for Flowfile's catalog."""
    paths = find_paths({})

    assert paths.directory == str(home / ".config/flowfile")
    assert paths.database == str(home / ".config/flowfile/flowfile_nb.db")
    assert paths.catalog == str(home / ".flowfile/database/flowfile_catalog.db")


@pytest.mark.parametrize(
    ("environ", "directory", "catalog"),
    [
        ({"APPDATA": "/appdata"}, "/appdata/flowfile", "~/.flowfile/database/flowfile_catalog.db"),
        ({"FLOWFILE_SECURE_STORAGE_PATH": "/key"}, "/key", "~/.flowfile/database/flowfile_catalog.db"),
        ({"FLOWFILE_STORAGE_DIR": "/data"}, "~/.config/flowfile", "/data/database/flowfile_catalog.db"),
        ({"FLOWFILE_DB_PATH": "/x/y.db"}, "~/.config/flowfile", "/x/y.db"),
        ({"FLOWFILE_DB_PATH": "sqlite:////x/y.db"}, "~/.config/flowfile", "/x/y.db"),
        ({"FLOWFILE_DATABASE_URL": "sqlite:////u.db", "FLOWFILE_DB_PATH": "/x.db"}, "~/.config/flowfile", "/u.db"),
        ({"FLOWFILE_MODE": "docker"}, "~/.config/flowfile", "/app/internal_storage/database/flowfile_catalog.db"),
        ({"XDG_CONFIG_HOME": "/elsewhere"}, "~/.config/flowfile", "~/.flowfile/database/flowfile_catalog.db"),
    ],
)
def test_variables(environ: dict[str, str], directory: str, catalog: str) -> None:
    """Each variable moves what it moves in Flowfile 0.23.3, and nothing else."""
    paths = find_paths(environ)

    assert (paths.directory, paths.catalog) == (os.path.expanduser(directory), os.path.expanduser(catalog))


def test_a_catalog_on_a_server_is_refused() -> None:
    """A Flowfile whose catalog is PostgreSQL is not silently given a second store."""
    with pytest.raises(StoreError, match="FLOWFILE_DB_PATH"):
        find_paths({"FLOWFILE_DATABASE_URL": "postgresql://app:hunter2@h/x"})


MOUNTS = """\
22 1 8:1 / / rw,relatime - ext4 /dev/vda rw
23 22 0:5 / /home rw - nfs4 server:/home rw
24 23 0:6 / /home/me/local\\040disk rw - xfs /dev/vdb rw
25 22 0:7 / /mnt/share rw shared:1 - fuse.sshfs me@host rw
26 22 0:8 / /home2 rw - tmpfs tmpfs rw
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/var/x.db", "ext4"),
        ("/home/me/x.db", "nfs4"),
        ("/home/me/local disk/x.db", "xfs"),
        ("/mnt/share/x.db", "fuse.sshfs"),
        ("/home2/x.db", "tmpfs"),
        ("/homes/x.db", "ext4"),
    ],
)
def test_the_innermost_mount_counts(tmp_path: Path, path: str, kind: str) -> None:
    """A path is on the file system that is mounted nearest to it."""
    mounts = tmp_path / "mountinfo"
    mounts.write_text(MOUNTS, encoding="utf-8")

    assert file_system(path, str(mounts)) == kind


def test_in_doubt_a_disk_is_not_local(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the kind of disk cannot be told, WAL is not used."""
    assert file_system("/x", str(tmp_path / "none")) is None
    monkeypatch.setattr("sys.platform", "darwin")
    assert not is_local("/x")
