"""A statement's parameters as JSON, both ways, each type as it was."""

from __future__ import annotations

import base64
import datetime as dt
import math
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any
from uuid import UUID

from flowfile_nb.errors import UsageError

MAX_NESTED = 100_000
"""How many lists, dates and others that are no plain number or text a statement's parameters may hold."""
_TAG = "$"
_MAX_DEPTH = 8

# By their exact class: a datetime is a date, too.
_WRITERS: dict[type, tuple[str, Any]] = {
    bytes: ("bytes", lambda item: base64.b64encode(item).decode()),
    bytearray: ("bytes", lambda item: base64.b64encode(item).decode()),
    memoryview: ("bytes", lambda item: base64.b64encode(item).decode()),
    dt.datetime: ("datetime", dt.datetime.isoformat),
    dt.date: ("date", dt.date.isoformat),
    dt.time: ("time", dt.time.isoformat),
    dt.timedelta: ("timedelta", lambda item: [item.days, item.seconds, item.microseconds]),
    Decimal: ("decimal", str),
    UUID: ("uuid", str),
}
_READERS: dict[str, Any] = {
    "bytes": lambda item: base64.b64decode(item, validate=True),
    "datetime": dt.datetime.fromisoformat,
    "date": dt.date.fromisoformat,
    "time": dt.time.fromisoformat,
    "timedelta": lambda item: dt.timedelta(*item),
    "decimal": Decimal,
    "uuid": UUID,
    "float": float,
}


def to_json(parameters: Sequence[Any] | Mapping[str, Any] | None) -> Any:
    """
    Return parameters as JSON can hold them.

    Args:
        parameters: A row of values, or values by name: None, bool, int, float, text, bytes, dates and times, Decimal, UUID, and
            lists of these. Numbers of NumPy and pandas' timestamps count as what they stand for.

    Raises:
        UsageError: If a value is of another type.
    """
    if parameters is None:
        return None
    if isinstance(parameters, Mapping):
        return {str(name): _write(item, 0) for name, item in parameters.items()}
    if isinstance(parameters, (str, bytes)):
        raise UsageError("a statement's parameters are a list or a mapping, not one text", hint="execute(statement, [value])")
    return [_write(item, 0) for item in parameters]


def from_json(parameters: Any) -> list[Any] | dict[str, Any] | None:
    """
    Return parameters as they were given to `to_json`.

    Raises:
        UsageError: If it is nothing that `to_json` returns, or more than `MAX_NESTED`.
    """
    _require_few(parameters)
    try:
        if parameters is None:
            return None
        if isinstance(parameters, dict):
            return {name: _read(item, 0) for name, item in parameters.items()}
        if isinstance(parameters, list):
            return [_read(item, 0) for item in parameters]
    except (ValueError, TypeError, KeyError, ArithmeticError, AttributeError):
        pass
    raise UsageError("the parameters of the statement cannot be read")


def _require_few(parameters: Any) -> None:
    """Raise UsageError for more than a broker, which reads them for somebody else, can read at once."""
    found = 0
    left = [parameters] if isinstance(parameters, (list, dict)) else []
    while left:
        items = left.pop()
        nested = [one for one in (items.values() if isinstance(items, dict) else items) if isinstance(one, (list, dict))]
        found += len(nested)
        if found > MAX_NESTED:
            raise UsageError(
                f"a statement's parameters hold more than {MAX_NESTED:,} lists, dates or the like", hint="send them in parts"
            )
        left += nested


def _write(item: Any, depth: int) -> Any:
    # What most are, as they are.
    if item is None or type(item) in {str, int, bool}:
        return item
    for known, (name, write) in _WRITERS.items():
        # `datetime` stands before `date`, whose class it is as well.
        if isinstance(item, known):
            return {_TAG: name, "value": write(item)}
    for kind, plain in _PLAIN.items():
        # Also what is derived from these, such as an enumeration's member.
        if isinstance(item, kind):
            return plain(item)
    if isinstance(item, (list, tuple)) and depth < _MAX_DEPTH:
        return [_write(inner, depth + 1) for inner in item]
    if type(item).__module__ == "numpy" and hasattr(item, "item"):
        return _write(item.item(), depth)
    raise UsageError(
        f"a parameter of type {type(item).__name__} cannot be sent",
        hint="give numbers, text, bytes, dates, Decimal, UUID, or lists of these",
    )


def _float(item: float) -> Any:
    plain = float.__float__(item)
    return plain if math.isfinite(plain) else {_TAG: "float", "value": repr(plain)}


_PLAIN: dict[type, Any] = {int: int.__int__, float: _float, str: str.__str__}


def _read(item: Any, depth: int) -> Any:
    if isinstance(item, list):
        if depth >= _MAX_DEPTH:
            raise ValueError("too deep")
        return [_read(inner, depth + 1) for inner in item]
    if isinstance(item, dict):
        if item.keys() != {_TAG, "value"}:
            raise ValueError("unknown")
        return _READERS[item[_TAG]](item["value"])
    return item
