"""The SQLAlchemy URL of a described database, with references where values will be."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flowfile_nb.connections import dialects
from flowfile_nb.connections.drivers import DIALECTS, missing
from flowfile_nb.connections.literals import example_of, misplaced
from flowfile_nb.connections.spec import Spec, TableSpec, UrlSpec, scheme_of
from flowfile_nb.core.expression import expression
from flowfile_nb.core.references import names_in
from flowfile_nb.errors import ConnectionSpecError

if TYPE_CHECKING:
    from sqlalchemy.engine import URL

PARTS = frozenset(
    {"type", "url", "username", "user", "password", "host", "port", "database", "query", "connect_args", "engine"}
)
"""The keys of a description that are no options of the driver."""
_PORTS = range(1, 65536)
# Not an address of IPv6, several hosts, or the folder of a Unix socket.
_HOST = expression(r"(?P<scheme>\w+://)?[^:/\\,$\[\]@]+(?P<port>:\d+)?(?P<path>/.*)?")


def url_of(spec: Spec) -> URL:
    """
    Return the URL of a described database, with references where values will be.

    Raises:
        ConnectionSpecError: If the description does not make one.
        MissingDriverError: If SQLAlchemy, which reads URLs, is not installed.
    """
    try:
        url = _from_url(spec) if isinstance(spec, UrlSpec) else _from_parts(spec)
    except ModuleNotFoundError:
        raise missing("sqlalchemy", scheme_of(spec)) from None
    dialects.require_path(url)
    return url


def _from_url(spec: UrlSpec) -> URL:
    import sqlalchemy

    try:
        parsed = sqlalchemy.make_url(spec.marked.text)
    except (sqlalchemy.exc.ArgumentError, ValueError):
        raise ConnectionSpecError(
            "this is not a URL that a database connection can be made of",
            hint=example_of(spec.marked.text),
        ) from None
    if not spec.marked.names:
        return _with_driver(parsed)
    return _with_driver(
        parsed._replace(
            username=_restored(spec, parsed.username),
            password=_restored(spec, parsed.password),
            host=_restored(spec, parsed.host),
            database=_restored(spec, parsed.database),
            query=type(parsed.query)({spec.marked.restore(key): _restored(spec, item) for key, item in parsed.query.items()}),
        )
    )


def _from_parts(spec: TableSpec) -> URL:
    from sqlalchemy.engine import URL

    parts = dialects.renamed(spec.parts)
    if "url" in parts:
        # Imported here, as below: nearly every description is one of the two.
        from flowfile_nb.connections.untyped import apart

        raise ConnectionSpecError("a description is a URL or its parts, not both", hint=apart(parts["url"], parts))
    port = parts.get("port")
    if names_in(str(port)):
        raise misplaced("the port")
    if not isinstance(port, (int, type(None))):
        number = f"{port}   (without quotes)" if str(port).isdigit() else _port_of(scheme_of(spec))
        raise ConnectionSpecError("the port is not a number", hint=f"port = {number}")
    host = parts.get("host")
    if isinstance(host, str) and (found := _HOST.fullmatch(host)) and any(found.groups()):
        more = f"   port = {_port_of(scheme_of(spec))}" if found["port"] else '   database = "sales"' if found["path"] else ""
        raise ConnectionSpecError("the host is a host's name alone", hint=f'host = "db.example.com"{more}')
    others = {key: _text(item) for key, item in parts.items() if key not in PARTS}
    try:
        return _with_driver(
            URL.create(
                parts["type"],
                username=parts.get("username", parts.get("user")),
                password=parts.get("password"),
                host=host,
                port=port,
                database=parts.get("database"),
                query={**others, **parts.get("query", {})},
            )
        )
    except (TypeError, ValueError, AttributeError):
        raise ConnectionSpecError(
            "a part of the description is of the wrong kind",
            hint='text in quotes, and the port as a number:  host = "db.example.com"',
        ) from None


def _with_driver(url: URL) -> URL:
    if url.port is not None and url.port not in _PORTS:
        port = _port_of(url.drivername)
        raise ConnectionSpecError(
            f"a port is a number from 1 to 65535, and not {url.port}",
            hint=f"port = {port},  or in a URL  @host:{port}/database",
        )
    dialect = DIALECTS.get(url.drivername)
    return url.set(drivername=dialect) if dialect not in {None, url.drivername} else url


def _restored(spec: UrlSpec, part: Any) -> Any:
    if isinstance(part, tuple):
        return tuple(spec.marked.restore(item) for item in part)
    return part if part is None else spec.marked.restore(part)


def _port_of(kind: str) -> str:
    from flowfile_nb.connections import database_keys

    return database_keys.port_of(kind)


def _text(item: Any) -> str:
    return str(item).lower() if isinstance(item, bool) else str(item)
