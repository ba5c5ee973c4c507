"""
Large requests of one caller are taken in one after the other; the others wait, and what they say stays unread.

To read a request takes the front's memory, and to understand it the one thread that answers everybody.
"""

from __future__ import annotations

import asyncio

LARGE_BYTES = 8 * 1024
"""Of a body: a smaller one waits for nobody."""


class Turns:
    """
    Whose turn it is. Belongs to one event loop.

    Args:
        at_once: How many requests of one caller have their turn at the same time.
    """

    def __init__(self, at_once: int) -> None:
        self._at_once = at_once
        self._turns: dict[str, asyncio.Semaphore] = {}
        # With those who wait.
        self._count: dict[str, int] = {}

    async def take(self, name: str) -> None:
        """Return when it is the caller's turn; `leave` ends it."""
        turn = self._turns.setdefault(name, asyncio.Semaphore(self._at_once))
        self._count[name] = self._count.get(name, 0) + 1
        try:
            await turn.acquire()
        except BaseException:
            self._forget(name)
            raise

    def leave(self, name: str) -> None:
        """End a turn."""
        self._turns[name].release()
        self._forget(name)

    def _forget(self, name: str) -> None:
        self._count[name] -= 1
        if not self._count[name]:
            del self._count[name], self._turns[name]
