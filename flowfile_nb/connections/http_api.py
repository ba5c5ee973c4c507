"""
HTTP APIs, as an `httpx.Client` with late binding: `https://api.example.com/v1`.

The client's own requests, headers and URLs hold no value; `http_transport` attaches them below it. A check has no effect on the
other side: without a `test_path` it goes as far as the TLS handshake, and as fetching an OAuth token.
"""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import Mapping
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlsplit

from flowfile_nb.connections.access import TIMEOUT_S, Access
from flowfile_nb.connections.failures import explain
from flowfile_nb.connections.keys import Key
from flowfile_nb.connections.portable import make_portable
from flowfile_nb.connections.spec import Spec, TableSpec, UrlSpec, read_spec, scheme_of
from flowfile_nb.core.names import quoted
from flowfile_nb.core.references import StandIns, names_in
from flowfile_nb.errors import ConnectionFailedError, ConnectionSpecError, MissingDriverError

if TYPE_CHECKING:
    from flowfile_nb.connections.http_oauth import ClientCredentials
    from flowfile_nb.connections.http_transport import ApiClient, Attachments

_COMMON = {"type", "url", "base_url", "auth", "headers", "params", "test_path", "follow_redirects"}
_COMMON |= {"timeout", "verify", "cert", "cert_key"}
# What others may ask for, with whom it is shared; who has the value asks for anything.
_SHARED = ("methods", "paths")
_COMMON |= {*_SHARED}
_IN_CLEAR = {"auth", "cert", "cert_key", "client_auth", "header", "parameter", "test_path", "token_url", "verify", *_SHARED}
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
    *(Key(name, in_form=False) for name in _SHARED),
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
    """
    Ask for the test path if there is one; else fetch the OAuth token if there is one, and set up TCP and TLS.

    Raises:
        ConnectionFailedError: If that fails. The client is closed.
    """
    import httpx

    try:
        if client.test_path is not None:
            _ask(client, client.test_path)
        else:
            client.late_binding.token()
            _shake_hands(client)
    except (httpx.TransportError, httpx.InvalidURL, OSError) as error:
        client.close()
        raise _explained(error, client) from None
    except BaseException:
        client.close()
        raise


def target(client: ApiClient) -> str:
    """Return where a client leads: `https://api.example.com/v1`."""
    return unquote(str(client.base_url)).rstrip("/")


def close(client: ApiClient) -> None:
    """Close the client's connections."""
    client.close()


def _read(spec: Spec) -> _Api:
    parts: Mapping[str, Any] = spec.parts if isinstance(spec, TableSpec) else {}
    if isinstance(spec, UrlSpec):
        marked = spec.marked
    else:
        check_keys(parts)
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
    if url.scheme not in {"http", "https"} or not host or (scheme_of(spec) == "https" and url.scheme != "https"):
        raise ConnectionSpecError(
            f"the url is not the address of an API of type {scheme_of(spec)!r}",
            hint=f'url = "{scheme_of(spec)}://api.example.com/v1"',
        )
    if marked.restore(host) != host or port == 0:
        # A host that only a secret knows could be anybody's; values go where the description says.
        raise ConnectionSpecError(
            "a reference stands in the host of the URL, which is no place for one", hint="write the host; the path may hold one"
        )
    if url.username is not None and way_of(parts) != "none":
        raise ConnectionSpecError(
            "the url has a user, and the description another way to authenticate",
            hint=f"one of them:  {_example(way_of(parts))}",
        )
    return _Api(url, marked, parts)


def check_keys(parts: Mapping[str, Any]) -> None:
    """Let a description's keys pass if all are known, none is missing, and each is of its kind. Raises ConnectionSpecError."""
    way = way_of(parts)
    needed, other = _WAYS[way]
    known = _COMMON | needed | other
    for key in parts:
        if key not in known:
            near = get_close_matches(key, _COMMON.union(*(needs | takes for needs, takes in _WAYS.values())), 1)
            raise ConnectionSpecError(
                f"an API with auth = {way!r} has no key {key!r}",
                hint=f"did you mean {near[0]!r}?" if near else f"its keys are {', '.join(sorted(known))}",
            )
    if ("url" in parts) == ("base_url" in parts):
        raise ConnectionSpecError("an API is described by one url", hint=_EXAMPLE)
    if missing := sorted(needed - parts.keys()):
        raise ConnectionSpecError(f"auth = {way!r} needs {', '.join(missing)}", hint=_example(way))
    kinds: dict[str, type | tuple[type, ...]] = dict.fromkeys(known, str)
    kinds |= {"timeout": (int, float), "verify": (bool, str), "follow_redirects": bool, "headers": Mapping, "params": Mapping}
    kinds |= dict.fromkeys(_SHARED, (str, list))
    timeout: Any = parts.get("timeout", TIMEOUT_S)
    for key, item in parts.items():
        if not isinstance(item, kinds[key]) or (key == "timeout" and (timeout is True or timeout <= 0)):
            raise ConnectionSpecError(f"the value of {key!r} is of the wrong kind", hint=_EXAMPLE)
        if key in _IN_CLEAR and names_in(str(item)):
            raise ConnectionSpecError(f"a reference stands in {key!r}, which is no place for one", hint=f"write {key} in clear")


def way_of(parts: Mapping[str, Any]) -> str:
    """Return how to authenticate: as `auth` says, or as the keys tell. Raises ConnectionSpecError."""
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


def _example(way: str) -> str:
    lines = {
        "bearer": 'auth = "bearer",  token = %secret NAME',
        "basic": 'auth = "basic",  username = "me",  password = %secret NAME',
        "header": 'auth = "header",  header = "X-Api-Key",  token = %secret NAME',
        "query": 'auth = "query",  parameter = "api_key",  token = %secret NAME',
    }
    return lines.get(way, 'token_url = "https://login.example.com/token",  client_id = "me",  client_secret = %secret NAME')


def _attachments(api: _Api, opening_s: float) -> Attachments:
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


def _ask(client: ApiClient, path: str) -> None:
    # Whatever the limit of later requests is, this one is part of opening.
    response = client.get(path, follow_redirects=True, timeout=client.timeout.connect)
    names = client.late_binding.attachments.names()
    if response.status_code in {401, 403}:
        used = f" with secret {', '.join(map(client.late_binding.access.named, names))}" if names else ""
        raise ConnectionFailedError(
            f"{target(client)} refused the credential{used}: it answered {response.status_code} to {path}",
            hint=f"store another:  %secret set {quoted(names[0])} --replace" if names else f"describe one:  {_EXAMPLE}",
        )
    if response.is_error:
        raise ConnectionFailedError(
            f"{target(client)} answered {response.status_code} to {path}",
            hint="check url and test_path" if response.is_client_error else "the server has a problem; try again later",
        )


def _shake_hands(client: ApiClient) -> None:
    """Set up a connection as far as TLS. Where a proxy stands between, only that is reached."""
    import httpx

    from flowfile_nb.connections.http_transport import origin, proxy_of

    url = client.base_url
    proxy = proxy_of(url)
    scheme, host, port = origin(httpx.URL(proxy)) if proxy else origin(url)
    with socket.create_connection((host, port or 1080), timeout=client.timeout.connect) as connection:
        if scheme == "https":
            with client.late_binding.verify.wrap_socket(connection, server_hostname=host):
                pass


def _explained(error: Exception, client: ApiClient) -> ConnectionFailedError:
    if re.search(r"certificate|ssl|tls", f"{type(error).__name__} {error}", re.IGNORECASE):
        return ConnectionFailedError(
            f"could not open {target(client)}: the encrypted connection could not be set up",
            hint='a certificate authority of your own:  verify = "/path/to/ca.pem"   in the description',
        )
    return explain(error, target(client), client.late_binding.attachments.names(), client.late_binding.access)
