"""`.env` files as python-dotenv reads them, with interpolation off."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from typing import Any

from flowfile_nb.errors import MissingDriverError
from flowfile_nb.importing.fields import Document, Field, Place, is_key

_BEFORE_VALUE = re.compile(r"\s*(?:export[^\S\n]+)?(?:'[^']+'|[^=#\s]+)[^\S\n]*=[^\S\n]*")
_QUOTED = {"'": re.compile(r"'((?:\\.|[^'\\])*)'", re.DOTALL), '"': re.compile(r'"((?:\\.|[^"\\])*)"', re.DOTALL)}


def read_env(text: str) -> Document:
    """
    Return the variables of a `.env` file.

    What python-dotenv does not understand it leaves out, and so do we: those lines are `unread`. So are those of a key in PEM
    form that nobody put in quotes: its second line would be taken for a name, and shown.

    Raises:
        MissingDriverError: If python-dotenv is not installed.
    """
    document = Document([], [])
    offset, torn = 0, False
    for binding in _bindings(text):
        original = binding.original.string
        line = binding.original.line + len(original) - len(original.lstrip("\n"))
        value, key = binding.value, binding.key
        if torn or binding.error or (key is not None and (not value or not is_key(key))):
            torn = torn and "-----END " not in original
            if torn or binding.error or value != "":
                document.unread.append(line)
        elif key is not None and value:
            torn = value.startswith("-----BEGIN ") and "-----END " not in value
            if torn:
                document.unread.append(line)
            else:
                document.fields.append(Field((key,), value, line, _place(original, offset, value)))
        offset += len(original)
    return document


def _bindings(text: str) -> Iterator[Any]:
    try:
        from dotenv.parser import parse_stream
    except ModuleNotFoundError:
        raise MissingDriverError(
            "reading a .env file needs the library 'python-dotenv', which is not installed",
            hint="pip install 'flowfile-nb[import]'   and run the line again",
        ) from None
    return parse_stream(io.StringIO(text))


def _place(original: str, offset: int, value: str) -> Place | None:
    before = _BEFORE_VALUE.match(original)
    if before is None:
        return None
    start = before.end()
    quote = original[start : start + 1]
    if quote not in _QUOTED:
        return Place(offset + start, offset + start + len(value), str)
    quoted = _QUOTED[quote].match(original, start)
    if quoted is None:
        return None
    return Place(offset + quoted.start(1), offset + quoted.end(1), _escape_double if quote == '"' else _escape_single)


def _escape_single(value: str) -> str:
    return value.replace("\\", "\\\\").replace("'", "\\'")


def _escape_double(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"')
