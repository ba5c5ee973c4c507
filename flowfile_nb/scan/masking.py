"""A notebook's text with the values in its outputs, metadata and widget state masked; every other character stays."""

from __future__ import annotations

import binascii
import json
from collections.abc import Iterator, Sequence
from typing import Any

from flowfile_nb.core.redaction import Redactor
from flowfile_nb.scan.json_places import Object, Text, parse
from flowfile_nb.scan.notebook_file import places
from flowfile_nb.scan.passages import from_base64, passages

Edit = tuple[int, int, str]
"""Start, end and what comes there instead."""

# Masking may put together what then reads as another value; it ends, since a mask is never masked.
_ROUNDS = 10


def mask_notebook(document: str, redactor: Redactor) -> str:
    """
    Return a notebook's text with what `--fix` changes masked, and no other character changed.

    Only the JSON strings that hold a value are written anew. A picture or another base64 form of an output that holds one is
    taken out; if the output has no other form, it becomes the text `[secret:NAME]`. In a widget's buffer the value's bytes
    are overwritten with `*`.

    Raises:
        ValueError, RecursionError: If it is not JSON.
    """
    tree = parse(document)
    edits: list[Edit] = []
    dropped: dict[int, tuple[Object, dict[str, bytes]]] = {}
    keys = _Keys(tree)
    for passage in passages(tree, each=True):
        found = [place.name for place in places(passage, redactor)] if passage.where.changeable else []
        if not found:
            continue
        if passage.kind == "base64" and passage.bundle is not None:
            dropped.setdefault(id(passage.bundle), (passage.bundle, {}))[1][passage.form] = redactor.mask_of(found[0])
        elif passage.kind == "base64":
            edits += _written(document, passage.pieces, [_overwritten(passage.pieces[0], redactor)])
        elif passage.kind == "number":
            edits += _written(document, passage.pieces, [redactor.mask_of(found[0]).decode()])
        elif passage.kind == "key":
            edits += _written(document, passage.pieces, [keys.unused(redactor.mask(passage.pieces[0]))])
        else:
            edits += _written(document, passage.pieces, _masked(passage.pieces, redactor))
    for bundle, masks in dropped.values():
        edits += _without(bundle, masks)
    return _apply(document, edits)


def _written(document: str, before: Sequence[str], after: Sequence[str]) -> Iterator[Edit]:
    """Yield the edits that make strings of the document other ones, in the document's own way to write them."""
    for old, new in zip(before, after, strict=True):
        if isinstance(old, Text) and old != new:
            written = document[old.start : old.end]
            ascii_only = written.isascii() and json.dumps(old, ensure_ascii=False) != written
            yield old.start, old.end, json.dumps(new, ensure_ascii=ascii_only)


def _masked(pieces: Sequence[str], redactor: Redactor) -> list[str]:
    """Return *pieces* with each value masked, also one that goes over several of them or has colours in it."""
    texts = list(pieces)
    for _ in range(_ROUNDS):
        before = texts
        texts = _replace(texts, _hits("".join(texts), redactor))
        if texts == before:
            break
    return texts


def _hits(text: str, redactor: Redactor) -> list[Edit]:
    data = text.encode("utf-8", "surrogatepass")
    found = []
    at = chars = 0
    for hit in redactor.find(data):
        start = chars + _length(data[at : hit.start])
        end = start + _length(data[hit.start : hit.end])
        found.append((start, end, redactor.mask_for(hit.name, data[hit.start : hit.end]).decode("utf-8", "surrogatepass")))
        at, chars = hit.end, end
    return found


def _length(data: bytes) -> int:
    return len(data.decode("utf-8", "surrogatepass"))


def _replace(texts: list[str], edits: list[Edit]) -> list[str]:
    """Return *texts*, whose joined text the edits refer to; what comes instead of several pieces is put into the first."""
    if not edits:
        return texts
    result = []
    offset = 0
    for text in texts:
        end = offset + len(text)
        local = [
            (max(start, offset) - offset, min(stop, end) - offset, new if offset <= start else "")
            for start, stop, new in edits
            if start < end and stop > offset
        ]
        result.append(_apply(text, local))
        offset = end
    return result


def _apply(text: str, edits: Sequence[Edit]) -> str:
    parts = []
    at = 0
    for start, end, new in sorted(edits):
        parts += [text[at:start], new]
        at = end
    return "".join([*parts, text[at:]])


def _overwritten(encoded: str, redactor: Redactor) -> str:
    """Return base64 in which the bytes of values are overwritten: of the same length, as the widget expects it."""
    content = bytearray(from_base64(encoded) or b"")
    for hit in redactor.find(bytes(content)):
        content[hit.start : hit.end] = b"*" * (hit.end - hit.start)
    written = binascii.b2a_base64(content, newline=False).decode()
    return "" if redactor.hits(written.encode()) else written


def _without(bundle: Object, masks: dict[str, bytes]) -> Iterator[Edit]:
    """Yield the edits that take members out of an object, with the commas between them."""
    plain = "text" if "output_type" in bundle else "text/plain"
    # Where nothing would be left to show, the first becomes the text. Version 3 has other things in the same object.
    speaks = next(iter(masks), None) if plain not in bundle else None
    kept_before = False
    for number, (key, end) in enumerate(bundle.members):
        if key not in masks:
            kept_before = True
        elif key == speaks:
            kept_before = True
            yield key.start, end, f'"{plain}": {json.dumps(masks[key].decode())}'
        elif kept_before:
            yield bundle.members[number - 1][1], end, ""
        elif number + 1 < len(bundle.members):
            yield key.start, bundle.members[number + 1][0].start, ""
        else:
            yield key.start, end, ""


class _Keys:
    """The keys of a document, so that masking makes no two alike: the second of them would be lost."""

    def __init__(self, tree: Any) -> None:
        self._taken: set[str] = set()
        self._take(tree)

    def unused(self, key: str) -> str:
        number, chosen = 1, key
        while chosen in self._taken:
            number += 1
            chosen = f"{key} {number}"
        self._taken.add(chosen)
        return chosen

    def _take(self, tree: Any) -> None:
        if isinstance(tree, Object):
            self._taken.update(tree)
            for value in tree.values():
                self._take(value)
        elif isinstance(tree, list):
            for value in tree:
                self._take(value)
