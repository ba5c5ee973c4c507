"""Saying what a cell waits for, if it takes long enough to wonder."""

from __future__ import annotations

from _thread import allocate_lock, start_new_thread
from collections.abc import Iterator
from contextlib import contextmanager

_AFTER_S = 1.0
# Files and memory: starting a thread would take as long as opening them.
_QUICK = {"duckdb", "sqlite"}


@contextmanager
def said_if_slow(kind: str, target: str) -> Iterator[None]:
    """
    Print which server is waited for, and the way out, if the block takes more than a second.

    Args:
        kind: Of the connection; a file's is never waited for.
        target: Where it leads, without values.
    """
    if kind.partition("+")[0] in _QUICK:
        yield
        return
    done = allocate_lock()
    done.acquire()

    def say() -> None:
        if not done.acquire(timeout=_AFTER_S):
            print(f"Waiting for {target}   (to stop: interrupt the kernel)", flush=True)

    # Not a `Timer`: starting one waits until it runs, which is a fifth of the time that opening a database nearby takes.
    start_new_thread(say, ())
    try:
        yield
    finally:
        done.release()
