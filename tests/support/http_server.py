"""A real HTTP server on this machine, which keeps what it is asked and answers as it is told."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import MappingProxyType
from typing import Any, NamedTuple

import trustme


class Request(NamedTuple):
    """What a server was asked."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


class Answer(NamedTuple):
    """What a server says."""

    status: int = 200
    headers: Mapping[str, str] = MappingProxyType({})
    body: bytes | Iterable[bytes] = b"{}"
    """Pieces are sent one by one, each as a chunk, as they come."""


class Server:
    """A running server; `answer` decides what it says, `requests` is what it was asked."""

    def __init__(self, tls: trustme.CA | None, clients: trustme.CA | None) -> None:
        self.requests: list[Request] = []
        self.answer: Callable[[Request], Answer] = lambda request: Answer()
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._http.daemon_threads = True
        # A client that does not trust us, or goes away, is what a test is about.
        self._http.handle_error = lambda *args: None  # type: ignore[method-assign]
        self.port = self._http.server_address[1]
        self.scheme = "http"
        if tls is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            tls.issue_cert("127.0.0.1", "localhost").configure_cert(context)
            if clients is not None:
                clients.configure_trust(context)
                context.verify_mode = ssl.CERT_REQUIRED
            self._http.socket = context.wrap_socket(self._http.socket, server_side=True, do_handshake_on_connect=False)
            self.scheme = "https"
        self.url = f"{self.scheme}://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    @property
    def last(self) -> Request:
        return self.requests[-1]

    def redirect_to(self, url: str) -> None:
        """Send everybody to *url* from now on."""
        self.answer = lambda request: Answer(302, {"Location": url})

    def stop(self) -> None:
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()


@contextmanager
def running(tls: trustme.CA | None = None, *, clients: trustme.CA | None = None) -> Iterator[Server]:
    """Start a server on a free port, and stop it at the end; *clients* vouches for those it lets in."""
    server = Server(tls, clients)
    try:
        yield server
    finally:
        server.stop()


def _handler(server: Server) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        # Or each answer after the first would come 40 ms late: headers and body are two packets.
        disable_nagle_algorithm = True

        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            request = Request(self.command, self.path, {name.lower(): item for name, item in self.headers.items()}, body)
            server.requests.append(request)
            said = server.answer(request)
            whole = said.body if isinstance(said.body, bytes) else None
            length = {"Transfer-Encoding": "chunked"} if whole is None else {"Content-Length": str(len(whole))}
            self.send_response(said.status)
            for name, item in {**length, **said.headers}.items():
                self.send_header(name, item)
            self.end_headers()
            if self.command == "HEAD":
                return
            if whole is not None:
                self.wfile.write(whole)
                return
            for piece in said.body:
                self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            self.wfile.write(b"0\r\n\r\n")

        do_GET = do_HEAD = do_OPTIONS = do_POST = do_PUT = do_PATCH = do_DELETE = do_TRACE = answer  # noqa: N815 - the library's names

        def log_message(self, *args: Any) -> None:
            pass

    return Handler
