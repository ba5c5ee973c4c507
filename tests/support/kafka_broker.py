"""
A Kafka broker that asks for a password, as far as opening a connection goes: librdkafka's own, of other tests, asks for none.

It speaks the protocol's oldest forms of four requests (kafka.apache.org/protocol), on a port of this machine alone.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
from collections.abc import Iterator

from tests.support.dumb_server import answering

_METADATA, _HANDSHAKE, _VERSIONS, _AUTHENTICATE = 3, 17, 18, 36
_VERSIONS_TOLD = {_METADATA: (0, 1), _HANDSHAKE: (0, 1), _VERSIONS: (0, 0), _AUTHENTICATE: (0, 0)}
# What is longer is none of Kafka's, and it hangs up (`socket.request.max.bytes`).
_LONGEST = 104_857_600
_UNSUPPORTED_VERSION, _UNSUPPORTED_MECHANISM, _REFUSED = 35, 33, 58


@contextlib.contextmanager
def running_broker(user: str, password: str, mechanism: str = "PLAIN", tls: ssl.SSLContext | None = None) -> Iterator[int]:
    """Listen on a free port, which is yielded, and let *user* in."""
    login = f"\0{user}\0{password}".encode()

    def answer(plain: socket.socket) -> None:
        # Who does not trust the certificate hangs up in the middle: that is what is tested.
        with contextlib.suppress(ssl.SSLError, struct.error):
            if tls is None:
                serve(plain)
            else:
                with tls.wrap_socket(plain, server_side=True) as encrypted:
                    serve(encrypted)

    def serve(connection: socket.socket) -> None:
        while True:
            (size,) = struct.unpack(">i", _exactly(connection, 4))
            if size > _LONGEST:
                connection.shutdown(socket.SHUT_RDWR)
                return
            request = _exactly(connection, size)
            key, version, number, client_id = struct.unpack(">hhih", request[:10])
            said = struct.pack(">i", number) + said_to(key, version, request[10 + max(client_id, 0) :])
            connection.sendall(struct.pack(">i", len(said)) + said)

    def said_to(key: int, version: int, body: bytes) -> bytes:
        if key == _VERSIONS:
            told = b"".join(struct.pack(">hhh", one, *both) for one, both in _VERSIONS_TOLD.items())
            return struct.pack(">hi", _UNSUPPORTED_VERSION if version else 0, len(_VERSIONS_TOLD)) + told
        if key == _HANDSHAKE:
            wrong = body[2:].decode() != mechanism
            return struct.pack(">hi", _UNSUPPORTED_MECHANISM if wrong else 0, 1) + _text(mechanism)
        if key == _AUTHENTICATE:
            refused = body[4:] != login
            return struct.pack(">h", _REFUSED if refused else 0) + _text("Authentication failed") + struct.pack(">i", 0)
        broker = struct.pack(">i", 1) + _text("127.0.0.1") + struct.pack(">ih", port_of[0], -1)
        return struct.pack(">i", 1) + broker + struct.pack(">ii", 1, 0)

    port_of: list[int] = []
    with answering(answer) as port:
        port_of.append(port)
        yield port


def _text(text: str) -> bytes:
    return struct.pack(">h", len(text)) + text.encode()


def _exactly(connection: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size and (piece := connection.recv(size - len(data))):
        data += piece
    return data
