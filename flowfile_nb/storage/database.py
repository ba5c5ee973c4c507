"""
Opening a SQLite database so that an acknowledged write survives and a second kernel waits instead of failing.

Our own database is in WAL mode on a local disk and in rollback mode elsewhere: WAL's shared memory needs one machine.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from flowfile_nb.errors import StoreError
from flowfile_nb.storage.filesystem import is_local
from flowfile_nb.storage.migrations import STEPS, migrate, schema_version
from flowfile_nb.storage.private_files import not_writable

BUSY_TIMEOUT_S = 30.0
ALL = -1
"""For `LIMIT`: no limit."""
FOREIGN = (sqlite3.Error, OSError, UnicodeDecodeError)
"""What comes out of SQLite; the last one from Python, where SQLite quotes a damaged name in its message."""
_DAMAGED = ("malformed", "not a database", "corrupt", "decode", "no such", "unsupported file format", "constraint failed")


def create_database(path: str) -> None:
    """
    Create our own database, or bring it to the newest schema and the journal mode that fits its disk.

    Callers hold the store's lock: switching to WAL does not wait for the busy timeout.

    Raises:
        StoreError: If it cannot be written, is damaged, or is from a newer version.
    """
    with translated(path):
        if not os.path.exists(path):
            # 0600 from the first byte; SQLite gives its journal and WAL files the same permissions. Never where it exists:
            # closing any descriptor of the file drops this process's locks on it, and with them another's writes get lost
            # (sqlite.org/howtocorrupt.html, 2.2).
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        connection = connect(path)
        try:
            _set_journal_mode(connection, path)
            migrate(connection)
        finally:
            connection.close()


def is_current(connection: sqlite3.Connection, path: str) -> bool:
    """
    Return whether `create_database` has nothing to do on our own database.

    Raises:
        StoreError: If a newer version of this package wrote it.
    """
    return schema_version(connection) == len(STEPS) and _fits_its_disk(connection, path)


def _journal_mode(path: str) -> str:
    return "wal" if is_local(path) else "delete"


def _set_journal_mode(connection: sqlite3.Connection, path: str) -> None:
    if _fits_its_disk(connection, path):
        return
    try:
        connection.execute(f"PRAGMA journal_mode={_journal_mode(path)}")
    except sqlite3.OperationalError:
        # Another kernel has it open: whoever opens it alone next changes it. A new one has to have the right mode at once.
        if schema_version(connection) == 0:
            raise


def _fits_its_disk(connection: sqlite3.Connection, path: str) -> bool:
    mode: str = connection.execute("PRAGMA journal_mode").fetchone()[0]
    return mode == _journal_mode(path)


def connect(path: str) -> sqlite3.Connection:
    """Open *path* for reading and writing, or for reading alone where its folder cannot be written."""
    mode = "rw"
    if not os.access(os.path.dirname(path), os.W_OK):
        # In a folder that cannot be written SQLite reads a WAL that is there, and otherwise has to be told not to look for one.
        mode = "ro" if os.path.exists(f"{path}-wal") else "ro&immutable=1"
    # The characters that mean something in SQLite's file: URLs (sqlite.org/uri.html); urllib would cost a first read 4 ms.
    quoted = path.replace("%", "%25").replace("?", "%3f").replace("#", "%23")
    connection = sqlite3.connect(
        f"file:{quoted}?mode={mode}",
        uri=True,
        timeout=BUSY_TIMEOUT_S,
        isolation_level=None,
        check_same_thread=False,  # the store has a lock of its own
    )
    # FULL syncs WAL at each commit; in rollback mode EXTRA also syncs the directory after the journal is gone.
    connection.execute("PRAGMA synchronous=EXTRA")
    # A short WAL is soon written over instead of growing, which halves the time of a durable write.
    connection.execute("PRAGMA wal_autocheckpoint=100")
    # A small cache of pages: it holds the inner ones of a large store's indexes, and stays in the processor's own. Not mmap,
    # which would save as much again: another program that shortens the file would end this process by SIGBUS.
    connection.execute("PRAGMA cache_size=-256")
    # A deleted or replaced token is overwritten, not left in a free page.
    connection.execute("PRAGMA secure_delete=ON")
    # A page is looked at whole when it is read: a damaged one is an error and not a row of nothing.
    connection.execute("PRAGMA cell_size_check=ON")
    return connection


def has_table(connection: sqlite3.Connection, name: str) -> bool:
    """Return whether a table of that name exists."""
    found = connection.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?", (name,)).fetchone()
    return found is not None


def columns(connection: sqlite3.Connection, what: Sequence[str], source: str, *arguments: object) -> list[list[Any]]:
    """
    Return the columns of a query's result as lists: 100,000 names in a third of the time that fetching a tuple for each takes.

    Args:
        connection: Of the database.
        what: An SQL expression for each column.
        source: The query from `FROM` on.
        arguments: For the query's placeholders.
    """
    import json

    # SQLite makes one JSON text of each column, in C.
    arrays = ", ".join(f"CAST(json_group_array(c{number}) AS BLOB)" for number in range(len(what)))
    named = ", ".join(f"{expression} AS c{number}" for number, expression in enumerate(what))
    found = connection.execute(f"SELECT {arrays} FROM (SELECT {named} {source})", arguments).fetchone()  # noqa: S608 - our own text
    return [json.loads(readable(array)) for array in found]


def readable(text: bytes) -> str:
    """Return text that is UTF-8 unless it is damaged: then one character stands for what is none, and the rest can be read."""
    return text.decode("utf-8", "replace")


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """One write transaction: all of it or nothing; other writers wait."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


@contextmanager
def translated(path: str) -> Iterator[None]:
    """Turn SQLite's errors into ours."""
    try:
        yield
    except FOREIGN as error:
        raise store_error(path, error) from None


def damaged(path: str) -> StoreError:
    """Return the error for a database that is read in part at most. SQLite's own text may quote what it read, a token too."""
    return StoreError(
        f"a part of {path} is damaged; nothing was changed",
        hint="%secret backup ~/secrets.backup  saves what can still be read of it",
    )


def _overwritten(path: str) -> StoreError:
    """Return the error for a file that begins with something else: a backup would find nothing to save in it."""
    return StoreError(
        f"{path} is damaged: it is no database any more; nothing was changed",
        hint="put it back from a backup; or move it away, and  %secret restore PATH  makes it anew from one of ours",
    )


def store_error(path: str, error: Exception) -> StoreError:
    """Return our error for one of SQLite's or of the file system's."""
    if isinstance(error, OSError):
        return not_writable(os.path.dirname(path), error)
    text = str(error)
    if "locked" in text or "busy" in text:
        return StoreError(
            f"another program has kept {path} locked for {BUSY_TIMEOUT_S:.0f} s; nothing was changed",
            hint="close it, or wait until it is done, and try again",
        )
    if "readonly" in text or "unable to open" in text:
        return StoreError(
            f"cannot write {path}; nothing was changed",
            hint="make its folder writable, or set FLOWFILE_SECURE_STORAGE_PATH to a folder of your own",
        )
    if any(word in text for word in _DAMAGED):
        return _overwritten(path) if "not a database" in text else damaged(path)
    if "full" in text or "disk I/O error" in text:
        # A full disk is the second, too, where a file that helps SQLite cannot be made.
        problem = "is full" if "full" in text else "takes or gives nothing more (disk I/O error)"
        return StoreError(
            f"the disk {problem}: {path} was not changed",
            hint="free some space, or have your quota raised, and try again;  df -h  shows what is left",
        )
    return StoreError(f"{path}: {text}; nothing was changed", hint="%secret doctor  shows what is in use")
