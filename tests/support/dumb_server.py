"""Servers on this machine that are no databases: one that says nothing, one that says something else, one that hangs up."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator


@contextlib.contextmanager
def answering(answer: Callable[[socket.socket], None]) -> Iterator[int]:
    """Accept connections on a free port, which is yielded, and let *answer* deal with each in a thread of its own."""
    listener = socket.create_server(("127.0.0.1", 0))
    accepted: list[socket.socket] = []
    threads: list[threading.Thread] = []

    def accept() -> None:
        # Closing the listener ends this.
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                accepted.append(connection)
                threads.append(threading.Thread(target=quietly, args=(connection,)))
                threads[-1].start()

    def quietly(connection: socket.socket) -> None:
        with contextlib.suppress(OSError):
            answer(connection)

    accepting = threading.Thread(target=accept)
    accepting.start()
    try:
        yield listener.getsockname()[1]
    finally:
        # Closing alone does not wake a thread that waits in `accept`.
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        # It may just have accepted one more, which is to be closed, too.
        accepting.join()
        for connection in accepted:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()
        for thread in threads:
            thread.join()


def silent(connection: socket.socket) -> None:
    """Take what comes and never answer."""
    while connection.recv(4096):
        pass


def hanging_up(connection: socket.socket) -> None:
    """End the connection at once."""
    connection.shutdown(socket.SHUT_RDWR)


def web_server(connection: socket.socket) -> None:
    """Answer as a web server does, after the client."""
    connection.recv(4096)
    connection.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")


def mail_server(connection: socket.socket) -> None:
    """Speak first, as a mail server does."""
    connection.sendall(b"220 mail.example.com ESMTP\r\n")
    connection.recv(4096)
