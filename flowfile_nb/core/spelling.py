"""Text of somebody else's, without what a terminal, a log or a browser would obey in place of showing it."""

from __future__ import annotations

import re

# Control characters, what ends a line besides a line break, and what turns the direction of writing round.
_OBEYED = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def spelled(text: str, *, lines: bool = True) -> str:
    r"""
    Return *text* with such characters as Python writes them.

    Args:
        text: What a server or another user has chosen.
        lines: Whether line breaks and tabs stay; a log has a line for each entry.

    >>> spelled("it \x1b[31mburns\x1b[0m"), spelled("two\nlines", lines=False)
    ('it \\x1b[31mburns\\x1b[0m', 'two\\nlines')
    """

    def spell(found: re.Match[str]) -> str:
        return found[0] if lines and found[0] in "\n\t" else repr(found[0])[1:-1]

    return _OBEYED.sub(spell, text)
