"""What MySQL's types become in Arrow, as PyMySQL returns their values."""

from __future__ import annotations

from typing import Any

_BINARY = 63
_UNSIGNED = 32


def schema_of(fields: Any) -> Any:
    """Return the `pyarrow.Schema` for the fields of a result, as PyMySQL describes them."""
    import pyarrow as pa

    return pa.schema([pa.field(field.name, _type(field)) for field in fields])


def _type(field: Any) -> Any:
    import pyarrow as pa
    from pymysql.constants import FIELD_TYPE as KIND

    code = field.type_code
    if code in {KIND.TINY, KIND.SHORT, KIND.LONG, KIND.INT24, KIND.YEAR}:
        return pa.int64()
    if code == KIND.LONGLONG:
        return pa.uint64() if field.flags & _UNSIGNED else pa.int64()
    if code in {KIND.DECIMAL, KIND.NEWDECIMAL}:
        # Its length counts a sign and a point as well.
        return pa.decimal128(38, field.scale) if field.length <= 38 else pa.decimal256(76, field.scale)
    known = {
        KIND.FLOAT: pa.float64(),
        KIND.DOUBLE: pa.float64(),
        KIND.NULL: pa.null(),
        KIND.BIT: pa.binary(),
        KIND.DATE: pa.date32(),
        KIND.NEWDATE: pa.date32(),
        KIND.TIME: pa.duration("us"),
        KIND.DATETIME: pa.timestamp("us"),
        KIND.TIMESTAMP: pa.timestamp("us"),
        KIND.GEOMETRY: pa.binary(),
        KIND.JSON: pa.string(),
    }
    return known.get(code) or (pa.binary() if field.charsetnr == _BINARY else pa.string())


def array_of(items: list[Any], type_: Any) -> Any:
    """Return one column, of a type that `schema_of` has given."""
    import pyarrow as pa

    if pa.types.is_temporal(type_):
        # What is no date, such as 0000-00-00, the driver returns as text.
        items = [None if isinstance(item, str) else item for item in items]
    return pa.array(items, type_)
