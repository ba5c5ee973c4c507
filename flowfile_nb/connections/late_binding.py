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
        self._made_with_password_alone: dict[str, Any] | None = None

    def do_connect(self, dialect: Dialect, _entry: Any, positional: list[Any], named: dict[str, Any]) -> Any:
        """
        Return a new connection of the driver.

        Args:
            dialect: The engine's.
            positional: What it has made of the engine's URL: the driver's arguments, in which references are still text.
            named: The others of them.

        Raises:
            ConnectionFailedError: If that fails; else what reading the secrets raises.
        """
        try:
            if dialect.name == "sqlite" and not self._names:
                return dialect.connect(*positional, **{**named, **self._connect_args})
            return self._opened(dialect, positional, named)
        except FlowfileNbError:
            raise
        except Exception as error:  # noqa: BLE001 - drivers raise what they like; chained, theirs can print the whole DSN
            from flowfile_nb.connections.database_failures import explain_opening

            raise explain_opening(error, self._url, self._names, self._access, self._connect_args) from None
        except KeyboardInterrupt:
            # Raised anew, so that its traceback has no frame in which a value is a local variable.
            raise KeyboardInterrupt from None

    def _opened(self, dialect: Dialect, positional: list[Any], made: dict[str, Any]) -> Any:
        """Return a connection in the time that it may take."""
        positional, given = self._filled(dialect, positional, made)
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

    def _filled(self, dialect: Dialect, positional: list[Any], made: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        """Return what the driver is called with, before any limit of ours."""
        if self._is_password_alone(dialect, made):
            # Making all of them anew takes as long as reading a secret.
            return positional, {**made, **self._connect_args, "password": self._access(self._names[0])}
        arguments, named = dialects.arguments(dialect, self._url, self._access)
        return arguments, {**named, **fill_all(self._connect_args, self._access)}

    def _is_password_alone(self, dialect: Dialect, made: Mapping[str, Any]) -> bool:
        """Return whether a secret stands in the password's place, and surely nowhere else."""
        if made == self._made_with_password_alone:
            # As at the connection before: looking takes a tenth as long as reading a secret.
            return True
        others = (item for key, item in {**self._connect_args, **made}.items() if key != "password")
        is_alone = (
            dialect.driver in _PASSWORD_AS_IT_IS
            and len(self._names) == 1
            and made.get("password") == reference(self._names[0])
            and not any("secret" in str(item) for item in others)
        )
        if is_alone:
            self._made_with_password_alone = dict(made)
        return is_alone
