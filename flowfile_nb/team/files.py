"""
A storage behind the broker, as an fsspec filesystem. The key is the broker's: it lists, and signs a link for each object.

What is read and written goes between this kernel and the storage. pandas, PyArrow, Polars and DuckDB take it as any filesystem.
"""

from __future__ import annotations

import io
import os
import threading
import uuid
from collections.abc import Mapping
from tempfile import TemporaryFile
from typing import IO, TYPE_CHECKING, Any, NoReturn

from fsspec import AbstractFileSystem
from fsspec.spec import AbstractBufferedFile

from flowfile_nb.core.spelling import spelled
from flowfile_nb.errors import NoSuchObjectError, ObjectRefusedError, StorageError, UsageError
from flowfile_nb.team.client import Client
from flowfile_nb.team.database_errors import raise_said
from flowfile_nb.team.links import Links
from flowfile_nb.team.results import FrameReader

if TYPE_CHECKING:
    from typing_extensions import Self

MAX_UPLOAD_BYTES = 5 * 1024**3
"""Of one object: what storages take in one request."""
_PIECE_BYTES = 1024 * 1024
_BY_CODE = {
    **dict.fromkeys(("NoSuchKey", "NoSuchBucket", "ContainerNotFound", "404"), NoSuchObjectError),
    **dict.fromkeys(("AccessDenied", "AuthorizationFailure", "AuthorizationPermissionMismatch", "403"), ObjectRefusedError),
}


class BrokeredFileSystem(AbstractFileSystem):  # type: ignore[misc]
    """
    A bucket, or a part of one, that the broker lists and signs links for. Paths begin with the bucket.

    Args:
        client: Speaks to the broker.
        order: What is asked of it: `{"connection": name}`, or `{"description": text}`.
    """

    cachable = False
    root_marker = ""

    def __init__(self, client: Client, order: Mapping[str, str]) -> None:
        super().__init__()
        self._client, self._order = client, dict(order)
        # One question at a time: each that is asked beside another starts a session of its own at the broker.
        self._asking = threading.Lock()
        self._links = Links(self._sign)

    def __repr__(self) -> str:
        return f"<filesystem {self._order.get('connection', 'as described')!r} of the team's broker>"

    def ls(self, path: str, detail: bool = False, **_: Any) -> list[Any]:
        """Return what stands directly below a path: names, as the owner's own filesystem does, or what is known of each."""
        found = self._ask(f"LIST {self._strip_protocol(path)}")
        return found if detail else [one["name"] for one in found]

    def find(self, path: str, maxdepth: int | None = None, withdirs: bool = False, detail: bool = False, **options: Any) -> Any:
        """Return every object below a path, by one question where no more than that is wanted."""
        if maxdepth is not None or withdirs:
            return super().find(path, maxdepth=maxdepth, withdirs=withdirs, detail=detail, **options)
        try:
            found = self._ask(f"FIND {self._strip_protocol(path)}")
        except NoSuchObjectError:
            found = []
        by_name = {one["name"]: one for one in found if one["type"] == "file"}
        return dict(sorted(by_name.items())) if detail else sorted(by_name)

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        """Return what is known of an object or folder. Raises NoSuchObjectError."""
        return self._ask(f"INFO {self._strip_protocol(path)}")[0]

    def modified(self, path: str) -> Any:
        """Return when an object was written, as a `datetime` in UTC."""
        return self.info(path)["modified"]

    def created(self, path: str) -> Any:
        """Return `modified`: an object is written once, and replaced."""
        return self.modified(path)

    def ukey(self, path: str) -> str:
        """Return what differs when an object was replaced."""
        return str(self.info(path)["etag"])

    def cat_file(self, path: str, start: int | None = None, end: int | None = None, **_: Any) -> bytes:
        """Return an object's bytes, or a part of them; negative positions count from its end."""
        path = self._strip_protocol(path)
        if (start or 0) < 0 or (end or 0) < 0:
            size = self.info(path)["size"]
            start = max(0, size + start) if start is not None and start < 0 else start
            end = max(0, size + end) if end is not None and end < 0 else end
        return self._links.read(path, start or 0, end)

    def pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **_: Any) -> None:
        """Write an object."""
        path = self._strip_protocol(path)
        self._require_new(path, "x" if mode == "create" else "w")
        self._write(path, io.BytesIO(value))

    def put_file(self, lpath: str, rpath: str, *_: Any, **__: Any) -> None:
        """Write a file of this machine as an object."""
        if os.path.isdir(lpath):
            return
        with open(lpath, "rb") as file:
            self._write(self._strip_protocol(rpath), file)

    def cp_file(self, path1: str, path2: str, **_: Any) -> None:
        """Copy an object, through this machine: a link is for one object alone."""
        if self.isdir(path1):
            return
        with self.open(path1) as source, self.open(path2, "wb") as copy:
            while piece := source.read(_PIECE_BYTES):
                copy.write(piece)

    def rm_file(self, path: str) -> None:
        """Delete an object."""
        self._links.delete(self._strip_protocol(path))

    def rm(self, path: str | list[str], recursive: bool = False, maxdepth: int | None = None) -> None:
        """Delete objects; folders go with what is in them."""
        for each in self.expand_path(path, recursive=recursive, maxdepth=maxdepth):
            if self.isfile(each):
                self.rm_file(each)

    def mkdir(self, path: str, create_parents: bool = True, **_: Any) -> None:
        """Do nothing: a folder is there when an object is in it."""

    def makedirs(self, path: str, exist_ok: bool = False) -> None:
        """Do nothing, as `mkdir`."""

    def sign(self, path: str, expiration: int = 60, **_: Any) -> str:
        """
        Return a link with which anybody reads one object for a minute, without this kernel.

        Raises:
            UsageError: If it should be good for longer.
        """
        url, seconds, _headers = self._sign("GET", self._strip_protocol(path))
        if expiration > seconds:
            raise UsageError(f"the broker signs for {seconds} seconds", hint="ask for a new link when one is over")
        return url

    def close(self) -> None:
        """Close the connections to the storage, and forget the links."""
        self._links.close()

    def to_json(self, *_: Any, **__: Any) -> NoReturn:
        """Refuse: what fsspec would write cannot be opened again."""
        raise TypeError("this filesystem is not written as JSON: pickle it, or open it where it is used:  %connect NAME")

    to_dict = to_json

    def __reduce__(self) -> tuple[Any, ...]:
        """Be made anew where it is loaded, with the identity of whoever loads it."""
        return _reopen, (self.protocol[0], self._order)

    def _open(self, path: str, mode: str = "rb", block_size: Any = "default", **options: Any) -> Any:
        if mode == "rb":
            return _ObjectFile(self, path, mode, block_size, **{"cache_type": "readahead", **options})
        if mode not in {"wb", "xb"}:
            raise StorageError(f"an object is not opened with mode {mode!r}: it is written as a whole", hint="mode 'wb'")
        self._require_new(path, mode)
        # Said now, and not after all is written.
        self._links.require("PUT", path)
        return _Upload(self, path)

    def _require_new(self, path: str, mode: str) -> None:
        if mode.startswith("x") and self.exists(path):
            raise FileExistsError(path)

    def _write(self, path: str, file: IO[bytes]) -> None:
        size = file.seek(0, os.SEEK_END)
        file.seek(0)
        if size > MAX_UPLOAD_BYTES:
            raise StorageError(
                f"an object of {size:,} bytes is not written by one link, which takes {MAX_UPLOAD_BYTES:,}",
                hint="write it in parts, as several objects",
            )
        self._links.write(path, iter(lambda: file.read(_PIECE_BYTES), b""), size)

    def _sign(self, method: str, path: str) -> tuple[str, int, Mapping[str, str]]:
        row = self._ask(f"SIGN {method} {path}")[0]
        return row["url"], row["seconds"], dict(row["headers"])

    def _ask(self, statement: str) -> list[dict[str, Any]]:
        """Return the rows that the broker answers. Raises StorageError, and what the broker says."""
        import pyarrow as pa

        body = {**self._order, "id": uuid.uuid4().hex, "statement": statement, "parameters": None}
        with self._asking:
            frames = FrameReader(self._client.open(body), _raise)
            try:
                with pa.ipc.open_stream(pa.PythonFile(frames, mode="r")) as reader:
                    rows: list[dict[str, Any]] = reader.read_all().to_pylist()
                frames.finish()
            finally:
                # Interrupted, it hangs up, which ends the statement.
                frames.close()
        return rows

    @classmethod
    def _strip_protocol(cls, path: Any) -> Any:
        if isinstance(path, list):
            return [cls._strip_protocol(each) for each in path]
        text = os.fspath(path)
        for protocol in cls.protocol:
            text = text.removeprefix(f"{protocol}://")
        return text.rstrip("/")


class _ObjectFile(AbstractBufferedFile):  # type: ignore[misc]
    """An object that is read in parts, all of them of the same version of it."""

    def _fetch_range(self, start: int, end: int) -> bytes:
        data: bytes = self.fs._links.read(self.path, start, end, self.details["etag"])  # noqa: SLF001 - our own filesystem
        return data


class _Upload:
    """What is written, in a temporary file until it is closed; an error within `with` leaves the storage as it is."""

    def __init__(self, filesystem: BrokeredFileSystem, path: str) -> None:
        self._filesystem, self._path = filesystem, path
        self._file = TemporaryFile()  # noqa: SIM115 - closed with this one

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            self._file.close()
        self.close()

    @property
    def closed(self) -> bool:
        """Whether nothing more can be written."""
        return self._file.closed

    def close(self) -> None:
        """Write the object. Raises StorageError, and there is no object then, or the former one."""
        if not self.closed:
            with self._file as file:
                self._filesystem._write(self._path, file)  # noqa: SLF001 - of one piece with it


class _S3(BrokeredFileSystem):
    protocol = ("s3", "s3a")


class _Azure(BrokeredFileSystem):
    protocol = ("abfs", "az", "abfss")


class _Google(BrokeredFileSystem):
    protocol = ("gs", "gcs")


_CLASSES: dict[str, type[BrokeredFileSystem]] = {
    protocol: kind for kind in (_S3, _Azure, _Google) for protocol in kind.protocol
}


def make_filesystem(client: Client, scheme: str, order: Mapping[str, str]) -> BrokeredFileSystem:
    """Return a filesystem for a storage of that kind; nothing is asked yet. Arguments as `BrokeredFileSystem`."""
    return _CLASSES[scheme](client, order)


def _reopen(scheme: str, order: Mapping[str, str]) -> BrokeredFileSystem:
    from flowfile_nb.team.address import address_of

    return make_filesystem(Client(address_of(os.environ)), scheme, order)


def _raise(facts: dict[str, Any]) -> NoReturn:
    """Raise what an error frame says, as what files raise."""
    if facts.get("type") in {"QueryError", "CancelledError"}:
        kind = _BY_CODE.get(str(facts.get("code")), StorageError)
        raise kind(spelled(str(facts.get("message"))), hint=spelled(str(facts.get("hint") or "")))
    raise_said(facts)
