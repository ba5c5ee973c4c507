"""
SQLAlchemy over the broker: `postgresql+flowfile://` and `mysql+flowfile://`.

The SQL is written for the database, the rest is `team.dbapi`'s. The engine's URL holds the connection's name and nothing of the
database's place or login.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from types import MappingProxyType
from typing import Any

import sqlalchemy
from sqlalchemy import types
from sqlalchemy.dialects import registry
from sqlalchemy.dialects.mysql.base import MySQLDialect
from sqlalchemy.dialects.postgresql.base import PGDialect
from sqlalchemy.dialects.postgresql.json import JSON, JSONB
from sqlalchemy.engine import URL, Engine
from sqlalchemy.engine.default import DefaultDialect

from flowfile_nb.connections.statements import remember
from flowfile_nb.errors import FlowfileNbError, UnknownSchemeError
from flowfile_nb.team import dbapi
from flowfile_nb.team.address import address_of
from flowfile_nb.team.client import Client
from flowfile_nb.team.cursor import QueryCall

_DIALECTS = {
    "postgresql": "PostgreSQL",
    "postgres": "PostgreSQL",
    "mysql": "MySQL",
    "mariadb": "MySQL",
    **dict.fromkeys(("clickhouse", "clickhousedb", "databricks", "mssql", "oracle", "snowflake", "trino"), "Plain"),
}
_FAMILY = {"postgres": "postgresql", "mariadb": "mysql"}


class _Json(types.JSON):
    """JSON that comes as what it stands for already."""

    def result_processor(self, dialect: Any, coltype: Any) -> Any:
        """Return None: nothing is left to do."""


class _PostgresJson(_Json, JSON):
    """The same for PostgreSQL's own type."""


class _PostgresJsonb(_Json, JSONB):
    """The same for its binary one."""


class Brokered(DefaultDialect):
    """What is the same for each database behind the broker."""

    driver = "flowfile"
    supports_statement_cache = True
    supports_sane_multi_rowcount = False
    default_paramstyle = "pyformat"
    # The broker's sessions come and go by themselves: there is nothing at the database that a rollback would end.
    skip_autocommit_rollback = True

    @classmethod
    def import_dbapi(cls) -> Any:
        """Return our own module."""
        return dbapi

    def create_connect_args(self, url: URL) -> Any:
        """Return the connection's name, for an engine that `make_engine` did not make."""
        return [], {"order": {"connection": url.database}}

    def get_isolation_level_values(self, dbapi_conn: Any) -> Any:
        """Return the only one: each statement is a transaction."""
        return ["AUTOCOMMIT"]

    def get_isolation_level(self, dbapi_connection: Any) -> Any:
        """Return the only one."""
        return "AUTOCOMMIT"

    def get_default_isolation_level(self, dbapi_conn: Any) -> Any:
        """Return the only one."""
        return "AUTOCOMMIT"

    def set_isolation_level(self, dbapi_connection: Any, level: Any) -> None:
        """Do nothing: it is the only one."""

    def detect_autocommit_setting(self, dbapi_conn: Any) -> bool:
        """Return True."""
        return True

    def do_ping(self, dbapi_connection: Any) -> bool:
        """Return True: what is open here is no connection to a database."""
        return True

    def is_disconnect(self, e: Any, connection: Any, cursor: Any) -> bool:
        """Return False: the next statement gets a session anyway."""
        return False


class Told(Brokered):
    """A dialect that has questions about the server before the first statement; the broker answers them."""

    supports_statement_cache = True
    ask: Callable[[], Mapping[str, Any]] | None = None
    """Has the broker try the connection, which tells the facts; None where nobody can be asked."""
    _told: Mapping[str, Any] = MappingProxyType({})

    def tell(self, facts: Mapping[str, Any]) -> None:
        """Take what the broker knows of the server, so that it is not asked by statements, which stand in the record."""
        self._told = dict(facts)

    def initialize(self, connection: Any) -> None:
        """Get to know the server; nobody has yet where the connection was bound without a test."""
        if not self._told and self.ask is not None:
            # Where it fails, so does the first statement, by an error of the kind that its caller expects.
            with suppress(FlowfileNbError):
                self.tell(self.ask())
        super().initialize(connection)


class PostgreSQL(Told, PGDialect):
    """PostgreSQL behind the broker."""

    supports_statement_cache = True
    default_paramstyle = "pyformat"
    colspecs = {**PGDialect.colspecs, types.JSON: _Json, JSON: _PostgresJson, JSONB: _PostgresJsonb}  # noqa: RUF012

    def _get_server_version_info(self, connection: Any) -> Any:
        found = re.match(r"(\d+)(?:\.(\d+))?", str(self._told.get("version", "")))
        return tuple(map(int, filter(None, found.groups()))) if found else super()._get_server_version_info(connection)  # type: ignore[no-untyped-call]

    def _get_default_schema_name(self, connection: Any) -> Any:
        return self._told["schema"] if "schema" in self._told else super()._get_default_schema_name(connection)  # type: ignore[no-untyped-call]

    def _set_backslash_escapes(self, connection: Any) -> None:
        if "standard_strings" in self._told:
            self._backslash_escapes = self._told["standard_strings"] == "off"
        else:
            super()._set_backslash_escapes(connection)  # type: ignore[no-untyped-call]


class MySQL(Told, MySQLDialect):
    """MySQL or MariaDB behind the broker."""

    supports_statement_cache = True
    default_paramstyle = "pyformat"

    def _get_server_version_info(self, connection: Any) -> Any:
        if "version" in self._told:
            return self._parse_server_version(str(self._told["version"]))
        return super()._get_server_version_info(connection)

    def _get_default_schema_name(self, connection: Any) -> Any:
        return self._told["schema"] if "schema" in self._told else super()._get_default_schema_name(connection)

    def _fetch_setting(self, connection: Any, setting_name: str) -> Any:
        if setting_name in self._told:
            return str(self._told[setting_name])
        return super()._fetch_setting(connection, setting_name)

    def _detect_charset(self, connection: Any) -> str:
        return "utf8mb4"

    def _extract_error_code(self, exception: Any) -> int:
        code = str(getattr(exception, "code", ""))
        return int(code) if code.isdigit() else 0


class Plain(Brokered):
    """
    Any other database behind the broker: SQL text with parameters, as pandas, polars and JupySQL send it.

    Its own way of writing SQL is not known here, so that nothing is reflected and no expression is made into a LIMIT.
    """

    supports_statement_cache = True
    default_paramstyle = "pyformat"


def make_engine(call: QueryCall, scheme: str, order: Mapping[str, str]) -> Engine:
    """
    Return an engine whose statements go to the broker; nothing is sent yet.

    Args:
        call: Speaks to the broker.
        scheme: Of the database: `postgresql`, `mysql+pymysql` …
        order: What is asked of the broker: `{"connection": name}`, or `{"description": text}`.

    Raises:
        UnknownSchemeError: If what is of that kind is no database that a broker has.
    """
    family = scheme.partition("+")[0].lower()
    if family not in _DIALECTS:
        raise UnknownSchemeError(
            f"databases of type {family!r} cannot be used through the broker from here",
            hint=f"there are {', '.join(sorted({_FAMILY.get(one, one) for one in _DIALECTS}))}",
        )
    shown = _FAMILY.get(family, family)
    registry.register(f"{shown}.flowfile", __name__, _DIALECTS[family])
    engine = sqlalchemy.create_engine(
        URL.create(f"{shown}+flowfile", database=order.get("connection")),
        creator=lambda: dbapi.connect(call, order),
        hide_parameters=True,
    )
    if isinstance(engine.dialect, Told) and isinstance(call, Client):
        engine.dialect.ask = lambda: call.post("api/check", dict(order)).get("first_asked") or {}
    sqlalchemy.event.listen(engine, "handle_error", remember)
    engine.__reduce_ex__ = _Reduce(scheme, dict(order))  # type: ignore[method-assign, assignment]
    return engine


class _Reduce:
    """What pickle asks the engine how it is made anew: from its name, with the identity of whoever loads it."""

    def __init__(self, scheme: str, order: Mapping[str, str]) -> None:
        self._scheme, self._order = scheme, order

    def __call__(self, protocol: int = 0) -> tuple[Any, ...]:
        return _reopen, (self._scheme, self._order)

    def __repr__(self) -> str:
        return "<opens the connection anew>"


def _reopen(scheme: str, order: Mapping[str, str]) -> Engine:
    return make_engine(Client(address_of(os.environ)), scheme, order)
