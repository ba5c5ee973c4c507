"""
A database behind the broker, as PEP 249 has it. Connection and credential are the broker's.

Each statement is a transaction of its own, so `commit` has nothing to do; `rollback` cannot take back what was written, and
warns. Rows come as Arrow: `fetch_arrow_table`, `fetch_record_batch`, `fetch_df` and `__arrow_c_stream__` hand it on.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import sys
import warnings
import weakref
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from flowfile_nb.team.cursor import Cursor, QueryCall
from flowfile_nb.team.database_errors import (
    DatabaseError,
    DataError,
    Error,
    IntegrityError,
    InterfaceError,
    InternalError,
    NotSupportedError,
    OperationalError,
    ProgrammingError,
    Warning,  # noqa: A004 - PEP 249's name
)

if TYPE_CHECKING:
    from typing_extensions import Self

apilevel = "2.0"
threadsafety = 1
paramstyle = "pyformat"


# PEP 249's constructors and types.
Date, Time, Timestamp, Binary = dt.date, dt.time, dt.datetime, bytes
DateFromTicks = dt.date.fromtimestamp
STRING, BINARY, NUMBER, DATETIME, ROWID = str, bytes, float, dt.datetime, int


def TimeFromTicks(ticks: float) -> dt.time:  # noqa: N802 - PEP 249's name
    """Return the time of day of a moment."""
    return dt.datetime.fromtimestamp(ticks).time()


def TimestampFromTicks(ticks: float) -> dt.datetime:  # noqa: N802 - PEP 249's name
    """Return the moment."""
    return dt.datetime.fromtimestamp(ticks)


def connect(call: QueryCall, order: Mapping[str, Any]) -> Connection:
    """
    Return a connection; nothing is sent yet.

    Args:
        call: Speaks to the broker.
        order: What is asked of it: `{"connection": name}`, or `{"description": text}`.
    """
    return Connection(call, order)


class Connection:
    """One of any number of cursors' homes; it has no state at the database."""

    Warning, Error, InterfaceError, DatabaseError = Warning, Error, InterfaceError, DatabaseError
    DataError, OperationalError, IntegrityError, InternalError = DataError, OperationalError, IntegrityError, InternalError
    ProgrammingError, NotSupportedError = ProgrammingError, NotSupportedError

    def __init__(self, call: QueryCall, order: Mapping[str, Any]) -> None:
        self._call, self._order = call, dict(order)
        # One that nobody holds any more hangs up by itself.
        self._cursors: weakref.WeakSet[Cursor] = weakref.WeakSet()
        self.closed = False
        self.wrote = False

    def __repr__(self) -> str:
        return f"<connection {self.name!r} of the team's broker>"

    @property
    def name(self) -> str:
        """What it is called, where it has a name."""
        return str(self._order.get("connection", "as described"))

    @property
    def autocommit(self) -> bool:
        """Always True: each statement is a transaction."""
        return True

    def cursor(self) -> Cursor:
        """Return a new cursor."""
        if self.closed:
            raise InterfaceError("the connection is closed", hint="open it again")
        _tell_polars()
        cursor = Cursor(self, self._call, self._order)
        self._cursors.add(cursor)
        return cursor

    def execute(self, statement: str, parameters: Any = None) -> Cursor:
        """Return a new cursor on which the statement was run."""
        return self.cursor().execute(statement, parameters)

    def commit(self) -> None:
        """Do nothing: each statement was committed as it ended."""
        self.wrote = False

    def rollback(self) -> None:
        """Take nothing back. Where a statement has written, a warning says that it is committed."""
        if self.wrote:
            self.wrote = False
            warnings.warn(
                "through the broker each statement commits itself: what was written is not rolled back", Warning, stacklevel=2
            )

    def close(self) -> None:
        """Close it and its cursors."""
        self.closed = True
        for cursor in list(self._cursors):
            cursor.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _tell_polars() -> None:
    """Let `polars.read_database` take Arrow from here; without that it reads rows, which is slower and no error."""
    registry = sys.modules.get("polars.io.database._arrow_registry")
    if registry is not None:
        with contextlib.suppress(Exception):
            entry = {
                "fetch_all": "fetch_arrow_table",
                "fetch_batches": "fetch_record_batch",
                "exact_batch_size": False,
                "repeat_batch_calls": False,
                "minimum_version": None,
            }
            registry.ARROW_DRIVER_REGISTRY.setdefault("flowfile_nb", [entry])
