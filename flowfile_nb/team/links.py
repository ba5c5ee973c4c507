"""
Links to single objects of a storage: asked of the broker, used until they are over, and shown to nobody.

Who has a link has the object for as long as it is good. So none is in what is logged, raised or shown here, and httpx's client,
which writes each URL into its log, is left out: requests go over its transport.
"""

from __future__ import annotations

import re
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from flowfile_nb.errors import MissingDriverError, NoSuchObjectError, ObjectRefusedError, StorageError

STORAGE = {"s3", "abfs", "abfss", "az", "gs", "gcs"}
"""The kinds of storage that a broker signs links for."""
_MARGIN_S = 5
"""A link that ends this soon might end on the way."""
_KEPT = 10_000
_CONNECT_S, _SILENCE_S = 10.0, 60.0
_OK, _PART, _MOVED, _REFUSED, _GONE, _CHANGED, _BEYOND = 200, 206, 300, 403, 404, 412, 416
_CODE = re.compile(rb"<Code>(\w{1,60})</Code>")


class Link(NamedTuple):
    """A link to one object, for one method."""

    url: str
    headers: Mapping[str, str]
    good_until: float
    """By this process's clock that is never set."""

    def __repr__(self) -> str:
        return "<link>"


class Links:
    """
    The links of one filesystem. Threads may share it.

    Args:
        sign: Asks the broker for a link: returns its URL, for how many seconds it is good, and headers to send with it.
    """

    def __init__(self, sign: Callable[[str, str], tuple[str, int, Mapping[str, str]]]) -> None:
        self._sign = sign
        self._known: dict[str, Link] = {}
        self._lock = threading.Lock()
        self._transports: dict[str | None, Any] = {}

    def __repr__(self) -> str:
        return "<links>"

    def read(self, path: str, first: int = 0, end: int | None = None, etag: str = "") -> bytes:
        """
        Return bytes of an object, from *first* to before *end*.

        Args:
            path: Bucket and key.
            first: Position of the first byte.
            end: Position after the last one; None for all.
            etag: What the object has to be still, if given.

        Raises:
            NoSuchObjectError: If there is none.
            StorageError: If it is another one by now, or the storage does not give it.
        """
        if end is not None and end <= first:
            return b""
        asked = {} if first == 0 and end is None else {"Range": f"bytes={first}-{'' if end is None else end - 1}"}
        if etag:
            asked["If-Match"] = etag
        status, data = self._sent("GET", self._link(path), asked)
        if status == _REFUSED:
            # It may be over, by a clock that goes before ours.
            self._known.pop(path, None)
            status, data = self._sent("GET", self._link(path), asked)
        if status == _BEYOND:
            return b""
        _require(status, data, path)
        # Who does not know ranges sends all.
        return data if status == _PART else data[first:end]

    def write(self, path: str, content: Iterable[bytes], size: int) -> None:
        """Put an object of *size* bytes in the place of whatever is there. Raises StorageError."""
        self._known.pop(path, None)
        status, data = self._sent("PUT", self._new("PUT", path), {"Content-Length": str(size)}, content)
        _require(status, data, path)

    def delete(self, path: str) -> None:
        """Delete an object; nothing happens where there is none. Raises StorageError."""
        self._known.pop(path, None)
        status, data = self._sent("DELETE", self._new("DELETE", path), {})
        if status != _GONE:
            _require(status, data, path)

    def require(self, method: str, path: str) -> None:
        """Let pass if the broker signs for that. Raises ObjectRefusedError."""
        self._new(method, path)

    def close(self) -> None:
        """Close the connections to the storage, and forget the links."""
        with self._lock:
            for transport in self._transports.values():
                transport.close()
            self._transports.clear()
            self._known.clear()

    def _link(self, path: str) -> Link:
        """Return a link to read an object, which may have been used before."""
        link = self._known.get(path)
        if link is None or link.good_until < time.monotonic():
            if len(self._known) >= _KEPT:
                self._known.clear()
            self._known[path] = link = self._new("GET", path)
        return link

    def _new(self, method: str, path: str) -> Link:
        # From before it was signed: the time on the way is its own.
        asked_at = time.monotonic()
        url, seconds, headers = self._sign(method, path)
        return Link(url, headers, asked_at + seconds - _MARGIN_S)

    def _sent(
        self, method: str, link: Link, headers: Mapping[str, str], content: Iterable[bytes] | None = None
    ) -> tuple[int, bytes]:
        import httpx

        timeout = httpx.Timeout(_SILENCE_S, connect=_CONNECT_S)
        try:
            request = httpx.Request(
                method,
                link.url,
                headers={"Accept-Encoding": "identity", **headers, **link.headers},
                content=content,
                extensions={"timeout": timeout.as_dict()},
            )
            response = self._transport(request.url).handle_request(request)
            try:
                return response.status_code, response.read()
            finally:
                response.close()
        except (httpx.TransportError, httpx.InvalidURL) as error:
            # Not in the library's words, and without its frames: both know the link.
            raise StorageError(
                f"the storage does not answer, or hung up ({type(error).__name__})",
                hint="the link that the broker signed leads to it from here: can this machine reach it?",
            ) from None

    def _transport(self, url: Any) -> Any:
        import httpx

        from flowfile_nb.connections.http_transport import proxy_of

        proxy = proxy_of(url)
        with self._lock:
            if proxy not in self._transports:
                # OpenSSL's own list of authorities, which SSL_CERT_FILE replaces.
                limits = httpx.Limits(max_connections=None, max_keepalive_connections=16)
                self._transports[proxy] = httpx.HTTPTransport(verify=ssl.create_default_context(), proxy=proxy, limits=limits)
            return self._transports[proxy]


def require_libraries() -> None:
    """Raise MissingDriverError unless what a filesystem through the broker needs is installed."""
    try:
        import fsspec  # noqa: F401 - whether it is there
        import httpx  # noqa: F401 - as above
    except ModuleNotFoundError as error:
        raise MissingDriverError(
            f"files of a team's storage need the library {error.name!r}", hint="pip install 'flowfile-nb[team]'"
        ) from None


def _require(status: int, data: bytes, path: str) -> None:
    if _OK <= status < _MOVED:
        return
    if status == _GONE:
        raise NoSuchObjectError(f"there is nothing at {path!r}", hint="list what is there:  fs.ls(…)")
    if status == _CHANGED:
        raise StorageError(f"{path!r} was replaced while it was read", hint="open it again")
    # The storage's one word for it. The rest can quote the request.
    found = _CODE.search(data[:4096])
    said = found[1].decode() if found else f"status {status}"
    if status == _REFUSED:
        raise ObjectRefusedError(f"the storage refused {path!r}: {said}", hint="ask its owner: may the shared account do that?")
    raise StorageError(f"the storage did not do it for {path!r}: {said}", hint="try again in a moment")
