"""
Many byte strings looked for at once, exactly as they are: nothing in them is an expression.

Two libraries do this. For a thousand secrets, which are some 9,000 patterns, hyperscan scans 4 GB/s and ahocorasick_rs 0.1 to
0.4; but hyperscan builds its database of them in 75 ms, without the GIL, and ahocorasick_rs in 8.

The first short texts, as in a kernel's first cells, are searched without either: to import one and to build its database
takes longer than a hundred of such searches. Who has shown more than that gets it.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from importlib.util import find_spec
from typing import Any, Literal, Protocol

from flowfile_nb.errors import MissingDriverError

EngineName = Literal["hyperscan", "ahocorasick_rs"]
Span = tuple[int, int, int]
"""Start, end, and which pattern."""

# Of a longer pattern this much is searched, and the rest compared: so ahocorasick_rs builds 16,000 patterns in 13 ms instead of
# 35, hyperscan in half of the time, and neither searches slower. hyperscan would take no more than 16,000 bytes.
_HEAD: dict[EngineName, int] = {"hyperscan": 32, "ahocorasick_rs": 12}
# So many bytes, times patterns, are looked through without a library, in some 0.5 ms in all.
_WITHOUT_LIBRARY = 2**20
_CALL = 100  # bytes that could be looked through while one search of one pattern begins
# More patterns than this are looked for in few texts that are short enough, and take long to build: they are built at once.
_FEW = 500


def usable(engine: EngineName) -> bool:
    """Return whether that library is installed."""
    # Not imported: that takes a millisecond, and may never be needed.
    return find_spec(engine) is not None


def engine_name() -> EngineName:
    """
    Return the engine that is used here.

    Raises:
        MissingDriverError: If there is none.
    """
    if usable("hyperscan"):
        return "hyperscan"
    if usable("ahocorasick_rs"):
        return "ahocorasick_rs"
    raise MissingDriverError(
        "neither hyperscan nor ahocorasick_rs can be imported, so no output can be searched for secrets",
        hint="pip install hyperscan  (or, where it has no wheel:  pip install ahocorasick_rs)",
    )


class Matcher:
    """
    A fixed set of patterns, searched at once.

    Args:
        patterns: Different byte strings, none of them empty; any bytes.
        engine: Which library searches.

    >>> Matcher([b"a.c", b"c]"], engine_name()).spans(b"abc a.c]")
    [(4, 7, 0), (6, 8, 1)]
    """

    def __init__(self, patterns: Sequence[bytes], engine: EngineName) -> None:
        self._size = _HEAD[engine]
        by_head: dict[bytes, list[int]] = {}
        for index, pattern in enumerate(patterns):
            by_head.setdefault(pattern[: self._size], []).append(index)
        self._patterns = patterns
        self._heads = list(by_head)
        self._of_head = list(by_head.values())
        self._name = engine
        self._library: _Engine | None = _built(engine, self._heads) if len(self._heads) > _FEW else None
        self._plain = _Plain(self._heads)
        self._left = _WITHOUT_LIBRARY

    def spans(self, data: bytes) -> list[Span]:
        """Return where every pattern stands in *data*, overlapping ones too, in no promised order."""
        found = []
        library = self._library
        if library is None:
            self._left -= len(self._heads) * (len(data) + _CALL)
            if self._left < 0:
                # Threads that come here at once build one each, and the last of them stays.
                library = self._library = _built(self._name, self._heads)
        for head, end in (library or self._plain).ends(data):
            start = end - len(self._heads[head])
            for index in self._of_head[head]:
                pattern = self._patterns[index]
                if len(pattern) <= self._size or data.startswith(pattern, start):
                    found.append((start, start + len(pattern), index))
        return found


class _Engine(Protocol):
    def ends(self, data: bytes) -> list[tuple[int, int]]:
        """Return each pattern's index and where it ends."""


def _built(engine: EngineName, patterns: Sequence[bytes]) -> _Engine:
    """Return what searches. Raises ImportError where no library can be loaded: nothing that was not searched may go out."""
    if engine == "hyperscan":
        # It is installed; something that it needs may not be.
        with suppress(ImportError):
            return _Hyperscan(patterns)
    return _AhoCorasick(patterns)


class _Plain:
    """Searches for one pattern after the other, as exactly."""

    def __init__(self, patterns: Sequence[bytes]) -> None:
        self._patterns = patterns

    def ends(self, data: bytes) -> list[tuple[int, int]]:
        found = []
        for index, pattern in enumerate(self._patterns):
            start = data.find(pattern)
            while start >= 0:
                found.append((index, start + len(pattern)))
                start = data.find(pattern, start + 1)
        return found


class _Hyperscan:
    def __init__(self, patterns: Sequence[bytes]) -> None:
        import hyperscan

        self._database = hyperscan.Database()
        # The literal compiler takes C strings. With a NUL in one, all are given as expressions made of nothing but \xNN.
        literal = not any(b"\0" in pattern for pattern in patterns)
        self._database.compile(
            expressions=patterns
            if literal
            else [b"\\x" + pattern.hex(" ").replace(" ", "\\x").encode() for pattern in patterns],
            ids=range(len(patterns)),
            elements=len(patterns),
            flags=0,
            literal=literal,
        )
        self._scratches: list[Any] = []

    def ends(self, data: bytes) -> list[tuple[int, int]]:
        found: list[tuple[int, int]] = []
        # A scratch serves one scan at a time, and other threads may scan; there is no lock that a signal could find taken.
        try:
            scratch = self._scratches.pop()
        except IndexError:
            scratch = self._database.scratch.clone()
        self._database.scan(
            data, match_event_handler=lambda index, _start, end, _flags, _context: found.append((index, end)), scratch=scratch
        )
        self._scratches.append(scratch)
        return found


class _AhoCorasick:
    def __init__(self, patterns: Sequence[bytes]) -> None:
        import ahocorasick_rs

        self._automaton = ahocorasick_rs.BytesAhoCorasick(patterns)

    def ends(self, data: bytes) -> list[tuple[int, int]]:
        return [(index, end) for index, _, end in self._automaton.find_matches_as_indexes(data, overlapping=True)]
