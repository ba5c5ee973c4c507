"""JSON, as `airflow connections export` writes it: from the name of each connection to a URI or to an object."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from flowfile_nb.importing.fields import Document, Field, Place, SyntaxAtError, line_of

_STRING = re.compile(r'"((?:[^"\\]|\\.)*)"(?!\s*:)|"(?:[^"\\]|\\.)*"')


class _Pairs(list[tuple[str, Any]]):
    """An object with its keys in order; one that stands twice is there twice."""


def read_json(text: str) -> Document:
    """
    Return each text and number of a JSON file, with the keys above it.

    Raises:
        SyntaxAtError: If it is not JSON.
    """
    try:
        tree = json.loads(text, object_pairs_hook=_Pairs)
    except json.JSONDecodeError as error:
        raise SyntaxAtError(error.lineno) from None
    except ValueError:
        # A number of thousands of digits.
        raise SyntaxAtError(None) from None
    if not isinstance(tree, _Pairs):
        raise SyntaxAtError(1, "no object with names")
    # In the order of the text: each string that is no key is one leaf.
    strings = (match for match in _STRING.finditer(text) if match[1] is not None)
    fields, line, counted = [], 1, 0
    for path, item in _leaves(tree):
        if not isinstance(item, str):
            fields.append(Field(path, str(item), 0, None))
            continue
        match = next(strings)
        line += line_of(text[counted : match.start()], match.start() - counted) - 1
        counted = match.start()
        if item:
            fields.append(Field(path, item, line, Place(match.start(1), match.end(1), _escape)))
    return Document(fields, [])


def _leaves(tree: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    if isinstance(tree, _Pairs):
        for key, item in tree:
            yield from _leaves(item, (*path, key))
    elif isinstance(tree, list):
        for number, item in enumerate(tree):
            yield from _leaves(item, (*path, str(number)))
    elif isinstance(tree, (str, int, float)) and not isinstance(tree, bool):
        yield path, tree


def _escape(value: str) -> str:
    return json.dumps(value)[1:-1]
