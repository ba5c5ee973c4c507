"""`python -m flowfile_nb scan`: its options, and what it prints."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from flowfile_nb.backend import SecretBackend
from flowfile_nb.errors import UsageError
from flowfile_nb.progress import TerminalBar
from flowfile_nb.scan.finding import Report
from flowfile_nb.scan.known import known_values
from flowfile_nb.scan.progress import shown
from flowfile_nb.scan.scanning import scan, scan_staged
from flowfile_nb.scan.wording import as_text, words

CLEAN, FOUND = 0, 1

DESCRIPTION = """\
Search files for the values of your secrets, as they are and in the usual encodings (JSON, HTML, URL, base64, hex).
Names, files and places are printed, never a value. Nothing leaves this machine.

Without PATH: the current folder (where git manages it, the files that git tracks or would; .ipynb_checkpoints and .env
files although git ignores them), and IPython's history. With PATH: all that is in it.

exit status: 0 clean, 1 something was found (masked or not), 2 it could not be done"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    parser.description, parser.formatter_class = DESCRIPTION, argparse.RawDescriptionHelpFormatter
    parser.add_argument("paths", nargs="*", metavar="PATH", help="a file or a folder")
    parser.add_argument(
        "--fix", action="store_true", help="mask outputs, metadata and widget state of notebooks, after a backup"
    )
    parser.add_argument("--staged", action="store_true", help="search what git is about to commit, for a hook")
    parser.add_argument("--quiet", action="store_true", help="print what was found, and nothing else")


def require_together(paths: Sequence[str], *, fix: bool, staged: bool) -> None:
    """
    Let options pass that go together.

    Raises:
        UsageError: If they do not.
    """
    if staged and (paths or fix):
        raise UsageError(
            "--staged takes no path and no --fix: it looks at what git is about to commit",
            hint="scan --fix PATH   changes the files;  git add  them again",
        )


def run(args: argparse.Namespace, backend: SecretBackend, histories: Sequence[str]) -> int:
    """
    Scan, print the report, and return the exit status.

    Raises:
        UsageError: If a path does not exist, or `--staged` finds no repository.
        StoreError: If the secrets cannot be read.
    """
    require_together(args.paths, fix=args.fix, staged=args.staged)
    known = known_values(backend)
    bar = TerminalBar(sys.stderr, shown)
    try:
        if args.staged:
            report: Report = scan_staged(known, tell=bar)
        else:
            report = scan(known, args.paths, histories, fix=args.fix, tell=bar)
    finally:
        bar.close()
    said = words(report, known)
    for row in said.rows:
        print(as_text(row))
    if not args.quiet:
        print("\n".join([said.summary, *said.notes]))
    return FOUND if report.findings else CLEAN
