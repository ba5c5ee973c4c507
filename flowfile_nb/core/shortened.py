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
_DEFAULT_LENGTHS = frozenset({28, 30, 47})
_SHORTEST = 8  # characters
# reprlib's parts of a longer text than 30 characters; SQLAlchemy's of a parameter's `repr` of more than 300.
_REPRLIB = (13, 14)
_REPRLIB_LONGEST = 30
_SQLALCHEMY, _SQLALCHEMY_LONGEST = 150, 300


class Beginning:
    """
    The beginning that some forms of values have in common, any of which may be cut.

    Args:
        head: That beginning, in UTF-8: it is looked for.
    """

    def __init__(self, head: bytes) -> None:
        self._head = head
        self._cuts: dict[bytes, tuple[Cut, str]] = {}
        self._longest = 0

    def add(self, cut: Cut, name: str) -> None:
        """Know the form of a value of that name."""
        self._cuts.setdefault(cut.form, (cut, name))
        self._longest = max(self._longest, len(cut.form))

    def find(self, data: bytes, start: int) -> tuple[int, str] | None:
        """Return where what stands at *start* in *data* ends and dots begin, and its name; None if there are no dots."""
        for dots in _DOTS:
            limit = start + self._longest + len(dots)
            at = data.find(dots, start + len(self._head), limit)
            while at >= 0:
                shown = data[start:at]
                # A list of its own: another thread may be adding to the dictionary.
                for cut, name in list(self._cuts.values()):
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
        head: So many of it are looked for.
        most: It may be cut here and after it,
        lengths: and exactly there.
    """

    __slots__ = ("_lengths", "_most", "form", "head")

    def __init__(self, form: bytes, head: int, most: int, lengths: frozenset[int]) -> None:
        self.form = form
        self.head = form[:head]
        self._most = most
        self._lengths = lengths

    def allows(self, shown: bytes) -> bool:
        """Return whether it may be this that is shown."""
        size = len(shown)
        return (size >= self._most or size in self._lengths) and size < len(self.form) and self.form.startswith(shown)


def cuts_of(value: str) -> list[Cut]:
    """
    Return the forms of a value that tables cut, raw and in HTML; none of one of several lines, whose first says the least.

    >>> cut, = cuts_of("hunter2-prod")
    >>> cut.head, cut.allows(b"hunter2-pro"), cut.allows(b"hunter2-")
    (b'hunter2-p', True, False)
    """
    text = value.strip()
    size = len(text)
    most = max(_SHORTEST, (size * 3 + 3) // 4)
    if most >= size or "\n" in text or "\r" in text:
        return []
    first = min(most, *_DEFAULT_LENGTHS)
    quoted = html.escape(text)
    if quoted == text and text.isascii() and " " not in text:
        return [Cut(text.encode(), first, most, _DEFAULT_LENGTHS)]
    written: dict[str, Callable[[str], str]] = {text: _plainly, html.escape(text, quote=False): _bare, quoted: html.escape}
    return [
        Cut(
            _bytes(form),
            len(_bytes(write(text[:first]))),
            len(_bytes(write(text[:most]))),
            # pandas leaves out blanks before its dots.
            frozenset(len(_bytes(write(text[:length].rstrip()))) for length in _DEFAULT_LENGTHS),
        )
        for form, write in written.items()
    ]


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
