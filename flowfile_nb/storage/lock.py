"""One writer at a time, over all processes of a user."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Iterator

from flowfile_nb.storage.paths import not_writable

_held = threading.local()


@contextlib.contextmanager
def exclusive(path: str, *, wait: bool = True) -> Iterator[bool]:
    """
    Hold the lock file *path*; wait for it as long as it takes (an interrupt ends the wait).

    Without *wait* the block runs at once, and is told whether it holds the lock.

    It keeps waiting writers in a queue, where SQLite alone would have them poll, and it covers the two things that SQLite's
    own locks do not: making the key, and switching a database to WAL. Where a file system has no locks, SQLite's remain.
    A thread that holds it may take it again; a process that was forked meanwhile may not.

    Raises:
        StoreError: If the lock file cannot be made.
    """
    held: set[tuple[int, str]] = _held.__dict__.setdefault("paths", set())
    holder = (os.getpid(), path)
    if holder in held:
        yield True
        return
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o600)
    except OSError as error:
        raise not_writable(os.path.dirname(path), error) from None
    try:
        locked = _lock(descriptor) if wait else _try_lock(descriptor)
        if locked:
            held.add(holder)
        yield locked
    finally:
        if holder in held:
            held.discard(holder)
            _unlock(descriptor)
        os.close(descriptor)


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

    def _lock(descriptor: int) -> bool:
        with contextlib.suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        return True

    def _try_lock(descriptor: int) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:
            # No locks on this file system.
            return True
        return True

    def _unlock(descriptor: int) -> None:
        # Closing alone would leave it with a process that was forked meanwhile. One that is killed loses it, too.
        with contextlib.suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_UN)
