"""
How soon a line to a database that is lost without a word is noticed: a machine that is gone, a firewall that forgets.

TCP alone waits for two hours of silence, or fifteen minutes for what it has sent.
"""

from __future__ import annotations

import socket

# After 10 s of silence the other side is asked for a sign of life, every 5 s, three times.
_IDLE_S, _INTERVAL_S, _COUNT = 10, 5, 3
_UNANSWERED_MS = 25_000
LIBPQ_KEEPALIVE = {
    "keepalives_idle": _IDLE_S,
    "keepalives_interval": _INTERVAL_S,
    "keepalives_count": _COUNT,
    "tcp_user_timeout": _UNANSWERED_MS,
}


def notice_loss(connection: socket.socket) -> None:
    """Have the loss of a connection noticed that keeps alive already."""
    settings = {
        "TCP_KEEPIDLE": _IDLE_S,
        "TCP_KEEPINTVL": _INTERVAL_S,
        "TCP_KEEPCNT": _COUNT,
        "TCP_USER_TIMEOUT": _UNANSWERED_MS,
    }
    for name, number in settings.items():
        # macOS and Windows lack some.
        if (option := getattr(socket, name, None)) is not None:
            connection.setsockopt(socket.IPPROTO_TCP, option, number)
