"""What a description of an HTTP API means for the broker: where the credential goes, how, and for which requests."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import SplitResult, urlsplit

from flowfile_nb.broker.addresses import refusal_of
from flowfile_nb.broker.api_rules import METHODS, READING, is_token, require_path
from flowfile_nb.broker.model import Definition, Target
from flowfile_nb.connections.http_description import described, way_of
from flowfile_nb.connections.spec import Spec, TableSpec
from flowfile_nb.core.references import names_in, reference
from flowfile_nb.errors import ConnectionSpecError, NotAllowedError

_PORTS = {"https": 443, "http": 80}
_HINT = 'type = "https",  url = "https://api.example.com/v1",  auth = "bearer",  token = %secret NAME'
# The key of a description that holds the credential.
_CREDENTIALS = {
    "bearer": "token",
    "header": "token",
    "query": "token",
    "basic": "password",
    "oauth2_client_credentials": "client_secret",
}
# Files of the broker's host, and an encryption that is not checked.
_ELSEWHERE = ("verify", "cert", "cert_key")
_PINNED = ("header", "parameter", "token_url", "client_id", "scope", "audience", "client_auth")
_HOST = re.compile(r"[a-z0-9_][a-z0-9_.-]*|[0-9a-f:.]+")
_PRINTABLE = re.compile(r"[\t -~]*")
# What the connection itself needs, or what would name another place or caller.
_RESERVED = re.compile(
    r"host|cookie|connection|keep-alive|te|trailer|transfer-encoding|upgrade|content-(?:length|encoding)|expect|accept-encoding"
    r"|range|forwarded|proxy-.*|x-forwarded-.*",
    re.IGNORECASE,
)


def is_api(kind: str) -> bool:
    """Return whether connections of a kind, or scheme, lead to an HTTP API."""
    return kind.partition("+")[0] in _PORTS


def hosts_of(target: Target) -> list[tuple[str, bool]]:
    """Return the hosts that a credential is sent to, and whether encrypted: the API's, and that of its access tokens."""
    found = [(target.host, target.kind == "https")]
    if token_url := target.options.get("token_url"):
        url = urlsplit(token_url)
        found.append((str(url.hostname), url.scheme == "https"))
    return found


def api_of(spec: Spec) -> Definition:
    """
    Understand the description of an API as far as the broker serves it.

    Raises:
        ConnectionSpecError: If it cannot be understood, or the broker does not serve that.
        NotAllowedError: If it leads somewhere that no credential of the broker's may go, or by a method that none may.
    """
    if not isinstance(spec, TableSpec):
        raise ConnectionSpecError("the broker needs to know how to send the credential to this API", hint=_HINT)
    parts = spec.parts
    described(spec)
    if wrong := [key for key in _ELSEWHERE if key in parts]:
        raise NotAllowedError(
            f"the broker does not take {wrong[0]!r}: it names a file of the broker's host, or leaves out who answers",
            hint="leave it out; the authorities of the broker's host count",
        )
    way = way_of(parts)
    if way not in _CREDENTIALS:
        raise ConnectionSpecError("the broker needs to know how to send the credential to this API", hint=_HINT)
    credential = str(parts[_CREDENTIALS[way]])
    names = names_in(credential)
    others = {key: item for key, item in parts.items() if key != _CREDENTIALS[way]}
    if len(names) != 1 or credential != reference(names[0]) or names_in(str(others)):
        raise ConnectionSpecError("the broker needs one secret, and it stands for the whole credential", hint=_HINT)
    url = _url(str(parts.get("url", parts.get("base_url"))))
    base = require_path(url.path.rstrip("/") or "/")
    options = {"auth": way, **_options(parts, base)}
    tls = "verify-full" if url.scheme == "https" else "disable"
    username = str(parts.get("username", ""))
    port = url.port or _PORTS[url.scheme]
    return Definition(Target(url.scheme, str(url.hostname), port, base, username, tls, options), names[0])


def _options(parts: Mapping[str, Any], base: str) -> dict[str, Any]:
    """Return what is fixed beside the place: each of it leads the credential somewhere, or says for what it is used."""
    options: dict[str, Any] = {key: str(parts[key]) for key in _PINNED if key in parts}
    options |= {"methods": _methods(parts.get("methods")), "paths": _paths(parts.get("paths"), base)}
    if "token_url" in options:
        _url(options["token_url"])
    for table in ("headers", "params"):
        if table in parts:
            options[table] = {str(name): str(item) for name, item in parts[table].items()}
    own = [(options["header"], "")] if "header" in options else []
    for name, item in [*own, *options.get("headers", {}).items()]:
        _require_header(name, item)
    if "test_path" in parts:
        options["test_path"] = _below(base, parts["test_path"])
    return options


def _url(text: str) -> SplitResult:
    """Return the address of a server, if it is one that can be fixed."""
    try:
        url = urlsplit(text)
        port = url.port
    except ValueError:
        url, port = urlsplit(""), None
    host = url.hostname or ""
    if url.scheme not in _PORTS or not _HOST.fullmatch(host) or url.username is not None or url.query or port == 0:
        raise ConnectionSpecError("the API's url is not one that the broker can fix", hint=_HINT)
    if why := refusal_of(host, pinned=host):
        raise NotAllowedError(f"the broker sends nothing to {host}: {why}", hint="write the API's own name into its url")
    return url


def _methods(said: Any) -> str:
    """Return the methods that the owner allows, in one text."""
    asked = said if isinstance(said, list) else str(said).replace(",", " ").split() if said else list(READING)
    found = list(dict.fromkeys(str(one).upper() for one in asked))
    if not found or not set(found) <= set(METHODS):
        raise NotAllowedError(
            "the broker does not send requests by one of these methods",
            hint=f'methods = ["GET", "POST"];  of {", ".join(METHODS)}',
        )
    return " ".join(one for one in METHODS if one in found)


def _paths(said: Any, base: str) -> list[str]:
    """Return what paths begin with; those of a description stand below its url."""
    below = said if isinstance(said, list) else [said] if said else []
    return [_below(base, one) for one in below] or [base]


def _below(base: str, path: Any) -> str:
    return require_path(f"{base.rstrip('/')}/{str(path).strip('/')}")


def _require_header(name: str, item: str) -> None:
    if not is_token(name) or _RESERVED.fullmatch(name) or not _PRINTABLE.fullmatch(item):
        raise NotAllowedError(
            "the broker does not send such a header: it is the connection's own, or not of printable ASCII",
            hint='header = "X-Api-Key"',
        )
