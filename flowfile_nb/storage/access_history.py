"""What the record of uses says: its entries, and when each secret was last used."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from typing import Any, NamedTuple

from flowfile_nb.storage.access_log import OK, READ

_USES = {READ, "env"}
# How each entry begins. In a JSON text it cannot stand anywhere else, so it is found behind what a torn line left.
_BEGINNING = b'{"at":'
SUMMARY = b'{"bytes":'
_LATEST = 2**37


class Entry(NamedTuple):
    """One line of the record."""

    at: float
    """Seconds since 1970, by the clock of then."""
    operation: str
    name: str
    outcome: str
    notebook: str
    to: str


class AccessHistory:
    """
    The record, read again only where it has grown.

    Args:
        path: The file; it need not exist.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._file: tuple[int, int, int] | None = None
        self._read = 0
        self._used: dict[str, int] = {}

    def last_used(self) -> dict[str, int]:
        """Return when each secret was last used, in seconds since 1970; renamed ones under the name they have now."""
        try:
            found = os.stat(self._path)
        except OSError:
            found = None
        file = found and (found.st_ino, found.st_size, found.st_mtime_ns)
        if file is None:
            self._file, self._read, self._used = None, 0, {}
        elif file != self._file:
            if self._file is None or file[0] != self._file[0] or file[1] < self._read:
                self._read, self._used = 0, {}
            data = _read(self._path, self._read)
            # A line that is being written is read when it is whole.
            whole = data.rfind(b"\n") + 1
            note_uses(data[:whole], self._used)
            self._file, self._read = file, self._read + whole
        return self._used

    def entries(self, name: str | None = None) -> list[Entry]:
        """Return the entries, the oldest first; of one secret alone, under its former names too, if *name* is given."""
        found = list(entries_in(_read(self._path)))
        if name is None:
            return found
        kept = []
        for entry in reversed(found):
            if entry.name == name or (entry.to == name and entry.to):
                kept.append(entry)
            if entry.to == name and entry.outcome == OK:
                name = entry.name
        return kept[::-1]


def entries_in(data: bytes) -> Iterator[Entry]:
    """Yield the entries in a part of the file. What is torn, foreign or there twice is passed over."""
    for line in dict.fromkeys(data.split(b"\n")):
        start = line.rfind(_BEGINNING)
        entry = _loaded(line[start:]) if start >= 0 else None
        if entry is not None:
            texts = [entry.get(key, "") for key in ("operation", "name", "outcome", "notebook", "to")]
            at = entry.get("at")
            if isinstance(at, (int, float)) and 0 <= at < _LATEST and all(isinstance(text, str) for text in texts):
                yield Entry(at, *texts)


def note_uses(data: bytes, used: dict[str, int]) -> None:
    """Bring *used* (name → last use) to what it is after a part of the file."""
    if data.startswith(SUMMARY):
        summary = _loaded(data[: data.find(b"\n")])
        earlier = summary.get("last_used") if summary is not None else None
        if isinstance(earlier, dict):
            used.update({name: at for name, at in earlier.items() if isinstance(at, int)})
    for entry in entries_in(data):
        if entry.outcome != OK:
            continue
        if entry.operation in _USES:
            used[entry.name] = int(entry.at)
        elif entry.operation in {"add", "delete"}:
            # Another secret of that name was another one.
            used.pop(entry.name, None)
        elif entry.operation == "rename":
            at = used.pop(entry.name, None)
            used.pop(entry.to, None)
            if at is not None:
                used[entry.to] = at


def _loaded(text: bytes) -> dict[str, Any] | None:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _read(path: str, start: int = 0) -> bytes:
    try:
        with open(path, "rb") as file:
            file.seek(start)
            return file.read()
    except OSError:
        return b""
