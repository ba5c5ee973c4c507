"""Known values in text, in any usual encoding, replaced by the names of their secrets."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from flowfile_nb.core.codes import ESCAPE, SIGNS, Origin, codes, uncoded, without_begun
from flowfile_nb.core.encodings import MIN_CHARACTERS, patterns_of
from flowfile_nb.core.index import Index
from flowfile_nb.core.key_files import secrets_in
from flowfile_nb.core.masks import NAMELESS, Masked, Masks
from flowfile_nb.core.prefixes import Prefixes
from flowfile_nb.core.search import EngineName, Span, engine_name
from flowfile_nb.core.shortened import Beginning, heads_of

# So much of a value with colours in it, cut by a flush, waits for the rest; less is what many texts end in.
_CUT_UNDER_CODES = 4


class Hit:
    """
    Where a value stands, in bytes, and the name of its secret.

    No NamedTuple: a kernel's first cell would wait for it longer than for a small module.
    """

    __slots__ = ("end", "name", "start")

    def __init__(self, start: int, end: int, name: str) -> None:
        self.start = start
        self.end = end
        self.name = name


class Redactor:
    """
    The values to mask, and the masking of text.

    A value counts from the moment it is learned. All its places are found in one pass; where several overlap, one mask covers
    all of them and names the longest. Text that is masked already stays as it is. Codes for colours, and `<span>` tags, in the
    middle of a value do not hide it; those that are switched there stay switched. Nor do dots at its end, where most of it, or
    as much as a library shows by default, stands before them. Safe to use from several threads.

    Args:
        engine: The library that searches; the fastest there is where this is None.

    >>> redactor = Redactor()
    >>> redactor.learn("prod_pw", "hunter2")
    True
    >>> redactor.mask("pw=hunter2, base64 aHVudGVyMg==")
    'pw=[secret:prod_pw], base64 [secret:prod_pw]'
    """

    def __init__(self, engine: EngineName | None = None) -> None:
        self._engine = engine
        self._index: Index | None = None
        self._learned: set[tuple[str, str]] = set()
        self._pending: dict[tuple[str, str], None] = {}
        self._names: dict[bytes, str] = {}
        self._beginnings: dict[bytes, Beginning] = {}
        self._searched: set[bytes] = set()
        self._prefixes = Prefixes([NAMELESS])
        self._masks = Masks(self._spans)
        # Reentrant: a finalizer may write output while this thread is learning.
        self._lock = threading.RLock()

    @property
    def engine(self) -> EngineName:
        """
        The library that searches.

        Raises:
            MissingDriverError: If none is installed; so do the methods that search, once a value is known.
        """
        if self._engine is None:
            self._engine = engine_name()
        return self._engine

    @property
    def patterns(self) -> Sequence[bytes]:
        """All that is searched for, in the order in which it was learned; more is added at the end."""
        if self._pending:
            self._take_in()
        return self._index.patterns if self._index else ()

    def learn(self, name: str, value: str) -> bool:
        """
        Mask *value* from now on, and still after the secret got another value; return whether it is long enough for that.

        What a JSON object holds under the usual keys of secrets is masked, too, as the private key of a service account. Takes
        less than a microsecond: its encodings are made when there is next something to mask.
        """
        if len(value) < MIN_CHARACTERS:
            return False
        pair = (name, value)
        if pair not in self._learned:
            # In this order: who finds it learned may count on it.
            self._pending[pair] = None
            self._learned.add(pair)
        return True

    def learned(self) -> set[tuple[str, str]]:
        """Return the names and values that are masked."""
        return self._learned

    def mask(self, text: str) -> str:
        """Return *text* with each value replaced by `[secret:NAME]`; the very same object if there is none."""
        data = text.encode("utf-8", "surrogatepass")
        masked = self.mask_bytes(data)
        return text if masked is data else masked.decode("utf-8", "surrogatepass")

    def mask_bytes(self, data: bytes) -> bytes:
        """Return *data* with each value replaced by `[secret:NAME]`; the very same object if there is none."""
        hits = self.find(data)
        if not hits:
            return data
        parts = []
        end = 0
        for hit in hits:
            parts += [data[end : hit.start], self.mask_for(hit.name, data[hit.start : hit.end])]
            end = hit.end
        return b"".join([*parts, data[end:]])

    def find(self, data: bytes) -> list[Hit]:
        """Return what has to be masked in *data*, in order; places that overlap are one, with the name of the longest."""
        merged: list[Hit] = []
        longest = 0
        for hit in self.matches(data):
            if merged and hit.start < merged[-1].end:
                last = merged[-1]
                length = hit.end - hit.start
                name = hit.name if length > longest else last.name
                merged[-1] = Hit(last.start, max(last.end, hit.end), name)
                longest = max(longest, length)
            else:
                merged.append(hit)
                longest = hit.end - hit.start
        return merged

    def hits(self, data: bytes) -> bool:
        """Return whether anything has to be masked in *data*."""
        return bool(self.matches(data))

    def may_hit(self, data: bytes) -> bool:
        """Return whether a value stands in *data*, or signs of codes that may hide one; quicker than `hits` where they do."""
        if self._pending:
            self._take_in()
        hits, has_codes = self._read(data)
        return bool(hits) or has_codes

    def matches(self, data: bytes) -> list[Hit]:
        """Return every place of a value in *data*, overlapping ones too, by start, the longest first; but none in a mask."""
        if self._pending:
            self._take_in()
        if self._index is None:
            return []
        hits, has_codes = self._read(data)
        if has_codes or ESCAPE in data:
            under, _ = self._read(uncoded(data))
            if under:
                origin, known = Origin(data), {(hit.start, hit.end) for hit in hits}
                places = [(*origin.place(hit.start, hit.end), hit.name) for hit in under]
                hits += [Hit(start, end, name) for start, end, name in places if (start, end) not in known]
                hits.sort(key=lambda hit: (hit.start, -hit.end))
        return hits

    def _read(self, data: bytes) -> tuple[list[Hit], bool]:
        """Return the places of values in *data* as it stands, and whether signs of codes were found in it."""
        index, names, beginnings = self._index, self._names, self._beginnings
        spans = index.spans(data) if index else []
        if not index or not spans:
            return [], False
        patterns = index.patterns
        found = [(start, end, names[patterns[at]]) for start, end, at in spans if patterns[at] in names]
        for start, _, at in spans:
            beginning = beginnings.get(patterns[at])
            cut = beginning.find(data, start) if beginning else None
            if cut:
                found.append((start, *cut))
        masks = self._masks.within(data) if found else Masked([])
        hits = [
            Hit(start, end, name)
            for start, end, name in sorted(found, key=lambda span: (span[0], -span[1]))
            if not masks.spares(start, end)
        ]
        return hits, any(patterns[at] in SIGNS for _, _, at in spans)

    def _spans(self, data: bytes) -> list[Span]:
        return self._index.spans(data) if self._index else []

    def wait(self) -> None:
        """Return when no database is being built; for measuring."""
        if self._index:
            self._index.wait()

    def mask_of(self, name: str) -> bytes:
        """Return `[secret:NAME]`; or `[secret]`, where the name would show a value."""
        return self._masks.of(name)

    def mask_for(self, name: str, covered: bytes) -> bytes:
        """Return the mask for a place in text, with the codes in the middle of what it covers after it."""
        mask = self.mask_of(name)
        if covered in self._names:
            return mask
        return mask + b"".join(code for code in codes(covered) if not self._read(code)[0])

    def undecided(self, data: bytes) -> int:
        """Return where in *data* the earliest value, or mask, starts whose end may still be to come; else its length."""
        if self._pending:
            self._take_in()
        cut = self._prefixes.open_end(data)
        if ESCAPE in data:
            cut = min(cut, self._undecided_under_codes(data))
        if cut < len(data):
            for start, end in self._masks.within(data).places:
                if start < cut < end:
                    return start
        return cut

    def begun(self, data: bytes) -> Hit | None:
        """Return the longest end of *data* that is most of a value, though not all: over half of it, and 4 characters."""
        if self._pending:
            self._take_in()
        if (hit := self._begun(data)) is not None or ESCAPE not in data:
            return hit
        under = self._begun(uncoded(without_begun(data)))
        return under and Hit(*Origin(data).place(under.start, under.end), under.name)

    def _begun(self, data: bytes) -> Hit | None:
        masks = self._masks.within(data)
        size = len(data)
        at = self._prefixes.open_end(data)
        while at < size:
            text = data[at:]
            if len(text.decode("utf-8", "ignore")) < MIN_CHARACTERS:
                break
            for pattern in self._prefixes.longer(text):
                if pattern in self._names and len(pattern) < 2 * len(text) and not masks.spares(at, size):
                    return Hit(at, size, self._names[pattern])
            at += 1 + self._prefixes.open_end(text[1:])
        return None

    def goes_on(self, data: bytes, more: bytes) -> bool:
        """Return whether *data*, undecided from its start on, still is so with *more* after it. Quick for long *data*."""
        return self._prefixes.goes_on(data, more)

    def _undecided_under_codes(self, data: bytes) -> int:
        # No further back: a stream of nothing but codes would be held for ever.
        first = max(0, len(data) - 4 * self._prefixes.longest)
        tail = data[first:]
        text = uncoded(without_begun(tail))
        at = self._prefixes.open_end(text)
        if len(text) - at < _CUT_UNDER_CODES:
            return len(data)
        return first + Origin(tail).place(at, len(text))[0]

    def _take_in(self) -> None:
        with self._lock:
            learned = list(self._pending)
            new: dict[bytes, str] = {}
            heads: list[bytes] = []
            for name, text in [(name, text) for name, value in learned for text in (value, *secrets_in(value))]:
                for pattern in patterns_of(text):
                    if pattern not in self._searched or pattern not in self._names:
                        new.setdefault(pattern, name)
                for head in heads_of(text):
                    heads.append(head)
                    if head not in self._beginnings:
                        self._beginnings[head] = Beginning(head)
                    self._beginnings[head].add(text, name)
            self._names |= new
            self._prefixes.add([*new, *self._masks.add(name for name, _ in learned)])
            index = self._index or Index(self.engine)
            searched = [pattern for pattern in dict.fromkeys((*new, *heads, *SIGNS)) if pattern not in self._searched]
            index.add(searched)
            self._index = index
            self._masks.values_learned()
            # Last: interrupted before, all is done again, and until then no thread masks without what it has not got.
            self._searched.update(searched)
            for pair in learned:
                self._pending.pop(pair, None)
