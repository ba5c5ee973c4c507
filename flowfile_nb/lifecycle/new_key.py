"""
`python -m flowfile_nb new-key`: a master key for Flowfile's docker mode, as the line that its `.env` file takes.

It is shown on a terminal or written to a file, and nowhere else: never in a notebook, where it would be saved.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping
from typing import TextIO

from flowfile_nb.core.crypto import generate_master_key
from flowfile_nb.errors import StoreError, UsageError
from flowfile_nb.storage.private_files import create_private

VARIABLE = "FLOWFILE_MASTER_KEY"
# What Jupyter and ipykernel leave in the environment of what a cell starts, which has a terminal of its own there.
_OF_A_KERNEL = ("JPY_PARENT_PID", "JPY_SESSION_NAME", "JPY_INTERRUPT_EVENT")
_OF_IPYKERNEL = {"PAGER": "cat", "GIT_PAGER": "cat", "CLICOLOR": "1"}
_KEEP = "Keep a copy in a password manager: without it nobody can open the secrets again. Then start the container anew."


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument("--file", metavar="PATH", help="write the line to a new file that only you can read, and show nothing")


def run(args: argparse.Namespace, environ: Mapping[str, str], output: TextIO) -> int:
    """
    Make a key and hand it over; nothing of this machine's store is read or changed.

    Raises:
        UsageError: If it would be shown anywhere but on a terminal, or the file exists.
        StoreError: If the file cannot be written.
    """
    if args.file is None and (not output.isatty() or _in_a_notebook(environ)):
        raise UsageError(
            "a master key is shown on a terminal only: here it would be kept, in a notebook or in a log. None was made",
            hint="run it in a terminal, or have it written:  python -m flowfile_nb new-key --file master_key.env",
        )
    line = f"{VARIABLE}={generate_master_key().decode()}"
    if args.file is None:
        print(line, file=output)
        print(f"Put this line into the .env file of the container. {_KEEP}", file=sys.stderr)
        return 0
    path = os.path.abspath(os.path.expanduser(args.file))
    _write(path, line)
    print(f"Wrote {path}, which only you can read: put its line into the .env file of the container. {_KEEP}", file=output)
    return 0


def _write(path: str, line: str) -> None:
    try:
        created = create_private(path, f"{line}\n".encode())
    except OSError as error:
        raise StoreError(f"cannot write {path}: {error.strerror}", hint="name a file in a folder of your own") from None
    if not created:
        raise UsageError(f"{path} exists; it was not changed, and no key was made", hint="name a new file:  --file PATH")


def _in_a_notebook(environ: Mapping[str, str]) -> bool:
    ipykernels = all(environ.get(name) == value for name, value in _OF_IPYKERNEL.items())
    return ipykernels or any(name in environ for name in _OF_A_KERNEL)
