"""Whether the options of a description can lead it to another server than the one that is told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

from flowfile_nb.connections.outline import PLACES, place_in
from flowfile_nb.connections.spec import UrlSpec, read_spec

# What else names a server: options of drivers that win over the one that is shown, and servers beside it that get a secret.
_ELSEWHERE = {
    *PLACES,
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


def elsewhere(description: str | Mapping[str, Any]) -> list[str]:
    """Return the options of a description that can lead it to another server than the one that is told, or to one beside it."""
    return sorted(_options(description) & _ELSEWHERE)


def _options(description: str | Mapping[str, Any]) -> set[str]:
    """Return the names of all options: of a URL's query; or of a description and tables in it, without what is told."""
    spec = read_spec(description)
    if isinstance(spec, UrlSpec):
        return {key.lower() for key, _ in parse_qsl(spec.marked.text.partition("?")[2], keep_blank_values=True)}
    below = {key for item in spec.parts.values() if isinstance(item, Mapping) for key in _keys(item)}
    return {key.lower() for key in below | (spec.parts.keys() - {place_in(spec.parts)})}


def _keys(parts: Mapping[str, Any]) -> set[str]:
    return {*parts, *(key for item in parts.values() if isinstance(item, Mapping) for key in _keys(item))}
