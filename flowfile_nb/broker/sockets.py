"""
Where the broker listens, so that nobody else can in its place.

A port belongs to whoever binds it first: when a broker that has bound one itself ends, any user of the host can take it over,
and is sent everybody's tokens. So the socket is held by somebody who does not end (systemd's `.socket` unit, or any program
that passes it on), or is a file in a folder into which only the broker's user can write.
"""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import os
import socket
import stat
from collections.abc import Mapping

from flowfile_nb.errors import BrokerError, UsageError

_FIRST_FD = 3
_BACKLOG = 512


def passed_sockets(environ: Mapping[str, str]) -> list[socket.socket]:
    """Return the sockets that systemd has passed to this process (`sd_listen_fds`), or none."""
    if environ.get("LISTEN_PID") != str(os.getpid()):
        return []
    try:
        count = int(environ.get("LISTEN_FDS", "0"))
    except ValueError:
        count = 0
    return [adopt(number) for number in range(_FIRST_FD, _FIRST_FD + count)]


def adopt(number: int) -> socket.socket:
    """
    Return a listening socket that this process was started with.

    Raises:
        UsageError: If that file descriptor is none.
    """
    try:
        held = socket.socket(fileno=number)
    except OSError:
        raise UsageError(f"the file descriptor {number} is no socket", hint="--fd N  of a listening socket") from None
    if held.type != socket.SOCK_STREAM or not held.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        held.detach()
        raise UsageError(f"the file descriptor {number} is no listening stream socket", hint="--fd N  of a listening socket")
    held.set_inheritable(False)
    return _ready(held)


def bind_path(path: str) -> socket.socket:
    """
    Listen on a unix socket, in a folder that is nobody else's to write into.

    The folder is made if need be; one that is there stays as it is. Who connects is known by the kernel, so that everybody may.

    Raises:
        UsageError: If the folder is not safe.
        BrokerError: If another broker listens there, or it cannot be bound.
    """
    if not os.path.isabs(path):
        raise UsageError("--socket takes a whole path", hint="--socket /run/flowfile-nb/broker.sock")
    folder = os.path.dirname(path)
    try:
        made = not os.path.isdir(folder)
        os.makedirs(folder, mode=0o711, exist_ok=True)
        found = os.stat(folder)
        if found.st_uid != os.geteuid() or found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise UsageError(
                f"others can write into {folder}: they could listen in the broker's place",
                hint="give the socket a folder of the broker's own, with the mode 0711",
            )
        if made:
            # The umask may have taken away what callers need to reach it. What was there is left as its owner wants it.
            os.chmod(folder, 0o711)  # noqa: S103 - to be passed through, not read
        _remove_dead(path)
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listening.bind(path)
        os.chmod(path, 0o666)  # noqa: S103 - everybody may knock: who does is known
        listening.listen(_BACKLOG)
    except OSError as error:
        raise BrokerError(
            f"cannot listen at {path}: {error.strerror or type(error).__name__}",
            hint=f"--socket PATH,  or as root:  install -d -o {_me()} -m 0711 {folder}",
        ) from None
    return _ready(listening)


def _me() -> str:
    import getpass

    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return str(os.geteuid())


def bind_port(host: str, port: int) -> socket.socket:
    """Listen on a port. Raises BrokerError if it cannot be bound."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        # Not SO_REUSEPORT: with that two processes of one user share a port.
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen(_BACKLOG)
    except OSError as error:
        listening.close()
        why = "somebody else listens there" if error.errno == errno.EADDRINUSE else error.strerror
        raise BrokerError(
            f"cannot listen on port {port}: {why}", hint="--socket PATH,  or a socket that systemd holds"
        ) from None
    return _ready(listening)


def address_of(listening: socket.socket, *, tls: bool) -> str:
    """Return where a socket is reached, as a kernel is told it: `http://127.0.0.1:18903`, or `unix:` and a path."""
    where = listening.getsockname()
    if not isinstance(where, tuple):
        # Linux' sockets without a file have a name of bytes.
        return f"unix:{os.fsdecode(where)}"
    host, port = where[:2]
    return f"http{'s' if tls else ''}://{f'[{host}]' if ':' in host else host}:{port}"


def is_near(host: str) -> bool:
    """Return whether only this machine can reach a host's name or address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _ready(listening: socket.socket) -> socket.socket:
    listening.setblocking(False)
    if listening.family != getattr(socket, "AF_UNIX", None):
        # Connections have it from the socket that accepts them. Without it, a small answer waits for 40 ms.
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listening


def _remove_dead(path: str) -> None:
    """Remove the socket of a broker that is no more. Raises BrokerError if it is alive."""
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(found.st_mode):
        raise BrokerError(f"there is something else than a socket at {path}", hint="--socket PATH")
    with contextlib.closing(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)) as knock:
        knock.settimeout(1)
        if knock.connect_ex(path) == 0:
            raise BrokerError(f"another broker listens at {path}", hint="stop that one first, or choose another --socket")
    os.unlink(path)
