"""How long ago something was, in a word."""

from __future__ import annotations

_UNITS = ((86_400 * 365, "y"), (86_400, "d"), (3_600, "h"), (60, "min"))


def duration(seconds: float) -> str:
    """
    Return a length of time in its largest unit, rounded down; empty if it is under a minute.

    >>> duration(12.6 * 86_400), duration(59)
    ('12 d', '')
    """
    return next((f"{seconds // size:.0f} {unit}" for size, unit in _UNITS if seconds >= size), "")
