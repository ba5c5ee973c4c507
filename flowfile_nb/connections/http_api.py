"""
HTTP APIs, as an `httpx.Client` with late binding: `https://api.example.com/v1`.

The client's own requests, headers and URLs hold no value; `http_transport` attaches them below it.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Mapping
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlsplit

from flowfile_nb.connections.access import TIMEOUT_S, Access
from flowfile_nb.connections.http_hints import example_of, meant_by
from flowfile_nb.connections.keys import Key
from flowfile_nb.connections.portable import make_portable
from flowfile_nb.connections.spec import Spec, TableSpec, UrlSpec, read_spec, scheme_of
from flowfile_nb.core.references import StandIns, names_in
from flowfile_nb.errors import ConnectionSpecError, MissingDriverError

if TYPE_CHECKING:
    from flowfile_nb.connections.http_oauth import ClientCredentials
    from flowfile_nb.connections.http_transport import ApiClient, Attachments

_COMMON = {"type", "url", "base_url", "auth", "headers", "params", "test_path", "follow_redirects"}
_COMMON |= {"timeout", "verify", "cert", "cert_key"}
_IN_CLEAR = {"auth", "cert", "cert_key", "client_auth", "header", "parameter", "test_path", "token_url", "verify"}
_OAUTH = "oauth2_client_credentials"
# What each way to authenticate needs, and what else it takes.
_WAYS: dict[str, tuple[set[str], set[str]]] = {
    "none": (set(), set()),
    "bearer": ({"token"}, set()),
    "basic": ({"username", "password"}, set()),
    "header": ({"header", "token"}, set()),
    "query": ({"parameter", "token"}, set()),
    _OAUTH: ({"token_url", "client_id", "client_secret"}, {"scope", "audience", "client_auth"}),
}
KEYS = (
    Key("url", "URL", required=True, example="https://api.example.com/v1"),
    Key("auth", "Authentication", choices=tuple(_WAYS)),
    Key("header", "Header", example="X-Api-Key", when=("auth", ("header",))),
    Key("parameter", example="api_key", when=("auth", ("query",))),
    Key("token", secret=True, when=("auth", ("bearer", "header", "query"))),
    Key("username", example="me", when=("auth", ("basic",))),
    Key("password", secret=True, when=("auth", ("basic",))),
    Key("token_url", "Token URL", example="https://login.example.com/token", when=("auth", (_OAUTH,))),
    Key("client_id", "Client ID", when=("auth", (_OAUTH,))),
    Key("client_secret", secret=True, when=("auth", (_OAUTH,))),
    Key("scope", example="read", when=("auth", (_OAUTH,))),
    Key("test_path", "Path for a test", example="me"),
    *(Key(name, in_form=False) for name in ("headers", "params", "timeout", "verify", "cert", "cert_key", "follow_redirects")),
)
"""What a description usually has, for completion and forms."""
_EXAMPLE = 'type = "https",  url = "https://api.example.com/v1",  auth = "bearer",  token = %secret NAME'


class _Api(NamedTuple):
    """A description, understood: where it leads, and what its client is made with."""

    url: SplitResult
    """With a stand-in for each reference."""
    marked: StandIns
    parts: Mapping[str, Any]

    def text(self, part: str | None) -> str:
        return self.marked.restore(unquote(part or ""))


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

    api = _read(spec)
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


def untried(client: ApiClient) -> str:
    """Return what `check` has not tried, to be read; empty if it asked for the test path."""
    from flowfile_nb.connections import http_check

    return http_check.untried(client)


def target(client: ApiClient) -> str:
    """Return where a client leads: `https://api.example.com/v1`."""
    from flowfile_nb.connections import http_check

    return http_check.target(client)


def close(client: ApiClient) -> None:
    """Close the client's connections."""
    client.close()


def _read(spec: Spec) -> _Api:
    parts: Mapping[str, Any] = spec.parts if isinstance(spec, TableSpec) else {}
    if isinstance(spec, UrlSpec):
        marked = spec.marked
    else:
        _check_keys(parts)
        text = parts.get("url", parts.get("base_url", ""))
        marked = StandIns(text)
        if "://" in text:
            # As if it stood alone: a password in it is refused.
            read_spec(text)
    try:
        url = urlsplit(marked.text)
        port, host = url.port, url.hostname
    except ValueError:
        port, host, url = None, None, urlsplit("")
    if host is None and re.match(r"https?://", marked.text):
        raise ConnectionSpecError(
            "the url has a port that is none, or a host that is none",
            hint=f'url = "{scheme_of(spec)}://api.example.com:8443/v1"   (a port is a number up to 65535)',
        )
    if host and (url.scheme, scheme_of(spec)) == ("http", "https"):
        raise ConnectionSpecError(
            "the url begins with http://, and the type is https: what is attached would go unencrypted",
            hint='url = "https://…"   or, where the network is safe,  type = "http"',
        )
    if url.scheme not in {"http", "https"} or not host:
        raise ConnectionSpecError(
            f"the url is not the address of an API of type {scheme_of(spec)!r}",
            hint=f'url = "{scheme_of(spec)}://api.example.com/v1"',
        )
    if marked.restore(host) != host or port == 0:
        # A host that only a secret knows could be anybody's; values go where the description says.
        raise ConnectionSpecError(
            "a reference stands in the host of the URL, which is no place for one", hint="write the host; the path may hold one"
        )
    if url.username is not None and _way(parts) != "none":
        raise ConnectionSpecError(
            "the url has a user, and the description another way to authenticate",
            hint=f"one of them:  {example_of(_way(parts))}",
        )
    return _Api(url, marked, parts)


def _check_keys(parts: Mapping[str, Any]) -> None:
    way = _way(parts)
    needed, other = _WAYS[way]
    known = _COMMON | needed | other
    for key in parts:
        if key not in known:
            meant = meant_by(key, _COMMON.union(*(needs | takes for needs, takes in _WAYS.values())))
            raise ConnectionSpecError(
                f"an API with auth = {way!r} has no key {key!r}",
                hint=f"did you mean {meant}?" if meant else f"its keys are {', '.join(sorted(known))}",
            )
    if ("url" in parts) == ("base_url" in parts):
        raise ConnectionSpecError("an API is described by one url", hint=_EXAMPLE)
    if missing := sorted(needed - parts.keys()):
        raise ConnectionSpecError(f"auth = {way!r} needs {', '.join(missing)}", hint=example_of(way))
    kinds: dict[str, type | tuple[type, ...]] = dict.fromkeys(known, str)
    kinds |= {"timeout": (int, float), "verify": (bool, str), "follow_redirects": bool, "headers": Mapping, "params": Mapping}
    timeout: Any = parts.get("timeout", TIMEOUT_S)
    for key, item in parts.items():
        if not isinstance(item, kinds[key]) or (key == "timeout" and (timeout is True or timeout <= 0)):
            raise ConnectionSpecError(f"the value of {key!r} is of the wrong kind", hint=_EXAMPLE)
        if key in _IN_CLEAR and names_in(str(item)):
            raise ConnectionSpecError(f"a reference stands in {key!r}, which is no place for one", hint=f"write {key} in clear")


def _way(parts: Mapping[str, Any]) -> str:
    """Return how to authenticate: as `auth` says, or as the keys tell."""
    said = parts.get("auth")
    if said is None:
        told = {"token_url": _OAUTH, "parameter": "query", "header": "header", "token": "bearer", "username": "basic"}
        return next((way for key, way in told.items() if key in parts), "none")
    if isinstance(said, str) and said in _WAYS:
        return said
    near = get_close_matches(str(said), _WAYS, 1)
    raise ConnectionSpecError(
        "the value of 'auth' is no way to authenticate that is known",
        hint=f'did you mean  auth = "{near[0]}"?' if near else f"known are {', '.join(sorted(_WAYS))}",
    )


def _attachments(api: _Api, opening_s: float) -> Attachments:
    from flowfile_nb.connections.http_transport import Attachments

    parts, way = api.parts, _way(api.parts)
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
    oauth = _oauth(parts, opening_s) if way == _OAUTH else None
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
