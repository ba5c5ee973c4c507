"""
What a session for object storage answers: lists, and links to single objects, as the rows of a statement.

    LIST sales/2026             what stands directly below it
    FIND sales/2026             every object below it
    INFO sales/2026/a.csv       one object, or folder
    SIGN GET sales/2026/a.csv   a link for one method and one object, good for `LINK_S` seconds

A statement is what the audit keeps: it names the object, and never holds a link.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import chain
from typing import Any, NamedTuple, Protocol

from flowfile_nb.broker.engines import OpeningError, Result, StatementError
from flowfile_nb.broker.model import Access, Target
from flowfile_nb.broker.storage.names import lies_within

LINK_S = 60
"""How long a link is good. Nothing that a member asks makes it longer."""
MAX_NAMES = 1_000_000
"""Of one list."""
READS, WRITES = ("GET", "HEAD"), ("PUT", "DELETE")
_SHOWN = 200


class Entry(NamedTuple):
    """One object, or folder, of a list."""

    key: str
    """Within the bucket; without a slash at its end."""
    is_object: bool = False
    size: int = 0
    modified: dt.datetime | None = None
    etag: str = ""


class Link(NamedTuple):
    """A signed link."""

    url: str
    headers: Mapping[str, str] = {}
    """What has to be sent with it."""


class Store(Protocol):
    """One bucket at one provider, with the key. Every method raises as `Engine.execute`."""

    def open(self) -> None:
        """Ask once, so that what is wrong is said. Raises OpeningError."""

    def pages(self, prefix: str, *, deep: bool) -> Iterable[list[Entry]]:
        """
        Return what begins with *prefix*, some at a time.

        Unless *deep*, what has another slash is gathered to its folder.
        """

    def find(self, key: str) -> Entry | None:
        """Return the one object of that key, or None."""

    def sign(self, method: str, key: str, seconds: int) -> Link:
        """Return a link to one object, for one method, and so many seconds."""

    def server(self) -> str:
        """Return what kind of storage it is, and where."""


class Links:
    """
    An `Engine` for object storage.

    Args:
        target: Where the key goes; its `database` is the bucket, and the prefix below which everything lies.
        store: Speaks to it.
    """

    def __init__(self, target: Target, store: Store) -> None:
        self._root = target.database
        self._bucket = target.database.partition("/")[0]
        self._store = store

    def open(self) -> None:
        """Ask the storage once."""
        self._store.open()

    @contextmanager
    def execute(self, statement: str, parameters: Any, access: Access) -> Iterator[Result]:
        """Answer one statement."""
        verb, _, path = statement.partition(" ")
        method = ""
        if verb == "SIGN":
            method, _, path = path.partition(" ")
        if parameters or verb not in {"LIST", "FIND", "INFO", "SIGN"} or (verb == "SIGN" and method not in READS + WRITES):
            raise StatementError(
                "object storage is asked by  LIST, FIND, INFO  or  SIGN GET, HEAD, PUT, DELETE  and one path, nothing else"
            )
        require_permitted(self._root, method, path, access)
        key = path.removeprefix(self._bucket).removeprefix("/")
        if verb == "SIGN":
            yield self._signed(method, key)
        elif verb == "INFO":
            yield self._listed([[self._info(key)]])
        else:
            yield self._listed(self._below(key.strip("/"), deep=verb == "FIND"))

    def cancel(self) -> None:
        """Do nothing: between two pages of a list, the session sees by itself that nobody wants the rest."""

    def problems(self) -> list[str]:
        """Return what is not promised of any object storage."""
        return [
            f"warning: a link to one object that was handed out stays good for up to {LINK_S} s, also after a share has ended"
        ]

    def server(self) -> str:
        """Return what kind of storage it is."""
        return self._store.server()

    def _signed(self, method: str, key: str) -> Result:
        import pyarrow as pa

        if not key or (method == "PUT" and key.endswith("/")):
            raise StatementError("a link is for one object, and this is the name of a folder")
        link = self._store.sign(method, key, LINK_S)
        schema = pa.schema({"url": pa.string(), "seconds": pa.int64(), "headers": pa.map_(pa.string(), pa.string())})
        row = pa.RecordBatch.from_pylist([{"url": link.url, "seconds": LINK_S, "headers": dict(link.headers)}], schema=schema)
        return Result(schema, iter([row]))

    def _info(self, key: str) -> Entry:
        found = self._store.find(key) if key else None
        if found is not None:
            return found
        folder = key.rstrip("/")
        if folder == self._prefix or any(self._store.pages(f"{folder}/", deep=True)):
            return Entry(folder)
        raise _nothing_at(f"{self._bucket}/{key}")

    def _below(self, key: str, *, deep: bool) -> Iterator[list[Entry]]:
        prefix = f"{key}/" if key else ""
        pages = iter(self._store.pages(prefix, deep=deep))
        first = next((page for page in pages if page), None)
        if first is None:
            # The list of an object is itself; of what is shared, it may be empty.
            found = self._store.find(key) if key else None
            if found is None and key != self._prefix:
                raise _nothing_at(f"{self._bucket}/{key}")
            return iter([[found]] if found else [])
        # What a console makes for an empty folder has its name, and is not in it.
        return ([entry for entry in page if entry.key != key] for page in chain([first], pages))

    @property
    def _prefix(self) -> str:
        return self._root.removeprefix(self._bucket).removeprefix("/")

    def _listed(self, pages: Iterable[list[Entry]]) -> Result:
        import pyarrow as pa

        schema = pa.schema(
            {
                "name": pa.string(),
                "type": pa.string(),
                "size": pa.int64(),
                "modified": pa.timestamp("us", "UTC"),
                "etag": pa.string(),
            }
        )

        def batches() -> Iterator[Any]:
            count = 0
            for page in pages:
                count += len(page)
                if count > MAX_NAMES:
                    raise StatementError(f"there are more than {MAX_NAMES:,} names below that", "ask for a folder below it")
                yield pa.RecordBatch.from_pylist([self._row(entry) for entry in page], schema=schema)

        return Result(schema, batches())

    def _row(self, entry: Entry) -> dict[str, Any]:
        return {
            "name": f"{self._bucket}/{entry.key}".rstrip("/"),
            "type": "file" if entry.is_object else "directory",
            "size": entry.size,
            "modified": entry.modified,
            "etag": entry.etag,
        }


def require_permitted(root: str, method: str, path: str, access: Access) -> None:
    """
    Let a statement pass whose object lies within what is shared, and whose method is what the share is for.

    Args:
        root: Bucket and prefix.
        method: Of a link; empty for a list.
        path: Bucket and key.
        access: What the share is for.

    Raises:
        StatementError: Otherwise.
    """
    if not lies_within(root, path):
        raise StatementError(
            f"{path[:_SHOWN]!r} is not within {root!r}, which is what is shared here",
            f"paths begin with  {root}/",
            "AccessDenied",
            clean=True,
        )
    if method in WRITES and access != "write":
        raise StatementError("through this connection nothing is written or deleted", code="AccessDenied", read_only=True)


def not_installed(extra: str) -> OpeningError:
    """Return the error for a library that the broker's own environment lacks, in which no member can install anything."""
    return OpeningError(f"the broker lacks the library for this storage; who runs it installs  flowfile-nb[{extra}]", extra)


def _nothing_at(path: str) -> StatementError:
    return StatementError(f"there is nothing at {path[:_SHOWN]!r}", "list what is there:  fs.ls(…)", "NoSuchKey", clean=True)
