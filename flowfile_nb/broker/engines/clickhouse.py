"""
ClickHouse, by its native protocol: rows become Arrow in Python, a thousand at a time, in a stream.

A share to read runs each statement with `readonly = 1`, sent beside it: the server then refuses all that changes data, settings
or users, and the functions that reach files and other servers (`url`, `file`, `remote` …), and no SETTINGS of the statement
takes that back. What it still lets through, such as KILL QUERY, begins with a word that no reading statement begins with.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from itertools import islice
from typing import Any
from uuid import uuid4

from flowfile_nb.broker.engines import LostError, OpeningError, Result, StaleError, StatementError, StoppedError
from flowfile_nb.broker.engines.clickhouse_types import array_of, literal, type_of
from flowfile_nb.broker.engines.literals import filled
from flowfile_nb.broker.engines.reading import only_reads
from flowfile_nb.broker.limits import Limits
from flowfile_nb.broker.model import Access, Target

GUARANTEE = (
    "one statement that begins with SELECT, WITH, SHOW, DESCRIBE or EXPLAIN, under ClickHouse's readonly = 1: it changes no"
    " data, no setting and no password, and reaches no file and no other server"
)

_ROWS = 1000
_READ_ONLY = 164
_SYNTAX = 62
_LOGIN_REFUSED = {192, 193, 194, 516}
_NO_DATABASE = 81
_INSERTED_ROWS = re.compile(r"\s*insert\b(?:(?!\bselect\b|\bwith\b).)*?\b(?:values|format)\b", re.I | re.S)
# Rights with which a login is more than a reader, where they hold for the whole server.
_MIGHTY = re.compile(
    r"\bGRANT (?P<rights>[^()]*?\b(?:ALL|ACCESS MANAGEMENT|CREATE USER|ALTER USER|SYSTEM|SOURCES)\b.*?) ON \*\.\*"
)
# Older servers show in a table's definition the password with which it reaches another server; newer ones hide it.
_OTHERS_PASSWORDS = """
SELECT concat(database, '.', name) FROM system.tables
WHERE engine IN ('MySQL', 'PostgreSQL', 'MaterializedPostgreSQL', 'MongoDB', 'Redis', 'S3', 'S3Queue', 'AzureBlobStorage',
    'ODBC', 'JDBC', 'RabbitMQ')
AND position(create_table_query, '[HIDDEN]') = 0 ORDER BY 1 LIMIT 3
"""


class ClickHouse:
    """One connection."""

    def __init__(self, target: Target, value: str, limits: Limits) -> None:
        self._target, self._value, self._limits = target, value, limits
        self._client: Any = None
        self._running = ""

    def open(self) -> None:
        """Connect."""
        self._client = self._connected()
        try:
            self._client.execute("SELECT 1")
        except Exception as error:  # noqa: BLE001 - whatever it is, its text stays here
            raise OpeningError(_reason(error), str(error)) from None

    @contextmanager
    def execute(self, statement: str, parameters: Any, access: Access) -> Iterator[Result]:
        """Run one statement."""
        if access == "read" and not only_reads(statement):
            raise StatementError(
                "only statements that read are run: SELECT, WITH, SHOW, DESCRIBE, EXPLAIN", code=str(_READ_ONLY), read_only=True
            )
        text = filled(statement, parameters, literal).rstrip(" \t\r\n;")
        if _INSERTED_ROWS.match(text):
            raise StatementError(
                "ClickHouse takes the rows of INSERT … VALUES apart from the statement, and the broker sends statements alone",
                "INSERT INTO t SELECT 1, 'a' UNION ALL SELECT 2, 'b'",
            )
        self._require_connection()
        whole = [False]
        self._running = str(uuid4())
        try:
            # Sent with the statement itself: whatever an earlier one of the session did does not count.
            settings = {"readonly": 1} if access == "read" else {}
            rows = self._client.execute_iter(text, with_column_types=True, query_id=self._running, settings=settings)
            columns = next(rows, None)
            if not columns:
                # What goes wrong in a statement without rows is told only now.
                deque(rows, maxlen=0)
                whole[0] = True
                yield Result(_schema([]), iter(()))
            else:
                schema = _schema(columns)
                yield Result(schema, _batches(rows, schema, whole))
        except (StatementError, LostError, StoppedError, MemoryError):
            raise
        except Exception as error:  # noqa: BLE001 - the driver's, Arrow's and Python's
            raise _translated(error) from None
        finally:
            self._running = ""
            if not whole[0]:
                # Otherwise the driver would read all that is left. The next statement gets another connection.
                with suppress(Exception):
                    self._client.disconnect()

    def cancel(self) -> None:
        """Kill the statement, on a connection of its own."""
        if running := self._running:
            with closing(_Closing(self._connected())) as other:
                other.client.execute("KILL QUERY WHERE query_id = %(running)s ASYNC", {"running": running})

    def problems(self) -> list[str]:
        """Return what the login may do that no share can hold in."""
        mighty = filter(None, map(_MIGHTY.search, self._grants()))
        found = [f"the login has {one['rights']} on the whole server" for one in mighty]
        if tables := [str(row[0]) for row in self._reads(_OTHERS_PASSWORDS)]:
            found.append(f"the login reads the passwords of other servers in the definition of {', '.join(tables)}")
        return found

    def server(self) -> str:
        """Return the server's name and version."""
        return f"ClickHouse {self._reads('SELECT version()')[0][0]}"

    def _require_connection(self) -> None:
        """Raise StaleError if the connection is gone: the driver would open another by itself."""
        connection = self._client.connection
        with suppress(Exception):
            if connection.connected and connection.ping():
                return
        raise StaleError

    def _grants(self) -> list[str]:
        try:
            return [str(row[0]) for row in self._reads("SHOW GRANTS")]
        except StatementError as error:
            # Before version 20 users stand in a file, and there are no grants to ask for.
            if error.code == str(_SYNTAX):
                return []
            raise

    def _reads(self, statement: str) -> list[tuple[Any, ...]]:
        try:
            rows: list[tuple[Any, ...]] = self._client.execute(statement, settings={"readonly": 1})
        except Exception as error:  # noqa: BLE001 - the driver's
            raise _translated(error) from None
        return rows

    def _connected(self) -> Any:
        from clickhouse_driver import Client

        target = self._target
        secure = target.tls in {"verify-full", "verify-ca", "require"} or target.options.get("secure") in {"1", "true"}
        return Client(
            target.host,
            port=target.port,
            database=target.database,
            user=target.username or "default",
            password=self._value,
            secure=secure,
            verify=target.tls in {"verify-full", "verify-ca"},
            connect_timeout=self._limits.connect_s,
            send_receive_timeout=self._limits.query_s,
            client_name="flowfile_nb",
        )


class _Closing:
    """A client that `closing` can close."""

    def __init__(self, client: Any) -> None:
        self.client = client

    def close(self) -> None:
        """Hang up."""
        self.client.disconnect()


def _reason(error: Exception) -> str:
    code = getattr(error, "code", 0)
    if code in _LOGIN_REFUSED:
        return "the database refused the login; its owner has to check the secret"
    if code == _NO_DATABASE:
        return "the server has no such database"
    return "the database cannot be reached" if _is_lost(error) else "the database could not be opened"


def _is_lost(error: Exception) -> bool:
    from clickhouse_driver.errors import NetworkError, SocketTimeoutError

    return isinstance(error, (NetworkError, SocketTimeoutError, EOFError, OSError))


def _translated(error: Exception) -> Exception:
    from clickhouse_driver.errors import ServerException

    if _is_lost(error):
        return LostError("the connection to the database was lost")
    if not isinstance(error, ServerException):
        return StatementError(str(error).strip() or type(error).__name__)
    message = str(error.message).partition("Stack trace")[0].strip().removeprefix("DB::Exception: ")
    return StatementError(message, "", str(error.code), read_only=error.code == _READ_ONLY, clean=True)


def _schema(columns: Any) -> Any:
    import pyarrow as pa

    return pa.schema([pa.field(name, type_of(kind)) for name, kind in columns])


def _batches(rows: Any, schema: Any, whole: list[bool]) -> Iterator[Any]:
    import pyarrow as pa

    try:
        while batch := list(islice(rows, _ROWS)):
            columns = zip(*batch, strict=True)
            arrays = [array_of(list(column), field) for column, field in zip(columns, schema, strict=True)]
            yield pa.record_batch(arrays, schema=schema)
    except StatementError:
        raise
    except Exception as error:  # noqa: BLE001 - the driver's and Arrow's
        raise _translated(error) from None
    whole[0] = True
