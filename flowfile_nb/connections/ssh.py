"""
One SSH connection of a filesystem, through paramiko: opened with the values as they are stored, and anew where those change.

The server has to be known, as in OpenSSH: nothing is said to whoever else answers.
"""

from __future__ import annotations

import io
import logging
import os
import re
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flowfile_nb.connections.storage_parts import Credentials, Parts
from flowfile_nb.connections.timeouts import limit_s
from flowfile_nb.core.names import quoted
from flowfile_nb.core.references import names_in
from flowfile_nb.errors import ConnectionFailedError, ConnectionSpecError, FlowfileNbError

if TYPE_CHECKING:
    from paramiko import MissingHostKeyPolicy, PKey, SFTPClient, SSHClient

_PORT = 22
_LOG = "flowfile_nb.sftp"
# Where nobody listens, paramiko's threads would write their own tracebacks to stderr.
logging.getLogger(_LOG).addHandler(logging.NullHandler())
# What came over a fork is the parent's: not even closing it is allowed here, so it is never collected.
_inherited: list[Any] = []


class Channel:
    """
    The connection.

    Args:
        parts: The description's.
        credentials: Those in it.
        explained: Returns our error for paramiko's.
    """

    def __init__(self, parts: Parts, credentials: Credentials, explained: Callable[[BaseException], FlowfileNbError]) -> None:
        self._parts, self._credentials, self._explained = parts, credentials, explained
        self._mutex = threading.Lock()
        self._open: tuple[SSHClient, SFTPClient] | None = None
        self._opened_with: list[object] = []
        self._pid = os.getpid()

    def client(self) -> SFTPClient:
        """
        Return an SFTP client that was opened with what is stored now.

        Raises:
            NoSuchSecretError: If a secret is gone. What was open is closed.
            ConnectionFailedError: If the server is not reached, not known, or refuses.
        """
        with self._mutex:
            self._leave_to_the_parent()
            try:
                now = self._credentials.state()
            except FlowfileNbError:
                self._close()
                raise
            if self._open is not None and (now != self._opened_with or not _is_alive(self._open[0])):
                self._close()
            if self._open is None:
                self._open, self._opened_with = self._connected(), now
            return self._open[1]

    def close(self) -> None:
        """Close what is open; the next request opens it again."""
        with self._mutex:
            self._leave_to_the_parent()
            self._close()

    def __repr__(self) -> str:
        return "<SSH connection>"

    def _close(self) -> None:
        if self._open is not None:
            self._open[0].close()
        self._open = None

    def _leave_to_the_parent(self) -> None:
        if self._pid != os.getpid():
            _inherited.append(self._open)
            self._open, self._pid = None, os.getpid()

    def _connected(self) -> tuple[SSHClient, SFTPClient]:
        try:
            return _connected(self._parts, self._credentials)
        except FlowfileNbError as error:
            # Without the frames in which a value is a local variable: one of ours may come from below paramiko's.
            raise error.with_traceback(None) from None
        except Exception as error:  # noqa: BLE001 - paramiko raises what sockets and its threads do
            raise self._explained(error) from None
        except KeyboardInterrupt:
            raise KeyboardInterrupt from None

    def __reduce__(self) -> Any:
        raise TypeError("an SSH connection is not pickled")


def _connected(parts: Parts, credentials: Credentials) -> tuple[SSHClient, SFTPClient]:
    import paramiko

    client = paramiko.SSHClient()
    client.set_log_channel(_LOG)
    client.set_missing_host_key_policy(_refusal(parts))
    _know(client, parts)
    read, limit = credentials.read, limit_s(credentials.access)
    login: dict[str, Any] = {"password": read(parts["password"])} if "password" in parts else {}
    login |= {"pkey": key} if (key := _key(parts, credentials)) else {}
    connection = socket.create_connection((parts["host"], parts.get("port", _PORT)), timeout=limit)
    try:
        client.connect(
            parts["host"],
            port=parts.get("port", _PORT),
            sock=connection,
            username=read(parts["username"]) if "username" in parts else None,
            timeout=limit,
            banner_timeout=limit,
            auth_timeout=limit,
            # With a login of its own, those of this machine are not offered: some servers count them as failures.
            allow_agent=not login,
            look_for_keys=not login,
            **login,
        )
        _forget_login(client)
        channel = client.open_sftp()
    except BaseException as error:
        client.close()
        connection.close()
        if isinstance(error, paramiko.BadHostKeyException):
            raise _another_key(parts, error.key) from None
        raise
    return client, channel


def _is_alive(client: SSHClient) -> bool:
    transport = client.get_transport()
    return transport is not None and transport.is_active()


def _forget_login(client: SSHClient) -> None:
    """Paramiko keeps what it has logged in with, as long as the connection is open."""
    transport = client.get_transport()
    handler = getattr(transport, "auth_handler", None)
    for kept in ("password", "private_key", "interactive_handler"):
        if getattr(handler, kept, None) is not None:
            setattr(handler, kept, None)


def _key(parts: Parts, credentials: Credentials) -> PKey | None:
    """Return the private key that is described, as paramiko takes it."""
    if "private_key" in parts:
        text = credentials.read(parts["private_key"]).encode()
    elif "key_file" in parts:
        try:
            text = Path(parts["key_file"]).expanduser().read_bytes()
        except OSError:
            raise ConnectionSpecError("the key_file cannot be read", hint='key_file = "~/.ssh/id_ed25519"') from None
    else:
        return None
    passphrase = credentials.read(parts["passphrase"]).encode() if "passphrase" in parts else None
    names = names_in(parts.get("private_key", ""))
    return _parsed(text, passphrase, credentials.access.present(names[0]) if names else "")


def _parsed(text: bytes, passphrase: bytes | None, secret: str) -> PKey:
    import paramiko
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization

    load = serialization.load_ssh_private_key if b"OPENSSH" in text else serialization.load_pem_private_key
    try:
        key: Any = load(text.strip() + b"\n", passphrase)
        plain = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
        ).decode()
    except (ValueError, TypeError, UnsupportedAlgorithm):
        where = f" in secret {secret!r}" if secret else ""
        store = f"store the file:  %secret set {quoted(secret)} --file ~/.ssh/id_ed25519 --replace   and " if secret else ""
        raise ConnectionFailedError(
            f"the private key{where} is none that is known, or its passphrase is missing or not the right one",
            hint=f"{store}its passphrase:  passphrase = %secret NAME",
        ) from None
    kinds: dict[str, Any] = {"RSAPrivateKey": paramiko.RSAKey, "Ed25519PrivateKey": paramiko.Ed25519Key}
    kind = next((kind for name, kind in kinds.items() if name in type(key).__name__), paramiko.ECDSAKey)
    made: PKey = kind.from_private_key(io.StringIO(plain))
    return made


def _know(client: SSHClient, parts: Parts) -> None:
    """Tell the client which servers' keys are known: those of the description, or of the user's own file."""
    host, port = parts["host"], parts.get("port", _PORT)
    if "host_key" in parts:
        import paramiko

        kind, text = host_key(parts["host_key"])
        entry = paramiko.hostkeys.HostKeyEntry.from_line(f"host {kind} {text}")
        assert entry is not None
        assert entry.key is not None
        client.get_host_keys().add(host if port == _PORT else f"[{host}]:{port}", kind, entry.key)
        return
    path = Path(parts.get("known_hosts", "~/.ssh/known_hosts")).expanduser()
    try:
        client.load_host_keys(str(path))
    except OSError:
        if "known_hosts" in parts:
            raise ConnectionSpecError(
                "the file known_hosts cannot be read", hint='known_hosts = "~/.ssh/known_hosts"'
            ) from None


def _refusal(parts: Parts) -> MissingHostKeyPolicy:
    """Return what refuses a server that is not known, before anything is said to it."""
    import paramiko

    class Refusal(paramiko.MissingHostKeyPolicy):
        def missing_host_key(self, client: SSHClient, hostname: str, key: PKey) -> None:
            raise ConnectionFailedError(
                f"could not open {_server(parts)}: its host key is not known here ({key.get_name()} {key.fingerprint});"
                " nothing was sent to it",
                hint="if that is what its administrator says:  "
                f'{_keyscan(parts)} >> ~/.ssh/known_hosts   or  host_key = "{key.get_name()} …"',
            )

    return Refusal()


def _another_key(parts: Parts, key: PKey) -> ConnectionFailedError:
    return ConnectionFailedError(
        f"could not open {_server(parts)}: it shows another host key ({key.get_name()} {key.fingerprint}) than the one that is"
        " known; nothing was sent to it",
        hint="somebody may be in between: ask its administrator. If it has a new key, replace the known one:  "
        + _keyscan(parts),
    )


def _server(parts: Parts) -> str:
    return f"{parts['host']}:{parts.get('port', _PORT)}"


def _keyscan(parts: Parts) -> str:
    return "ssh-keyscan " + (f"-p {parts['port']} " if "port" in parts else "") + str(parts["host"])


def host_key(text: str) -> tuple[str, str]:
    """Return the type and the text of a public key. Raises ConnectionSpecError."""
    found = re.fullmatch(r"\s*(?P<kind>(?:ssh|ecdsa)-[\w-]+)\s+(?P<text>[A-Za-z0-9+/=]{20,})(?:\s.*)?", text)
    if found is None:
        raise ConnectionSpecError("host_key is no public key of a server", hint='host_key = "ssh-ed25519 AAAA…"')
    return found["kind"], found["text"]
