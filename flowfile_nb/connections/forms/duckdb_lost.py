"""
What DuckDB's errors say, in a later cell, of a server that it has attached, or of S3: compiled code raises them.

Of a statement's errors nothing is told here. Nor is what may be of a DuckDB connection of somebody else's.
"""

from __future__ import annotations

import re
from typing import Any
from weakref import WeakSet, ref

from flowfile_nb.connections.access import Access
from flowfile_nb.connections.database_failures import explain_opening
from flowfile_nb.connections.database_url import url_of
from flowfile_nb.connections.failures import of_use
from flowfile_nb.connections.later import Teller, named_by_user
from flowfile_nb.connections.lost import Explain, explaining
from flowfile_nb.connections.s3 import S3
from flowfile_nb.connections.spec import Spec, scheme_of, secrets_in
from flowfile_nb.connections.storage_errors import ServiceError
from flowfile_nb.connections.storage_parts import Credentials
from flowfile_nb.core.references import names_in

_SERVERS = {"mariadb", "mysql", "postgresql"}
_OPENED_ANEW = "run the cell again: DuckDB opens another"
_NOT_OPENED = re.compile(r"(?:IO Error: )?(?:Unable|Failed) to connect to (?:Postgres|MySQL)")
# As libpq says it; behind a host's name its address can stand.
_SERVER = re.compile(r"server at \"(?P<host>[^\"]+)\"(?: \([^)]*\))?, port (?P<port>\d+)")
_REFUSED = re.compile(r"\(HTTP (?:code )?403\b|: 403 \(")
_UNREACHABLE = re.compile(r"Could not establish connection")
_all: WeakSet[Teller] = WeakSet()


def teller_of(connection: Any, spec: Spec, access: Access) -> Teller | None:
    """Return what explains errors of a connection with a server, for as long as that is there; None of one with a file."""
    if access.debug:
        return None
    if scheme_of(spec).lower() == "s3":
        explain = _of_s3(ref(connection), spec, access)
    elif url_of(spec).get_backend_name() in _SERVERS:
        explain = _of_server(ref(connection), spec, access)
    else:
        return None
    teller = Teller(connection, explain)
    _all.add(teller)
    return teller


def _of_server(bound: ref[Any], spec: Spec, access: Access) -> Explain:
    url, names = url_of(spec), secrets_in(spec)
    lost = explaining(url, names, access, _OPENED_ANEW)

    def is_named(text: str) -> bool | None:
        said = _SERVER.search(text)
        if said is None or url.host is None or names_in(url.host):
            return None
        return said["host"] == url.host and (url.port is None or int(said["port"]) == url.port)

    def explain(error: BaseException) -> tuple[str, str] | None:
        text = str(error)
        is_of_opening = _NOT_OPENED.match(text) is not None
        told = None if is_of_opening else lost(error)
        if not (is_of_opening or told) or not _is_ours(bound, error, is_named(text)):
            return None
        return told or of_use(explain_opening(error, url, names, access))

    return explain


def _of_s3(bound: ref[Any], spec: Spec, access: Access) -> Explain:
    storage = S3()
    parts = storage.described(spec)
    storage.take(parts, Credentials(parts, access))
    place = storage.place(parts)
    server = place.server.partition("://")[2].rstrip("/") or "amazonaws.com"
    roots = [f"s3://{place.root}/", f"'/{place.root}/"] if place.root else []

    def is_named(text: str) -> bool | None:
        if server in text or any(root in text for root in roots):
            return True
        return False if "://" in text else None

    def explain(error: BaseException) -> tuple[str, str] | None:
        text = str(error)
        said: OSError | None = None
        if _REFUSED.search(text):
            said = PermissionError(text)
        elif _UNREACHABLE.search(text):
            said = OSError(text)
            said.__cause__ = ServiceError("could not connect to the endpoint", "unreachable")
        return storage.later(said) if said is not None and _is_ours(bound, error, is_named(text)) else None

    return explain


def _is_ours(bound: ref[Any], error: BaseException, is_named: bool | None) -> bool:
    """
    Return whether an error is of a connection of ours, as far as can be known.

    Args:
        bound: That connection.
        error: DuckDB's.
        is_named: Whether its text names where the connection leads; None where it names no place.
    """
    import duckdb

    if is_named is False:
        return False
    named = named_by_user(error)
    if any(item is bound() for item in named):
        return True
    if any(item is duckdb or isinstance(item, duckdb.DuckDBPyConnection) for item in named):
        return False
    # A relation does not say which connection it is of.
    return is_named or len(_all) == 1
