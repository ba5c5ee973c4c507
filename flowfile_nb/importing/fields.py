"""What a reader of any format finds in a text: fields, and where their values stand."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple


class Place(NamedTuple):
    """Where a value stands in the text, without its quotes."""

    start: int
    stop: int
    escape: Callable[[str], str]
    """Writes a value the way this place needs it."""


class Field(NamedTuple):
    """One key with its value."""

    path: tuple[str, ...]
    """The key; before it the section, the tables, or the name of the connection that it stands in."""
    value: str
    line: int
    """Counted from 1; 0 if it is not known."""
    place: Place | None
    """None where the value cannot be replaced in the text: a number."""


class Document(NamedTuple):
    """All that one file says."""

    fields: list[Field]
    unread: list[int]
    """Lines that the format's own library leaves out as well, or that may be a part of a value: nothing of them is shown."""


class SyntaxAtError(Exception):
    """
    The text is not of the format. For this room alone: it becomes an ImportSourceError that knows the file.

    Args:
        line: Counted from 1; None if it is not known. Nothing else of what a parser says is kept: it quotes the text.
        reason: Words of ours.
    """

    def __init__(self, line: int | None, reason: str = "") -> None:
        super().__init__(reason)
        self.line = line
        self.reason = reason


def line_of(text: str, offset: int) -> int:
    """Return the line, counted from 1, in which a character stands."""
    return text.count("\n", 0, offset) + 1


def is_key(text: str) -> bool:
    """
    Return whether *text* can be shown as a key: one word, and no longer than keys are. Else it may be a line of a value.

    >>> is_key("DB_PASSWORD"), is_key("MIIEvQIBADANBgkqhkiG9w0BAQ+EF/")
    (True, False)
    """
    return len(text) <= 64 and re.fullmatch(r"\w+(?:[.-]+\w+)*", text) is not None
