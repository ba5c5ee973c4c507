"""
Who used what, when, and how it ended; never a value.

Each entry goes to a file of JSON lines, for operators, and to a table, from which owners are told. Both are bounded. What
cannot be written down does not happen: an entry that fails raises, and its caller goes no further.
"""

from __future__ import annotations

import json
import os
import threading
from contextlib import suppress
from typing import Any

from sqlalchemy import Connection, delete, func, or_, select

from flowfile_nb.broker import tables
from flowfile_nb.broker.database import Store, findable, storable
from flowfile_nb.broker.shown import LogEntry
from flowfile_nb.core.encodings import patterns_of
from flowfile_nb.errors import BrokerError

FILE = "audit.jsonl"
MASK = "[secret]"
MAX_STATEMENT = 10_000
_MAX_CHARACTERS = 1_024
MAX_ROWS = 200_000
MAX_FILE_BYTES = 64 * 1024 * 1024
KEPT_FILES = 5
"""Beside the one that is written: `audit.jsonl.1` is the newest of them."""
_TRIM_EVERY = 500
_INSERT = tables.audit.insert()
_SHOWN = 1_000


class Audit:
    """
    The record. Methods may be called from any thread.

    Args:
        store: Where the table is; the file is in its directory.
        max_rows: How many entries the table keeps, about.
        max_file_bytes: After how many bytes a new file begins.
    """

    def __init__(self, store: Store, *, max_rows: int = MAX_ROWS, max_file_bytes: int = MAX_FILE_BYTES) -> None:
        self._store = store
        self._path = os.path.join(store.directory, FILE)
        self._max_rows = max_rows
        self._max_bytes = max_file_bytes
        self._lock = threading.Lock()
        self._since_trim = 0

    def record(self, entry: LogEntry, connection: Connection | None = None) -> None:
        """
        Write an entry down.

        Args:
            entry: What happened.
            connection: A transaction of the store that this is part of, and with which it stands or falls; or one of `noting`.

        Raises:
            BrokerError: If it cannot be written.
        """
        # Cut, or a few requests with names of a megabyte would push all else out of what is kept.
        entry = LogEntry._make(
            storable(item)[: MAX_STATEMENT if field == "statement" else _MAX_CHARACTERS] if isinstance(item, str) else item
            for field, item in zip(LogEntry._fields, entry, strict=True)
        )
        # The file first: where the table's transaction fails after it, there is a line too much and not one too few.
        self._append(entry)
        if connection is not None:
            self._insert(connection, entry)
            return
        with self._store.noting() as own:
            self._insert(own, entry)

    def require(self) -> None:
        """Raise BrokerError unless entries can be written now."""
        with self._lock:
            self._write(b"")

    def of(self, user: str, name: str) -> list[LogEntry]:
        """
        Return what was done with *user*'s secret or connection of that name, and what he did with another's: the last thousand.

        The oldest first.
        """
        table, user, name = tables.audit, findable(user), findable(name)
        of_user = or_(table.c.owner == user, table.c.caller == user)
        return self._last(of_user, or_(table.c.name == name, table.c.secret == name))

    def around(self, user: str) -> list[LogEntry]:
        """Return what was done with all that is *user*'s, and what he did himself: the last thousand, oldest first."""
        table, user = tables.audit, findable(user)
        return self._last(or_(table.c.owner == user, table.c.caller == user))

    def _last(self, *which: Any) -> list[LogEntry]:
        table = tables.audit
        query = select(*(table.c[field] for field in LogEntry._fields)).where(*which)
        with self._store.reading() as connection:
            rows = connection.execute(query.order_by(table.c.id.desc()).limit(_SHOWN)).all()
        return [LogEntry(*row) for row in reversed(rows)]

    def unended(self) -> list[LogEntry]:
        """Return the uses of which a beginning is recorded and no end, oldest first."""
        table = tables.audit
        columns = [table.c[field] for field in LogEntry._fields]
        # A caller chooses the ids, and may choose one twice.
        begun: dict[tuple[str, str], list[int]] = {}
        query = select(table.c.id, table.c.caller, table.c.query_id, table.c.state).where(table.c.query_id != "")
        with self._store.reading() as connection:
            # In a stream, and without statements: the table may be larger than what this process shall have.
            for row in connection.execute(query.order_by(table.c.id).execution_options(stream_results=True)):
                of_id = begun.setdefault((row.caller, row.query_id), [])
                if row.state == "started":
                    of_id.append(row.id)
                elif of_id:
                    of_id.pop(0)
                if not of_id:
                    del begun[row.caller, row.query_id]
            left = sorted(number for of_id in begun.values() for number in of_id)
            return [LogEntry(*connection.execute(select(*columns).where(table.c.id == number)).one()) for number in left]

    def _append(self, entry: LogEntry) -> None:
        line = json.dumps({key: item for key, item in entry._asdict().items() if item not in ("", None)}) + "\n"
        with self._lock:
            self._write(line.encode())

    def _write(self, line: bytes) -> None:
        try:
            descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o600)
            try:
                size = os.fstat(descriptor).st_size
                # One call for the whole line: appended lines of several processes do not mix.
                if os.write(descriptor, line) != len(line):
                    # The rest of it is cut off again, so that what comes next stands on a line of its own.
                    with suppress(OSError):
                        os.ftruncate(descriptor, size)
                    raise OSError
            finally:
                os.close(descriptor)
            if size + len(line) > self._max_bytes:
                self._begin_new_file()
        except OSError:
            raise BrokerError(
                "the broker cannot write its audit; nothing is done that is not written down",
                hint=f"its administrator looks at {FILE} in the broker's directory: is the disk full, the file writable?",
            ) from None

    def _begin_new_file(self) -> None:
        for number in range(KEPT_FILES, 0, -1):
            source = f"{self._path}.{number - 1}" if number > 1 else self._path
            # Another process of the same directory may have been first.
            with suppress(FileNotFoundError):
                os.replace(source, f"{self._path}.{number}")

    def _insert(self, connection: Connection, entry: LogEntry) -> None:
        table = tables.audit
        connection.execute(_INSERT, entry._asdict())
        with self._lock:
            self._since_trim += 1
            if trim := self._since_trim >= _TRIM_EVERY:
                self._since_trim = 0
        if trim:
            newest = select(func.max(table.c.id)).scalar_subquery()
            connection.execute(delete(table).where(table.c.id <= newest - self._max_rows))


def without(text: str, value: str) -> str:
    """Return a statement for the audit: cut to a length, and without *value* in any usual form."""
    # Masked before it is cut: half a value would not be found.
    for form in sorted((pattern.decode("utf-8", "replace") for pattern in patterns_of(value)), key=len, reverse=True):
        text = text.replace(form, MASK)
    if value:
        text = text.replace(value, MASK)
    return text if len(text) <= MAX_STATEMENT else f"{text[:MAX_STATEMENT]} … ({len(text)} characters)"
