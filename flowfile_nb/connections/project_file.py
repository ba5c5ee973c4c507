"""
`connections.toml`: the connections that a repository carries, with references and without values, so that it can be committed.

One table for each connection, with the keys that stand in a `%%connect` cell, or `url`:

    [warehouse]
    url = "postgresql://app:${secret:prod_pw}@db.example.com:5432/sales"
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flowfile_nb.connections.spec import read_toml
from flowfile_nb.connections.toml_text import toml_text
from flowfile_nb.errors import ConnectionSpecError, UsageError

FILE_NAME = "connections.toml"
_ROOT_MARKS = (".git", "pyproject.toml")
_MAX_BYTES = 1024 * 1024
_HEADER = "# Connections for  %connect NAME  (flowfile-nb). They name secrets; the values are in each one's own store.\n"
_TABLE = re.compile(r"^[ \t]*\[+(?P<path>[^\n]*?)\]+[ \t]*(?:#[^\n]*)?$", re.MULTILINE)


def locate(folder: Path) -> Path | None:
    """
    Return the nearest `connections.toml`: in *folder*, or above it up to the project's root; None if there is none.

    The root is the nearest folder with a `.git` or a `pyproject.toml`. Where there is none, only *folder* itself counts: what
    lies further up can be anybody's.
    """
    return next((place for place in (here / FILE_NAME for here in _folders(folder)) if place.is_file()), None)


def left_out(folder: Path) -> Path | None:
    """Return the nearest `connections.toml` above *folder* that `locate` does not take, since no project's root is there."""
    searched = _folders(folder)
    others = (here / FILE_NAME for here in folder.parents if here not in searched)
    return next((place for place in others if place.is_file()), None)


def place_for(folder: Path) -> Path:
    """Return where a `connections.toml` is written: the one that is found, else in the project's root."""
    return locate(folder) or _folders(folder)[-1] / FILE_NAME


def read(path: Path) -> dict[str, dict[str, Any]]:
    """
    Return the tables of a file by name; what is no table belongs to somebody else.

    Raises:
        UsageError: If it cannot be read.
        ConnectionSpecError: If it is not TOML, or has keys and no table. The message never quotes it.
    """
    text = _text(path)
    tables = _tables(text, path)
    if not tables and read_toml(text):
        raise ConnectionSpecError(f"{path} has no table", hint="above each connection's keys stands its name:  [warehouse]")
    return tables


def write(path: Path, tables: Mapping[str, Mapping[str, Any]]) -> None:
    """
    Put *tables* into a file: new ones at its end, others in their place. All else in it stays as it is.

    Raises:
        UsageError: If it cannot be written, or a table is not there in a form that can be replaced.
        ConnectionSpecError: If it is not TOML.
    """
    before = _text(path) if path.exists() else _HEADER
    after, expected = before, _tables(before, path)
    for name, parts in tables.items():
        if expected.get(name) != parts:
            after = _with_table(after, name, toml_text(parts, name), there=name in expected)
            expected[name] = dict(parts)
    # The text was edited, not understood: what comes out has to say what was meant, or nothing is written.
    try:
        understood = _tables(after, path) == expected
    except ConnectionSpecError:
        understood = False
    if not understood:
        raise UsageError(f"{path.name} is in a form that cannot be edited here; it was not changed", hint="edit it by hand")
    if after != before or not path.exists():
        _replace(path, after)


def _folders(folder: Path) -> list[Path]:
    """Return *folder* and those above it up to the project's root."""
    chain = [folder, *folder.parents]
    for number, here in enumerate(chain):
        if any((here / mark).exists() for mark in _ROOT_MARKS):
            return chain[: number + 1]
    return [folder]


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise UsageError(f"{path} has over {_MAX_BYTES // 1024} KiB and was not read", hint="--file PATH  names another")
        return path.read_bytes().decode("utf-8-sig")  # Windows' editors write that mark
    except UnicodeDecodeError:
        raise UsageError(f"{path} is not UTF-8 text", hint="save it as UTF-8") from None
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}", hint="check the path;  --file PATH  names another") from None


def _tables(text: str, path: Path) -> dict[str, dict[str, Any]]:
    try:
        found = read_toml(text)
    except ConnectionSpecError as error:
        if error.message.startswith("the key"):
            raise ConnectionSpecError(f"{path} is not TOML: {error.message}", hint=error.hint) from None
        place = re.search(r"\(at [^)]*\)", error.message)
        raise ConnectionSpecError(
            f"{path} is not TOML {place[0] if place else ''}".rstrip(), hint='one table for each:  [warehouse]   url = "…"'
        ) from None
    return {name: item for name, item in found.items() if isinstance(item, dict)}


def _with_table(text: str, name: str, table: str, *, there: bool) -> str:
    if not there:
        gap = "" if not text else "\n" if text.endswith("\n") else "\n\n"
        return f"{text}{gap}{table}"
    headers = [*_TABLE.finditer(text)]
    ends = [header.start() for header in headers[1:]] + [len(text)] * bool(headers)
    own = [(header.start(), end) for header, end in zip(headers, ends, strict=True) if _is_of(header["path"], name)]
    done, last = [], 0
    for number, (start, end) in enumerate(own):
        # What stands above the next table, after a blank line, is that one's comment.
        comment = re.search(r"\n[ \t]*\n(?:[ \t]*#[^\n]*\n)+\Z", text[start:end])
        done += [text[last:start], table if number == 0 else ""]
        last = start + comment.start() + 1 if comment else end
    gap = "\n" if done and text[last:].strip() and not text[last:].startswith("\n") else ""
    return "".join([*done, gap, text[last:]])


def _is_of(header: str, name: str) -> bool:
    path = header.strip()
    return any(path == key or path.startswith(f"{key}.") for key in (name, f'"{name}"', f"'{name}'"))


def _replace(path: Path, text: str) -> None:
    """Write a whole file or nothing: a half one would be somebody's lost connections."""
    real = Path(os.path.realpath(path))
    try:
        mode = real.stat().st_mode & 0o777 if real.exists() else 0o644
        descriptor, temporary = tempfile.mkstemp(dir=real.parent, prefix=f".{FILE_NAME}.")
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            os.chmod(temporary, mode)
            os.replace(temporary, real)
        except BaseException:
            os.unlink(temporary)
            raise
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}", hint="--export PATH  names another file") from None
