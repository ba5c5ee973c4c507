"""A real SFTP server, asyncssh's, on a free port of this machine alone."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import asyncssh


class SftpServer(NamedTuple):
    """A running server: whom it lets in, and what it has seen. Its root has `sales/answer.csv`."""

    port: int
    user: str
    passwords: list[str]
    """Those that it takes; a test may change them."""
    host_key: str
    """Its public key, as `known_hosts` has it."""
    private_key: str
    """One that it takes, in OpenSSH's form."""
    logins: list[str]
    """How each login went: `password yes`, `password no`, `key yes`."""
    root: Path
    drop: Any
    """Ends all connections."""

    @property
    def known_hosts(self) -> str:
        """A line of `known_hosts`."""
        return f"[127.0.0.1]:{self.port} {self.host_key}\n"


@contextmanager
def running_sftp(root: Path, *passwords: str) -> Iterator[SftpServer]:
    """Start a server for the folder *root*, and stop it at the end."""
    (root / "sales").mkdir(parents=True)
    (root / "sales" / "answer.csv").write_bytes(b"answer\n42\n")
    host_key, client_key = asyncssh.generate_private_key("ssh-ed25519"), asyncssh.generate_private_key("ssh-ed25519")
    public = client_key.export_public_key().decode()
    connections: list[Any] = []
    loop = asyncio.new_event_loop()

    def drop() -> None:
        ended = asyncio.run_coroutine_threadsafe(_end(connections), loop)
        ended.result(10)

    server = SftpServer(
        port=0,
        user="app",
        passwords=list(passwords),
        host_key=" ".join(host_key.export_public_key().decode().split()[:2]),
        private_key=client_key.export_private_key().decode(),
        logins=[],
        root=root,
        drop=drop,
    )

    class Login(asyncssh.SSHServer):
        def connection_made(self, connection: Any) -> None:
            connections.append(connection)

        def password_auth_supported(self) -> bool:
            return True

        def validate_password(self, username: str, password: str) -> bool:
            right = username == server.user and password in server.passwords
            server.logins.append(f"password {'yes' if right else 'no'}")
            return right

        def public_key_auth_supported(self) -> bool:
            return True

        def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
            right = username == server.user and key.export_public_key().decode().split()[:2] == public.split()[:2]
            server.logins.append(f"key {'yes' if right else 'no'}")
            return right

    def sftp(channel: Any) -> asyncssh.SFTPServer:
        return asyncssh.SFTPServer(channel, chroot=str(root).encode())

    async def listen() -> Any:
        return await asyncssh.create_server(Login, "127.0.0.1", 0, server_host_keys=[host_key], sftp_factory=sftp)

    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    listener = asyncio.run_coroutine_threadsafe(listen(), loop).result(30)
    server = server._replace(port=listener.get_port())
    try:
        yield server
    finally:
        asyncio.run_coroutine_threadsafe(_stop(listener, connections), loop).result(30)
        _finish(loop, thread)


async def _stop(listener: Any, connections: list[Any]) -> None:
    # What is accepted while the listener is closed stays open for ever (an assertion of asyncio's): no more is, and what was
    # becomes a connection first.
    for each in listener.sockets:
        asyncio.get_running_loop().remove_reader(each.fileno())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    listener.close()
    await _end(connections)
    await listener.wait_closed()


async def _end(connections: list[Any]) -> None:
    while connections:
        connection = connections.pop()
        connection.abort()
        await connection.wait_closed()


def _finish(loop: asyncio.AbstractEventLoop, thread: threading.Thread) -> None:
    loop.call_soon_threadsafe(loop.stop)
    thread.join(30)
    # Sockets are closed by what the loop had still to call when it stopped.
    for _ in range(3):
        loop.run_until_complete(asyncio.sleep(0))
    loop.close()
