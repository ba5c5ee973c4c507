"""A look at what a SQLite file is: the driver opens one without, and waits for a locked one where no interrupt is heard."""

from __future__ import annotations

from contextlib import closing
from time import monotonic, sleep
from typing import Any

_PAUSE_S = 0.02


def require_readable(connection: Any, place: str, limit_s: float | None) -> None:
    """
    Let pass what can be read as a SQLite database; raises as the driver does.

    Args:
        connection: The driver's; how long its statements wait for a lock is afterwards what it was.
        place: What is said to be waited for, if that takes long.
        limit_s: How long to wait while another keeps the file locked; None is as long as the connection's statements do.
    """
    with closing(connection.cursor()) as cursor:
        (own_ms,) = _row(cursor, "PRAGMA busy_timeout")
        end = monotonic() + (own_ms / 1000 if limit_s is None else limit_s)
        # SQLite would wait in C, and ADBC keep an interrupt meanwhile to itself.
        _row(cursor, "PRAGMA busy_timeout = 0")
        try:
            if not _is_read(cursor, end):
                # Imported here: nearly every file is read at once.
                from flowfile_nb.waiting import said_if_slow

                with said_if_slow(place):
                    while not _is_read(cursor, end):
                        sleep(_PAUSE_S)
        finally:
            _row(cursor, f"PRAGMA busy_timeout = {own_ms}")


def _is_read(cursor: Any, end: float) -> bool:
    """Return whether the file could be read; raise what the driver does where it is no use to try again until *end*."""
    try:
        _row(cursor, "PRAGMA schema_version")
    except Exception as error:
        if "is locked" not in str(error) or monotonic() >= end:
            raise
        return False
    return True


def _row(cursor: Any, statement: str) -> Any:
    cursor.execute(statement)
    # ADBC reads no sooner.
    return cursor.fetchone()
