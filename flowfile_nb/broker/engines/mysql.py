"""
MySQL and MariaDB, by PyMySQL: rows become Arrow in Python, a thousand at a time, in a stream.

Their read-only transactions stop changes of data, also in functions. They do not stop what commits by itself first: MariaDB
10.11 carries out SET PASSWORD, DDL, TRUNCATE and blocks in them. So a share to read takes no statement but those that begin as
reading ones do, and runs them in such a transaction. After each statement the session is as a new one.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from typing import Any
from uuid import UUID

from flowfile_nb.broker.engines import LostError, OpeningError, Result, StaleError, StatementError, StoppedError
from flowfile_nb.broker.engines.lines import notice_loss
from flowfile_nb.broker.engines.literals import filled
from flowfile_nb.broker.engines.mysql_types import array_of, schema_of
from flowfile_nb.broker.engines.reading import only_reads
from flowfile_nb.broker.limits import Limits
from flowfile_nb.broker.model import Access, Target

GUARANTEE = (
    "one statement that begins with SELECT, WITH, VALUES, TABLE, SHOW, DESCRIBE or EXPLAIN, in a read-only transaction, rolled"
    " back after it; a password cannot be changed by those"
)

_ROWS = 1000
_CHARSET = "utf8mb4"
_RESET = 0x1F
"""COM_RESET_CONNECTION, of MySQL since 5.7 and MariaDB since 10.2."""
_READ_ONLY = 1792
_LOST = {0, 2006, 2013, 2014, 2055, 1053, 1927, 4031}
_OUT_OF_TIME = {1969, 3024}
_DRIVERS_OWN = range(2000, 3000)
"""Codes of errors that no server sends."""
_PASSWORD_TABLES = ("mysql.global_priv", "mysql.user", "mysql.servers")
# Denied: database, table, column; no such table; a view that this login may not look through.
_NOT_FOR_THIS_LOGIN = {1044, 1142, 1143, 1146, 1356}
_MIGHTY = ("ALL PRIVILEGES", "SUPER", "FILE", "CREATE USER", "SET USER", "CONNECTION ADMIN")


class _Refusing:
    """Answers a server that asks for the password in clear."""

    def __init__(self, connection: Any) -> None:
        pass

    def authenticate(self, packet: Any) -> Any:
        """Send nothing."""
        raise OpeningError("the server asks for the password in clear, so it was not sent", "clear-text authentication")


class MySQL:
    """One connection."""

    def __init__(self, target: Target, value: str, limits: Limits) -> None:
        self._target, self._value, self._limits = target, value, limits
        self._connection: Any = None
        self._is_new = False
        self._settings: list[str] = []

    def open(self) -> None:
        """Connect."""
        self._connection = self._connected()
        self._is_new = True
        self._settings = ["autocommit = 1", f"NAMES {_CHARSET}"]
        seconds = self._limits.query_s
        for setting in (f"max_statement_time = {seconds:.3f}", f"max_execution_time = {round(seconds * 1000)}"):
            # One is MariaDB's, the other MySQL's.
            with suppress(Exception):
                self._plain(f"SET {setting}")
                self._settings.append(setting)

    @contextmanager
    def execute(self, statement: str, parameters: Any, access: Access) -> Iterator[Result]:
        """Run one statement."""
        if access == "read" and not only_reads(statement):
            raise StatementError(
                "only statements that read are run: SELECT, WITH, VALUES, TABLE, SHOW, DESCRIBE, EXPLAIN",
                code=str(_READ_ONLY),
                read_only=True,
            )
        self._ready(access)
        self._is_new = False
        text = filled(statement, parameters, self._literal).rstrip(" \t\r\n;")
        whole = [False]
        try:
            import pymysql.cursors

            cursor = self._connection.cursor(pymysql.cursors.SSCursor)
            affected = cursor.execute(text)
            if not cursor.description:
                whole[0] = True
                yield Result(_no_schema(), iter(()), affected)
            else:
                schema = schema_of(cursor._result.fields)  # noqa: SLF001 - nowhere else are character sets and signs
                yield Result(schema, _batches(cursor, schema, whole))
        except (StatementError, LostError, StoppedError, MemoryError):
            raise
        except Exception as error:  # noqa: BLE001 - PyMySQL's, Arrow's and Python's
            raise _translated(error) from None
        finally:
            self._reset(whole=whole[0], access=access)

    def cancel(self) -> None:
        """Kill the statement, on a connection of its own."""
        with closing(self._connected()) as other, other.cursor() as cursor:
            cursor.execute(f"KILL QUERY {int(self._connection.thread_id())}")

    def problems(self) -> list[str]:
        """Return what the login may do that no share can hold in."""
        if not self._is_new:
            # Rights on the whole server count for a connection as they were when it began.
            with suppress(Exception):
                self._connection.close()
            self.open()
        self._ready("read")
        with self._connection.cursor() as cursor:
            cursor.execute("SHOW GRANTS")
            grants = [str(row[0]) for row in cursor.fetchall()]
        everywhere = [grant.partition(" ON ")[0].upper() for grant in grants if " ON *.* TO " in grant]
        found = [f"the login has {right} on the whole server" for right in _MIGHTY if any(right in one for one in everywhere)]
        # By trying, as roles and grants on parts add up; where the table is not there, or may not be read, it is an error.
        for table in _PASSWORD_TABLES:
            try:
                self._plain(f"SELECT 1 FROM {table} LIMIT 0")  # noqa: S608 - a constant
            except Exception as error:
                # Anything else is no answer, and nothing is shared on that.
                if not error.args or error.args[0] not in _NOT_FOR_THIS_LOGIN:
                    raise
            else:
                found.append(f"the login reads {table}, which holds passwords of the server's users or of other servers")
        return found

    def server(self) -> str:
        """Return the server's name and version."""
        with self.execute("SELECT version()", None, "read") as result:
            # To its end, or the connection is closed.
            [batch] = result.batches
        version = str(batch.column(0)[0].as_py())
        return version if "MariaDB" in version else f"MySQL {version}"

    def first_asked(self) -> dict[str, Any]:
        """Return what SQLAlchemy's dialect asks before anything else, so that no member's statements have to."""
        facts = (
            "SELECT version() AS version, database() AS `schema`, @@sql_mode AS sql_mode,"
            " @@lower_case_table_names AS lower_case_table_names"
        )
        with self.execute(facts, None, "read") as result:
            [batch] = result.batches
        return dict(batch.to_pylist()[0])

    def _reset(self, *, whole: bool, access: Access) -> None:
        """
        Leave nothing of a statement behind: what it holds and has set in its session would be there for the next one.

        That are locks by GET_LOCK, for which others wait, temporary tables, variables and prepared statements. Which database
        is the usual one stays, so that a session that had none of its own is not used again.
        """
        connection, reset = self._connection, False
        with suppress(Exception):
            # A server, too, that does not know the command; and the driver would read all that is left of a result.
            if whole and (access == "read" or self._target.database):
                connection._execute_command(_RESET, b"")  # noqa: SLF001 - PyMySQL has no name for it
                connection._read_ok_packet()  # noqa: SLF001
                reset = True
        if not reset:
            with suppress(Exception):
                connection.close()

    def _ready(self, access: Access) -> None:
        settings = "SET " + ", ".join(self._settings)
        try:
            self._plain(settings)
        except Exception:  # noqa: BLE001 - nothing has run yet
            with suppress(Exception):
                self._connection.close()
            raise StaleError from None
        if access == "write" and self._target.database:
            self._connection.select_db(self._target.database)
        if access == "read":
            self._plain("START TRANSACTION READ ONLY")

    def _plain(self, statement: str) -> None:
        with self._connection.cursor() as cursor:
            cursor.execute(statement)

    def _connected(self) -> Any:
        import pymysql

        target = self._target
        try:
            connection: Any = pymysql.connect(
                host=target.host,
                port=target.port,
                user=target.username,
                # As text it would be sent as Latin-1.
                password=self._value.encode("utf-8", "surrogatepass"),
                database=target.database or None,
                charset=_CHARSET,
                connect_timeout=max(1, round(self._limits.connect_s)),
                autocommit=True,
                local_infile=False,
                auth_plugin_map={"mysql_clear_password": _Refusing, "dialog": _Refusing},
                **_tls(target),
            )
            notice_loss(connection._sock)  # noqa: SLF001 - PyMySQL has no other way to it
        except OpeningError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, its text stays here
            raise OpeningError(_reason(error), str(error)) from None
        return connection

    def _literal(self, item: Any) -> str:
        try:
            return str(self._connection.escape(str(item) if isinstance(item, UUID) else item, self._connection.encoders))
        except Exception as error:
            raise StatementError(f"a parameter of type {type(item).__name__} has no form in this database") from error


def _tls(target: Target) -> dict[str, Any]:
    if target.tls in {"", "disable", "disabled", "prefer", "preferred"}:
        return {"ssl_disabled": True} if target.tls.startswith("disable") else {}
    context = ssl.create_default_context(cafile=target.options.get("ssl_ca"))
    if target.tls not in {"verify-full", "verify_identity"}:
        context.check_hostname = False
        if target.tls not in {"verify-ca", "verify_ca"}:
            context.verify_mode = ssl.CERT_NONE
    return {"ssl": context}


def _reason(error: Exception) -> str:
    code = error.args[0] if error.args else 0
    if code in {1045, 1044, 1698}:
        return "the database refused the login; its owner has to check the secret"
    if code == 1049:
        return "the server has no such database"
    if code in {2002, 2003, 2005}:
        return "the database cannot be reached"
    return "the database could not be opened"


def _translated(error: Exception) -> Exception:
    code = error.args[0] if error.args and isinstance(error.args[0], int) else None
    if code in _LOST:
        return LostError("the connection to the database was lost")
    message = str(error.args[-1]) if error.args else type(error).__name__
    if code in _OUT_OF_TIME:
        message = f"{message}: the statement took too long"
    return StatementError(
        message, "", str(code or ""), read_only=code == _READ_ONLY, clean=bool(code) and code not in _DRIVERS_OWN
    )


def _no_schema() -> Any:
    import pyarrow as pa

    return pa.schema([])


def _batches(cursor: Any, schema: Any, whole: list[bool]) -> Iterator[Any]:
    import pyarrow as pa

    try:
        while rows := cursor.fetchmany(_ROWS):
            columns = zip(*rows, strict=True)
            arrays = [array_of(list(column), field.type) for column, field in zip(columns, schema, strict=True)]
            yield pa.record_batch(arrays, schema=schema)
    except Exception as error:  # noqa: BLE001 - PyMySQL's and Arrow's
        raise _translated(error) from None
    whole[0] = True
