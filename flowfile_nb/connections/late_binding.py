"""
The driver's connection of an `Engine`, opened with the values that the secrets have at that moment.

SQLAlchemy's `do_connect` event asks for it at each new database connection. What the driver is called with lives no longer
than that call.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from flowfile_nb.connections import dialects
from flowfile_nb.connections.access import Access
from flowfile_nb.connections.timeouts import bound_s, limited, unlimited_again
from flowfile_nb.core.references import fill_all, reference
from flowfile_nb.errors import FlowfileNbError

if TYPE_CHECKING:
    from sqlalchemy.engine import URL, Dialect

# They get the password of a URL as their argument `password`, unchanged.
_PASSWORD_AS_IT_IS = {"psycopg", "psycopg2", "pymysql"}
_NOWHERE = logging.NullHandler()


class LateBinding:
    """
    The listener of one engine.

    Args:
        url: The engine's, with references where values will be.
        connect_args: What the description says beside the URL, with references.
        access: Returns the value of what a reference names.
        names: The secrets that are needed.
    """

    def __init__(self, url: URL, connect_args: Mapping[str, Any], access: Access, names: list[str]) -> None:
        self._url = url
        self._connect_args = connect_args
        self._access = access
        self._names = names
        self._kept: tuple[Any, dict[str, Any], str] | None = None
        """The driver's arguments without the password, where no other value is in them, and the name of that: making them takes
        as long as reading a secret."""

    def do_connect(self, dialect: Dialect, _entry: Any, positional: list[Any], named: dict[str, Any]) -> Any:
        """Return a new connection of the driver. Raises ConnectionFailedError, and what reading the secrets raises."""
        try:
            if dialect.name == "sqlite" and not self._names:
                # As SQLAlchemy has them, and without a limit: making them anew takes half as long as opening a file.
                return dialect.connect(*positional, **{**named, **self._connect_args})
            return self._opened(dialect)
        except FlowfileNbError:
            raise
        except Exception as error:  # noqa: BLE001 - drivers raise what they like; chained, theirs can print the whole DSN
            from flowfile_nb.connections.failures import explain

            raise explain(
                error, dialects.place_of(self._url), self._names, self._access, dialects.server_of(self._url)
            ) from None
        except KeyboardInterrupt:
            # Raised anew, so that its traceback has no frame in which a value is a local variable.
            raise KeyboardInterrupt from None

    def _opened(self, dialect: Dialect) -> Any:
        """Return a connection in the time that it may take."""
        positional, given = self._arguments(dialect)
        named = limited(dialect, given, self._access)
        if dialect.driver == "pymysql" and isinstance(named.get("password"), str):
            # PyMySQL would send it as Latin-1, and the server refuse every password with a letter beyond ASCII.
            named["password"] = named["password"].encode()
        if dialect.name == "clickhousedb":
            # Where nobody has asked for its log it would print a line into a cell, later than our error.
            logging.getLogger("clickhouse_connect").addHandler(_NOWHERE)
        bound = bound_s(dialect, named, self._access)
        if bound is not None:
            from flowfile_nb.connections.deadline import within

            return within(bound, lambda: dialect.connect(*positional, **named), lambda late: late.close())
        return unlimited_again(dialect.driver, dialect.connect(*positional, **named), given)

    def _arguments(self, dialect: Dialect) -> tuple[Any, dict[str, Any]]:
        """Return what the driver is called with, before any limit of ours."""
        if self._kept is not None:
            positional, named, password = self._kept
            return positional, {**named, "password": self._access(password)}
        asked: list[str] = []

        def reveal(name: str) -> str:
            asked.append(name)
            return self._access(name)

        positional, named = dialects.arguments(dialect, self._url, reveal)
        named = {**named, **fill_all(self._connect_args, reveal)}
        if dialect.driver in _PASSWORD_AS_IT_IS and [reference(name) for name in asked] == [self._url.password]:
            self._kept = positional, {key: item for key, item in named.items() if key != "password"}, asked[0]
        return positional, named
