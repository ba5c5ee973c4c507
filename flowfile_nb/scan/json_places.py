"""JSON that knows where it stands: each text of a document with its place in the file, so that it alone can be replaced."""

from __future__ import annotations

import re
from collections.abc import Callable
from json import decoder
from typing import Any

_SPACE = re.compile(r"[ \t\n\r]*")
_SCALAR = re.compile(r"-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?|true|false|null|NaN|-?Infinity")
# The reader of `json` itself, which also says where a string ends.
_scanstring: Callable[[str, int, bool], tuple[str, int]] = decoder.scanstring  # type: ignore[attr-defined]
_CONSTANTS = ("true", "false", "null")


class Text(str):
    """A string of the document; `document[start:end]` is how it is written, with its quotes."""

    __slots__ = ("end", "start")
    start: int
    end: int


class Number(Text):
    """A number, as it is written."""

    __slots__ = ()


class Object(dict[str, Any]):
    """An object; its keys are `Text`. Of a key that comes twice the last value is kept, as everywhere."""

    def __init__(self) -> None:
        super().__init__()
        self.members: list[tuple[Text, int]] = []
        """The keys in order, the repeated too, and where each member ends."""

    @property
    def has_repeated_keys(self) -> bool:
        """Whether some value is not in this dictionary since its key comes again."""
        return len(self.members) > len(self)


def parse(document: str) -> Any:
    """
    Return what `json.loads` returns, with `Text` for strings, `Number` for numbers and `Object` for dictionaries.

    Raises:
        ValueError: If it is not JSON.
        RecursionError: If it is nested too deeply.

    >>> tree = parse('{"a": ["b", 1.50]}')
    >>> tree, tree["a"][1], tree["a"][0].start, tree["a"][0].end
    ({'a': ['b', '1.50']}, '1.50', 7, 10)
    """
    value, end = _value(document, _skip(document, 0))
    if _skip(document, end) != len(document):
        raise ValueError("there is more after the document")
    return value


def _value(document: str, at: int) -> tuple[Any, int]:
    first = document[at : at + 1]
    if first == '"':
        return _text(document, at)
    if first == "{":
        return _object(document, at)
    if first == "[":
        return _array(document, at)
    match = _SCALAR.match(document, at)
    if not match:
        raise ValueError("this is not JSON")
    if match[0] in _CONSTANTS:
        return None, match.end()
    number = Number(match[0])
    number.start, number.end = match.span()
    return number, match.end()


def _text(document: str, at: int) -> tuple[Text, int]:
    if document[at : at + 1] != '"':
        raise ValueError("this is not JSON")
    content, end = _scanstring(document, at + 1, False)  # control characters are allowed
    text = Text(content)
    text.start, text.end = at, end
    return text, end


def _object(document: str, at: int) -> tuple[Object, int]:
    found = Object()
    at = _skip(document, at + 1)
    if document[at : at + 1] == "}":
        return found, at + 1
    while True:
        key, at = _text(document, at)
        value, at = _value(document, _skip(document, _require(document, _skip(document, at), ":")))
        found.pop(key, None)  # so that the key, too, is the last one
        found[key] = value
        found.members.append((key, at))
        at = _skip(document, at)
        if document[at : at + 1] == "}":
            return found, at + 1
        at = _skip(document, _require(document, at, ","))


def _array(document: str, at: int) -> tuple[list[Any], int]:
    found: list[Any] = []
    at = _skip(document, at + 1)
    if document[at : at + 1] == "]":
        return found, at + 1
    while True:
        value, at = _value(document, at)
        found.append(value)
        at = _skip(document, at)
        if document[at : at + 1] == "]":
            return found, at + 1
        at = _skip(document, _require(document, at, ","))


def _skip(document: str, at: int) -> int:
    match = _SPACE.match(document, at)
    assert match
    return match.end()


def _require(document: str, at: int, char: str) -> int:
    if document[at : at + 1] != char:
        raise ValueError("this is not JSON")
    return at + 1
