"""
The parts of a notebook in which a person, or a program, may read a value.

What a notebook writes as a list of lines is one text; so are the pieces of a cell's stdout, which the kernel sends when it
likes. The words of the format itself (`stdout`, `code`, the names of MIME types) are nobody's content and are left out.
"""

from __future__ import annotations

import binascii
from collections.abc import Iterator, Sequence
from typing import Any, Literal, NamedTuple

from flowfile_nb.scan.finding import Part
from flowfile_nb.scan.json_places import Number, Object, Text

Kind = Literal["text", "lines", "key", "number", "base64"]

_OF_THE_FORMAT = {"cell_type", "execution_count", "prompt_number", "output_type", "nbformat", "nbformat_minor"}
_WRITTEN_BY_JUPYTER = {"kernelspec", "language_info"}
_OLD_BINARY = {"png", "jpeg", "pdf"}
_TEXTS = {str, Text}
_TEXTUAL_ENDINGS = ("json", "xml", "javascript", "html", "latex", "markdown", "sql", "yaml")


class Where(NamedTuple):
    """Which part of a notebook."""

    part: Part
    cell: int | None = None
    """As a person counts: the first is 1."""
    detail: str = ""
    """Which output, which form of it, which key."""
    changeable: bool = False
    """Whether `--fix` masks what is there."""

    def form(self, more: str) -> Where:
        """Return one of the forms of what is here."""
        return self._replace(detail=f"{self.detail} {more}".strip())

    def key(self, more: str) -> Where:
        """Return what is under a key here."""
        return self._replace(detail=f"{self.detail}.{more}".lstrip("."))


class Passage(NamedTuple):
    """Text that reads as one."""

    where: Where
    pieces: Sequence[str]
    """Joined they are the text."""
    kind: Kind = "text"
    """`lines` has line numbers that mean something to a person."""
    bundle: Object | None = None
    """Of base64 in an output: all forms of that output."""
    form: str = ""
    """Which of them this is: the key."""

    def readings(self) -> list[bytes]:
        """Return all ways to read it, in UTF-8: as it stands; what base64 stands for."""
        text = "".join(self.pieces)
        found = [text.encode("utf-8", "surrogatepass")]
        if self.kind == "base64":
            content = from_base64(text)
            if content is not None:
                found.append(content)
        return found


def from_base64(text: str) -> bytes | None:
    """Return what *text* stands for, or None if it is not base64."""
    try:
        return binascii.a2b_base64(text)
    except ValueError:  # also binascii.Error
        return None


def passages(notebook: Any, *, each: bool) -> Iterator[Passage]:
    """
    Yield the passages of a notebook, of any version of the format.

    Args:
        notebook: What `json.loads` or `json_places.parse` made of the file.
        each: Yield each text, key and number for itself: for those who want to know where something is. Otherwise what is
            not one text anyway comes together, without keys and numbers: for those who want to know quickly whether there is
            anything.
    """
    walk = _Walk(each)
    if not isinstance(notebook, dict):
        yield from walk.anything(notebook, Where("metadata"))
        return
    for key, value in notebook.items():
        if key == "metadata" and isinstance(value, dict):
            for name, item in value.items():
                part: Part = "widget state" if name == "widgets" else "metadata"
                yield from walk.member(name, item, Where(part, changeable=name not in _WRITTEN_BY_JUPYTER))
        elif key == "cells" and isinstance(value, list):
            yield from walk.cells(value, 1)
        elif key == "worksheets" and isinstance(value, list):
            yield from walk.worksheets(value)
        elif key not in _OF_THE_FORMAT:
            yield from walk.member(key, value, Where("metadata"))


class _Walk:
    def __init__(self, each: bool) -> None:
        self._each = each

    def worksheets(self, sheets: list[Any]) -> Iterator[Passage]:
        """Yield what is in the sheets of a notebook of version 3 or older."""
        first = 1
        for sheet in sheets:
            if isinstance(sheet, dict) and isinstance(sheet.get("cells"), list):
                yield from self.cells(sheet["cells"], first)
                first += len(sheet["cells"])
                rest = {key: value for key, value in sheet.items() if key != "cells"}
                yield from self.anything(rest, Where("metadata", changeable=True))
            else:
                yield from self.anything(sheet, Where("metadata"))

    def cells(self, cells: list[Any], first: int) -> Iterator[Passage]:
        for number, cell in enumerate(cells, first):
            if isinstance(cell, dict):
                yield from self._cell(cell, number)
            else:
                yield from self.anything(cell, Where("metadata", number))

    def _cell(self, cell: dict[str, Any], number: int) -> Iterator[Passage]:
        # First what a person sees first; files have it in the order of the alphabet.
        for key in ("source", "input"):
            if key in cell:
                yield from self._text(cell[key], Where("source", number))
        for key, value in cell.items():
            if key in {"source", "input"}:
                continue
            if key == "outputs" and isinstance(value, list):
                yield from self._outputs(value, Where("output", number, changeable=True))
            elif key == "attachments" and isinstance(value, dict):
                where = Where("attachment", number)
                for name, bundle in value.items():
                    yield from self._key(name, where)
                    yield from self._bundle(bundle, where.form(name))
            elif key not in _OF_THE_FORMAT:
                yield from self.member(key, value, Where("metadata", number, changeable=key == "metadata"))

    def _outputs(self, outputs: list[Any], where: Where) -> Iterator[Passage]:
        streams: dict[str, list[str]] = {}
        for position, output in enumerate(outputs, 1):
            pieces = _pieces(output.get("text")) if _is_stream(output) else None
            if pieces is not None:
                # Version 3 calls the name `stream`.
                streams.setdefault(str(output.get("name", output.get("stream", ""))), []).extend(pieces)
                rest = {key: value for key, value in output.items() if key not in {"output_type", "name", "stream", "text"}}
                yield from self.anything(rest, where)
            else:
                yield from _joined(streams, where)
                streams = {}
                yield from self._output(output, where.form(str(position)) if len(outputs) > 1 else where)
        yield from _joined(streams, where)

    def _output(self, output: Any, where: Where) -> Iterator[Passage]:
        if not isinstance(output, dict):
            yield from self.anything(output, where)
            return
        for key, value in output.items():
            if key == "data" and isinstance(value, dict):
                yield from self._bundle(value, where)
            elif key in _OLD_BINARY:
                yield from self._base64(value, where, output, key)
            elif key == "traceback" and isinstance(value, list):
                lines = [line for item in value for line in (item, "\n") if isinstance(line, str)]
                yield Passage(where.form("traceback"), lines, "lines")
            elif key not in _OF_THE_FORMAT:
                yield from self.member(key, value, where)

    def _bundle(self, bundle: Any, where: Where) -> Iterator[Passage]:
        if not isinstance(bundle, dict):
            yield from self.anything(bundle, where)
            return
        for mime, value in bundle.items():
            if _is_binary(mime):
                yield from self._base64(value, where, bundle, mime)
            else:
                yield from self._text(value, where.form(mime))

    def _base64(self, value: Any, where: Where, bundle: dict[str, Any], form: str) -> Iterator[Passage]:
        pieces = _pieces(value)
        if pieces is None:
            yield from self.anything(value, where.form(form))
        else:
            yield Passage(where.form(form), pieces, "base64", bundle if isinstance(bundle, Object) else None, form)

    def _text(self, value: Any, where: Where) -> Iterator[Passage]:
        pieces = _pieces(value)
        if pieces is None:
            yield from self.anything(value, where)
        else:
            yield Passage(where, pieces, "lines")

    def member(self, key: str, value: Any, where: Where) -> Iterator[Passage]:
        """Yield a key and what is under it."""
        yield from self._key(key, where)
        yield from self.anything(value, where.key(key))

    def _key(self, key: str, where: Where) -> Iterator[Passage]:
        if self._each:
            yield Passage(where, [key], "key")

    def anything(self, value: Any, where: Where) -> Iterator[Passage]:
        """Yield what is anywhere in *value*."""
        if not self._each:
            found: list[str] = []
            _collect(value, found)
            if found:
                yield Passage(where, found)
        elif isinstance(value, dict):
            buffer = _is_buffer(value)
            for key, item in value.items():
                if buffer and key == "data":
                    yield Passage(where.key(key), [item], "base64")
                else:
                    yield from self.member(key, item, where)
        elif isinstance(value, str):
            yield Passage(where, [value], "number" if isinstance(value, Number) else "text")
        elif isinstance(value, list):
            pieces = _pieces(value)
            if pieces is not None:
                yield Passage(where, pieces)
            else:
                for item in value:
                    yield from self.anything(item, where)


def _joined(streams: dict[str, list[str]], where: Where) -> Iterator[Passage]:
    for name, pieces in streams.items():
        yield Passage(where.form(name), pieces, "lines")


def _pieces(value: Any) -> Sequence[str] | None:
    """Return a text, or a list of its lines, as pieces; None for anything else."""
    if isinstance(value, str):
        return None if isinstance(value, Number) else [value]
    # By their classes, at once: no number is among them.
    return value if isinstance(value, list) and value and set(map(type, value)) <= _TEXTS else None


def _is_stream(output: Any) -> bool:
    return isinstance(output, dict) and output.get("output_type") == "stream"


def _is_binary(mime: str) -> bool:
    kind = mime.partition(";")[0].strip()
    return "/" in kind and not kind.startswith("text/") and not kind.endswith(_TEXTUAL_ENDINGS)


def _is_buffer(value: dict[str, Any]) -> bool:
    """Return whether this is how a widget's binary data is written."""
    return value.get("encoding") == "base64" and isinstance(value.get("data"), str)


def _collect(value: Any, found: list[str]) -> None:
    if isinstance(value, str):
        found += (value, "\0")
    elif isinstance(value, dict):
        if _is_buffer(value):
            # Text in which what is not text has become something else.
            found += ((from_base64(value["data"]) or b"").decode("utf-8", "replace"), "\0")
        for item in value.values():
            _collect(item, found)
    elif isinstance(value, list):
        if _pieces(value):
            found += (*value, "\0")
            return
        for item in value:
            if isinstance(item, (str, list, dict)):
                _collect(item, found)
