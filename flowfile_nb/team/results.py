"""One query's answer: frames into Arrow, and Arrow into Python's rows. What is not whole is an error, never a result."""

from __future__ import annotations

import contextlib
import datetime as dt
import ipaddress
import json
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any
from uuid import UUID

from flowfile_nb.core import wire
from flowfile_nb.errors import BrokerError

_AF_INET = 2


class FrameReader:
    """
    The Arrow stream in an answer, as a file that pyarrow reads.

    Args:
        pieces: The answer's bytes, cut anywhere.
        raise_: Raises what an error frame says.
    """

    closed = False

    def __init__(self, pieces: Iterator[bytes], raise_: Callable[[dict[str, Any]], Any]) -> None:
        self._pieces = pieces
        self._raise = raise_
        self._decoder = wire.Decoder()
        self._held: list[memoryview] = []
        self.end: dict[str, Any] | None = None

    def read(self, size: int = -1) -> bytes:
        """Return so many bytes, and fewer only at the end."""
        parts: list[memoryview | bytes] = []
        missing = size if size >= 0 else 1 << 62
        while missing > 0 and (self._held or self._more()):
            part = self._held[0]
            if len(part) <= missing:
                self._held.pop(0)
            else:
                part, self._held[0] = part[:missing], part[missing:]
            parts.append(part)
            missing -= len(part)
        return b"".join(parts)

    def finish(self) -> dict[str, Any]:
        """
        Return what the end says; what comes before it is let go.

        Raises:
            WireError: If there is no end.
        """
        while self._more():
            self._held.clear()
        assert self.end is not None
        return self.end

    def close(self) -> None:
        """Hang up."""
        close = getattr(self._pieces, "close", None)
        if close is not None:
            with contextlib.suppress(Exception):
                close()

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return False."""
        return False

    def _settle(self) -> None:
        """Read what closes the answer: until then its connection is not free for the next one. It is whole, if that fails."""
        with contextlib.suppress(BrokerError):
            for piece in self._pieces:
                self._decoder.feed(piece)

    def _more(self) -> bool:
        """Read on until there is Arrow data; return False at the end."""
        while self.end is None:
            piece = next(self._pieces, None)
            if piece is None:
                self._decoder.finish()
                return False
            for frame in self._decoder.feed(piece):
                if frame.kind == wire.ARROW:
                    self._held.append(memoryview(frame.data))
                elif frame.kind == wire.ERROR:
                    self._raise(frame.facts())
                elif frame.kind == wire.END:
                    self.end = frame.facts()
                    self._settle()
            if self._held:
                return True
        return bool(self._held)


def schema_of(schema: Any) -> Any:
    """Return an Arrow schema that every library reads: what a driver leaves opaque as it is stored, intervals as durations."""
    import pyarrow as pa

    return pa.schema([pa.field(one.name, _plain(one.type), one.nullable) for one in schema])


def plain_batch(batch: Any, schema: Any) -> Any:
    """Return a batch with the columns of `schema_of`."""
    import pyarrow as pa

    columns = []
    for column in batch.columns:
        if column.type == pa.month_day_nano_interval():
            columns.append(pa.array([item and _interval(item) for item in column.to_pylist()], pa.duration("us")))
        else:
            columns.append(column.storage if hasattr(column, "storage") and not _is_uuid(column.type) else column)
    return pa.record_batch(columns, schema=schema)


def with_decimals(table: Any, schema: Any) -> Any:
    """
    Return a table with PostgreSQL's `numeric` as decimals.

    They have as many places as the column needs; a column with NaN, or with more digits than Arrow's decimals have, stays text.

    Args:
        table: With the columns of `schema_of`.
        schema: As the broker sent it, which says where a text is a number.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    for index, field in enumerate(schema):
        if not _is_numeric(field.type):
            continue
        column = table.column(index)
        places = pc.max(pc.utf8_length(pc.replace_substring_regex(column, r"^[^.]*\.?", ""))).as_py() or 0
        with contextlib.suppress(pa.ArrowInvalid, ValueError):
            table = table.set_column(index, field.name, pc.cast(column, pa.decimal128(38, places)))
    return table


def rows_of(batch: Any) -> list[tuple[Any, ...]]:
    """Return a batch as rows of what database drivers return: Decimal, UUID, timedelta, a dictionary of JSON."""
    columns = []
    for column in batch.columns:
        items = column.storage.to_pylist() if _is_opaque(column.type) else column.to_pylist()
        convert = _converter(column.type)
        columns.append(items if convert is None else [None if item is None else convert(item) for item in items])
    return list(zip(*columns, strict=True))


def python_type(type_: Any) -> type | None:
    """Return the class of a column's values, for a cursor's description; None where there is no one class."""
    import pyarrow as pa

    types = pa.types
    checks: list[tuple[Callable[[Any], bool], type]] = [
        (types.is_boolean, bool),
        (types.is_integer, int),
        (types.is_floating, float),
        (types.is_string, str),
        (types.is_large_string, str),
        (types.is_binary, bytes),
        (types.is_date, dt.date),
        (types.is_timestamp, dt.datetime),
        (types.is_time, dt.time),
        (types.is_decimal, Decimal),
        (types.is_duration, dt.timedelta),
        (_is_numeric, Decimal),
        (_is_uuid, UUID),
    ]
    return next((kind for check, kind in checks if check(type_)), None)


def _plain(type_: Any) -> Any:
    import pyarrow as pa

    if type_ == pa.month_day_nano_interval():
        return pa.duration("us")
    return type_.storage_type if hasattr(type_, "storage_type") and not _is_uuid(type_) else type_


def _extension(type_: Any) -> str:
    return str(getattr(type_, "extension_name", ""))


def _is_uuid(type_: Any) -> bool:
    return _extension(type_) == "arrow.uuid"


def _is_opaque(type_: Any) -> bool:
    return _extension(type_) == "arrow.opaque"


def _is_numeric(type_: Any) -> bool:
    return _is_opaque(type_) and type_.type_name == "numeric"


def _converter(type_: Any) -> Callable[[Any], Any] | None:
    import pyarrow as pa

    if _is_numeric(type_):
        return Decimal
    if _is_opaque(type_):
        return _address if type_.type_name in {"inet", "cidr"} else None
    if _extension(type_) == "arrow.json":
        return json.loads
    if type_ == pa.month_day_nano_interval():
        return _interval
    if pa.types.is_list(type_):
        inner = _converter(type_.value_type)
        return None if inner is None else lambda items: [None if item is None else inner(item) for item in items]
    return None


def _interval(item: Any) -> dt.timedelta:
    # As PostgreSQL counts when it has to: a month has 30 days.
    return dt.timedelta(days=item.months * 30 + item.days, microseconds=item.nanoseconds // 1000)


def _address(item: bytes) -> str:
    """Return an address as text; PostgreSQL sends its family, the network's length, whether it is one, and the bytes."""
    family, length, is_network, address = item[0], item[1], item[2], ipaddress.ip_address(item[4:])
    whole = 32 if family == _AF_INET else 128
    return f"{address}/{length}" if is_network or length != whole else str(address)
