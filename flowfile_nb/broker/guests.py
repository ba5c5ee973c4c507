"""
The connections that callers have to the broker, so that nobody's are so many that others get none.

A connection is a stranger's until a request of his was recognised, and has a few seconds for that. Of strangers from one place
(a user of this host, or an address) who say nothing, the oldest give way to new ones: a proxy brings everybody from one
address, and who has something to say says it at once. Each caller who is known has so many connections and no more.
"""

from __future__ import annotations

import asyncio
import ipaddress
import json
import socket
import time
from collections import Counter
from typing import Any, NamedTuple

from tornado.httpserver import HTTPServer
from tornado.iostream import IOStream

from flowfile_nb.broker.identities.peer import credentials_of
from flowfile_nb.broker.limits import Limits
from flowfile_nb.broker.refusals import as_answer, status_of
from flowfile_nb.errors import FlowfileNbError, LimitError, NotAllowedError

# Younger ones are not sent away: what they have to say may be on its way.
_PATIENCE_S = 1.0
_NETWORK_BITS = 64
"""Of IPv6: whoever has one address has all of a network of that size."""


class _Stranger(NamedTuple):
    """A connection of which nobody knows yet whose it is."""

    place: str
    since: float
    heard: bool
    deadline: asyncio.TimerHandle


class Guests:
    """
    Who is connected. Belongs to one event loop.

    Args:
        limits: How many there may be, and for how long a stranger.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        # In the order in which they came.
        self._strangers: dict[IOStream, _Stranger] = {}
        self._silent: Counter[str] = Counter()
        self._known: dict[IOStream, str] = {}
        self._by_name: Counter[str] = Counter()

    def arrive(self, stream: IOStream) -> bool:
        """Take in a new connection; return whether it is, or was sent away."""
        place = place_of(stream.socket)
        if self._silent[place] >= self._limits.silent_per_place:
            self._send_away_oldest(place)
        if len(self._strangers) + len(self._known) >= self._limits.connections:
            refuse(stream, LimitError("the broker has as many connections as it may", hint="try again in a moment"))
            return False
        deadline = asyncio.get_running_loop().call_later(self._limits.stranger_s, self._end, stream)
        self._strangers[stream] = _Stranger(place, time.monotonic(), False, deadline)
        self._silent[place] += 1
        return True

    def heard(self, stream: IOStream) -> None:
        """Take in that somebody has said who he is: it is looked into now."""
        stranger = self._strangers.get(stream)
        if stranger is not None and not stranger.heard:
            self._strangers[stream] = stranger._replace(heard=True)
            self._count_silent(stranger.place, -1)

    def introduce(self, stream: IOStream, name: str) -> None:
        """
        Take in whose a connection is. It may have been another's before: a proxy uses one for several.

        Raises:
            LimitError: If he has as many as he may.
        """
        if self._known.get(stream) == name:
            return
        if self._by_name[name] >= self._limits.connections_per_caller:
            raise LimitError(
                f"you have {self._by_name[name]} connections to the broker; there may be {self._limits.connections_per_caller}",
                hint="close kernels and results that you do not need, or wait a moment",
            )
        self.leave(stream)
        self._known[stream] = name
        self._by_name[name] += 1

    def leave(self, stream: IOStream) -> None:
        """Forget a connection."""
        if (stranger := self._strangers.pop(stream, None)) is not None:
            stranger.deadline.cancel()
            if not stranger.heard:
                self._count_silent(stranger.place, -1)
        if (name := self._known.pop(stream, None)) is not None:
            self._by_name[name] -= 1
            if not self._by_name[name]:
                del self._by_name[name]

    def _count_silent(self, place: str, by: int) -> None:
        self._silent[place] += by
        if not self._silent[place]:
            del self._silent[place]

    def _send_away_oldest(self, place: str) -> None:
        oldest = next(one for one, who in self._strangers.items() if who.place == place and not who.heard)
        if time.monotonic() - self._strangers[oldest].since >= _PATIENCE_S:
            self.leave(oldest)
            refuse(oldest, LimitError("too many connections from here say nothing", hint="close those that you do not use"))

    def _end(self, stream: IOStream) -> None:
        self.leave(stream)
        refuse(
            stream,
            NotAllowedError(
                f"nobody has said within {self._limits.stranger_s:g} s who calls",
                hint="send the request with its token at once",
            ),
        )


class Entrance(HTTPServer):
    """A server that counts its guests; `guests` is set before it listens."""

    guests: Guests

    def handle_stream(self, stream: IOStream, address: Any) -> None:
        """Serve a new connection, if it is taken in."""
        if self.guests.arrive(stream):
            super().handle_stream(stream, address)

    def on_close(self, server_conn: Any) -> None:
        """Forget a connection that has ended."""
        self.guests.leave(server_conn.stream)
        super().on_close(server_conn)


def place_of(connection: socket.socket) -> str:
    """Return where a connection comes from: the user at the other end of a unix socket, else the address."""
    if (peer := credentials_of(connection)) is not None:
        return f"uid {peer.uid}"
    try:
        address = ipaddress.ip_address(str(connection.getpeername()[0]).partition("%")[0])
    except (OSError, ValueError, IndexError):
        # It has gone already, or the system does not tell.
        return ""
    if address.version == 6 and address.ipv4_mapped is None:
        return str(ipaddress.ip_network((address, _NETWORK_BITS), strict=False))
    return str(address)


def refuse(stream: IOStream, error: FlowfileNbError) -> None:
    """Answer on a connection on which nothing was asked, and close it."""
    body = json.dumps(as_answer(error)).encode()
    head = (
        f"HTTP/1.1 {status_of(error)} Refused\r\nServer: flowfile-nb\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    if not stream.closed():
        stream.write(head.encode() + body).add_done_callback(lambda written: written.exception())
        stream.close()
