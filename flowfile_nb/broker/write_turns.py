"""
Whose turn it is to write to the store, among the threads of this process.

SQLite lets one write at a time, and whoever comes meanwhile sleeps and looks again: among many who write, some come late by
seconds. Here they come in the order in which they have asked, and who takes something back goes before the others.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager


class WriteTurns:
    """One turn at a time. Methods may be called from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._taken = False
        self._first: deque[threading.Event] = deque()
        self._others: deque[threading.Event] = deque()

    @property
    def waiting(self) -> int:
        """How many wait."""
        return len(self._first) + len(self._others)

    @contextmanager
    def turn(self, *, first: bool = False) -> Iterator[None]:
        """
        Wait for a turn, which ends with the block. Not one within another: it would wait for itself.

        Args:
            first: Whether to go before all who do not say so. Of these, one has a turn after each such: nobody waits for ever.
        """
        mine = threading.Event()
        with self._lock:
            if self._taken:
                (self._first if first else self._others).append(mine)
            else:
                self._taken = True
                mine.set()
        mine.wait()
        try:
            yield
        finally:
            self._hand_on(first)

    def _hand_on(self, went_first: bool) -> None:
        with self._lock:
            waiting = self._others if self._others and (went_first or not self._first) else self._first
            self._taken = bool(waiting)
            if waiting:
                waiting.popleft().set()
