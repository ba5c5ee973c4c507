"""Patterns that can be added while they are searched: they count at once, and one database is made of all behind the scenes."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from flowfile_nb.core.search import EngineName, Matcher, Span, usable

# So many are built in 4 ms by hyperscan; a thousand secrets' 9,000 take it 75, which would be felt in a cell.
_AT_ONCE = 500


class Index:
    """
    Patterns that can be added at any time, and are found from then on.

    Beside the large database of what came before, what is new is in a second, small one. New patterns that are too many for
    that are searched with ahocorasick_rs, which builds 9,000 in 8 ms, until a thread has built the large database of all:
    hyperscan does so without the GIL.

    Args:
        engine: Which library searches.
    """

    def __init__(self, engine: EngineName) -> None:
        self.patterns: list[bytes] = []
        self._engine = engine
        self._large: list[tuple[int, Matcher]] = []
        self._in_large = 0
        self._tiers: list[tuple[int, Matcher]] = []
        # Reentrant: a finalizer may write output while this thread is adding.
        self._lock = threading.RLock()
        self._builder: threading.Thread | None = None

    def add(self, patterns: Sequence[bytes]) -> None:
        """Find *patterns* from now on. They differ from each other and from all that are here."""
        with self._lock:
            self.patterns += patterns
            self._arrange()

    def spans(self, data: bytes) -> list[Span]:
        """Return where every pattern stands in *data*, overlapping ones too, in no promised order."""
        found: list[Span] = []
        for first, matcher in self._tiers:
            found += [(start, end, first + index) for start, end, index in matcher.spans(data)]
        return found

    def wait(self) -> None:
        """Return when nothing is being built; for measuring."""
        while (builder := self._builder) and builder.is_alive():
            builder.join()

    def _arrange(self) -> None:
        arranged = -1
        # Once; more often only if a finalizer that ran meanwhile has added some.
        while arranged != len(self.patterns):
            everything = self.patterns[:]
            arranged = len(everything)
            engine = self._engine
            many = arranged - self._in_large > _AT_ONCE
            background = many and engine == "hyperscan" and usable("ahocorasick_rs")
            if background:
                engine = "ahocorasick_rs"
            elif many:
                self._enlarge(Matcher(everything, engine), arranged)
            new = everything[self._in_large :]
            # Replaced as a whole, for those who search meanwhile.
            self._tiers = [*self._large, (self._in_large, Matcher(new, engine))] if new else self._large
            if background and self._builder is None:
                self._builder = threading.Thread(target=self._build, name="flowfile_nb redaction", daemon=True)
                self._builder.start()

    def _build(self) -> None:
        everything = self.patterns[:]
        large = Matcher(everything, self._engine)
        with self._lock:
            self._builder = None
            self._enlarge(large, len(everything))
            self._arrange()

    def _enlarge(self, large: Matcher, count: int) -> None:
        self._large, self._in_large = [(0, large)], count
