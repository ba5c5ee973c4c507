"""ClickHouse's types as Arrow has them, and Python's values as ClickHouse writes them."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any
from uuid import UUID

from flowfile_nb.broker.engines import StatementError

_WRAPPED = re.compile(r"(?:LowCardinality|Nullable|SimpleAggregateFunction\(\w+,)\s*\(?(?P<inner>.*)\)", re.S)
_DECIMAL = re.compile(r"Decimal\((?P<precision>\d+), ?(?P<scale>\d+)\)")
_MOMENT = re.compile(r"DateTime(?:64)?(?:\((?:\d+(?:, ?)?)?(?:'(?P<zone>[^']+)')?\))?")
_ESCAPED = {"\\": "\\\\", "'": "\\'", "\0": "\\0", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\b": "\\b", "\f": "\\f"}


def type_of(kind: str) -> Any:
    """Return the Arrow type for a type of ClickHouse's. What Arrow has no equal for, such as Tuple and Int256, becomes text."""
    import pyarrow as pa

    if wrapped := _WRAPPED.fullmatch(kind):
        return type_of(wrapped["inner"])
    if kind.startswith("Array("):
        return pa.list_(type_of(kind[6:-1]))
    if decimal := _DECIMAL.fullmatch(kind):
        precision, scale = int(decimal["precision"]), int(decimal["scale"])
        return pa.decimal128(precision, scale) if precision <= 38 else pa.decimal256(precision, scale)
    if moment := _MOMENT.fullmatch(kind):
        return pa.timestamp("us", tz=moment["zone"])
    plain: dict[str, Any] = {
        f"{sign}Int{bits}": getattr(pa, f"{sign.lower()}int{bits}")() for sign in ("", "U") for bits in (8, 16, 32, 64)
    }
    plain |= {"Float32": pa.float32(), "Float64": pa.float64(), "Bool": pa.bool_(), "Nothing": pa.null()}
    plain |= {"Date": pa.date32(), "Date32": pa.date32()}
    return plain.get(kind, pa.string())


def array_of(items: list[Any], field: Any) -> Any:
    """
    Return a column.

    Raises:
        StatementError: If a text is none, as ClickHouse takes any bytes for one.
    """
    import pyarrow as pa

    if pa.types.is_string(field.type):
        if any(isinstance(item, bytes) for item in items):
            raise StatementError(
                f"the column {field.name!r} holds bytes that are no text",
                f"have the database convert it:  hex({field.name})",
                clean=True,
            )
        items = [item if item is None or isinstance(item, str) else str(item) for item in items]
    return pa.array(items, field.type)


def literal(item: Any) -> str:
    r"""
    Return a value as ClickHouse writes it in a statement.

    Raises:
        StatementError: If there is no form for its type.

    >>> print(literal("it's"), literal(None), literal([1, 2]), literal(True))
    'it\'s' NULL [1, 2] 1
    """
    for kind, form in _FORMS:
        if isinstance(item, kind):
            return form(item)
    raise StatementError(f"a parameter of type {type(item).__name__} has no form in this database")


def _text(item: str) -> str:
    return "'" + "".join(_ESCAPED.get(character, character) for character in item) + "'"


def _decimal(item: Decimal) -> str:
    exponent = item.as_tuple().exponent
    if not isinstance(exponent, int):
        raise StatementError("a Decimal that is no number has no form in this database")
    return f"toDecimal128('{item:f}', {max(0, -exponent)})"


def _moment(item: dt.datetime) -> str:
    if item.tzinfo is not None:
        return f"toDateTime('{item.astimezone(dt.timezone.utc):%Y-%m-%d %H:%M:%S}', 'UTC')"
    return f"toDateTime('{item:%Y-%m-%d %H:%M:%S}')"


# In this order: True is an int too, and a moment a date.
_FORMS: tuple[tuple[Any, Callable[[Any], str]], ...] = (
    (type(None), lambda _: "NULL"),
    (bool, lambda item: str(int(item))),
    ((int, float), repr),
    (str, _text),
    (bytes, lambda item: f"unhex('{item.hex()}')"),
    (Decimal, _decimal),
    (dt.datetime, _moment),
    (dt.date, lambda item: f"toDate('{item.isoformat()}')"),
    (UUID, lambda item: f"toUUID('{item}')"),
    ((list, tuple), lambda items: f"[{', '.join(map(literal, items))}]"),
)
