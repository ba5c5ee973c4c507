"""`python -m flowfile_nb import`: the same as `%secret import`, in a terminal."""

from __future__ import annotations

import argparse
import sys

from flowfile_nb.errors import NoPromptError
from flowfile_nb.importing.flow import import_secrets, request_of
from flowfile_nb.importing.keeper import Keeper


def run(args: argparse.Namespace, keeper: Keeper) -> int:
    """
    Import what the command line names, and return the exit status.

    Raises:
        FlowfileNbError: As `import_secrets`.
    """
    import_secrets(request_of(args), keeper, _AtTheTerminal())
    return 0


class _AtTheTerminal:
    def show(self, rows: list[tuple[str, str, str]], note: str) -> None:
        widths = [max((len(row[column]) for row in rows), default=0) for column in range(3)]
        for row in rows:
            print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
        if note:
            print(note)

    def say(self, text: str) -> None:
        print(text)

    def confirm(self, question: str, *, otherwise: str) -> bool:
        if not sys.stdin or not sys.stdin.isatty():
            hint = otherwise.replace("%secret", "python -m flowfile_nb", 1)
            raise NoPromptError("nobody can be asked: this is no terminal; nothing was changed", hint=hint)
        try:
            return input(f"{question} [y/N] ").strip().lower() in {"y", "yes"}
        except EOFError:
            return False
