"""
Values that a table or an error shows the beginning of, and dots for the rest.

What counts is a beginning of the length at which a library cuts by default, or most of the value; and the dots after it. A
shorter one would be ordinary text too often: `https://hooks.slack.com/services/...` is no secret.
"""

from __future__ import annotations

import html
from collections.abc import Callable, Iterator

_DOTS = ("…".encode(), b"...")
# Polars, inside of a list, and alone (`POLARS_FMT_STR_LEN`); pandas (`display.max_colwidth`).
_DEFAULT_LENGTHS = (28, 30, 47)
_LEAST_LENGTH = 28
_SHORTEST = 8  # characters
# reprlib's parts of a longer text than 30 characters; SQLAlchemy's of a parameter's `repr` of more than 300.
_REPRLIB = (13, 14)
_REPRLIB_LONGEST = 30
_SQLALCHEMY, _SQLALCHEMY_LONGEST = 150, 300
# At each end of a text of twice that, by `%whos`.
_WHOS = 25


class Beginning:
    """
    The beginning that some forms of values have in common, any of which may be cut.

    Args:
        head: That beginning, in UTF-8: it is looked for.
    """

    def __init__(self, head: bytes) -> None:
        self._head = head
        self._values: dict[str, str] = {}
        self._cuts: list[tuple[Cut, str]] = []
        self._longest = self._known = 0

    def add(self, value: str, name: str) -> None:
        """Know a value of that name; how it may be cut is found out when first something begins like it."""
        self._values.setdefault(value, name)

    def find(self, data: bytes, start: int) -> tuple[int, str] | None:
        """Return where what stands at *start* in *data* ends and dots begin, and its name; None if there are no dots."""
        if len(self._values) != self._known:
            # A list of its own: another thread may be adding to the dictionary.
            values = list(self._values.items())
            self._cuts = [(cut, name) for value, name in values for cut in cuts_of(value) if cut.form.startswith(self._head)]
            self._longest = max((len(cut.form) for cut, _ in self._cuts), default=0)
            self._known = len(values)
        for dots in _DOTS:
            limit = start + self._longest + len(dots)
            at = data.find(dots, start + len(self._head), limit)
            while at >= 0:
                shown = data[start:at]
                for cut, name in self._cuts:
                    if cut.allows(shown):
                        return at, name
                # The value may have dots itself.
                at = data.find(dots, at + 1, limit)
        return None


class Cut:
    """
    Where one form of a value may be cut, in bytes.

    No NamedTuple: a kernel's first cell would wait for it longer than for a small module.

    Args:
        form: The form.
        most: It may be cut here and after it,
        lengths: and exactly there.
    """

    __slots__ = ("_lengths", "_most", "form")

    def __init__(self, form: bytes, most: int, lengths: frozenset[int]) -> None:
        self.form = form
        self._most = most
        self._lengths = lengths

    def allows(self, shown: bytes) -> bool:
        """Return whether it may be this that is shown."""
        size = len(shown)
        return (size >= self._most or size in self._lengths) and size < len(self.form) and self.form.startswith(shown)


def heads_of(value: str) -> list[bytes]:
    """
    Return how the forms of a value begin that tables cut: none for one of several lines, whose first says the least.

    >>> heads_of("hunter2-prod")
    [b'hunter2-p']
    """
    text = value.strip()
    most = _most(text)
    if most >= len(text) or "\n" in text or "\r" in text:
        return []
    head = text[: min(most, _LEAST_LENGTH)]
    quoted = html.escape(head)
    return [_bytes(head)] if quoted == head else list(map(_bytes, {head: 0, html.escape(head, quote=False): 0, quoted: 0}))


def cuts_of(value: str) -> list[Cut]:
    """
    Return the forms of a value that tables cut, raw and in HTML.

    >>> cut, = cuts_of("hunter2-prod")
    >>> cut.allows(b"hunter2-pro"), cut.allows(b"hunter2-")
    (True, False)
    """
    text = value.strip()
    written: dict[str, Callable[[str], str]] = {
        text: _plainly,
        html.escape(text, quote=False): _bare,
        html.escape(text): html.escape,
    }
    return [
        Cut(
            _bytes(form),
            len(_bytes(write(text[: _most(text)]))),
            # pandas leaves out blanks before its dots.
            frozenset(len(_bytes(write(text[:length].rstrip()))) for length in _DEFAULT_LENGTHS),
        )
        for form, write in written.items()
    ]


def _most(text: str) -> int:
    return max(_SHORTEST, (len(text) * 3 + 3) // 4)


def abridged(value: str) -> Iterator[bytes]:
    """
    Yield what is left of a long value by those who leave out its middle.

    >>> import reprlib
    >>> reprlib.repr("0123456789" * 4).encode()[1:-1] in abridged("0123456789" * 4)
    True
    """
    before, after = _REPRLIB
    if len(repr(value[:_REPRLIB_LONGEST])) > _REPRLIB_LONGEST:
        shown = repr(value[:before] + value[-after:])
        yield _bytes(f"{shown[1:before]}...{shown[-after:-1]}")
    line = value.replace("\n", "\\n")
    if len(line) >= 2 * _WHOS:
        yield _bytes(f"{line[:_WHOS]}<...>{line[-_WHOS:]}")
    if len(value) > _SQLALCHEMY_LONGEST - len("''"):
        shown = repr(value)
        yield _bytes(f"{shown[1:_SQLALCHEMY]} ... (")
        yield _bytes(f" characters truncated) ... {shown[-_SQLALCHEMY:-1]}")


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _plainly(text: str) -> str:
    return text


def _bare(text: str) -> str:
    return html.escape(text, quote=False)
