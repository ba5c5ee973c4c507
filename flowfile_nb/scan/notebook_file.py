"""Values in a notebook: in which cell, which part and which line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from flowfile_nb.core.redaction import Redactor
from flowfile_nb.scan.finding import Place
from flowfile_nb.scan.json_places import Object, parse
from flowfile_nb.scan.passages import Passage, from_base64, passages

# Shorter texts come up in base64 by chance: one of 4 characters in one of 120 pictures of 100 kB.
_NOT_BY_CHANCE = 8

_lenient = json.JSONDecoder(strict=False)


class NotANotebookError(ValueError):
    """The file is not what its name says. For this room alone: such a file is searched as text."""


def decode(data: bytes) -> str:
    """
    Return the text of a JSON file, in whatever Unicode it is.

    Raises:
        NotANotebookError: If it is none.
    """
    try:
        return data.decode(json.detect_encoding(data), "surrogatepass")
    except UnicodeDecodeError:
        raise NotANotebookError("it is not Unicode") from None


def search_notebook(data: bytes, redactor: Redactor) -> list[Place]:
    """
    Return the places of values in a notebook's content.

    First the bytes and the decoded texts are searched, each as a whole: most notebooks are done with that.

    Raises:
        NotANotebookError: If it is damaged, or says something twice, so that it has to be searched as text.
    """
    text = decode(data)
    in_bytes = {hit.name for hit in redactor.find(data)}
    try:
        notebook = _lenient.decode(text)
        if not in_bytes and not _shows(notebook, redactor):
            return []
        tree = parse(text)
        # Each once: a picture's text and its bytes are the same place.
        found = list(dict.fromkeys(place for passage in passages(tree, each=True) for place in places(passage, redactor)))
        says_twice = bool(in_bytes - {place.name for place in found}) and _repeats(tree)
    except RecursionError:
        raise NotANotebookError("it is nested too deeply") from None
    except ValueError:
        raise NotANotebookError("it is not JSON") from None
    if says_twice:
        raise NotANotebookError("it has the same key twice in one place")
    return found


def places(passage: Passage, redactor: Redactor) -> Iterator[Place]:
    """Yield the places of values in one passage."""
    for number, data in enumerate(passage.readings()):
        for hit in redactor.find(data):
            # A picture that shows a number is not one that holds it; nor is 3.14159 the PIN 1415.
            if passage.kind == "base64" and not number and hit.end - hit.start < _NOT_BY_CHANCE:
                continue
            if passage.kind == "number" and (hit.start, hit.end) != (0, len(data)):
                continue
            line = data.count(b"\n", 0, hit.start) + 1 if passage.kind == "lines" else None
            part, cell, detail, changeable = passage.where
            yield Place(hit.name, part, cell, line, detail, changeable)


def _shows(notebook: Any, redactor: Redactor) -> bool:
    """Return whether a value is in any reading of any passage; all are searched as one, with NUL between them."""
    texts: list[str] = []
    contents: list[bytes] = []
    for passage in passages(notebook, each=False):
        texts += passage.pieces
        texts.append("\0")
        if passage.kind == "base64":
            contents += (from_base64("".join(passage.pieces)) or b"", b"\0")
    text = "".join(texts)
    return redactor.hits(text.encode("utf-8", "surrogatepass")) or redactor.hits(b"".join(contents))


def _repeats(tree: Any) -> bool:
    if isinstance(tree, Object):
        return tree.has_repeated_keys or any(map(_repeats, tree.values()))
    return isinstance(tree, list) and any(map(_repeats, tree))
