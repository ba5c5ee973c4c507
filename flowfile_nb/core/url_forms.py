"""The ways in which libraries quote a text in a URL: whatever is no letter or digit, or only what its place does not allow."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache

# Of these alone, no encoding of text changes anything.
SAFE = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-~"
_BLANK, _PERCENT = ord(" "), ord("%")
# What others leave as it is, or write otherwise, than `quote(safe="")`; their escapes are found in lower case, too.
_MANNERS = tuple(
    dict(zip(others.encode(), written.encode(), strict=True))
    for others, written in (
        ("/", "/"),  # quote()
        (" ", "+"),  # quote_plus()
        (" +", " +"),  # SQLAlchemy's user and password
        (" +/", " +/"),  # SQLAlchemy's database
        ("!'()*", "!'()*"),  # JavaScript's encodeURIComponent
    )
)
# What is left as it is by those who quote a URL that is put together already, and what a blank becomes.
_LEFT = tuple(
    (frozenset(left.encode()), blank)
    for left, blank in (
        ("!#$&'()*+,/:;=?@", b"%20"),  # requests, urllib3 and yarl in a path and a query, JavaScript's encodeURI
        ("!#$&'()*+,/:;=?@[]", b"%20"),  # requests, where it follows a redirect
        ("!#$&'()*+,/:;=?@", b"+"),  # yarl in a query
        ("!$&'()*+,/:;=@", b"%20"),  # yarl's with_path
        ("!$'()*,/:?@", b"+"),  # yarl's with_query
        ("!$&'()*+,:;=", b"%20"),  # urllib3's user and password
        ("!$&'()*+,;=", b"%20"),  # yarl's
        ("!#$%&'()*+,/:;=?@[\\]^|", b"%20"),  # httpx in a path
        ("!#$%&'()*+,/:;=?@[\\]^`{|}", b"%20"),  # httpx in a query
        ("!$%&'()*+,:", b"%20"),  # httpx's user and password
        ("!$%&'()*+,", b"%20"),  # httpx's password, given by itself
    )
)


def url_forms(raw: bytes) -> Iterator[bytes]:
    """
    Yield the forms of a text that has other bytes than `SAFE`, some perhaps twice.

    >>> sorted({*url_forms(b"P@ss^w")})
    [b'P%40ss%5Ew', b'P%40ss%5ew', b'P@ss%5Ew', b'P@ss^w']
    """
    unsafe = set(raw.translate(None, SAFE))
    yield from _whole(raw, unsafe - {_PERCENT})
    yield from _partly(raw, unsafe)


def _whole(raw: bytes, unsafe: set[int]) -> Iterator[bytes]:
    manners = [manner for manner in _MANNERS if unsafe & manner.keys()]
    upper_case, lower_case = _escapes()
    # A blank's, and others', have no letters.
    differ = any(upper_case[byte] != lower_case[byte] for byte in unsafe)
    for escaped in (upper_case, lower_case) if differ else (upper_case,):
        # First, as the others bring more of it.
        quoted = raw.replace(b"%", b"%25")
        for byte in unsafe:
            quoted = quoted.replace(byte.to_bytes(1, "big"), escaped[byte])
        yield quoted
        for manner in manners:
            form = quoted
            for byte, written in manner.items():
                if byte in unsafe:
                    form = form.replace(escaped[byte], written.to_bytes(1, "big"))
            yield form


def _partly(raw: bytes, unsafe: set[int]) -> Iterator[bytes]:
    # Who finds escapes and nothing else at each % takes it for quoted already.
    quoted = _PERCENT in unsafe and raw.count(b"%") == len(_escape().findall(raw))
    seen = set()
    upper_case, _ = _escapes()
    for left, blank in _LEFT:
        kept = frozenset(unsafe & left)
        if not kept and not quoted:
            continue  # All of it is quoted, see above.
        plus = _BLANK in unsafe and blank == b"+"
        if (kept, plus) in seen:
            continue
        seen.add((kept, plus))
        upper = quoted and _PERCENT not in left
        text = _escape().sub(lambda escape: escape[0].upper(), raw) if upper else raw
        escaped = unsafe - kept - ({_PERCENT} if upper else set())
        if _PERCENT in escaped:
            text = text.replace(b"%", b"%25")
        for byte in escaped - {_PERCENT, _BLANK}:
            text = text.replace(byte.to_bytes(1, "big"), upper_case[byte])
        # Last, for what a plus was is quoted now.
        text = text.replace(b" ", blank)
        yield text


@cache
def _escapes() -> tuple[list[bytes], list[bytes]]:
    # Formatted once: for a thousand secrets it would be many times.
    return [b"%%%02X" % byte for byte in range(256)], [b"%%%02x" % byte for byte in range(256)]


@cache
def _escape() -> re.Pattern[bytes]:
    return re.compile(rb"%[0-9A-Fa-f]{2}")
