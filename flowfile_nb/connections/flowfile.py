"""
Connections that were saved in Flowfile's own interface, as descriptions of ours.

They lead to the same place with the same options as in Flowfile 0.23.3 (`shared/db_dialects`). A secret part is a reference
to the part, such as `${secret:password_id}`: whoever opens the connection says what it reads for that.
"""

from __future__ import annotations

from typing import Any

from flowfile_nb.backend import FlowfileConnection
from flowfile_nb.connections.spec import TableSpec
from flowfile_nb.core.names import quoted
from flowfile_nb.core.references import names_in, reference
from flowfile_nb.errors import ConnectionSpecError, ReferenceSyntaxError

_FILES = ("duckdb", "sqlite")
# The databases that speak PostgreSQL's protocol, whose drivers know `sslmode`.
_POSTGRES = ("denodo", "postgres", "postgresql", "redshift")
_MYSQL = ("mariadb", "mysql")
# Where Flowfile's name of a database is not the one of our driver for it.
_DIALECTS = {"denodo": "postgresql+psycopg2", "mssql": "mssql+pymssql"}


def database_spec(connection: FlowfileConnection) -> TableSpec:
    """
    Return the description of a database connection.

    Raises:
        ConnectionSpecError: If Flowfile's entry cannot be used here.
    """
    require_literals(connection)
    saved = connection.parts
    kind = str(saved.get("database_type", "postgresql")).lower()
    if kind in _FILES:
        path = str(saved.get("database") or saved.get("host") or f"./database.{'db' if kind == 'sqlite' else kind}")
        return TableSpec({"type": kind, "database": path.removeprefix(f"{kind}:///")})
    if not saved.get("host"):
        raise ConnectionSpecError(f"the connection {connection.name!r} says no host", hint="edit it in Flowfile")
    parts: dict[str, Any] = {
        "type": _DIALECTS.get(kind, kind),
        **{part: saved[part] for part in ("host", "port", "username", "database") if saved.get(part)},
    }
    if "password_id" in connection.secrets:
        parts["password"] = reference("password_id")
    return TableSpec({**parts, **(_encrypted(kind) if saved.get("ssl_enabled") else {})})


def require_literals(connection: FlowfileConnection) -> None:
    """
    Let a connection pass only if nothing in it that is shown reads like a reference of ours.

    Flowfile takes such text as it is. Here it would be replaced by a value, and sent as a user's or a host's name.

    Raises:
        ConnectionSpecError: Otherwise.
    """
    for part, saved in connection.parts.items():
        try:
            clean = not (isinstance(saved, str) and names_in(saved))
        except ReferenceSyntaxError:
            clean = False
        if not clean:
            raise ConnectionSpecError(
                f"the connection {connection.name!r} has a reference to a secret in its {part}, where Flowfile has none",
                hint=f"describe it here, with references:  %%connect {quoted(connection.name)} --save",
            )


def remedy(connection: FlowfileConnection) -> str:
    """Return what to do when a secret of a connection is refused."""
    name = next(filter(None, connection.secrets.values()), None)
    here = f", or  %secret set {quoted(name)} --replace" if name else ""
    return f"edit the connection {connection.name!r} in Flowfile{here}"


def scheme_of(connection: FlowfileConnection) -> str:
    """Return what kind of database or storage a connection of Flowfile's leads to: `postgresql`, `s3`."""
    return str(connection.parts.get("database_type" if connection.kind == "database" else "storage_type") or connection.kind)


def target_of(connection: FlowfileConnection) -> str:
    """Return in a few words where a connection of Flowfile's leads, without opening it."""
    parts = connection.parts
    if connection.kind == "database":
        host = ":".join(str(parts[part]) for part in ("host", "port") if parts.get(part))
        return "/".join(str(part) for part in (parts.get("database_type"), host, parts.get("database")) if part)
    return f"{parts.get('storage_type')} {parts.get('endpoint_url') or ''}".rstrip()


def _encrypted(kind: str) -> dict[str, Any]:
    """Return the options that refuse a connection without TLS; as libpq's `require` they do not look at the certificate."""
    if kind in _POSTGRES:
        return {"query": {"sslmode": "require"}}
    if kind in _MYSQL:
        import ssl

        unverified = ssl.create_default_context()
        unverified.check_hostname, unverified.verify_mode = False, ssl.CERT_NONE
        return {"connect_args": {"ssl": unverified}}
    raise ConnectionSpecError(
        f"Flowfile's switch for TLS is on, and for a database of type {kind!r} it does nothing there",
        hint="describe the connection here, with the driver's own option:  %%connect?",
    )
