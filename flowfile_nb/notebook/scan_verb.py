"""`%secret scan`: the same scan as on the command line, with a table and a bar that the front end draws."""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING, Any

from flowfile_nb import session
from flowfile_nb.notebook.bar import progress_bar
from flowfile_nb.notebook.table import Table
from flowfile_nb.scan.command import require_together
from flowfile_nb.scan.known import known_values
from flowfile_nb.scan.progress import shown
from flowfile_nb.scan.scanning import scan as scan_files
from flowfile_nb.scan.scanning import scan_staged
from flowfile_nb.scan.wording import words

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell


def scan(shell: InteractiveShell, args: Namespace) -> Table:
    """Return where values were found: file, place, name; and below that what was searched, and what to do."""
    require_together(args.paths, fix=args.fix, staged=args.staged)
    known = known_values(session.backend())
    bar = progress_bar(shell, shown)
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
