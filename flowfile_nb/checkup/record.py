"""The record of uses, and the last backup."""

from __future__ import annotations

import json
import os
import time

from flowfile_nb.backend import Finding
from flowfile_nb.checkup.subject import Subject


def record_of_uses(subject: Subject) -> list[Finding]:
    """Return whether uses are recorded, and what keeps that from being done."""
    path, log = subject.paths.access_log, subject.log
    if not log.is_on:
        return [Finding("log", "off: FLOWFILE_NB_LOG says so")]
    if os.path.isdir(path):
        return [Finding("log", f"{path} is a folder: nothing is recorded", ok=False, remedy=f"mv '{path}' '{path}.aside'")]
    if os.path.exists(path) and not os.access(path, os.W_OK):
        return [Finding("log", f"{path} cannot be written", ok=False, remedy=f"chmod 600 '{path}'")]
    if log.problem:
        remedy = "free some space, or make the folder writable; FLOWFILE_NB_LOG=off keeps no record"
        return [Finding("log", f"the last entry was not written to {path}: {log.problem}", ok=False, remedy=remedy)]
    if not os.path.exists(path):
        return [Finding("log", f"on; nothing is recorded yet in {path}")]
    return [Finding("log", f"on, {path}, {os.path.getsize(path) / 1024:,.0f} KiB")]


def last_backup(subject: Subject) -> list[Finding]:
    """Return when and where the last backup was written, as far as that is recorded."""
    recorded = subject.store.fact("last_backup")
    if recorded is None:
        how = "%secret backup ~/secrets.backup  writes one, under a passphrase"
        return [Finding("last backup", "none is recorded", remedy=how)] if subject.store.location else []
    at, path = _when_and_where(recorded)
    there = "" if os.path.exists(path) else "; it is not there now"
    return [Finding("last backup", f"{time.strftime('%Y-%m-%d %H:%M', time.localtime(at))}, {path}{there}")]


def _when_and_where(recorded: str) -> tuple[int, str]:
    """Read `{"at": 1700000000, "path": "…"}`, or the same as `1700000000 …`."""
    if recorded.startswith("{"):
        fact = json.loads(recorded)
        return int(fact["at"]), str(fact["path"])
    at, _, path = recorded.partition(" ")
    return int(at), path
