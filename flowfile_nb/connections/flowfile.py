"""
Connections that were saved in Flowfile's own interface, as descriptions of ours.

They lead to the same place with the same options as in Flowfile 0.23.3 (`shared/db_dialects`, and for storage
`shared/cloud_storage/storage_options.py`). A secret part is a reference to the part, such as `${secret:password_id}`, and
`access_to` says what is read for that.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flowfile_nb.backend import FlowfileConnection, Part
from flowfile_nb.connections.access import Access
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


# The parts that storage of each kind takes for each way to log in, by our names; what is not here is the machine's own login.
_LOGINS: dict[tuple[str, str], dict[str, str]] = {
    ("s3", "access_key"): {
        "access_key_id": "aws_access_key_id",
        "secret_access_key": "aws_secret_access_key_id",
        "session_token": "aws_session_token_id",
    },
    ("s3", "aws-cli"): {"profile": "aws_profile"},
    ("s3", "iam_role"): {"role_arn": "aws_role_arn"},
    ("adls", "access_key"): {"account_key": "azure_account_key_id"},
    ("adls", "sas_token"): {"sas_token": "azure_sas_token_id"},
    ("adls", "service_principal"): {
        "tenant_id": "azure_tenant_id",
        "client_id": "azure_client_id",
        "client_secret": "azure_client_secret_id",
    },
    ("gcs", "service_account"): {"service_account_key": "gcs_service_account_key_id"},
}
# Our name of the kind, and of the part that says where it is.
_STORAGE = {
    "s3": ("s3", {"region": "aws_region"}),
    "adls": ("abfs", {"account": "azure_account_name"}),
    "gcs": ("gs", {"project": "gcs_project_id"}),
}
# Without these a login is none, whatever Flowfile has saved.
_NEEDED = {"access_key_id", "secret_access_key", "account_key", "sas_token", "client_secret"}
_EMULATOR_ACCOUNT = "devstoreaccount1"


def spec_of(connection: FlowfileConnection) -> TableSpec:
    """
    Return the description of a connection, for the family of its type.

    Raises:
        ConnectionSpecError: If Flowfile's entry cannot be used here.
    """
    return database_spec(connection) if connection.kind == "database" else storage_spec(connection)


def access_to(connection: FlowfileConnection, part_of: Callable[[str], Part], access: Access) -> Access:
    """
    Return what a connection may ask of the session, where the name of a secret is the name of a part.

    Args:
        connection: As Flowfile has it.
        part_of: Returns a part as it is saved now.
        access: What the session gives otherwise.
    """

    def reveal(part: str) -> str:
        value = part_of(part).reveal()
        access.learn(connection.secrets[part] or connection.name, value)
        return value

    def label(part: str) -> str:
        name = connection.secrets[part]
        return repr(name) if name else f"of the connection {connection.name!r}"

    return access.replaced(
        reveal=reveal,
        fingerprint=lambda part: part_of(part).fingerprint,
        updated_at=lambda part: part_of(part).updated_at,
        label=label,
        remedy=remedy(connection),
        description=connection,
        # Of parts, not of secrets.
        present=str,
    )


def storage_spec(connection: FlowfileConnection) -> TableSpec:
    """
    Return the description of a cloud connection.

    Raises:
        ConnectionSpecError: If Flowfile's entry cannot be used here.
    """
    require_literals(connection)
    saved = connection.parts
    kind, method = str(saved.get("storage_type")), str(saved.get("auth_method"))
    if kind not in _STORAGE:
        raise ConnectionSpecError(
            f"the connection {connection.name!r} is of type {kind!r}, which is not known here",
            hint=f"known are {', '.join(_STORAGE)}",
        )
    scheme, places = _STORAGE[kind]
    login = _LOGINS.get((kind, method), {})
    parts: dict[str, Any] = {"type": scheme, "endpoint_url": saved.get("endpoint_url")}
    parts |= {ours: saved.get(theirs) for ours, theirs in {**places, **login}.items()}
    parts |= {ours: reference(theirs) for ours, theirs in login.items() if theirs in connection.secrets}
    if missing := [theirs for ours, theirs in login.items() if ours in _NEEDED and not parts[ours]]:
        raise ConnectionSpecError(
            f"the connection {connection.name!r} has no {missing[0].removesuffix('_id')}",
            hint="edit it in Flowfile and enter it",
        )
    if kind == "adls" and not parts["account"] and parts["endpoint_url"]:
        parts["account"] = _EMULATOR_ACCOUNT
    if kind == "adls" and not parts["account"]:
        raise ConnectionSpecError(
            f"the connection {connection.name!r} says no account", hint="edit it in Flowfile and enter the account's name"
        )
    if kind == "gcs" and not parts.get("service_account_key"):
        # An endpoint without a key is an emulator, as Flowfile takes it.
        parts["anonymous"] = bool(parts["endpoint_url"])
    if kind != "gcs":
        parts["verify"] = bool(saved.get("verify_ssl", True))
    return TableSpec({key: item for key, item in parts.items() if item is not None})


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
