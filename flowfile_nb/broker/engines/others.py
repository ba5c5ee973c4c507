"""
Every other database that SQLAlchemy has a dialect for: its driver's rows become Arrow, a thousand at a time.

They have no read-only transaction in common, and what stands in for one does not hold: SQL Server runs `SELECT 1 DROP TABLE t`
as two statements, and SQLite's driver commits `WITH … INSERT` by itself. So nothing is run for a share to read: an owner who
wants to share such a database gives a login that may only read, and shares it to write, with the warning that this has.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

from flowfile_nb.broker.engines import LostError, OpeningError, Result, StatementError, StoppedError
from flowfile_nb.broker.engines.literals import filled
from flowfile_nb.broker.limits import Limits
from flowfile_nb.broker.model import Access, Target
from flowfile_nb.connections import dialects
from flowfile_nb.connections.drivers import DIALECTS
from flowfile_nb.core.references import reference

GUARANTEE = "nothing is run for a share to read: this database has no read-only transaction that a broker could rely on"
ADVICE = "ask its owner for a login of the database that may only read, shared with --write"

_ROWS = 1000
# Where a backslash in a text escapes what follows it. SQLAlchemy's own way is to double quotes alone, and not every dialect
# knows better: what follows a backslash and a quote would be SQL.
_BACKSLASHES = {"snowflake", "databricks"}


class Others:
    """One connection."""

    def __init__(self, target: Target, value: str, limits: Limits) -> None:
        self._target, self._value = target, value
        self._engine: Any = None
        self._connection: Any = None

    def open(self) -> None:
        """Connect, by the dialect's usual driver. The URL is made of parts, never of text."""
        import sqlalchemy

        target = self._target
        try:
            url = sqlalchemy.URL.create(
                # Which driver: the one that the owner's own kernel would take.
                DIALECTS.get(target.kind, target.kind),
                target.username or None,
                reference("value") if self._value else None,
                target.host or None,
                _port(target),
                target.database or None,
                {key: str(item) for key, item in target.options.items()},
            )
            self._engine = sqlalchemy.create_engine(
                dialects.engine_url(url),
                hide_parameters=True,
                poolclass=sqlalchemy.NullPool,
                creator=partial(self._connect, url),
            )
            self._connection = self._engine.connect()
        except Exception as error:  # noqa: BLE001 - its text can hold the whole URL
            raise OpeningError("the database could not be opened", f"{type(error).__name__}: {error}") from None

    def _connect(self, url: Any) -> Any:
        dialect = self._engine.dialect
        positional, named = dialects.arguments(dialect, url, lambda _: self._value)
        return dialect.connect(*positional, **{**named, **_encrypted(self._target)})

    @contextmanager
    def execute(self, statement: str, parameters: Any, access: Access) -> Iterator[Result]:
        """Run one statement."""
        if access == "read":
            raise StatementError(GUARANTEE, ADVICE, read_only=True)
        text = filled(statement, parameters, self._literal)
        try:
            result = self._connection.execution_options(stream_results=True).exec_driver_sql(text)
            if not result.returns_rows:
                yield Result(_schema([], []), iter(()), result.rowcount)
            else:
                names = list(result.keys())
                # The types are those of the first rows: drivers name them each in another way.
                first = result.fetchmany(_ROWS)
                schema = _schema(names, first)
                yield Result(schema, _batches(result, first, schema))
            self._connection.commit()
        except (StatementError, LostError, StoppedError, OpeningError, MemoryError):
            raise
        except Exception as error:  # noqa: BLE001 - each driver's
            raise _translated(error) from None
        finally:
            with suppress(Exception):
                self._connection.rollback()

    def cancel(self) -> None:
        """Close the connection under the statement: what makes each database stop differs, a closed connection does mostly."""
        self._connection.connection.dbapi_connection.close()

    def problems(self) -> list[str]:
        """Return what is not promised here."""
        return [f"warning: {GUARANTEE}"]

    def server(self) -> str:
        """Return what kind of server it is."""
        version = ".".join(str(part) for part in self._engine.dialect.server_version_info or ())
        return f"{self._engine.dialect.name} {version}".strip()

    def _literal(self, item: Any) -> str:
        from sqlalchemy import literal

        if isinstance(item, str) and self._target.kind in _BACKSLASHES:
            return "'" + item.replace("\\", "\\\\").replace("'", "\\'") + "'"
        try:
            compiled = literal(item).compile(dialect=self._engine.dialect, compile_kwargs={"literal_binds": True})
        except Exception as error:
            raise StatementError(f"a parameter of type {type(item).__name__} has no form in this database") from error
        return str(compiled)


def _port(target: Target) -> int | None:
    """Return the port to write into the URL; none for a Snowflake account, whose name the dialect makes a host of only then."""
    return None if (target.kind, target.port) == ("snowflake", 443) else target.port or None


def _encrypted(target: Target) -> dict[str, Any]:
    """Return what a driver is told of encryption that its dialect does not take from a URL."""
    if target.kind == "mssql" and target.tls == "require":
        return {"encryption": "require"}
    if target.kind == "trino":
        # Of a URL its dialect believes the port alone.
        clear = {"http_scheme": "http", "allow_insecure_auth": True}
        return {"http_scheme": "https"} if target.tls == "verify-full" else clear
    return {}


def _schema(names: list[str], rows: list[Any]) -> Any:
    import pyarrow as pa

    columns: list[Any] = list(zip(*rows, strict=True)) or [()] * len(names)
    return pa.schema([pa.field(name, _type(list(items))) for name, items in zip(names, columns, strict=True)])


def _type(items: list[Any]) -> Any:
    import pyarrow as pa

    try:
        found = pa.array(items).type
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError):
        return pa.string()
    if pa.types.is_null(found):
        return pa.string()
    if pa.types.is_decimal(found):
        # Later rows may have more digits than the first.
        return pa.decimal256(76, max(found.scale, 12))
    return found


def _batches(result: Any, rows: list[Any], schema: Any) -> Iterator[Any]:
    import pyarrow as pa

    while rows:
        columns = zip(*rows, strict=True)
        arrays = [_array(list(items), field) for items, field in zip(columns, schema, strict=True)]
        yield pa.record_batch(arrays, schema=schema)
        rows = result.fetchmany(_ROWS)


def _array(items: list[Any], field: Any) -> Any:
    import pyarrow as pa

    if pa.types.is_string(field.type):
        items = [item if item is None or isinstance(item, str) else str(item) for item in items]
    try:
        return pa.array(items, field.type)
    except (pa.ArrowInvalid, pa.ArrowTypeError, TypeError):
        raise StatementError(
            f"a later row of the column {field.name!r} is of another type than the first {_ROWS}",
            f"have the database convert it:  CAST({field.name} AS …)",
            clean=True,
        ) from None


def _translated(error: Exception) -> Exception:
    if getattr(error, "connection_invalidated", False):
        return LostError("the connection to the database was lost")
    original = getattr(error, "orig", None) or error
    return StatementError(str(original).strip() or type(original).__name__)
