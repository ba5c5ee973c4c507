"""A statement at a database behind the broker, and its rows."""

from __future__ import annotations

import contextlib
import sys
import uuid
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from flowfile_nb.core.parameters import to_json
from flowfile_nb.team.database_errors import InterfaceError, raise_said
from flowfile_nb.team.results import FrameReader, plain_batch, python_type, rows_of, schema_of, with_decimals
from flowfile_nb.waiting import said_if_slow

if TYPE_CHECKING:
    from typing_extensions import Self

    from flowfile_nb.team.dbapi import Connection


class QueryCall(Protocol):
    """What speaks to the broker."""

    def open(self, body: dict[str, Any], /) -> Iterator[bytes]:
        """Begin a query; its frames come as bytes, cut anywhere."""

    def cancel(self, query_id: str, /) -> bool:
        """Cancel a query; return whether there was any."""


class Cursor:
    """One statement at a time, and its rows."""

    arraysize = 1000

    def __init__(self, connection: Connection, call: QueryCall, order: Mapping[str, Any]) -> None:
        self.connection = connection
        self._call, self._order = call, order
        self._id = ""
        self._frames: FrameReader | None = None
        self._reader: Any = None
        self._rows: list[tuple[Any, ...]] = []
        self.description: list[tuple[Any, ...]] | None = None
        self.rowcount = -1
        self.is_open = True

    def execute(self, statement: str, parameters: Any = None) -> Cursor:
        """
        Run a statement; returns when its first rows are there, or it has failed.

        Args:
            statement: With `%s` or `%(name)s` where values belong, if there are parameters; then a per cent sign is `%%`.
            parameters: A sequence, or a mapping by name.
        """
        import pyarrow as pa

        if not self.is_open:
            raise InterfaceError("the cursor is closed", hint="make another one")
        self._drop()
        self._id = uuid.uuid4().hex
        body = {**self._order, "id": self._id, "statement": statement, "parameters": to_json(parameters)}
        with self._watched(), said_if_slow(self.connection.name) if "ipykernel" in sys.modules else contextlib.nullcontext():
            self._frames = FrameReader(iter(self._call.open(body)), raise_said)
            self._reader = pa.ipc.open_stream(pa.PythonFile(self._frames, mode="r"))
            names = self._reader.schema.names
            if names:
                types = [python_type(one.type) for one in self._reader.schema]
                self.description = [(name, kind, *[None] * 5) for name, kind in zip(names, types, strict=True)]
            else:
                self._finish()
        return self

    def executemany(self, statement: str, rows: Sequence[Any]) -> Cursor:
        """Run a statement once for each row of parameters, each a transaction of its own."""
        count = 0
        for row in rows:
            self.execute(statement, row)
            count += max(self.rowcount, 0)
        self.rowcount = count
        return self

    def fetchone(self) -> tuple[Any, ...] | None:
        """Return the next row, or None."""
        rows = self.fetchmany(1)
        return rows[0] if rows else None

    def fetchmany(self, size: int | None = None) -> list[tuple[Any, ...]]:
        """Return so many rows, fewer at the end."""
        wanted = self.arraysize if size is None else size
        while len(self._rows) < wanted and (batch := self._next()) is not None:
            self._rows += rows_of(batch)
        taken, self._rows = self._rows[:wanted], self._rows[wanted:]
        return taken

    def fetchall(self) -> list[tuple[Any, ...]]:
        """Return the rows that are left."""
        rows, self._rows = self._rows, []
        while (batch := self._next()) is not None:
            rows += rows_of(batch)
        return rows

    def fetch_record_batch(self, rows_per_batch: int | None = None) -> Any:
        """Return the rows as a `pyarrow.RecordBatchReader`, which reads them as they are asked for."""
        import pyarrow as pa

        schema = schema_of(self._stream().schema)
        return pa.RecordBatchReader.from_batches(schema, self._batches(schema))

    def fetch_arrow_table(self) -> Any:
        """Return all rows as a `pyarrow.Table`; PostgreSQL's `numeric` as decimals."""
        import pyarrow as pa

        original = self._stream().schema
        schema = schema_of(original)
        return with_decimals(pa.Table.from_batches(self._batches(schema), schema), original)

    def fetch_df(self) -> Any:
        """Return all rows as a pandas DataFrame."""
        return self.fetch_arrow_table().to_pandas()

    def fetch_polars(self) -> Any:
        """Return all rows as a polars DataFrame."""
        import polars as pl

        return pl.from_arrow(self.fetch_arrow_table())

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        return self.fetch_record_batch().__arrow_c_stream__(requested_schema)

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        while (row := self.fetchone()) is not None:
            yield row

    def close(self) -> None:
        """Let go what was not read: the broker ends the statement."""
        self._drop()
        self.is_open = False

    def setinputsizes(self, sizes: Any) -> None:
        """Do nothing."""

    def setoutputsize(self, size: Any, column: Any = None) -> None:
        """Do nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _stream(self) -> Any:
        if self._reader is None or self.description is None:
            raise InterfaceError("there are no rows to fetch", hint="run a statement that returns some")
        return self._reader

    def _batches(self, schema: Any) -> Iterator[Any]:
        while (batch := self._next()) is not None:
            yield plain_batch(batch, schema)

    def _next(self) -> Any:
        """Return the next batch, or None when the end was seen."""
        reader = self._stream()
        if self._frames is None:
            return None
        with self._watched():
            try:
                return reader.read_next_batch()
            except StopIteration:
                self._finish()
        return None

    def _finish(self) -> None:
        assert self._frames is not None
        end = self._frames.finish()
        self.rowcount = end.get("affected", -1)
        self.connection.wrote |= self.description is None
        self._frames = None

    def _drop(self) -> None:
        frames, self._frames = self._frames, None
        self._reader, self._rows, self.description, self.rowcount = None, [], None, -1
        if frames is not None:
            # Hung up first: what is told may find nobody who hears it.
            frames.close()
            self._cancel()

    def _cancel(self) -> None:
        # It may have ended, or the broker be gone; then there is nothing to cancel.
        with contextlib.suppress(Exception):
            self._call.cancel(self._id)

    @contextlib.contextmanager
    def _watched(self) -> Iterator[None]:
        """End the statement at the database, too, if this block does not end well: an interrupt, above all."""
        try:
            yield
        except BaseException as error:
            frames, self._frames = self._frames, None
            if frames is not None:
                frames.close()
                if isinstance(error, KeyboardInterrupt):
                    self._cancel()
            raise
