"""Values, the forms they come in, and notebooks that hold them."""

from __future__ import annotations

import base64
import html
import json
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from flowfile_nb.core.redaction import Redactor
from flowfile_nb.scan.known import Known, known_values

VALUE = "canary-p@ss:w/or d?#%\"'\\<ü>"
OTHER = "another-canary-value"

FORMS: dict[str, Callable[[str], str]] = {
    "raw": str,
    "JSON": json.dumps,
    "JSON as UTF-8": lambda value: json.dumps(value, ensure_ascii=False),
    "repr": repr,
    "HTML": html.escape,
    "URL": lambda value: quote(value, safe=""),
    "base64": lambda value: base64.b64encode(f"x{value}".encode()).decode(),
    "hex": lambda value: value.encode().hex(),
}


class Scanned(NamedTuple):
    """What the command did."""

    status: int
    out: str
    err: str

    @property
    def found(self) -> list[str]:
        """The lines that say where a value is."""
        return [line for line in self.out.splitlines() if line.endswith((": prod_pw", ": other_pw"))]


class Backend:
    """Just as much of a backend as a scan asks for."""

    def __init__(self, **values: str) -> None:
        self._values = values

    def names(self) -> list[str]:
        return list(self._values)

    def peek(self, name: str) -> str:
        return self._values[name]


def knowing(**values: str) -> Known:
    """Return values ready to be found."""
    return known_values(Backend(**values))  # type: ignore[arg-type]


def redactor(**values: str) -> Redactor:
    """Return the search for values."""
    return knowing(**values).redactor


def picture(hidden: bytes) -> str:
    """Return a real PNG, as base64, with *hidden* in a text chunk: as matplotlib writes metadata."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0)
    pixels = zlib.compress(b"\0\0")
    png = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"tEXt", b"Comment\0" + hidden) + chunk(b"IDAT", pixels)
    return base64.b64encode(png + chunk(b"IEND", b"")).decode()


def notebook(*cells: Any, **metadata: Any) -> Any:
    """Return a notebook of three clean cells before *cells*, so that numbers mean something."""
    clean = [new_markdown_cell("# Clean"), new_code_cell("1 + 1", outputs=[result("2")]), new_code_cell("import math")]
    return new_notebook(cells=[*clean, *cells], metadata=metadata)


def result(text: str, **data: Any) -> Any:
    return new_output("execute_result", {"text/plain": text, **data}, execution_count=1)


def display(**data: Any) -> Any:
    return new_output("display_data", {key.replace("__", "/"): value for key, value in data.items()})


def stream(text: str, name: str = "stdout") -> Any:
    return new_output("stream", name=name, text=text)


def code(source: str = "show()", *outputs: Any, **metadata: Any) -> Any:
    return new_code_cell(source, outputs=list(outputs), metadata=metadata)


def write(path: Path, made: Any) -> Path:
    """Write a notebook as Jupyter does."""
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.validate(made)
    nbformat.write(made, path)
    return path
