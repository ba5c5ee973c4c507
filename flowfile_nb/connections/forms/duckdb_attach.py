"""
What DuckDB attaches of another database, or reads of S3, by a login that it keeps; and how that is taken out again.

The login is a secret in DuckDB's own secret manager, in memory. It is handed over as parameters of the statement, so that no
error can print it with a line of SQL.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar
from urllib.parse import unquote, urlsplit

from flowfile_nb.connections import dialects
from flowfile_nb.connections.access import Access
from flowfile_nb.connections.database_url import url_of
from flowfile_nb.connections.deadline import within
from flowfile_nb.connections.s3 import key_of
from flowfile_nb.connections.spec import Spec
from flowfile_nb.connections.storage_parts import Credentials, Parts
from flowfile_nb.connections.timeouts import libpq_limit, limit_s
from flowfile_nb.core.references import fill, names_in
from flowfile_nb.errors import ConnectionSpecError, MissingDriverError
from flowfile_nb.waiting import said_if_slow

if TYPE_CHECKING:
    from sqlalchemy.engine import URL

_Made = TypeVar("_Made")
_EXTENSIONS = {"mysql": "mysql", "mariadb": "mysql", "postgresql": "postgres", "sqlite": "sqlite"}
_S3 = {
    "access_key_id": "key_id",
    "secret_access_key": "secret",
    "session_token": "session_token",
}
_TAKEN = {"main", "memory", "system", "temp"}


class Attachment(NamedTuple):
    """What a connection reads by a login that DuckDB keeps, and how it gets that: the same on each of its cursors."""

    put_in: Callable[[Any], None]
    alias: str = ""
    """The database as SQL names it; empty for S3, of which there is only a login."""
    limit_s: float | None = None
    """How long putting it in may take, where it goes to a server."""


def attachment_of(duckdb: Any, spec: Spec, reveal: Access) -> Attachment | None:
    """Return how a database is attached; None of one that DuckDB opens by itself."""
    url = url_of(spec)
    backend = url.get_backend_name()
    if backend == "duckdb":
        return None
    if backend not in _EXTENSIONS:
        raise ConnectionSpecError(
            f"DuckDB does not attach databases of type {backend!r}",
            hint=f"it attaches {', '.join(sorted({*_EXTENSIONS, 'duckdb', 's3'}))}",
        )
    kind = _EXTENSIONS[backend]
    name = backend if kind == "sqlite" else unquote(url.database or kind)
    alias = '"' + (kind if name in _TAKEN or names_in(name) else name).replace('"', '""') + '"'

    def put_in(connection: Any) -> None:
        _load(duckdb, connection, kind)
        if kind == "sqlite":
            path = fill(url.database or ":memory:", reveal)
            connection.execute(f"ATTACH {_literal(path)} AS {alias} (TYPE sqlite)")
            connection.execute(f"USE {alias}")
        else:
            _attach(connection, kind, alias, url, reveal)

    to_server = kind != "sqlite"
    return Attachment(put_in, alias, max(limit_s(reveal), float(libpq_limit(reveal))) if to_server else None)


def opened(duckdb: Any, attachment: Attachment) -> Any:
    """Return a connection that has it; raises DuckDB's errors, and TimeoutError."""
    connection = duckdb.connect()

    def put_in() -> Any:
        try:
            attachment.put_in(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    # It is closed by who uses it, or the closing would wait, too.
    return _in_time(attachment, put_in, lambda late: late.close())


def look_at_file(connection: Any, place: str, limit_s: float) -> None:
    """
    Let pass a file that can be read: SQLite's is attached without a look at what it is.

    Args:
        connection: DuckDB's.
        place: What is said to be waited for, if that takes long.
        limit_s: How long it may take; SQLite itself waits five seconds while another keeps the file locked.
    """

    def look() -> None:
        with connection.cursor() as beside:
            beside.execute("SELECT count(*) FROM duckdb_tables()").fetchall()

    with said_if_slow(place), suppress(TimeoutError):
        within(limit_s, look, lambda _: None)
        return
    raise OSError("database is locked")


def renewed(native: Any, attachment: Attachment, take_out: Callable[[Any], None]) -> None:
    """Put the login that is stored now into a connection from which it was taken out; raises as opening does."""
    beside = native.cursor()

    def put_in() -> None:
        try:
            beside.execute("USE memory")
            attachment.put_in(beside)
        finally:
            beside.close()

    _in_time(attachment, put_in, lambda _: take_out(native))


def _in_time(attachment: Attachment, work: Callable[[], _Made], too_late: Callable[[_Made], Any]) -> _Made:
    # To a server it waits in C, where no interrupt is heard.
    return work() if attachment.limit_s is None else within(attachment.limit_s, work, too_late)


def take_out(duckdb: Any, connection: Any, attachment: Attachment) -> None:
    """Take the login out of a connection; what was read into memory stays, and what is just being read ends by itself."""
    try:
        # Beside: a result that is not fetched yet would be lost, and what is in use is not detached.
        with connection.cursor() as beside:
            beside.execute("USE memory")
            if attachment.alias:
                beside.execute(f"DETACH DATABASE IF EXISTS {attachment.alias}")
            beside.execute("DROP SECRET IF EXISTS flowfile_nb")
    except duckdb.Error:
        # It was closed by now; or it does not let go, and then that is the only way.
        connection.close()


def _attach(connection: Any, kind: str, alias: str, url: URL, reveal: Access) -> None:
    filled = dialects.mapped(url, lambda text: fill(text, reveal), lambda text: fill(unquote(text), reveal))
    named = {
        "host": filled.host,
        "port": filled.port,
        "database": filled.database,
        "user": filled.username,
        "password": filled.password,
    }
    _create_secret(connection, kind, {key: item for key, item in named.items() if item is not None})
    options = dict(url.query)
    if kind == "postgres" and (reveal.timeout_s is not None or "connect_timeout" not in options):
        options["connect_timeout"] = libpq_limit(reveal)
    if any(names_in(str(item)) for item in options.values()):
        # DuckDB keeps this text where everybody can read it: duckdb_databases().
        raise ConnectionSpecError(
            "a reference stands in an option of the URL, which DuckDB would show", hint="leave --as duckdb out, or the option"
        )
    text = " ".join(f"{key}='{_escaped(str(item))}'" for key, item in options.items())
    connection.execute(f"ATTACH {_literal(text)} AS {alias} (TYPE {kind}, SECRET flowfile_nb)")
    connection.execute(f"USE {alias}")


def of_s3(duckdb: Any, parts: Parts, reveal: Access) -> Attachment:
    """Return how a described place of S3 is read. Raises ConnectionSpecError where DuckDB does not take all of it."""
    if unknown := {"profile", "role_arn", "verify", "options"} & parts.keys():
        raise ConnectionSpecError(
            f"{' and '.join(sorted(unknown))} are not taken by --as duckdb",
            hint="leave --as duckdb out, then  duckdb.register_filesystem(lake)",
        )

    def put_in(connection: Any) -> None:
        _load(duckdb, connection, "httpfs")
        _create_secret(connection, "s3", _named_for_s3(parts, reveal))

    return Attachment(put_in)


def _named_for_s3(parts: Parts, reveal: Access) -> dict[str, str]:
    named = {_S3[key]: item for key, item in key_of(parts, Credentials(parts, reveal)).items()}
    if "region" in parts:
        named["region"] = parts["region"]
    if "bucket" in parts:
        # A key is used for the place that it was described for, and for no other.
        named["scope"] = "/".join(filter(None, ["s3:/", parts["bucket"], parts.get("prefix")]))
    if (endpoint := parts.get("endpoint_url")) is not None:
        place = urlsplit(endpoint)
        style = "vhost" if parts.get("addressing_style") == "virtual" else "path"
        # Services that are not Amazon's seldom have a host for each bucket.
        named |= {"endpoint": place.netloc, "use_ssl": str(place.scheme != "http").lower(), "url_style": style}
    return named


def _create_secret(connection: Any, kind: str, named: Mapping[str, Any]) -> None:
    items = ", ".join(f"{key} ${key}" for key in named)
    connection.execute(f"CREATE SECRET flowfile_nb (TYPE {kind}, {items})" if items else "SELECT 1", named or None)


def _load(duckdb: Any, connection: Any, extension: str) -> None:
    try:
        connection.execute(f"LOAD {extension}")
    except duckdb.Error:
        try:
            connection.execute(f"INSTALL {extension}")
            connection.execute(f"LOAD {extension}")
        except duckdb.Error:
            raise MissingDriverError(
                f"DuckDB's extension {extension!r} is not installed, and could not be downloaded",
                hint=f"where there is a network:  duckdb.sql('INSTALL {extension}')",
            ) from None


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("'", "\\'")
