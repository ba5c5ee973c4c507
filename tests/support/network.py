"""A stretch of network that a test can cut, or let fall silent."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_PIECE_BYTES = 64 * 1024
# Closing then sends a reset and not what is left, as a machine does that was started anew.
_RESET = struct.pack("ii", 1, 0)


class Link:
    """
    What comes to one port goes on to another, both of this machine.

    Args:
        port: Where it leads.

    Attributes:
        asked: How many pieces have gone there. Where each waits for its answer, that is how often somebody has waited.
    """

    def __init__(self, port: int) -> None:
        self._target = port
        self.asked = 0
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self._open: set[socket.socket] = set()
        self._flowing = threading.Event()
        self._flowing.set()
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """Break every connection that there is; new ones come about."""
        for one in list(self._open):
            with contextlib.suppress(OSError):
                one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                # Wakes the thread that carries from it or to it, which closes it.
                one.shutdown(socket.SHUT_RDWR)

    def fall_silent(self) -> None:
        """Carry nothing from now on, and tell nobody: connections stand, and new ones seem to."""
        self._flowing.clear()

    def carry_on(self) -> None:
        """Carry again."""
        self._flowing.set()

    def close(self) -> None:
        """Take the link away."""
        with contextlib.suppress(OSError):
            # Closing alone does not wake the thread that accepts.
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self.cut()
        self._flowing.set()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listening.accept()
                threading.Thread(target=self._join, args=(near,), daemon=True).start()

    def _join(self, near: socket.socket) -> None:
        with near, contextlib.suppress(OSError):
            self._open.add(near)
            self._flowing.wait()
            with socket.create_connection(("127.0.0.1", self._target)) as far:
                self._open.add(far)
                for one in (near, far):
                    one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, True)
                back = threading.Thread(target=self._carry, args=(far, near, 0), daemon=True)
                back.start()
                self._carry(near, far, 1)
                back.join()
            self._open.discard(far)
        self._open.discard(near)

    def _carry(self, source: socket.socket, sink: socket.socket, counted: int) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(_PIECE_BYTES):
                self.asked += counted
                self._flowing.wait()
                sink.sendall(data)
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_WR)


@contextmanager
def link_to(port: int) -> Iterator[Link]:
    """Lay a link to a port of this machine for a block."""
    link = Link(port)
    try:
        yield link
    finally:
        link.close()
