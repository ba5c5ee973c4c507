"""A line in a terminal that says how far a scan is."""

from __future__ import annotations

import time
from typing import TextIO

from flowfile_nb.scan.scanning import Progress

EVERY_S = 0.1
_WIDTH = 24


def described(progress: Progress) -> str:
    """
    Return one line about it.

    >>> described(Progress(250_000_000, 1_000_000_000, 41, 3))
    '25 %  250 of 1,000 MB, 41 files, 3 places found'
    """
    done = f"{progress.done / 1e6:,.0f}"
    size = f"{percent(progress)} %  {done} of {progress.total / 1e6:,.0f} MB" if progress.total else f"{done} MB"
    return f"{size}, {progress.files:,} files, {progress.found:,} places found"


def percent(progress: Progress) -> int:
    """Return how much of it is done; files may have grown meanwhile."""
    return min(100, round(100 * progress.done / progress.total)) if progress.total else 0


class TerminalBar:
    """
    Draws a bar on the last line of a terminal, ten times a second at most, and takes it away.

    Args:
        stream: Where; nothing is drawn where that is no terminal.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._on = stream.isatty()
        self._next = time.monotonic() + EVERY_S
        self._drawn = False

    def __call__(self, progress: Progress) -> None:
        """Draw."""
        if self._on and time.monotonic() >= self._next:
            self._next = time.monotonic() + EVERY_S
            filled = round(_WIDTH * percent(progress) / 100)
            bar = "#" * filled + "." * (_WIDTH - filled)
            self._stream.write(f"\r\x1b[K{f'[{bar}] ' if progress.total else ''}{described(progress)}")
            self._stream.flush()
            self._drawn = True

    def close(self) -> None:
        """Take the line away."""
        if self._drawn:
            self._stream.write("\r\x1b[K")
            self._stream.flush()
            self._drawn = False
