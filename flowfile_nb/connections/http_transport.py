"""
How values get onto the requests of an API's client: below it, in its transport.

An `httpx.Auth` would write them into the request that the client keeps, logs, shows in `response.request` and copies for a
redirect. Here the client's request never has them: a copy of it gets them, on its way out, and only towards the origin (scheme,
host and port) that the connection was made for.
"""

from __future__ import annotations

import base64
import os
import ssl
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode
from urllib.request import getproxies, proxy_bypass

import httpx

from flowfile_nb.connections.access import Access
from flowfile_nb.connections.http_oauth import ClientCredentials
from flowfile_nb.connections.later import answered
from flowfile_nb.core.references import fill, names_in
from flowfile_nb.errors import ConnectionFailedError, FlowfileNbError

_PORTS = {"http": 80, "https": 443}
# What came over a fork is the parent's: not even closing it is allowed here, so it is never collected.
_inherited: list[object] = []


class Attachments(NamedTuple):
    """What goes onto each request to the API. All texts hold references."""

    headers: Mapping[str, str]
    query: Mapping[str, str]
    basic: tuple[str, str] | None = None
    """User and password."""
    oauth: ClientCredentials | None = None
    path: str = "/"
    """The base URL's path, percent-encoded but for references."""

    def names(self) -> list[str]:
        """Return the names of the secrets in it, each once."""
        others = [*(self.basic or ()), *(self.oauth.grant.texts if self.oauth else ())]
        texts = [*self.headers.values(), *self.query.values(), *others, self.path]
        return list(dict.fromkeys(name for text in texts for name in names_in(text)))


class ApiClient(httpx.Client):
    """An `httpx.Client` whose values are attached below it. Its attributes, requests and responses hold none."""

    def __init__(self, *, transport: LateBinding, test_path: str | None, **options: object) -> None:
        super().__init__(transport=transport, **options)  # type: ignore[arg-type]
        self.late_binding = transport
        self.test_path = test_path
        transport.begin(self.base_url)

    def send(self, request: httpx.Request, **options: Any) -> httpx.Response:
        """Send as httpx does."""
        response = super().send(request, **options)
        answered(response, self)
        return response

    def explain_later(self, error: BaseException) -> tuple[str, str] | None:
        """Return what happened with a request of a later cell, and what to do; see `later`."""
        from flowfile_nb.connections.http_check import explained_later

        return explained_later(self, error)

    def __repr__(self) -> str:
        return f"<httpx.Client {self.base_url}>"


class LateBinding(httpx.BaseTransport):
    """
    A transport that attaches values, read from the store for each request.

    Args:
        attachments: What to attach, as text with references.
        reveal: Returns the value of a secret.
        verify: The TLS settings of all its connections.
    """

    def __init__(self, attachments: Attachments, reveal: Access, verify: ssl.SSLContext) -> None:
        self.attachments = attachments
        self.verify = verify
        self.access = reveal
        self._base = httpx.URL()
        self._plain: dict[str | None, httpx.HTTPTransport] = {}
        self._pid = os.getpid()

    def begin(self, base: httpx.URL) -> None:
        """Attach to requests of this origin from now on; to none before."""
        self._base = base

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send a copy of *request* that has the values, if it goes where they belong; else *request* itself."""
        if origin(request.url) != origin(self._base):
            return self.plain(request.url).handle_request(request)
        try:
            return self._send(request)
        except FlowfileNbError:
            raise
        except httpx.TransportError as error:
            # Raised anew, as below, so that its traceback has no frame in which a value is a local variable.
            raise type(error)(f"{error}{_perhaps_tls(error, request.url)}") from None
        except KeyboardInterrupt:
            raise KeyboardInterrupt from None

    def plain(self, url: httpx.URL) -> httpx.HTTPTransport:
        """Return what sends to *url* without attaching, through the proxy that the environment names for it."""
        self._leave_to_the_parent()
        proxy = proxy_of(url)
        if proxy not in self._plain:
            self._plain[proxy] = httpx.HTTPTransport(verify=self.verify, proxy=proxy)
        return self._plain[proxy]

    def token(self) -> str | None:
        """
        Return the access token for the next request, fetched if need be; None where there is no OAuth.

        Raises:
            ConnectionFailedError: If the server of the token URL does not answer, or refuses.
        """
        oauth = self.attachments.oauth
        return None if oauth is None else oauth.token(self.access, self.plain(httpx.URL(oauth.grant.token_url)))

    def close(self) -> None:
        """Close the connections underneath."""
        self._leave_to_the_parent()
        for transport in self._plain.values():
            transport.close()

    def _leave_to_the_parent(self) -> None:
        """In a forked child, begin anew: on the parent's connections it would read answers that are not its own."""
        if self._pid != os.getpid():
            _inherited.append(self._plain)
            self._plain, self._pid = {}, os.getpid()

    def _send(self, request: httpx.Request) -> httpx.Response:
        oauth, token = self.attachments.oauth, self.token()
        inner = self.plain(request.url)
        response = inner.handle_request(self._filled(request, token))
        # What the server no longer takes is fetched anew, once. A body that can be sent only once is not sent again.
        if oauth is None or token is None or response.status_code != 401 or not isinstance(request.stream, httpx.ByteStream):
            return response
        response.close()
        oauth.forget(token)
        return inner.handle_request(self._filled(request, self.token()))

    def _filled(self, request: httpx.Request, token: str | None) -> httpx.Request:
        url, wanted = request.url, self.attachments
        begin = self._base.raw_path
        if names_in(wanted.path) and url.raw_path.startswith(begin):
            path = fill(wanted.path, lambda name: quote(self.access(name), safe=""))
            url = url.copy_with(raw_path=path.encode() + url.raw_path[len(begin) :])
        for key, text in wanted.query.items():
            value = fill(text, self.access)
            added = urlencode({key: value}, quote_via=quote).encode()
            # A server's redirect may bring the key along. Else what the caller wrote stays as it is, to the letter.
            known = key in url.params
            url = url.copy_set_param(key, value) if known else url.copy_with(query=b"&".join(filter(None, [url.query, added])))
        headers = [(name, value) for name, value in self._headers(token) if name not in request.headers]
        raw = [(name.encode(), value) for name, value in headers]
        return httpx.Request(
            request.method, url, headers=[*request.headers.raw, *raw], stream=request.stream, extensions=request.extensions
        )

    def _headers(self, token: str | None) -> list[tuple[str, bytes]]:
        wanted = self.attachments
        found = [(name, _header(text, self.access)) for name, text in wanted.headers.items()]
        if wanted.basic:
            user, password = (fill(text, self.access) for text in wanted.basic)
            found.append(("Authorization", b"Basic " + base64.b64encode(f"{user}:{password}".encode())))
        if token is not None:
            found.append(("Authorization", f"Bearer {token}".encode()))
        return found


def origin(url: httpx.URL) -> tuple[str, str, int | None]:
    """Return what two URLs have to agree in to lead to the same server: scheme, host and port."""
    return url.scheme, url.host, url.port or _PORTS.get(url.scheme)


def proxy_of(url: httpx.URL) -> str | None:
    """Return the proxy that the environment (`HTTPS_PROXY`, `NO_PROXY`, the system's settings) names for *url*."""
    proxies = getproxies()
    proxy = proxies.get(url.scheme, proxies.get("all"))
    if not proxy or proxy_bypass(url.host):
        return None
    return proxy if "://" in proxy else f"http://{proxy}"


def _perhaps_tls(error: httpx.TransportError, url: httpx.URL) -> str:
    """Return what is to be added to an error of a server that was asked without TLS and does not speak HTTP so."""
    if url.scheme != "http" or not isinstance(error, (httpx.RemoteProtocolError, httpx.ReadError)) or proxy_of(url):
        return ""
    from flowfile_nb.connections.tls_probe import begins_with_tls

    said = begins_with_tls(url.host, url.port or _PORTS["http"])
    return "; that port begins with TLS: describe the connection with  https://" if said else ""


def _header(text: str, reveal: Access) -> bytes:
    """Return the bytes of a header. Checked here: the error of the library below would quote them."""
    value = fill(text, reveal)
    if value != value.strip(" \t") or any(character < " " or character == "\x7f" for character in value.replace("\t", "")):
        name = next(iter(names_in(text)), "NAME")
        raise ConnectionFailedError(
            f"the value of secret {reveal.label(name)} cannot stand in a header: it holds a line break, or a blank at an end",
            hint=f"store it without:  %secret set {reveal.typed(name)} --replace",
        )
    return value.encode()
