"""How long opening a connection may take. Each driver has its own word for it, and some do not mean all of it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from flowfile_nb.connections.access import TIMEOUT_S, Access

if TYPE_CHECKING:
    from sqlalchemy.engine import Dialect

# By driver; where several databases have one of that name, by both. Databricks and BigQuery limit whole requests only.
_ARGUMENTS = {
    "clickhousedb+connect": "connect_timeout",
    "mysqlconnector": "connection_timeout",
    "mysqldb": "connect_timeout",
    "oracledb": "tcp_connect_timeout",
    "psycopg": "connect_timeout",
    "psycopg2": "connect_timeout",
    "pymssql": "login_timeout",
    "pymysql": "connect_timeout",
    "pyodbc": "timeout",
    "snowflake": "login_timeout",
}
# libpq takes whole seconds, and no fewer than two (postgresql.org, "connect_timeout").
_LEAST_OF_LIBPQ_S = 2
_TRINO_ANSWER_S = 30
# Those that wait in C, where no interrupt is heard, or whose limit ends with the TCP connection: by driver or by database.
_UNBOUNDED = {
    *("clickhousedb", "databricks", "mysqlconnector", "mysqldb", "oracledb", "psycopg2", "pymssql", "pyodbc", "snowflake"),
}


def limited(dialect: Dialect, named: dict[str, Any], access: Access) -> dict[str, Any]:
    """
    Return a driver's arguments with a limit on the time of opening.

    What was asked for on the line comes first, then the description's own, then `TIMEOUT_S`.
    """
    driver = dialect.driver
    if dialect.name == "trino" and (access.timeout_s is not None or "request_timeout" not in named):
        # To connect, and to wait for an answer.
        return {**named, "request_timeout": (_whole(limit_s(access)), _TRINO_ANSWER_S)}
    argument = _ARGUMENTS.get(driver) or _ARGUMENTS.get(f"{dialect.name}+{driver}")
    if argument is None:
        return named
    limit = access.timeout_s if access.timeout_s is not None else named.get(argument, TIMEOUT_S)
    if driver != "pymysql" and isinstance(limit, float):
        limit = max(_LEAST_OF_LIBPQ_S, _whole(limit))
    named = {**named, argument: limit}
    if driver == "pymysql":
        # Its `connect_timeout` ends with the TCP connection: a server that accepts and says nothing would be waited for.
        named.setdefault("read_timeout", limit)
    return named


def bound_s(dialect: Dialect, named: dict[str, Any], access: Access) -> float | None:
    """Return how long to wait for a driver that does not end by itself in time; None for one that does."""
    if not {dialect.driver, dialect.name} & _UNBOUNDED:
        return None
    argument = _ARGUMENTS.get(dialect.driver) or _ARGUMENTS.get(f"{dialect.name}+{dialect.driver}") or ""
    own = named.get(argument)
    return float(own) if isinstance(own, (int, float)) else limit_s(access)


def limit_s(access: Access) -> float:
    """Return what was asked for on the line, else `TIMEOUT_S`."""
    return TIMEOUT_S if access.timeout_s is None else access.timeout_s


def libpq_limit(access: Access) -> str:
    """Return the same as libpq's `connect_timeout`."""
    return str(max(_LEAST_OF_LIBPQ_S, _whole(limit_s(access))))


def unlimited_again(driver: str, connection: Any, given: dict[str, Any]) -> Any:
    """Return an opened connection whose queries may take as long as they did without a limit on opening."""
    if driver == "pymysql" and "read_timeout" not in given:
        # PyMySQL has no public way; it looks at this before each read.
        connection._read_timeout = None  # noqa: SLF001
    return connection


def _whole(seconds: float) -> int:
    return math.ceil(seconds)
