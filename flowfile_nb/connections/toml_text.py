"""The parts of a connection as TOML text, as it is shown before something is agreed to, edited, or written into a file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date, time
from typing import Any

_ESCAPES = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t", "\r": "\\r"}


def toml_text(parts: Mapping[str, Any], table: str = "") -> str:
    """
    Return *parts* as TOML, plain keys first; no character in it hides or moves another.

    Args:
        parts: Text, numbers, truth values, dates, lists and mappings of them.
        table: Above it stands the header of a table of that name, if one is given.

    >>> print(toml_text({"type": "sqlite", "query": {"mode": "ro"}}, "local"), end="")
    [local]
    type = "sqlite"
    <BLANKLINE>
    [local.query]
    mode = "ro"
    """
    return "\n".join(_lines(parts, [table] if table else []))


def printable(text: str) -> str:
    r"""
    Return *text* with each character escaped that a screen does not show as itself: controls, and what changes the direction.

    >>> print(printable("a\x1b[2Kb"))
    a\u001b[2Kb
    """
    return "".join(character if character.isprintable() else _escaped(character) for character in text)


def _lines(parts: Mapping[str, Any], path: list[str]) -> list[str]:
    plain = {key: item for key, item in parts.items() if not isinstance(item, Mapping)}
    lines = [f"[{'.'.join(map(_key, path))}]"] if path and (plain or not parts) else []
    lines += [f"{_key(key)} = {_value(item)}" for key, item in plain.items()]
    lines += [""] if lines else []
    for key, item in parts.items():
        if isinstance(item, Mapping):
            lines += _lines(item, [*path, key])
    return lines


def _key(key: str) -> str:
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else _value(key)


def _value(item: Any) -> str:
    if isinstance(item, bool):
        return "true" if item else "false"
    if isinstance(item, str):
        if '%secret "' in item and "'" not in item and item.isprintable():
            # A reference is found before TOML is read; its quotes cannot be escaped.
            return f"'{item}'"
        return '"' + "".join(_ESCAPES.get(c) or (c if c.isprintable() else _escaped(c)) for c in item) + '"'
    if isinstance(item, (list, tuple)):
        return f"[{', '.join(map(_value, item))}]"
    if isinstance(item, Mapping):
        return f"{{{', '.join(f'{_key(key)} = {_value(inner)}' for key, inner in item.items())}}}"
    return item.isoformat() if isinstance(item, (date, time)) else str(item)


def _escaped(character: str) -> str:
    return f"\\u{ord(character):04x}" if ord(character) < 0x10000 else f"\\U{ord(character):08x}"
