"""What git is about to commit: the files of the index that differ from the last commit, as they are there."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, NamedTuple

from flowfile_nb.errors import UsageError
from flowfile_nb.scan.git import git
from flowfile_nb.scan.reading import PIECE

_SUBMODULE = b"160000"


class Staged(NamedTuple):
    """A file of the index."""

    path: str
    blob: str
    """Git's name for its content."""


def staged_files() -> list[Staged]:
    """
    Return what `git commit` would add or change now, in the repository of the current folder.

    Raises:
        UsageError: If this is no git work tree, or git is not installed.
    """
    # Paths as the repository sees them, from whatever folder.
    options = ("--raw", "-z", "--no-abbrev", "--no-renames", "--no-relative", "--diff-filter=ACMT")
    command = git("diff", "--cached", *options)
    done = subprocess.run(command, capture_output=True, check=False, stdin=subprocess.DEVNULL)
    if done.returncode:
        raise UsageError(
            "git cannot say what is staged: this folder is not in a work tree of git, or git does not trust it",
            hint="run it in the repository, or name what to scan:  scan PATH.  `git status` says more",
        )
    # `:old mode, new mode, old blob, new blob, status`, a NUL, the path, a NUL.
    fields = done.stdout.split(b"\0")
    found = []
    for facts, path in zip(fields[::2], fields[1::2], strict=False):
        _, mode, _, blob, _ = facts.split(b" ")
        if mode != _SUBMODULE:
            found.append(Staged(os.fsdecode(path), blob.decode()))
    return found


class Blobs:
    """Contents from git, all of them through one process."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._ask: IO[bytes] = process.stdin
        self._answer: IO[bytes] = process.stdout

    def open(self, blob: str) -> tuple[int, Iterator[bytes]]:
        """
        Return the size of a content and its pieces, which have to be read to the end before the next is opened.

        Raises:
            OSError: If git does not have it.
        """
        self._ask.write(blob.encode() + b"\n")
        self._ask.flush()
        answer = self._answer.readline().split()
        if len(answer) != 3:
            raise OSError(0, "git does not have its content")
        size = int(answer[2])
        return size, self._pieces(size)

    def _pieces(self, size: int) -> Iterator[bytes]:
        left = size
        while left:
            piece = self._answer.read(min(PIECE, left))
            if not piece:
                raise OSError(0, "git stopped in the middle of it")
            left -= len(piece)
            yield piece
        self._answer.read(1)  # the line break after it


@contextmanager
def blobs() -> Iterator[Blobs]:
    """Open git's contents."""
    with subprocess.Popen(
        git("cat-file", "--batch"), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        yield Blobs(process)
