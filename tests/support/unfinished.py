"""Requests to a broker that are begun and never finished, and what they cost it."""

from __future__ import annotations

import socket
from contextlib import suppress
from pathlib import Path

from tests.support.front import House


def begun(house: House, token: str, size: int) -> socket.socket:
    """Begin a request with a body of some size, and send all but its end, as far as the broker takes it."""
    connection = socket.create_connection(("127.0.0.1", house.front.port))
    head = f"PUT /api/secrets HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nX-Flowfile-Nb-Wire: 1\r\n"
    head += f"Content-Type: application/json\r\nContent-Length: {size}\r\n\r\n"
    connection.settimeout(0.2)
    with suppress(TimeoutError):
        connection.sendall(head.encode() + b" " * (size - 1))
    return connection


def resident_mib(house: House) -> float:
    """Return how much memory the broker's process has."""
    assert house.front.process is not None
    [line] = [one for one in Path(f"/proc/{house.front.process.pid}/status").read_text("ascii").splitlines() if "VmRSS" in one]
    return int(line.split()[1]) / 1024
