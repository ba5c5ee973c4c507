"""Whether a folder is on this machine's own disk, which SQLite's WAL needs."""

from __future__ import annotations

import os
import re
import sys

# Not "everything but NFS": the shared memory of WAL breaks silently, so only what is known to be local counts.
_LOCAL = {"bcachefs", "btrfs", "ecryptfs", "ext2", "ext3", "ext4", "f2fs", "jfs", "overlay", "ramfs", "tmpfs", "xfs", "zfs"}


def file_system(path: str, mountinfo: str = "/proc/self/mountinfo") -> str | None:
    """
    Return the type of the file system *path* is on (`ext4`, `nfs4`, `fuse.sshfs` …), or None where that cannot be told.

    Source: proc_pid_mountinfo(5). The mount point is field 5, and the type follows the lone `-`.
    """
    if not sys.platform.startswith("linux"):
        return None
    real = os.path.realpath(path)
    best, found = "", None
    try:
        with open(mountinfo, encoding="utf-8", errors="surrogateescape") as lines:
            for line in lines:
                fields, _, rest = line.partition(" - ")
                point = fields.split(" ")[4]
                if "\\" in point:
                    point = re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), point)
                inside = real == point or real.startswith(point.rstrip("/") + "/")
                # Later lines lie over earlier ones.
                if inside and len(point) >= len(best):
                    best, found = point, rest.split(" ")[0]
    except OSError:
        return None
    return found


def is_local(path: str) -> bool:
    """Return whether *path* is known to be on a local disk; in doubt, and outside Linux, it is not."""
    return file_system(path) in _LOCAL
