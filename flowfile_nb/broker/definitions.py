"""What a description of a connection means for the broker: which one credential goes to which one target."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from flowfile_nb.broker.addresses import is_loopback
from flowfile_nb.broker.api_definitions import api_of, hosts_of, is_api
from flowfile_nb.broker.model import Definition, Target
from flowfile_nb.broker.options import TLS_OPTIONS, require_options
from flowfile_nb.broker.storage.definitions import STORAGE, storage_definition
from flowfile_nb.connections.database_url import url_of
from flowfile_nb.connections.spec import Spec, TableSpec, read_spec, scheme_of, secrets_in
from flowfile_nb.core.references import names_in, reference
from flowfile_nb.errors import ConnectionSpecError, NotAllowedError

_PORTS = {
    "postgresql": 5432,
    "mysql": 3306,
    "mariadb": 3306,
    "mssql": 1433,
    "oracle": 1521,
    "clickhouse": 9000,
    "clickhousedb": 8123,
    "trino": 8080,
}
_PORTS |= {"snowflake": 443, "databricks": 443}
# Where a database listens for encrypted connections, if that is another port.
_TLS_PORTS = {"clickhouse": 9440, "clickhousedb": 8443, "trino": 443}
_FILES = {"sqlite", "duckdb"}
_LOGINS = {"sftp", "ssh", "ftp"}
# A second place for what the URL says already, or files and commands of the broker's host.
_ELSEWHERE = {"host", "hostaddr", "port", "dbname", "database", "user", "username", "password", "service", "servicefile"}
# What other tools call those, and our word for it.
_OUR_WORDS = {"dbname": "database", "user": "username", "hostaddr": "host"}
_HOST_FILES = re.compile(
    r"file|path|plugin|socket|command|init|infile|private|key(?!word|alive)|(?:^|_)cert$|sslcert|dsn|odbc|driver$"
)
# A name or an address. No socket, also not one written as `%2Fvar%2Frun`, which some drivers decode; no list of hosts.
_HOST = re.compile(r"\w[\w.-]*|[0-9a-f:.]+")
_HARMLESS_FILES = {"sslrootcert", "ssl_ca", "sslcrl", "use_unicode", "http_path"}
# What each kind calls an encryption that one who listens cannot undo, and the word by which an owner does without.
_ENCRYPTED = {"require", "verify-ca", "verify-full"}
_IN_CLEAR = "disable"
# Whose drivers take PostgreSQL's word for it, or one like it; and by what others are told to encrypt.
_SSLMODE_KINDS = {"postgresql", "mysql", "mariadb"}
_VERIFIED_BY = {
    "clickhouse": {"secure", "protocol"},
    "clickhousedb": {"secure", "protocol"},
    "mariadb": {"ssl_verify_identity", "ssl_check_hostname"},
    "mysql": {"ssl_verify_identity", "ssl_check_hostname"},
    "trino": {"http_scheme"},
}


def definition_of(body: str | Mapping[str, Any]) -> Definition:
    """
    Understand a description as far as the broker serves it.

    Raises:
        ConnectionSpecError: If it cannot be understood (as in `%%connect`), or the broker does not serve that.
        NotAllowedError: If it leads somewhere that no credential of the broker's may go: files, the broker's own host.
    """
    spec = read_spec(body)
    scheme = scheme_of(spec).lower().partition("+")[0]
    if scheme in _LOGINS:
        raise NotAllowedError(
            f"a login by {scheme!r} cannot be lent: it has no links to single files, members would need the login itself",
            hint="put what they shall read into a bucket and share that, or let each have a login of their own",
        )
    if scheme in _FILES:
        raise NotAllowedError(
            f"a {scheme} file is opened in the notebook, not by the broker: there is no credential in it to protect",
            hint=f"%%connect NAME   and   {scheme}:///path   in your own notebook",
        )
    if scheme in STORAGE:
        definition = Definition(*storage_definition(spec))
    else:
        definition = api_of(spec) if is_api(scheme) else _database(spec)
    _require_one_secret(spec)
    return definition


def require_safe(target: Target) -> None:
    """
    Raise NotAllowedError if a credential would cross a network in clear and its owner has not said that it may.

    `sslmode=disable` says so.
    """
    if is_api(target.kind):
        for host, encrypted in hosts_of(target):
            if not encrypted and not is_loopback(host):
                raise NotAllowedError(
                    f"requests to {host} would carry the credential in clear over a network; it was not shared",
                    hint="write  https://  into its url, and into its token_url",
                )
        return
    if is_loopback(target.host) or target.tls in _ENCRYPTED or target.tls == _IN_CLEAR:
        return
    raise NotAllowedError(
        "this connection is not encrypted for sure, and leads to another host; the credential was not shared",
        hint="an endpoint_url begins with https://"
        if target.kind in STORAGE
        else "write  ?sslmode=verify-full  (or require) into its URL; where the network is trusted:  ?sslmode=disable",
    )


def place(target: Target) -> str:
    """Return where a target is, to be read: `postgresql://app@db.example.com:5432/sales`."""
    user = f"{target.username}@" if target.username else ""
    host = f"[{target.host}]" if ":" in target.host else target.host
    return f"{target.kind}://{user}{host}:{target.port}/{target.database.lstrip('/')}"


def _database(spec: Spec) -> Definition:
    url = url_of(spec)
    kind = url.get_backend_name()
    if kind not in _PORTS:
        raise ConnectionSpecError(
            f"the broker has no connections of type {kind!r}",
            hint=f"it has {', '.join(sorted(_PORTS))}",
        )
    if isinstance(spec, TableSpec) and spec.parts.get("connect_args"):
        raise ConnectionSpecError(
            "the broker takes no connect_args", hint="write them as further keys of the description, as a URL's ?key=value"
        )
    host = (url.host or "").lower()
    if not _HOST.fullmatch(host):
        raise NotAllowedError(
            "the broker connects to one host over the network, and to no socket or file of its own host",
            hint="postgresql://user:%secret NAME@host:5432/database",
        )
    options: dict[str, str] = {}
    for key, item in sorted(url.query.items()):
        _require_option(key, item)
        options[key] = str(item)
    names = names_in(str(url.password or ""))
    if len(names) != 1 or str(url.password) != reference(names[0]):
        raise ConnectionSpecError(
            "the broker needs one secret, and it stands for the whole password",
            hint="postgresql://user:%secret NAME@host:5432/database",
        )
    tls = _tls(kind, options)
    require_options(kind, options, tls)
    port = url.port or (_TLS_PORTS.get(kind) if tls in _ENCRYPTED else None) or _PORTS[kind]
    target = Target(kind, host, port, url.database or "", url.username or "", tls, options)
    return Definition(target, names[0])


def _require_option(key: str, item: Any) -> None:
    low = key.lower()
    if not isinstance(item, str) or low in _ELSEWHERE or (_HOST_FILES.search(low) and low not in _HARMLESS_FILES):
        raise NotAllowedError(
            f"the broker does not take {key!r}: it would lead elsewhere, or to files of the broker's host",
            hint=f'write  {_OUR_WORDS[low]} = "…"  in its place'
            if low in _OUR_WORDS
            else "leave it out; host, port, database and user stand in their own places",
        )


def _tls(kind: str, options: dict[str, str]) -> str:
    """Take what says how the connection is encrypted out of *options*, and return it in PostgreSQL's words."""
    for key in TLS_OPTIONS:
        if key in options:
            said = options[key].lower().replace("_", "-")
            said = {"disabled": _IN_CLEAR, "required": "require", "verify-identity": "verify-full"}.get(said, said)
            if kind in _SSLMODE_KINDS or said == _IN_CLEAR or (kind, said) == ("mssql", "require"):
                del options[key]
                return said
    on = {key for key, item in options.items() if item.lower() in {"1", "true", "https"}}
    off = {key for key, item in options.items() if item.lower() in {"0", "false", "no"}}
    if "ssl_disabled" in on:
        return _IN_CLEAR
    # Snowflake and Databricks have no other way than HTTPS.
    if kind in {"snowflake", "databricks"} or (on & _VERIFIED_BY.get(kind, set()) and "verify" not in off):
        return "verify-full"
    return "verify-ca" if kind in _SSLMODE_KINDS and "ssl_ca" in options else "prefer"


def _require_one_secret(spec: Spec) -> None:
    if len(secrets_in(spec)) != 1:
        raise ConnectionSpecError(
            "the broker needs exactly one secret in a description",
            hint="write host, user and database themselves, not as secrets",
        )
