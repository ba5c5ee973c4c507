"""Which lines of a description that was not understood surely hold no password."""

from __future__ import annotations

import re

from flowfile_nb.core.cell_source import REMOVED
from flowfile_nb.core.expression import expression

_REFERENCE = r"""(?:%secret[ \t]+(?:\w+(?:[.-]\w+)*|"[^"\\\n]*")|\$\{secret:[^}\n]*\})"""
_PLAIN_KEY = r"(?:type|auth|host|port|database|username|user)"
_URL = rf"[a-z][\w+.-]*://(?:[\w.-]{{0,20}}(?::{_REFERENCE})?@)?[\w.-]*(?::(?:\d*|port))?(?:/[\w./-]*)?"
_HARMLESS = expression(
    rf"""
    \s*                                                                    # a blank line
    | [ \t]*{_PLAIN_KEY}[ \t]*=[ \t]*(?:"[\w./ -]*"|'[\w./ -]*'|[\w.-]*)[ \t]*  # a key that holds no password
    | [ \t]*[\w.-]+[ \t]*=[ \t]*(?:{_REFERENCE}|"{_REFERENCE}"|'{_REFERENCE}')[ \t]*
    | [ \t]*\[[\w.-]*\][ \t]*                                              # a table's header
    | [ \t]*(?:{_URL}|url[ \t]*=[ \t]*(?:"{_URL}"|'{_URL}'))[ \t]*
    """,
    re.VERBOSE,
)


def without_doubtful_lines(body: str) -> str:
    r"""
    Return *body* with every line that may hold a password replaced by a note, several in a row by one.

    >>> print(without_doubtful_lines('type = postgresql\nhost = "h"\npassword = "hunter2"'))
    type = postgresql
    host = "h"
    [removed by flowfile_nb]
    """
    kept: list[str] = []
    for line in body.split("\n"):
        if _HARMLESS.fullmatch(line):
            kept.append(line)
        elif kept[-1:] != [REMOVED]:
            kept.append(REMOVED)
    return "\n".join(kept)
