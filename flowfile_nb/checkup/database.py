"""The database that holds the secrets: which, on what disk, and whether its pages are whole."""

from __future__ import annotations

import os
import sys

from flowfile_nb.backend import Finding
from flowfile_nb.checkup.subject import Subject
from flowfile_nb.storage.filesystem import file_system, is_local
from flowfile_nb.storage.upkeep import opened

# The look at each page takes some 100 ms for this much.
_MOST_BYTES = 200 * 2**20


def database(subject: Subject) -> list[Finding]:
    """Return where the secrets are, how they are written, and whether that is safe on this disk."""
    location = subject.store.location
    if location is None:
        return [Finding("store", f"none yet; it will be {subject.paths.database}")]
    with opened(location) as db:
        journal = db.execute("PRAGMA journal_mode").fetchone()[0]
        version = db.execute("PRAGMA user_version").fetchone()[0]
        small = os.path.getsize(location) < _MOST_BYTES
        damage = db.execute("PRAGMA quick_check(1)").fetchone()[0] if small else "ok"
    if damage != "ok":
        return [Finding("store", f"{location} is damaged ({damage})", ok=False, remedy="put it back from a backup")]
    whose = "Flowfile's catalog" if location == subject.paths.catalog else f"our own database, schema {version}"
    disk = file_system(location) or "unknown file system"
    safe = journal != "wal" or is_local(location) or not sys.platform.startswith("linux")
    remedy = "" if safe else "keep it on a local disk: FLOWFILE_DB_PATH moves it"
    return [Finding("store", f"{location} ({whose}, journal {journal}, {disk})", safe, remedy), *_copies(subject, location)]


def _copies(subject: Subject, location: str) -> list[Finding]:
    copies, paths = subject.store.copies(), subject.paths
    if not copies:
        return []
    in_catalog = f"{copies:,} that were written here are copied, encrypted, to {paths.database}, should Flowfile be removed"
    gone = f"{copies:,} were in Flowfile's catalog, which is gone: they are as they were when it was last opened here"
    return [Finding("copies", in_catalog if location == paths.catalog else gone)]
