"""What stands in the place of values, `[secret:NAME]`, and where that stands in text already."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable

from flowfile_nb.core.search import Span

_OPEN = b"[secret:"
NAMELESS = b"[secret]"


class Masks:
    """
    The masks of all names.

    Args:
        spans: Returns where values, or what else is looked for, stand in text, as far as they are known then.
    """

    def __init__(self, spans: Callable[[bytes], list[Span]]) -> None:
        self._spans = spans
        self._name_of: dict[bytes, str] = {}
        self._lengths = {len(NAMELESS)}
        self._of: dict[str, bytes] = {}

    def add(self, names: Iterable[str]) -> list[bytes]:
        """Know these names too; return what masks them."""
        new = {_masked(name): name for name in names}
        self._name_of |= new
        self._lengths |= {len(mask) for mask in new}
        return list(new)

    def values_learned(self) -> None:
        """Be told that `spans` knows more: a name may show a value now."""
        # Another dictionary: what is found out meanwhile with fewer values stays in the old one.
        self._of = {}

    def of(self, name: str) -> bytes:
        """Return `[secret:NAME]`; or `[secret]`, where the name would show a value."""
        known = self._of
        mask = known.get(name)
        if mask is None:
            mask = _masked(name)
            if any(end > len(_OPEN) and start < len(mask) - 1 for start, end, _ in self._spans(mask)):
                mask = NAMELESS
            known[name] = mask
        return mask

    def within(self, data: bytes) -> Masked:
        """Return where masks stand in *data*."""
        found = []
        start = data.find(_OPEN[:-1])
        while start >= 0:
            parts = {data[start : start + size] for size in self._lengths}
            length = max((len(part) for part in parts if self._is_mask(part)), default=0)
            if length:
                found.append((start, start + length))
            start = data.find(_OPEN[:-1], start + max(length, 1))
        return Masked(found)

    def _is_mask(self, text: bytes) -> bool:
        return text == NAMELESS or (text in self._name_of and self.of(self._name_of[text]) == text)


class Masked:
    """
    The places of masks in a text.

    Args:
        places: From where to where, in order.
    """

    __slots__ = ("_starts", "places")

    def __init__(self, places: list[tuple[int, int]]) -> None:
        self.places = places
        self._starts = [start for start, _ in places]

    def spares(self, start: int, end: int) -> bool:
        """Return whether a place overlaps a mask without being more than it: then it is the mask that makes the value."""
        places = self.places
        before = bisect_right(self._starts, start) - 1
        if before >= 0 and start < places[before][1] and not (places[before][0] == start and places[before][1] < end):
            return True
        last = bisect_left(self._starts, end) - 1
        return last > before and end < places[last][1]


def _masked(name: str) -> bytes:
    return _OPEN + name.encode("utf-8", "surrogatepass") + b"]"
