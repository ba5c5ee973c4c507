"""Whether JSON text holds a known value in one of its strings, without parsing it."""

from __future__ import annotations

import json
import re
import threading

from flowfile_nb.core.codes import SIGNS
from flowfile_nb.core.index import Index
from flowfile_nb.core.redaction import Redactor

_ESCAPED = re.compile(rb'["\\\x00-\x1f]')


class JsonSearch:
    r"""
    The search of packed messages: a redactor's patterns, and those that JSON writes otherwise in the way it writes them.

    A pattern stands in a string exactly where its JSON form stands in the packed text, so searching the packed text decides for
    all its strings, its keys and its numbers. Of codes for colours and the like only the strings themselves tell what they are,
    and what stands around them: a message that has some is found, too.

    Args:
        redactor: The values to look for; what it learns later counts too.

    >>> redactor = Redactor()
    >>> redactor.learn("pw", 'say "hi"')
    True
    >>> JsonSearch(redactor).finds(json.dumps(["I say \"hi\""]).encode())
    True
    """

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._rewritten: Index | None = None
        self._taken = 0
        self._forms: set[bytes] = set()
        # Reentrant: a finalizer may send a message while this thread is here.
        self._lock = threading.RLock()

    def finds(self, packed: bytes) -> bool:
        """Return whether a value stands in *packed*, or codes do: UTF-8 with escapes only where JSON must have them."""
        if len(self._redactor.patterns) != self._taken:
            self._take_in()
        return self._redactor.may_hit(packed) or (self._rewritten is not None and bool(self._rewritten.spans(packed)))

    def _take_in(self) -> None:
        with self._lock:
            patterns = self._redactor.patterns
            known = len(patterns)
            # Most are letters and digits, which JSON leaves as they are; and the JSON form of a sign has the sign in it.
            new = [
                _in_json(pattern)
                for pattern in patterns[self._taken : known]
                if _ESCAPED.search(pattern) and pattern not in SIGNS
            ]
            unknown = list(dict.fromkeys(form for form in new if form not in self._forms))
            if unknown:
                index = self._rewritten or Index(self._redactor.engine)
                index.add(unknown)
                self._rewritten = index
                self._forms.update(unknown)
            # Last, as in the redactor: who finds it taken in may count on it.
            self._taken = known


def _in_json(pattern: bytes) -> bytes:
    text = json.dumps(pattern.decode("utf-8", "surrogatepass"), ensure_ascii=False)
    return text[1:-1].encode("utf-8", "surrogatepass")
