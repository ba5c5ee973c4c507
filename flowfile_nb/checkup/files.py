"""Who can read the files."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterator

from flowfile_nb.backend import Finding
from flowfile_nb.checkup.subject import Subject
from flowfile_nb.storage.paths import Paths


def permissions(subject: Subject) -> list[Finding]:
    """Return the permissions of each file of ours; nobody else is to have any."""
    findings = []
    for path, mode, wanted in modes(subject.paths):
        ok = not mode & 0o077
        findings.append(Finding("permissions", f"{path} {mode:04o}", ok, "" if ok else f"chmod {wanted:o} '{path}'"))
    return findings


def modes(paths: Paths) -> Iterator[tuple[str, int, int]]:
    """Yield path, permissions, and wanted permissions of each file of ours that is there."""
    if sys.platform == "win32":
        return
    files = (paths.secret_key, paths.key_store, paths.database, paths.access_log)
    there = [(path, 0o600) for path in files if os.path.isfile(path)]
    if os.path.isdir(paths.directory):
        there.insert(0, (paths.directory, 0o700))
    for path, wanted in there:
        yield path, stat.S_IMODE(os.stat(path).st_mode), wanted
