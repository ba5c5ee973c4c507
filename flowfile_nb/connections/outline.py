"""What can be told of a description without opening anything: its kind, where it leads, which secrets it needs."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

from flowfile_nb.connections.spec import Spec, UrlSpec, read_spec, scheme_of, secrets_in
from flowfile_nb.core.expression import expression
from flowfile_nb.errors import ConnectionSpecError, FlowfileNbError

_URL = expression(r"(?P<scheme>[^:]+:/*)(?:(?P<user>[^:/@]*)(?::[^@]*)?@)?(?P<rest>[^?#]*)")
# What says where a connection leads; the first that is there counts.
_URLS = ("url", "base_url")
_PLACES = (
    *_URLS,
    "host",
    "server",
    "account",
    "endpoint_url",
    "endpoint",
    "bucket",
    "bootstrap_servers",
    "bootstrap.servers",
)
# What else names a server: options of drivers that win over the one that is shown, and servers beside it that get a secret.
_ELSEWHERE = {
    *_PLACES,
    "authenticator",
    "dsn",
    "hostaddr",
    "http_proxy",
    "https_proxy",
    "metadata.broker.list",
    "odbc_connect",
    "proxies",
    "proxy",
    "proxy_host",
    "sasl.oauthbearer.token.endpoint.url",
    "schema_registry_url",
    "service",
    "token_url",
    "unix_socket",
}


class Outline(NamedTuple):
    """What can be told of a definition without opening anything."""

    kind: str
    target: str
    secrets: tuple[str, ...]
    problem: str = ""
    """Why it cannot be used; empty if it can."""


def outline_of(description: str | Mapping[str, Any]) -> Outline:
    """Return what can be told of a description."""
    return _of_text(description) if isinstance(description, str) else _of_any(description)


def shown(text: str) -> str:
    """Return *text* as `toml_text.printable` does."""
    if text.isprintable():
        return text
    # Imported here: nearly every text is.
    from flowfile_nb.connections.toml_text import printable

    return printable(text)


def elsewhere(description: str | Mapping[str, Any]) -> list[str]:
    """Return the options of a description that can lead it to another server than the one that is told, or to one beside it."""
    return sorted(_options(description) & _ELSEWHERE)


# The list shows every saved definition each time.
@lru_cache(maxsize=4096)
def _of_text(body: str) -> Outline:
    return _of_any(body)


def _of_any(description: str | Mapping[str, Any]) -> Outline:
    try:
        spec = read_spec(description)
        return Outline(shown(scheme_of(spec)), shown(_target(spec)), tuple(secrets_in(spec)))
    except ConnectionSpecError as error:
        return Outline("", "", (), error.message)
    except (FlowfileNbError, TypeError, ValueError, AttributeError):
        return Outline("", "", (), "the definition cannot be understood")


def _options(description: str | Mapping[str, Any]) -> set[str]:
    """Return the names of all options: of a URL's query; or of a description and tables in it, without what `_target` tells."""
    spec = read_spec(description)
    if isinstance(spec, UrlSpec):
        return {key.lower() for key, _ in parse_qsl(spec.marked.text.partition("?")[2], keep_blank_values=True)}
    below = {key for item in spec.parts.values() if isinstance(item, Mapping) for key in _keys(item)}
    return {key.lower() for key in below | (spec.parts.keys() - {_place(spec.parts)})}


def _keys(parts: Mapping[str, Any]) -> set[str]:
    return {*parts, *(key for item in parts.values() if isinstance(item, Mapping) for key in _keys(item))}


def _place(parts: Mapping[str, Any]) -> str | None:
    """Return the key of a description that says where it leads."""
    return next((key for key in _PLACES if key in parts), None)


def _target(spec: Spec) -> str:
    """Return where a description leads, without password and options."""
    if isinstance(spec, UrlSpec):
        found = _URL.match(spec.marked.text)
        assert found is not None
        user = f"{found['user']}@" if found["user"] else ""
        return spec.marked.restore(f"{found['scheme']}{user}{found['rest']}")
    parts, place = spec.parts, _place(spec.parts)
    bucket = parts.get("bucket", parts.get("container"))
    if bucket is not None and "url" not in parts:
        at = " at ".join(str(parts[key]) for key in ("account", "endpoint_url", "endpoint") if key in parts)
        prefix = f"/{parts['prefix']}" if "prefix" in parts else ""
        return f"{parts['type']}://{bucket}{prefix}" + (f" at {at}" if at else "")
    if place in _URLS:
        return _target(read_spec(parts[place]))
    login = parts.get("username", parts.get("user"))
    port = f":{parts['port']}" if "port" in parts else ""
    database = f"/{parts['database']}" if "database" in parts else ""
    return f"{parts['type']}://{f'{login}@' if login else ''}{parts[place] if place else ''}{port}{database}"
