"""
An HTTP API: the credential goes onto a request here, and out of the answer again.

The request goes to the host that the owner fixed and to no proxy; a redirect is an answer like any other, and whoever follows
it asks anew. Cookies are neither kept nor handed on: a session that they stand for is worth as much as the credential.
"""

from __future__ import annotations

import base64
import socket
import ssl
import struct
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any
from urllib.parse import quote, quote_plus, urlencode

import httpx

from flowfile_nb.broker.addresses import refusal_of
from flowfile_nb.broker.engines import Answer, ExchangeError, OpeningError
from flowfile_nb.broker.engines.inflating import decoded
from flowfile_nb.broker.limits import Limits
from flowfile_nb.broker.model import Target
from flowfile_nb.connections.access import Access
from flowfile_nb.connections.http_oauth import ClientCredentials, Grant
from flowfile_nb.connections.http_transport import Attachments, LateBinding
from flowfile_nb.core.redaction import Redactor
from flowfile_nb.core.references import reference
from flowfile_nb.core.streams import ByteMasker
from flowfile_nb.errors import ConnectionFailedError

_CREDENTIAL, _TOKEN = "credential", "access token"
# Those of one connection; a session that the server keeps for a caller; what is not true any more of a body without the
# credential.
_KEPT = {
    *("connection", "keep-alive", "proxy-authenticate", "proxy-authentication-info", "te", "trailer", "transfer-encoding"),
    *("upgrade", "set-cookie", "set-cookie2", "content-encoding", "content-length", "content-md5", "digest", "content-digest"),
}
_REFUSED = {401, 403}
# Linger for no second: what is not sent is dropped.
_RESET = struct.pack("ii", 1, 0)


class HttpApi:
    """The session of one caller with one API."""

    def __init__(self, target: Target, value: str, limits: Limits) -> None:
        self._target, self._value, self._limits = target, value, limits
        self._redactor = Redactor()
        self._transport: Direct | None = None

    def open(self) -> None:
        """Get ready; a connection is made by the first request."""
        # Also as it stands between the zeros of UTF-16, which nothing else here looks for.
        known = [self._redactor.learn(_CREDENTIAL, text) for text in (self._value, "\0".join(self._value))]
        if not all(known):
            raise OpeningError(
                "the credential is too short to be told from other text in an answer, so it is not used", "short"
            )
        for user, encode in ((self._target.username, str), (str(self._target.options.get("client_id", "")), quote_plus)):
            if user:
                pair = f"{encode(user)}:{encode(self._value)}"
                self._redactor.learn(_CREDENTIAL, base64.b64encode(pair.encode()).decode())
        access = Access(lambda name: self._value, learn=self._learn)
        verify = httpx.create_ssl_context(trust_env=False)
        # Beside the library's list of authorities that of the broker's host, where a company has its own.
        verify.load_default_certs()
        self._transport = Direct(self._attachments(), access, verify)
        self._transport.pinned = self._target.host
        self._transport.begin(self._url("/", ""))

    @contextmanager
    def exchange(self, asked: Mapping[str, Any]) -> Iterator[Answer]:
        """Send one request, and read its answer as it is asked for."""
        assert self._transport is not None
        timeout_s = min(asked["timeout_s"] or self._limits.query_s, self._limits.query_s)
        fixed: dict[str, str] = self._target.options.get("headers", {})
        body = base64.b64decode(asked["body"])
        # Identity, so that there is nothing to be undone before the credential can be found.
        headers = [("Host", self._host()), ("Accept-Encoding", "identity"), *asked["headers"], *fixed.items()]
        if body or asked["method"] in {"POST", "PUT", "PATCH"}:
            headers.append(("Content-Length", str(len(body))))
        waits = {"connect": self._limits.connect_s, "read": timeout_s, "write": timeout_s, "pool": timeout_s}
        request = httpx.Request(
            *(asked["method"], self._url(asked["path"], asked["query"])),
            headers=headers,
            stream=httpx.ByteStream(body),
            extensions={"timeout": waits},
        )
        with _translated(self._redactor.mask):
            response = self._transport.handle_request(request)
        try:
            yield Answer(response.status_code, self._headers(response, asked["method"]), self._pieces(response))
        finally:
            with suppress(httpx.HTTPError):
                response.close()

    def cancel(self) -> None:
        """Cut the connections, so that who waits for an answer waits no longer."""
        if self._transport is not None:
            self._transport.cut()

    def problems(self) -> list[str]:
        """Return nothing: what a credential may do at an API is not told in one way."""
        return []

    def server(self) -> str:
        """Ask for the path that the owner has named for it; where none is, go as far as the access token, or TLS."""
        path = self._target.options.get("test_path")
        if path is None:
            assert self._transport is not None
            with _translated(self._redactor.mask):
                if self._transport.token() is None:
                    self._transport.shake_hands(self._target, self._limits.connect_s)
            return self._target.host
        asked = {"method": "GET", "path": path, "query": "", "headers": [], "body": "", "timeout_s": self._limits.connect_s}
        with self.exchange(asked) as answer:
            if answer.status in _REFUSED:
                raise ExchangeError(f"the API refused the credential: it answered {answer.status} to {path}")
            if answer.status >= httpx.codes.BAD_REQUEST:
                raise ExchangeError(f"the API answered {answer.status} to {path}")
        return f"{self._target.host} answered {answer.status}"

    def _learn(self, name: str, value: str) -> None:
        self._redactor.learn(_TOKEN, value)
        self._redactor.learn(_TOKEN, "\0".join(value))

    def _attachments(self) -> Attachments:
        options, credential = self._target.options, reference(_CREDENTIAL)
        way = options["auth"]
        headers, query = {}, {}
        if way == "bearer":
            headers["Authorization"] = f"Bearer {credential}"
        elif way == "header":
            headers[options["header"]] = credential
        elif way == "query":
            query[options["parameter"]] = credential
        basic = (self._target.username, credential) if way == "basic" else None
        oauth = None
        if "token_url" in options:
            extra = {key: options[key] for key in ("scope", "audience") if key in options}
            in_body = options.get("client_auth") == "body"
            grant = Grant(options["token_url"], options["client_id"], credential, extra, in_body, self._limits.connect_s)
            oauth = ClientCredentials(grant)
        return Attachments(headers, query, basic, oauth)

    def _host(self) -> str:
        host = f"[{self._target.host}]" if ":" in self._target.host else self._target.host
        usual = {"http": 80, "https": 443}[self._target.kind]
        return host if self._target.port == usual else f"{host}:{self._target.port}"

    def _url(self, path: str, query: str) -> httpx.URL:
        fixed = urlencode(self._target.options.get("params", {}), quote_via=quote)
        whole = "&".join(filter(None, [query, fixed]))
        base = httpx.URL(scheme=self._target.kind, host=self._target.host, port=self._target.port)
        # As it was compared with what the owner fixed, to the letter: the library would write some of it otherwise.
        return base.copy_with(raw_path=f"{path}?{whole}".encode() if whole else path.encode())

    def _headers(self, response: httpx.Response, method: str) -> list[tuple[str, str]]:
        found = []
        for name, value in response.headers.raw:
            low = name.lower().decode("latin-1")
            dropped = low in _KEPT and not (low == "content-length" and method == "HEAD")
            if not dropped and self._masked(name) == name:
                # Byte for byte, as the other side makes bytes of them again.
                found.append((name.decode("latin-1"), self._masked(value).decode("latin-1")))
        return found

    def _masked(self, data: bytes) -> bytes:
        masker = ByteMasker(self._redactor)
        return masker.feed(data) + masker.release()

    def _pieces(self, response: httpx.Response) -> Iterator[bytes]:
        # By constant lengths: the time that a piece takes must not tell whether it begins like the credential.
        masker = ByteMasker(self._redactor, always_hold=True)
        with _translated(self._redactor.mask):
            for piece in decoded(response.headers.get("Content-Encoding", ""), response.iter_raw()):
                if out := masker.feed(piece):
                    yield out
            yield masker.release()


class Direct(LateBinding):
    """Attaches values as in a kernel; reaches only addresses that the owner fixed, and never through a proxy."""

    pinned = ""

    def plain(self, url: httpx.URL) -> httpx.HTTPTransport:
        """Return what sends to the API, or to the server of its access tokens."""
        if url.host not in self._plain:
            oauth = self.attachments.oauth
            pinned = self.pinned if oauth is None or url.host == self.pinned else httpx.URL(oauth.grant.token_url).host
            self._plain[url.host] = _Watched(self.verify, pinned)
        return self._plain[url.host]

    def cut(self) -> None:
        """Shut all connections, also those that another thread reads from."""
        for transport in self._plain.values():
            assert isinstance(transport, _Watched)
            transport.cut()

    def shake_hands(self, target: Target, timeout_s: float) -> None:
        """Set up a connection as far as TLS. Raises httpx.TransportError or OSError."""
        with socket.create_connection((target.host, target.port), timeout=timeout_s) as connection:
            _require_address(connection.getpeername()[0], target.host)
            if target.kind == "https":
                with self.verify.wrap_socket(connection, server_hostname=target.host):
                    pass


class _Watched(httpx.HTTPTransport):
    """Looks at the address that a name has led to before anything is sent there."""

    def __init__(self, verify: ssl.SSLContext, pinned: str) -> None:
        super().__init__(verify=verify, trust_env=False)
        self._pinned = pinned
        self._sockets: list[socket.socket] = []

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request."""
        request.extensions = {**request.extensions, "trace": self._trace}
        return super().handle_request(request)

    def cut(self) -> None:
        """Shut its connections; when they are closed, the server is told by a reset."""
        for one in self._sockets:
            with suppress(OSError):
                # A server that waits until it may send more would not see for a minute that there is nobody.
                one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                # TLS's own way of shutting would disturb the thread that reads.
                socket.socket.shutdown(one, socket.SHUT_RDWR)

    def _trace(self, event: str, facts: Mapping[str, Any]) -> None:
        if event not in {"connection.connect_tcp.complete", "connection.start_tls.complete"}:
            return
        stream = facts["return_value"]
        if event.startswith("connection.connect"):
            try:
                _require_address(stream.get_extra_info("server_addr")[0], self._pinned)
            except ExchangeError:
                stream.close()
                raise
            self._sockets = [one for one in self._sockets if one.fileno() >= 0]
        self._sockets.append(stream.get_extra_info("socket"))


def _require_address(address: str, pinned: str) -> None:
    if why := refusal_of(address, pinned=pinned):
        raise ExchangeError(f"nothing was sent: {why}", "", address)


@contextmanager
def _translated(mask: Callable[[str], str]) -> Iterator[None]:
    """Say in our words what the library, or the server, could quote the credential in; its own, masked, are for the log."""
    try:
        yield
    except ConnectionFailedError as error:
        raise ExchangeError(
            "the API's token server gave no access token; its owner has to check it", "", error.message
        ) from None
    except ssl.SSLError as error:
        raise ExchangeError(_UNTRUSTED, "ConnectError", type(error).__name__) from None
    except (httpx.TransportError, OSError) as error:
        name = type(error).__name__
        detail = mask(f"{name}: {error}")
        if "certificate" in detail.lower() or "ssl" in detail.lower():
            raise ExchangeError(_UNTRUSTED, "ConnectError", detail) from None
        raise ExchangeError(_REASONS.get(name, "the API cannot be reached"), name, detail) from None


_UNTRUSTED = "no encrypted connection to the API that can be trusted came about"
_REASONS = {
    "ConnectTimeout": "the API cannot be reached in time",
    "ReadTimeout": "the API has not answered in time",
    "WriteTimeout": "the API has not taken the request in time",
    "ReadError": "the connection to the API broke off",
    "WriteError": "the connection to the API broke off",
    "RemoteProtocolError": "the API's answer is not HTTP, or was cut off",
}
