"""Callers on the same host, over a unix socket: the kernel says whose process it is. There is no token to steal."""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable, Mapping

from flowfile_nb.broker.identities import bearer
from flowfile_nb.broker.model import Caller, PeerCredentials
from flowfile_nb.errors import NotAllowedError

_CREDENTIALS = struct.Struct("3i")
_OF_PROXIES = ("Forwarded", "Via", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-IP")
_OVERFLOW = "/proc/sys/kernel/overflowuid"


def credentials_of(connection: socket.socket) -> PeerCredentials | None:
    """Return who opened a connection over a unix socket; None for any other, and where the system does not tell."""
    option = getattr(socket, "SO_PEERCRED", None)
    if option is None or connection.family != getattr(socket, "AF_UNIX", None):
        return None
    return PeerCredentials(*_CREDENTIALS.unpack(connection.getsockopt(socket.SOL_SOCKET, option, _CREDENTIALS.size)))


def system_name(uid: int) -> str | None:
    """Return the name of a user of this host, or None if there is none, or the id is that of all who have none here."""
    import pwd

    # In a container the kernel gives this one id to every user of the host that is not mapped into it.
    if uid == _overflow_uid():
        return None
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return None


def _overflow_uid() -> int:
    try:
        with open(_OVERFLOW, encoding="ascii") as file:
            return int(file.read())
    except (OSError, ValueError):
        return -1


class PeerIdentity:
    """
    The users of this host by their own names.

    Args:
        name_of: Returns the name of a user id.
    """

    def __init__(self, name_of: Callable[[int], str | None] = system_name) -> None:
        self._name_of = name_of

    async def caller(
        self, headers: Mapping[str, str], peer: PeerCredentials | None, scope: str, place: str = ""
    ) -> Caller | None:
        """
        Return who calls; None over TCP, and with a token.

        Raises:
            NotAllowedError: For a user id without a name, and for what came through a proxy: whoever that serves is not known.
        """
        if peer is None or bearer(headers) is not None:
            return None
        if any(name in headers for name in _OF_PROXIES):
            raise NotAllowedError(
                "this request came through a proxy, and the broker sees the proxy's user, not who sent it",
                hint="send a token in the header Authorization, or come by the broker's unix socket itself",
            )
        name = self._name_of(peer.uid)
        if name is None:
            raise NotAllowedError(
                f"the user id {peer.uid} has no name on the broker's host",
                hint="the broker and its callers need the same users",
            )
        return Caller(name, vouched_by="peer")
