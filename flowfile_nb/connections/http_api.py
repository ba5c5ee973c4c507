"""
HTTP APIs, as an `httpx.Client` with late binding: `https://api.example.com/v1`.

The client's own requests, headers and URLs hold no value; `http_transport` attaches them below it.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, quote, urlsplit

from flowfile_nb.connections.access import TIMEOUT_S, Access
from flowfile_nb.connections.http_description import KEYS, OAUTH, Api, described, way_of
from flowfile_nb.connections.portable import make_portable
from flowfile_nb.connections.spec import Spec
from flowfile_nb.core.references import names_in
from flowfile_nb.errors import ConnectionSpecError, MissingDriverError

if TYPE_CHECKING:
    from flowfile_nb.connections.http_oauth import ClientCredentials
    from flowfile_nb.connections.http_transport import ApiClient, Attachments

__all__ = ["KEYS", "check", "close", "described", "make", "target", "untried"]


def make(spec: Spec, reveal: Access) -> ApiClient:
    """
    Return a client that asks *reveal* for values at each request to the API's origin; nothing is sent yet.

    Raises:
        ConnectionSpecError: If the description is not one of an API, or holds a credential in clear.
        MissingDriverError: If httpx is not installed.
    """
    try:
        import httpx

        from flowfile_nb.connections.http_transport import ApiClient, LateBinding
    except ModuleNotFoundError:
        raise MissingDriverError(
            "a connection to an HTTP API needs the library 'httpx', which is not installed",
            hint="pip install 'flowfile-nb[http]'   and run the cell again",
        ) from None

    api = described(spec)
    headers, params = _plain(api.parts.get("headers", {})), _plain(api.parts.get("params", {}))
    query = [(key, api.marked.restore(item)) for key, item in parse_qsl(api.url.query, keep_blank_values=True)]
    timeout = api.parts.get("timeout", TIMEOUT_S)
    opening_s = timeout if reveal.timeout_s is None else reveal.timeout_s
    transport = LateBinding(_attachments(api, opening_s), reveal, _tls(api.parts))
    # Shown with its references, in the one spelling that a URL keeps legible.
    path = quote(api.marked.restore(api.url.path), safe="/%:@!$&'()*+,;=~")
    client = ApiClient(
        transport=transport,
        test_path=api.parts.get("test_path"),
        base_url=api.url._replace(netloc=api.url.netloc.rpartition("@")[2], path=path, query="", fragment="").geturl(),
        headers=headers,
        params=[*((key, item) for key, item in query if not names_in(item)), *params.items()],
        timeout=httpx.Timeout(timeout, connect=opening_s),
        follow_redirects=api.parts.get("follow_redirects", False),
    )
    make_portable(client, spec, reveal)
    return client


def check(client: ApiClient) -> None:
    """Try it, as `http_check.check` says. Raises ConnectionFailedError."""
    from flowfile_nb.connections import http_check

    http_check.check(client)


def untried(client: ApiClient) -> tuple[str, str] | None:
    """Return what `check` has done, and what it has not tried, as `http_check.untried`."""
    from flowfile_nb.connections import http_check

    return http_check.untried(client)


def target(client: ApiClient) -> str:
    """Return where a client leads: `https://api.example.com/v1`."""
    from flowfile_nb.connections import http_check

    return http_check.target(client)


def close(client: ApiClient) -> None:
    """Close the client's connections."""
    client.close()


def _attachments(api: Api, opening_s: float) -> Attachments:
    from flowfile_nb.connections.http_transport import Attachments

    parts, way = api.parts, way_of(api.parts)
    headers = {name: str(item) for name, item in parts.get("headers", {}).items() if names_in(str(item))}
    query = [(key, api.marked.restore(item)) for key, item in parse_qsl(api.url.query)] + list(parts.get("params", {}).items())
    attached = {key: item for key, item in query if names_in(str(item))}
    basic = None
    if api.url.username is not None:
        basic = (api.text(api.url.username), api.text(api.url.password))
    elif way == "basic":
        basic = (parts["username"], parts["password"])
    if way == "bearer":
        headers["Authorization"] = f"Bearer {parts['token']}"
    elif way == "header":
        headers[parts["header"]] = parts["token"]
    elif way == "query":
        attached[parts["parameter"]] = parts["token"]
    path = api.marked.restore(api.url.path)
    oauth = _oauth(parts, opening_s) if way == OAUTH else None
    return Attachments(headers, attached, basic, oauth, path if path.endswith("/") else f"{path}/")


def _oauth(parts: Mapping[str, Any], opening_s: float) -> ClientCredentials:
    from flowfile_nb.connections.http_oauth import ClientCredentials, Grant

    url = urlsplit(parts["token_url"])
    if url.scheme not in {"http", "https"} or not url.hostname or names_in(parts["token_url"]):
        raise ConnectionSpecError(
            "token_url is not the address of a server", hint='token_url = "https://login.example.com/token"'
        )
    if parts.get("client_auth", "basic") not in {"basic", "body"}:
        raise ConnectionSpecError("client_auth is one of two ways", hint='client_auth = "basic"   or   client_auth = "body"')
    extra = {key: parts[key] for key in ("scope", "audience") if key in parts}
    in_body = parts.get("client_auth") == "body"
    return ClientCredentials(Grant(parts["token_url"], parts["client_id"], parts["client_secret"], extra, in_body, opening_s))


def _plain(table: Mapping[str, Any]) -> dict[str, Any]:
    return {key: str(item) for key, item in table.items() if not names_in(str(item))}


def _tls(parts: Mapping[str, Any]) -> ssl.SSLContext:
    import httpx

    verify = parts.get("verify", True)
    try:
        if isinstance(verify, str):
            context = ssl.create_default_context(cafile=verify)
        else:
            context = httpx.create_ssl_context(verify=verify)
        if "cert" in parts:
            # With a passphrase that is wrong, OpenSSL refuses an encrypted key; with none it would ask on the terminal.
            context.load_cert_chain(parts["cert"], parts.get("cert_key"), password=str)
    except (OSError, ValueError):
        raise ConnectionSpecError(
            "a certificate file cannot be read, or holds no certificate", hint='verify = "/path/to/ca.pem"   (PEM)'
        ) from None
    return context
