"""A line in a terminal that says how far something is."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Generic, TextIO, TypeVar

EVERY_S = 0.1
_WIDTH = 24

T = TypeVar("T")
Shown = Callable[[T], "tuple[int | None, str]"]
"""Turns what is told into per cent (None where that is not known) and one line."""


class TerminalBar(Generic[T]):
    """
    Draws a bar on the last line of a terminal, ten times a second at most, and takes it away.

    Args:
        stream: Where; nothing is drawn where that is no terminal.
        shown: What to draw of what is told.
    """

    def __init__(self, stream: TextIO, shown: Shown[T]) -> None:
        self._stream = stream
        self._shown = shown
        self._on = stream.isatty()
        self._next = time.monotonic() + EVERY_S
        self._drawn = False

    def __call__(self, told: T) -> None:
        """Draw."""
        if self._on and time.monotonic() >= self._next:
            self._next = time.monotonic() + EVERY_S
            percent, line = self._shown(told)
            filled = round(_WIDTH * (percent or 0) / 100)
            bar = "" if percent is None else f"[{'#' * filled}{'.' * (_WIDTH - filled)}] "
            self._stream.write(f"\r\x1b[K{bar}{line}")
            self._stream.flush()
            self._drawn = True

    def close(self) -> None:
        """Take the line away."""
        if self._drawn:
            self._stream.write("\r\x1b[K")
            self._stream.flush()
            self._drawn = False
