r"""
Text as a person reads it: without the codes for colours, and the tags, that a highlighter puts into the middle of a value.

IPython's tracebacks colour the escapes and format fields of a source line, `grep --color` what it looked for, rich numbers and
quotes. In the `repr` and in the JSON of such text the codes stand as `\x1b[31m` and `\u001b[31m`.

>>> uncoded(b"hun\x1b[31mter\x1b[0m2, <span class='s1'>hun</span>ter2")
b'hunter2, hunter2'
"""

from __future__ import annotations

import re
from bisect import bisect_right
from functools import cache

ESCAPE = b"\x1b"
SIGNS = (b"\\x1b[", b"\\u001b[", b"\\u001b(B", b"<span", b"</span")
"""What stands in text that has codes in it, or `ESCAPE` does; in JSON, which escapes that, one of these."""


@cache
def _code() -> re.Pattern[bytes]:
    # Compiled at the first text that has codes: it takes as long as importing a module.
    return re.compile(rb"(?:\x1b|(?:(?<!\\)\\)?\\(?:x1b|u001b))\[[0-?]*[ -/]*[@-~]|\x1b\(B|</?span\b[^<>]*>")


def uncoded(data: bytes) -> bytes:
    """Return *data* without codes."""
    return _code().sub(b"", data)


def codes(data: bytes) -> list[bytes]:
    """Return the codes in *data*."""
    return _code().findall(data)


def without_begun(data: bytes) -> bytes:
    """Return *data* without the beginning of a code at its end."""
    begun = data.rfind(ESCAPE)
    return data[:begun] if begun >= 0 and not _code().match(data, begun) else data


class Origin:
    r"""
    Where the bytes of `uncoded(data)` stand in *data*.

    >>> Origin(b"hun\x1b[31mter2").place(2, 4)
    (2, 9)
    """

    def __init__(self, data: bytes) -> None:
        self._ends = [0]
        """Where the codes end; each by the place of what follows it without them."""
        self._skipped = [0]
        skipped = 0
        for code in _code().finditer(data):
            skipped += code.end() - code.start()
            self._ends.append(code.end() - skipped)
            self._skipped.append(skipped)

    def place(self, start: int, end: int) -> tuple[int, int]:
        """Return from where to where the bytes from *start* to *end* stand, without codes before and after them."""
        return self._at(start), self._at(end - 1) + 1

    def _at(self, place: int) -> int:
        return place + self._skipped[bisect_right(self._ends, place) - 1]
