"""Saying what a cell waits for, if it takes long enough to wonder."""

from __future__ import annotations

import threading
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
    timer = threading.Timer(_AFTER_S, print, (f"Waiting for {target}   (to stop: interrupt the kernel)",), {"flush": True})
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
