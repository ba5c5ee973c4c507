"""TOML files, such as Streamlit's `secrets.toml`, as the standard library reads them."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from typing import Any

from flowfile_nb.importing.fields import Document, Field, Place, SyntaxAtError, line_of

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_TOKEN = re.compile(
    r"""
      (?P<ml_basic>\"{3}(?:\\.|[^\\])*?\"{3,5}(?!\"))
    | (?P<ml_literal>'{3}.*?'{3,5}(?!'))
    | (?P<basic>"(?:\\.|[^"\\\n])*")
    | (?P<literal>'[^'\n]*')
    | \#[^\n]*
    """,
    re.VERBOSE | re.DOTALL,
)
# Each dotted part of a key costs the parser a copy of those before it.
_MAX_DOTS = 200


def read_toml(text: str) -> Document:
    """
    Return each text and number of a TOML file, with the tables it is in.

    tomllib does not tell where a value stands. So each text in quotes is replaced by a word that no other has, and the file
    read again: where a word comes out is what stands in its place.

    Raises:
        SyntaxAtError: If it is not TOML.
    """
    for number, line in enumerate(text.split("\n"), 1):
        if line.count(".") > _MAX_DOTS and not line.lstrip().startswith("#"):
            raise SyntaxAtError(number, f"a line with more than {_MAX_DOTS} dots")
    parsed = _parse(text)
    tokens = [match for match in _TOKEN.finditer(text) if match.lastgroup]
    # A word for each, keys in quotes too; those that come out as keys stay as they are the second time.
    words = _strings(_parse(_marked(text, tokens, range(len(tokens)))))
    values = {number: True for number in range(len(tokens)) if _word(number) in words}
    places = {}
    for path, word in _leaves(_parse(_marked(text, tokens, values))):
        match = re.fullmatch(r"fnb(\d+)x", word) if isinstance(word, str) else None
        if match and int(match[1]) in values:
            places[path] = tokens[int(match[1])]
    return Document([_field(text, path, item, places.get(path)) for path, item in _leaves(parsed) if item != ""], [])


def _parse(text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        place = re.search(r"\(at line (\d+), column \d+\)", str(error))
        raise SyntaxAtError(int(place[1]) if place else None) from None
    except ValueError:
        # A number of thousands of digits.
        raise SyntaxAtError(None) from None


def _word(number: int) -> str:
    return f"fnb{number}x"


def _marked(text: str, tokens: list[re.Match[str]], chosen: Any) -> str:
    done, end = [], 0
    for number in chosen:
        done += [text[end : tokens[number].start()], f'"{_word(number)}"']
        end = tokens[number].end()
    return "".join([*done, text[end:]])


def _strings(tree: Any) -> set[str]:
    return {item for _, item in _leaves(tree) if isinstance(item, str)}


def _leaves(tree: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    if isinstance(tree, dict):
        for key, item in tree.items():
            yield from _leaves(item, (*path, key))
    elif isinstance(tree, list):
        for number, item in enumerate(tree):
            yield from _leaves(item, (*path, str(number)))
    elif isinstance(tree, (str, int, float)) and not isinstance(tree, bool):
        yield path, tree


def _field(text: str, path: tuple[str, ...], item: Any, token: re.Match[str] | None) -> Field:
    if token is None or not isinstance(item, str):
        return Field(path, str(item), 0, None)
    quotes = 3 if token.lastgroup in {"ml_basic", "ml_literal"} else 1
    start = token.start() + quotes
    if quotes == 3 and text[start : start + 1] == "\n":
        start += 1
    escape = str if token.lastgroup in {"literal", "ml_literal"} else _escape
    return Field(path, item, line_of(text, token.start()), Place(start, token.end() - quotes, escape))


def _escape(value: str) -> str:
    quoted = value.replace("\\", "\\\\").replace('"', '\\"')
    return re.sub(r"[\x00-\x1f\x7f]", lambda char: f"\\u{ord(char[0]):04x}", quoted)
