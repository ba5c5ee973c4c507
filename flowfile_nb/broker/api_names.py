"""
How servers read the names of parameters, in a query, a form or JSON.

They differ, and what one of them takes for a name counts as that name: PHP trims blanks before it, ends it at a NUL, and writes
`_` for a dot, a blank and an open bracket; many take what stands in brackets for an index; Rack takes the body of a POST for a
form that says nothing of what it is, and Laravel looks for a method in JSON, too.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from urllib.parse import unquote_plus

OVERRIDES = frozenset({"_method", "x-http-method-override", "x-http-method", "x-method-override"})
"""Parameters by which frameworks take one method for another."""
_FORM = re.compile(r"application/x-www-form-urlencoded|multipart/", re.IGNORECASE)
_JSON = re.compile(r"[^;]*\bjson\b", re.IGNORECASE)
_PART = re.compile(r"\bname\*?\s*=[^\r\n;]*\b_method\b", re.IGNORECASE)
_AS_PHP = re.compile(r"[ .\[]")


def readings(name: str) -> set[str]:
    """
    Return what servers may make of a parameter's name, in small letters.

    >>> sorted(readings("Tenant[0]")), ".method" in readings(".method"), "_method" in readings(".method")
    (['tenant', 'tenant[0]', 'tenant_0]'], True, True)
    """
    plain = name.lower().lstrip(" ").partition("\0")[0]
    return {name.lower(), plain, plain.partition("[")[0], _AS_PHP.sub("_", plain)}


def names_in(query: str) -> set[str]:
    """Return the names in a query, or in a form's body, as servers may read them."""
    parts = re.split("[&;]", query)
    return {reading for part in parts if part for reading in readings(unquote_plus(part.partition("=")[0]))}


def overrides_method(kinds: Iterable[str], body: bytes) -> bool:
    """
    Return whether a body has its request taken for one by another method.

    Args:
        kinds: What is said of its type; where nothing is, it may be a form.
        body: As it is sent.
    """
    said = [kind.strip() for kind in kinds]
    text = body.decode("latin-1")
    if (not said or any(map(_FORM.match, said))) and (names_in(text) & OVERRIDES or _PART.search(unquote_plus(text))):
        return True
    return any(map(_JSON.match, said)) and bool(_keys_of(body) & OVERRIDES)


def _keys_of(body: bytes) -> set[str]:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        # Whoever cannot read it finds no method in it either.
        return set()
    return {reading for key in found for reading in readings(key)} if isinstance(found, dict) else set()
