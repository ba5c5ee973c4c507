"""Values in a stream of bytes: with the line where they stand, in memory that does not grow with the file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from flowfile_nb.scan.finding import Place
from flowfile_nb.scan.known import Known
from flowfile_nb.scan.reading import PIECE

_BEGINNING = 8192


def search_text(pieces: Iterable[bytes], known: Known) -> Iterator[Place]:
    """
    Yield each place of a value, with its line; without one in binary data, which is what has a NUL near its beginning.

    A value that is cut by the pieces is found like any other: what is searched reaches on both sides as far over what is
    decided as the longest form of any value.
    """
    reach, window = known.reach, max(PIECE, 8 * known.reach)
    data, decided, line = b"", 0, 1
    binary: bool | None = None
    for piece, last in _last_marked(pieces):
        data += piece
        if len(data) < window and not last:
            continue
        if binary is None:
            binary = b"\0" in data[:_BEGINNING]
        end = len(data) if last else len(data) - reach
        at, number = 0, line
        for hit in known.redactor.find(data):
            if decided <= hit.start < end:
                number += data.count(b"\n", at, hit.start)
                at = hit.start
                yield Place(hit.name, line=None if binary else number)
        if last:
            return
        keep = end - reach
        if not binary:
            line += data.count(10, 0, keep)
        data, decided = data[keep:], reach


def _last_marked(pieces: Iterable[bytes]) -> Iterator[tuple[bytes, bool]]:
    """Yield each piece and whether it is the last; an empty one if there is none."""
    before = b""
    for piece in pieces:
        if before:
            yield before, False
        before = piece
    yield before, True
