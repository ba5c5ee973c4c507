"""
What holds the store's lock while something is written: `ActiveDatabase.alone` and `ActiveDatabase.writing`.

No generators: those of the standard library would be a tenth of a durable write.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowfile_nb.storage.database import FOREIGN

if TYPE_CHECKING:
    import sqlite3

    from flowfile_nb.storage.active import ActiveDatabase
    from flowfile_nb.storage.lock import Lock


class Alone:
    """
    The store's lock, held in a `with` block; what takes it again inside of another has it.

    Args:
        active: The databases.
        wait: Whether to wait for it; if not, `with` says whether it is held.
    """

    __slots__ = ("_active", "_lock", "_mutex", "_wait")

    def __init__(self, active: ActiveDatabase, *, wait: bool = True) -> None:
        self._active = active
        self._wait = wait
        self._lock: Lock | None = None

    def __enter__(self) -> bool:
        active = self._active
        # Always in this order, or two threads would wait for each other.
        self._mutex = active.mutex
        self._mutex.acquire()
        if not active.is_alone:
            try:
                self._lock = active.take_lock(wait=self._wait)
            except BaseException:
                self._mutex.release()
                raise
        return active.is_alone

    def __exit__(self, *_: object) -> None:
        if self._lock is not None:
            self._active.is_alone = False
            self._lock.release()
        self._mutex.release()


class Writing:
    """
    The database that holds the secrets now, to write while nobody else does; SQLite's errors become ours.

    Args:
        active: The databases.
    """

    __slots__ = ("_active", "_alone")

    def __init__(self, active: ActiveDatabase) -> None:
        self._active = active
        self._alone = Alone(active)

    def __enter__(self) -> sqlite3.Connection:
        self._alone.__enter__()
        try:
            db = self._active.recent()
            if db is None:
                db = self._active.made()
        except BaseException as error:
            self.__exit__(None, error, None)
            raise
        return db

    def __exit__(self, _kind: object, error: BaseException | None, _traceback: object) -> None:
        self._alone.__exit__()
        if isinstance(error, FOREIGN):
            raise self._active.error(error) from None
