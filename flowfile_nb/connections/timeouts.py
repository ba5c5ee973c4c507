"""How long opening a connection may take. Each driver has its own word for it, and some do not mean all of it."""

from __future__ import annotations

import math
from typing import Any

from flowfile_nb.connections.access import TIMEOUT_S, Access

_ARGUMENTS = {
    "psycopg": "connect_timeout",
    "psycopg2": "connect_timeout",
    "pymysql": "connect_timeout",
    "mysqldb": "connect_timeout",
}
# libpq takes whole seconds, and no fewer than two (postgresql.org, "connect_timeout").
_LEAST_OF_LIBPQ_S = 2


def limited(driver: str, named: dict[str, Any], access: Access) -> dict[str, Any]:
    """
    Return a driver's arguments with a limit on the time of opening.

    What was asked for on the line comes first, then the description's own, then `TIMEOUT_S`.
    """
    argument = _ARGUMENTS.get(driver)
    if argument is None:
        return named
    limit = access.timeout_s if access.timeout_s is not None else named.get(argument, TIMEOUT_S)
    if driver != "pymysql" and isinstance(limit, float):
        limit = max(_LEAST_OF_LIBPQ_S, math.ceil(limit))
    named = {**named, argument: limit}
    if driver == "pymysql":
        # Its `connect_timeout` ends with the TCP connection: a server that accepts and says nothing would be waited for.
        named.setdefault("read_timeout", limit)
    return named


def unlimited_again(driver: str, connection: Any, given: dict[str, Any]) -> Any:
    """Return an opened connection whose queries may take as long as they did without a limit on opening."""
    if driver == "pymysql" and "read_timeout" not in given:
        # PyMySQL has no public way; it looks at this before each read.
        connection._read_timeout = None  # noqa: SLF001
    return connection
