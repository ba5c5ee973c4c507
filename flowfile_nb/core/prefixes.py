"""Whether text ends in what may be the beginning of a pattern."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator

# Longer patterns than this are few; their beginnings are found by `bytes.find`, not by looking at each place.
_LONG = 512
_HEAD = 4


class Prefixes:
    """
    The beginnings of a set of patterns.

    Args:
        patterns: Byte strings.

    >>> Prefixes([b"hunter2"]).open_end(b"a ship hunt")
    7
    """

    def __init__(self, patterns: Iterable[bytes] = ()) -> None:
        self.longest = 0
        self._sorted: list[bytes] = []
        self._heads: set[bytes] = set()
        self._inside = b""
        self._long: dict[bytes, list[bytes]] = {}
        self.add(patterns)

    def add(self, patterns: Iterable[bytes]) -> None:
        """Know these too."""
        new = list(patterns)
        self.longest = max([self.longest, *map(len, new)])
        heads = set(new)
        for length in range(_HEAD, 0, -1):
            # The shorter ones are those of fewer and fewer.
            heads = {head[:length] for head in heads}
            self._heads |= heads
        for pattern in new:
            if len(pattern) > _LONG:
                self._long.setdefault(pattern[:_LONG], []).append(pattern)
        self._inside = _distinct(self._inside + b"".join(new))
        # A new list: another thread may be searching the old one.
        self._sorted = sorted(self._sorted + new)

    def open_end(self, data: bytes) -> int:
        """Return where the longest end of *data* starts that a pattern begins with, and goes on after; else its length."""
        size = len(data)
        if not data or data[-1] not in self._inside:
            return size
        first = max(0, size - self.longest + 1)
        # No beginning of a pattern reaches over a byte that stands inside of none.
        first += len(data[first:].rstrip(self._inside))
        if size - first >= _LONG:
            long = [at for head in self._long for at in self._starts(data, head, first)]
            if long:
                return min(long)
            first = size - _LONG + 1
        for at in range(first, size):
            if data[at : at + _HEAD] in self._heads and self.begins(data[at:]):
                return at
        return size

    def begins(self, text: bytes) -> bool:
        """Return whether some pattern begins with *text* and is longer."""
        patterns = self._sorted
        after = bisect_right(patterns, text)
        return after < len(patterns) and patterns[after].startswith(text)

    def longer(self, text: bytes) -> Iterator[bytes]:
        """Yield the patterns that begin with *text* and go on after it."""
        patterns = self._sorted
        for at in range(bisect_right(patterns, text), len(patterns)):
            if not patterns[at].startswith(text):
                break
            yield patterns[at]

    def goes_on(self, text: bytes, more: bytes) -> bool:
        """Return whether some pattern that begins with *text* goes on with *more*, and after; quick for a long *text*."""
        length = len(text)
        return any(len(one) > length + len(more) and one.startswith(more, length) for one in self.longer(text))

    def _starts(self, data: bytes, head: bytes, first: int) -> Iterable[int]:
        at = data.find(head, first)
        while at >= 0:
            if self.begins(data[at:]):
                yield at
                return
            at = data.find(head, at + 1)


def _distinct(data: bytes) -> bytes:
    """Return each byte of *data* once; in C but for a few thousand of them."""
    found = b""
    while data:
        some = bytes(set(data[:4096]))
        found += some
        data = data.translate(None, some)
    return found
