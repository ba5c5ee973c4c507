"""
Files over SSH, through fsspec's own SFTP filesystem and paramiko.

That filesystem asks for everything through one attribute, its SFTP client. So here that is a property, which gives one that was
opened with the values as they are stored. (Sshfs, the other one for fsspec, keeps a password among its arguments, trusts every
server unless told otherwise, and does not connect again.)
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult

from flowfile_nb.connections.keys import Key
from flowfile_nb.connections.object_storage import ObjectStorage, Place
from flowfile_nb.connections.ssh import Channel, host_key
from flowfile_nb.connections.storage_parts import Credentials, Grammar, Parts, Restore, one_of
from flowfile_nb.errors import ConnectionFailedError, ConnectionSpecError, FlowfileNbError

if TYPE_CHECKING:
    from paramiko import SFTPClient


def _from_url(url: SplitResult, text: Restore) -> Parts:
    path = text(url.path)
    parts: Parts = {
        "host": text(url.hostname),
        "port": url.port,
        "username": text(url.username),
        "password": text(url.password),
        "path": path if path != "/" else "",
    }
    return {key: item for key, item in parts.items() if item}


class Sftp(ObjectStorage):
    """`sftp://user@host/path`: fsspec's `SFTPFileSystem`."""

    library = "paramiko"
    grammar = Grammar(
        "sftp",
        (
            Key("host", required=True, example="files.example.com"),
            Key("port", number=True, example="22"),
            Key("username", example="app"),
            Key("password", secret=True),
            Key("private_key", "Private key (PEM), instead of a password", secret=True),
            Key("passphrase", "Passphrase of the key", secret=True),
            Key("path", example="/reports"),
            Key("host_key", "The server's key, if it is not in known_hosts", example="ssh-ed25519 AAAA…"),
            *(Key(name, in_form=False) for name in ("key_file", "known_hosts", "options")),
        ),
        {"username", "password", "private_key", "passphrase"},
        _from_url,
        "sftp://user:%secret NAME@host:22/path",
        {"user": "username"},
    )

    def require(self, parts: Parts) -> None:
        """Let parts pass that name a host and are one way to log in."""
        if "host" not in parts:
            raise ConnectionSpecError("this connection says no host", hint=self.grammar.example)
        one_of(parts, "password", "private_key", "key_file")
        one_of(parts, "known_hosts", "host_key")
        if "passphrase" in parts and not {"private_key", "key_file"} & parts.keys():
            raise ConnectionSpecError("there is a passphrase, and no key", hint="private_key = %secret NAME")
        if "host_key" in parts:
            host_key(parts["host_key"])

    def place(self, parts: Parts) -> Place:
        """Return host and path."""
        user, host = parts.get("username", ""), parts["host"]
        shown = f"[{host}]" if ":" in host else host
        port = f":{parts['port']}" if "port" in parts else ""
        path = parts.get("path", "")
        text = f"sftp://{f'{user}@' if user else ''}{shown}{port}{path}"
        return Place("", path, "", text)

    def arguments(self, parts: Parts, credentials: Credentials) -> tuple[type, dict[str, Any]]:
        """Return fsspec's class, whose client is opened late."""
        channel = Channel(parts, credentials, self.explained)

        class File(import_module("fsspec.spec").AbstractBufferedFile):  # type: ignore[misc]
            """A file that is read in blocks, each with many requests at once: paramiko's own asks for 32 KiB and waits."""

            def _fetch_range(self, start: int, end: int) -> bytes:
                with self.fs.ftp.open(self.path) as file:
                    return b"".join(file.readv([(start, end - start)]))

        class Filesystem(import_module("fsspec.implementations.sftp").SFTPFileSystem):  # type: ignore[misc]
            """fsspec's filesystem, with a client that is opened when it is asked for."""

            def _connect(self) -> None:
                """Nothing is opened before that."""

            @property
            def ftp(self) -> SFTPClient:
                """The client that each of its methods asks."""
                return channel.client()

            def _open(self, path: str, mode: str = "rb", block_size: int | None = None, **options: Any) -> Any:
                if mode != "rb":
                    return super()._open(path, mode, block_size, **options)
                return File(self, path, mode, block_size or "default", **options)

        Filesystem.__name__ = "SFTPFileSystem"
        self._channel = channel
        return Filesystem, {"host": parts["host"]}

    def ask(self, filesystem: Any) -> None:
        """Log in, and look for the path."""
        path = self._place.path
        try:
            filesystem.ftp.stat(path or ".")
        except FileNotFoundError:
            raise ConnectionFailedError(
                f"there is nothing at {self._place.text}",
                hint="check the path: it begins at the server's root;  --no-test  opens it all the same",
            ) from None
        except PermissionError:
            self.note = f"The login is right, and may not look at {path}."

    def explained(self, error: BaseException) -> FlowfileNbError:
        """Return our error for paramiko's: for the socket's own, where it has put another round that."""
        return super().explained(error.__context__ if isinstance(error.__context__, OSError) else error)

    def close(self, filesystem: Any) -> None:
        """Forget what was listed, and close the connection."""
        super().close(filesystem)
        self._channel.close()
