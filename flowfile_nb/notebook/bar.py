"""A bar that says how far something is: in the cell's output, or on the last line of a terminal."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any, Generic

from flowfile_nb.progress import EVERY_S, Shown, T, TerminalBar

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell


def progress_bar(shell: InteractiveShell, shown: Shown[T]) -> TerminalBar[T] | NotebookBar[T]:
    """
    Return the bar that fits the front end: call it with what is told, and close it in the end.

    Args:
        shell: Whose front end.
        shown: Turns what is told into per cent (None where that is not known) and one line.
    """
    return TerminalBar(sys.stderr, shown) if getattr(shell, "kernel", None) is None else NotebookBar(shown)


class NotebookBar(Generic[T]):
    """A bar in the cell's output, twice a second; nothing is shown of what is over by then."""

    def __init__(self, shown: Shown[T]) -> None:
        self._shown = shown
        self._next = time.monotonic() + 5 * EVERY_S
        self._handle: Any = None

    def __call__(self, told: T) -> None:
        """Draw."""
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + 5 * EVERY_S
        percent, line = self._shown(told)
        bar = "" if percent is None else f"<progress max='100' value='{percent}'></progress> "
        self._show({"text/plain": line, "text/html": f"<p>{bar}{line}</p>"})

    def close(self) -> None:
        """Leave nothing in the output."""
        if self._handle is not None:
            # A saved notebook keeps the last state of it.
            self._show({"text/plain": "", "text/html": ""})

    def _show(self, bundle: dict[str, str]) -> None:
        from IPython.display import display

        if self._handle is None:
            self._handle = display(bundle, raw=True, display_id=True)  # type: ignore[no-untyped-call]
        else:
            self._handle.update(bundle, raw=True)
