"""The values that are sent through every channel, and the forms in which they would be seen."""

from __future__ import annotations

import ast
import base64
import html
import json
import random
import string
from urllib.parse import quote, quote_plus

_LETTERS = string.ascii_letters + string.digits

VALUES = {
    "ascii": "hunter2xyz-Q7",
    "quotes and backslashes": "p\"a'ss\\w/o rd?#%&",
    "a word of the protocol": "stdout",
    "a MIME type": "text/plain",
    "non-ASCII": "пароль-ü-密码-🔑",
    "several lines": "-----BEGIN KEY-----\nMIIabcdefgh1234\nqrstuvwxyz5678+/=\n-----END KEY-----",
    "looks like a regular expression": "a.*b(c|d)+[e]$^",
    "four characters": "Zq7~",
    "64 KiB": "".join(random.Random(7).choices(_LETTERS, k=64 * 1024)),
    "contains another": "hunter2xyz-Q7-prod",
}
LONG = "64 KiB"
OVERLAP = ("overlapping-one", "one-and-more")
"""Two values of which the one ends as the other begins: together they are `overlapping-one-and-more`."""


def forms(value: str) -> list[str]:
    """Return the forms in which *value* would be seen, made by the libraries that make them."""
    raw = value.encode()
    return [
        value,
        json.dumps(value)[1:-1],
        json.dumps(value, ensure_ascii=False)[1:-1],
        repr(value)[1:-1],
        ascii(value)[1:-1],
        repr(raw)[2:-1],
        html.escape(value),
        quote(value, safe=""),
        quote_plus(value),
        base64.b64encode(raw).decode(),
        base64.b64encode(b"x" + raw).decode()[2:-4],
        base64.b64encode(b"xx" + raw).decode()[3:-4],
        base64.urlsafe_b64encode(raw).decode(),
        raw.hex(),
        raw.hex().upper(),
    ]


def seen(value: str, texts: list[str]) -> bool:
    """Return whether a form of *value* stands in one of *texts*."""
    wanted = [form for form in forms(value) if len(form) > 3]
    return any(form in text for text in texts for form in wanted)


def literal(value: str) -> str:
    """Return *value* as Python source."""
    text = repr(value)
    assert ast.literal_eval(text) == value
    return text
