"""One writer at a time, over all processes of a user."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Iterator

from flowfile_nb.storage.private_files import not_writable

_held = threading.local()
_FLAGS = os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0)
_NONE = -1


class Lock:
    """
    A lock file: one thread of one process holds it, others wait in a queue, where SQLite alone would have them poll.

    It covers the two things that SQLite's own locks do not: making the key, and switching a database to WAL. Where a file
    system has no locks, SQLite's remain. A thread that holds it may take it again, by whichever object; a process that was
    forked meanwhile may not.

    Args:
        path: The file; it is made when it is needed first.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._descriptor = _NONE
        self._holder: tuple[int, str] | None = None

    def acquire(self, *, wait: bool = True) -> bool:
        """
        Wait until it is free, as long as it takes (an interrupt ends the wait); without *wait* return whether it was.

        Raises:
            StoreError: If the file cannot be made.
        """
        held: set[tuple[int, str]] = _held.__dict__.setdefault("paths", set())
        holder = (os.getpid(), self._path)
        if holder in held:
            return True
        try:
            descriptor = os.open(self._path, _FLAGS, 0o600)
        except OSError as error:
            raise not_writable(os.path.dirname(self._path), error) from None
        locked = False
        try:
            locked = _lock(descriptor) if wait else _try_lock(descriptor)
        finally:
            if not locked:
                os.close(descriptor)
        if locked:
            held.add(holder)
            self._holder, self._descriptor = holder, descriptor
        return locked

    def release(self) -> None:
        """Let the next one have it, if it was this object that took it."""
        if self._holder is not None:
            descriptor, holder = self._descriptor, self._holder
            self._descriptor, self._holder = _NONE, None
            _held.__dict__["paths"].discard(holder)
            if holder[0] == os.getpid():
                # Closing alone would leave it with a process that was forked meanwhile. One that is killed loses it, too.
                _unlock(descriptor)
            os.close(descriptor)


@contextlib.contextmanager
def exclusive(path: str, *, wait: bool = True) -> Iterator[bool]:
    """
    Hold the lock file *path* meanwhile; without *wait* the block runs at once, and is told whether it holds it.

    Raises:
        StoreError: If the file cannot be made.
    """
    lock = Lock(path)
    try:
        yield lock.acquire(wait=wait)
    finally:
        lock.release()


if sys.platform == "win32":
    import msvcrt

    def _lock(descriptor: int) -> bool:
        # Tries ten times, a second apart, then raises: go on trying.
        locked = False
        while not locked:
            with contextlib.suppress(OSError):
                msvcrt.locking(descriptor, msvcrt.LK_LOCK, 1)
                locked = True
        return locked

    def _try_lock(descriptor: int) -> bool:
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

    def _unlock(descriptor: int) -> None:
        msvcrt.locking(descriptor, msvcrt.LK_UNLCK, 1)

else:
    import fcntl

    # A file system without locks refuses each of these. `try` and not `suppress`, which takes longer than the call in it.
    def _lock(descriptor: int) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        except OSError:
            return True
        return True

    def _try_lock(descriptor: int) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:
            return True
        return True

    def _unlock(descriptor: int) -> None:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_UN)
        except OSError:
            return
