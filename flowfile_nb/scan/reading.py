"""Files read in pieces, without disturbing a database that this very process has open."""

from __future__ import annotations

import codecs
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator

PIECE = 4 << 20
_COPY = "import shutil, sys; shutil.copyfileobj(open(sys.argv[1], 'rb'), sys.stdout.buffer, 1 << 20)"
_UTF16 = {codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}


class Reader:
    """
    Reads files.

    What this process has open already is read by another process: to close a file drops all locks that a process holds on it
    (POSIX), and SQLite, which IPython's history and the user's own code may have open, would lose its locks in mid-write.
    """

    def __init__(self) -> None:
        self._open_here = _open_here()

    def pieces(self, path: str) -> Iterator[bytes]:
        """
        Yield the bytes of a file, some megabytes at a time. It is not mapped into memory: a file cut short would then kill us.

        Raises:
            OSError: If it cannot be read.
        """
        known = os.stat(path)
        if (known.st_dev, known.st_ino) in self._open_here:
            yield from _read_by_another_process(path)
            return
        with open(path, "rb", buffering=0) as file:
            while piece := file.read(PIECE):
                yield piece

    def whole(self, path: str) -> bytes:
        """
        Return all bytes of a file.

        Raises:
            OSError: If it cannot be read.
        """
        return b"".join(self.pieces(path))


def as_utf8(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Yield *pieces* as they are; as UTF-8 if they begin with the mark of UTF-16, as what PowerShell writes does."""
    decoder: codecs.IncrementalDecoder | None = None
    for number, piece in enumerate(pieces):
        if not number and piece[:2] in _UTF16:
            decoder = codecs.getincrementaldecoder(_UTF16[piece[:2]])("replace")
        yield decoder.decode(piece).encode("utf-8", "replace") if decoder else piece


def _open_here() -> set[tuple[int, int]]:
    """Return device and number of each file that this process has open; none where the system does not list them."""
    found = set()
    try:
        descriptors = os.listdir("/dev/fd")
    except OSError:
        return set()
    for descriptor in descriptors:
        try:
            status = os.fstat(int(descriptor))
        except OSError:
            continue  # the one that listed them
        found.add((status.st_dev, status.st_ino))
    return found


def _read_by_another_process(path: str) -> Iterator[bytes]:
    # Absolute, so that it cannot be taken for an option.
    command = [sys.executable, "-I", "-S", "-c", _COPY, os.path.abspath(path)]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        while piece := process.stdout.read(PIECE):
            yield piece
    if process.returncode:
        raise OSError(process.returncode, "another program uses it")
