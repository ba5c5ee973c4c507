"""
What single databases need beyond SQLAlchemy: their own names for parts, values encoded for their place.

A value reaches a driver's `connect` as it is, whatever the dialect in between would do to it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from flowfile_nb.connections.literals import misplaced
from flowfile_nb.core.references import fill, names_in
from flowfile_nb.errors import ConnectionSpecError

if TYPE_CHECKING:
    from sqlalchemy.engine import URL, Dialect

Reveal = Callable[[str], str]
Arguments = tuple[tuple[Any, ...], dict[str, Any]]

# Their drivers go nowhere before the first statement.
LAZY = {"bigquery", "trino"}
# They are in this process, with no server between.
FILES = {"duckdb", "sqlite"}
# Other names for a URL's parts, as people know them from the database's own pages.
_NAMES = {
    "bigquery": {"project": "host", "dataset": "database"},
    "databricks": {"token": "password"},
    "snowflake": {"account": "host"},
    "trino": {"catalog": "database", "token": "access_token"},
}
# Databases, and a driver, whose dialect does not pass on all that a description says: `own_arguments`.
_WITH_OWN_ARGUMENTS = {"bigquery", "pyodbc", "snowflake", "trino"}
_ENGINE_OPTIONS = {
    "echo",
    "isolation_level",
    "max_overflow",
    "pool_pre_ping",
    "pool_recycle",
    "pool_size",
    "pool_timeout",
    "pool_use_lifo",
}


def renamed(parts: Mapping[str, Any]) -> dict[str, Any]:
    """Return a description's parts by the names that SQLAlchemy's URL has for them."""
    # Imported here: a URL has its own names for its parts.
    from flowfile_nb.connections.options import require_one_name

    base = parts["type"].partition("+")[0]
    names = _NAMES.get(base, {})
    require_one_name(parts, names)
    found = {names.get(key, key): item for key, item in parts.items()}
    if base == "databricks" and "token" in parts:
        found.setdefault("username", "token")
    if base in {"snowflake", "trino"} and isinstance(found.get("schema"), str):
        found["database"] = f"{found.get('database', '')}/{found.pop('schema')}"
    return found


def engine_options(parts: Mapping[str, Any]) -> dict[str, Any]:
    """
    Return what `[engine]` in a description says, for SQLAlchemy's `create_engine`: the pool's options, and a few more.

    Raises:
        ConnectionSpecError: If it says something else.
    """
    options = parts.get("engine", {})
    if not isinstance(options, Mapping) or not options.keys() <= _ENGINE_OPTIONS:
        raise ConnectionSpecError(
            "the table [engine] has a key that is not taken here", hint=f"its keys are {', '.join(sorted(_ENGINE_OPTIONS))}"
        )
    if any(names_in(str(item)) for item in options.values()):
        raise misplaced("an option of [engine]")
    return dict(options)


def require_path(url: URL) -> None:
    """
    Let a URL pass unless it has a login, or a host, where a database is a file: that is the beginning of a path.

    DuckDB would open a database in memory, without a word.

    Raises:
        ConnectionSpecError: With the URL that was meant, unless it could hold what is none of a path.
    """
    kind = url.get_backend_name()
    if kind not in FILES:
        return
    path = "/".join(filter(None, [url.host, url.database]))
    if url.password is not None and "+pysqlcipher" not in url.drivername:
        plain = url.host is None and re.fullmatch(r"[\w./ -]{1,200}", path)
        raise ConnectionSpecError(
            f"a database of type {kind!r} is a file, and asks for no user and no password",
            hint=f"leave them out:  {kind}:///{path if plain else 'data/file.db'}   (its permissions say who reads it)",
        )
    if url.host is None and url.username is None and url.port is None:
        return
    plain = url.username is None and url.port is None and re.fullmatch(r"[\w./ -]{1,200}", path)
    raise ConnectionSpecError(
        f"behind two slashes stands a host, and a database of type {kind!r} is a file: its path begins behind three",
        hint=f"{kind}:///{path if plain else 'data/file.db'}   (from the root of the disk four:  {kind}:////home/me/file.db)",
    )


def with_driver(url: URL) -> URL:
    """
    Return *url* with the driver that its other parts ask for.

    Raises:
        MissingDriverError: If ODBC has none for SQL Server.
    """
    asks_for_odbc = url.query.keys() & {"driver", "dsn", "odbc_connect"}
    if url.drivername == "mssql+pymssql" and asks_for_odbc:
        # What people paste from elsewhere: there, `mssql://` means ODBC.
        url = url.set(drivername="mssql+pyodbc")
    if url.drivername == "mssql+pyodbc" and url.host and url.database and not asks_for_odbc:
        installed = url.get_dialect().import_dbapi().drivers()
        from flowfile_nb.connections import odbc

        url = url.update_query_dict({"driver": odbc.driver_of(installed)})
    return url


def engine_url(url: URL) -> URL:
    """Return the URL to make an engine with: without what the dialect would use before any connection is opened."""
    if url.get_backend_name() not in _WITH_OWN_ARGUMENTS:
        return url
    # Imported here, as below: for most databases the dialect does all of it.
    from flowfile_nb.connections import own_arguments

    return own_arguments.engine_url(url)


def server_of(url: URL) -> tuple[str, int] | None:
    """Return host and port, where a URL says both in clear."""
    return (url.host, url.port) if url.host and url.port and not names_in(url.host) else None


def arguments(dialect: Dialect, url: URL, reveal: Reveal) -> Arguments:
    """
    Return what the driver's `connect` is called with, in which values stand as they are.

    Args:
        dialect: The engine's.
        url: The description's, with references.
        reveal: Returns the value of a secret.
    """
    if {dialect.name, dialect.driver} & _WITH_OWN_ARGUMENTS:
        from flowfile_nb.connections import own_arguments

        return own_arguments.arguments(dialect, url, reveal)
    # The dialect builds its arguments from the filled URL, so each value is encoded for its place by the one who knows it.
    positional, named = dialect.create_connect_args(mapped(url, lambda text: fill(text, reveal)))
    return tuple(positional), dict(named)


def place_of(url: URL) -> str:
    """Return where a URL leads, as `target` does."""
    # SQLAlchemy's name for ClickHouse is another than the one that is written here.
    kind = url.get_backend_name().replace("clickhousedb", "clickhouse")
    bare = url._replace(drivername=kind, password=None, query=type(url.query)())
    # SQLAlchemy puts brackets round a host with a colon, as a reference has one.
    return re.sub(r"\[(\$\{secret:[^]]*\})\]", r"\1", unquote(bare.render_as_string()))


def mapped(url: URL, change: Callable[[str], str], database: Callable[[str], str] | None = None) -> URL:
    """Return *url* with each part that may hold a reference passed through *change*, its database through *database*."""
    change_database = database or change

    def each(part: Any) -> Any:
        return tuple(map(change, part)) if isinstance(part, tuple) else change(part)

    return url._replace(
        username=None if url.username is None else change(url.username),
        password=None if url.password is None else change(str(url.password)),
        host=None if url.host is None else change(url.host),
        database=None if url.database is None else change_database(url.database),
        query=type(url.query)({key: each(item) for key, item in url.query.items()}),
    )
