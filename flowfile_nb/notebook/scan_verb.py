"""`%secret scan`: the same scan as on the command line, with a table and a bar that the front end draws."""

from __future__ import annotations

import sys
import time
from argparse import Namespace
from typing import TYPE_CHECKING, Any

from flowfile_nb import session
from flowfile_nb.notebook.table import Table
from flowfile_nb.scan.command import require_together
from flowfile_nb.scan.known import known_values
from flowfile_nb.scan.progress import EVERY_S, TerminalBar, described, percent
from flowfile_nb.scan.scanning import Progress, scan_staged
from flowfile_nb.scan.scanning import scan as scan_files
from flowfile_nb.scan.wording import words

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell


def scan(shell: InteractiveShell, args: Namespace) -> Table:
    """Return where values were found: file, place, name; and below that what was searched, and what to do."""
    require_together(args.paths, fix=args.fix, staged=args.staged)
    known = known_values(session.backend())
    bar = TerminalBar(sys.stderr) if getattr(shell, "kernel", None) is None else _NotebookBar()
    try:
        if args.staged:
            report = scan_staged(known, tell=bar)
        else:
            report = scan_files(known, args.paths, _history(shell), fix=args.fix, tell=bar)
    finally:
        bar.close()
    said = words(report, known)
    return Table(("file", "where", "secret"), said.rows, "\n".join([said.summary, *said.notes]))


def _history(shell: InteractiveShell) -> list[str]:
    history: Any = shell.history_manager
    return [str(history.hist_file)] if history is not None and history.enabled else []


class _NotebookBar:
    """A bar in the cell's output, twice a second; nothing is shown of a scan that is over by then."""

    def __init__(self) -> None:
        self._next = time.monotonic() + 5 * EVERY_S
        self._handle: Any = None

    def __call__(self, progress: Progress) -> None:
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + 5 * EVERY_S
        line = described(progress)
        bar = f"<progress max='100' value='{percent(progress)}'></progress> " if progress.total else ""
        self._show({"text/plain": line, "text/html": f"<p>{bar}{line}</p>"})

    def close(self) -> None:
        if self._handle is not None:
            # A saved notebook keeps the last state of it.
            self._show({"text/plain": "", "text/html": ""})

    def _show(self, bundle: dict[str, str]) -> None:
        from IPython.display import display

        if self._handle is None:
            self._handle = display(bundle, raw=True, display_id=True)  # type: ignore[no-untyped-call]
        else:
            self._handle.update(bundle, raw=True)
