"""What is shown of an error that a connection has in a later cell, in place of its library's long traceback."""

from __future__ import annotations

from typing import Any, NamedTuple

_MOST_LINES = 12
_MOST_CHARACTERS = 1_000


class Told(NamedTuple):
    """What can be told of an error; the exception stays what it is."""

    said: str
    """What happened: of a database its own words, shortened where they are very long."""
    statement: str
    """The statement, where those words do not quote it; parameters are never part of it."""
    remedy: str
    """What to do, in one line; `NAME` stands for the variable that the connection is bound to."""
    bound: Any
    """A weak reference to the connection's object."""


def shortened(text: str) -> str:
    """Return text of a few lines: what is longer ends with a mark."""
    lines = [line.rstrip() for line in text.splitlines() if line.strip()]
    shown = "\n".join(lines[:_MOST_LINES])[:_MOST_CHARACTERS]
    return shown if shown == "\n".join(lines) else f"{shown} …"
