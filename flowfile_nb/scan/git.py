"""Git, asked for what it knows; it is not asked to change anything."""

from __future__ import annotations

import shutil

from flowfile_nb.errors import UsageError


def git(*arguments: str) -> list[str]:
    """
    Return a command line of git's. The repository cannot name a program of its own to watch its files.

    Raises:
        UsageError: If git is not installed.
    """
    program = shutil.which("git")
    if program is None:
        raise UsageError("git was not found, so nothing can be staged", hint="name what to scan:  scan PATH")
    return [program, "-c", "core.fsmonitor=false", *arguments]
