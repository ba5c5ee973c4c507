"""Google's storage, by Google's own library: a token is bought for lists, and links are signed with the account's key alone."""

from __future__ import annotations

import base64
import datetime as dt
import json
from collections.abc import Callable, Iterable
from typing import Any, TypeVar
from urllib.parse import urlsplit

from flowfile_nb.broker.addresses import leads_to_nobody, refusal_of
from flowfile_nb.broker.engines import LostError, OpeningError, StatementError
from flowfile_nb.broker.limits import Limits
from flowfile_nb.broker.model import Target
from flowfile_nb.broker.storage.links import Entry, Link, not_installed

T = TypeVar("T")
_SCOPE = "https://www.googleapis.com/auth/devstorage.read_only"
_SCHEMES = {"http", "https"}
_READ_S = 30
_NO_OBJECT, _NO_LOGIN, _NOT_ALLOWED = 404, 401, 403
_REASONS = {_NO_OBJECT: "there is no bucket of that name", _NO_LOGIN: "the storage refused the key"}


class Google:
    """One bucket (`storage.links.Store`). Args: where it is, a service account's key, and how long it may take."""

    def __init__(self, target: Target, value: str, limits: Limits) -> None:
        self._target, self._value = target, value
        self._name, _, self._prefix = target.database.partition("/")
        self._options: dict[str, Any] = {"timeout": (limits.connect_s, _READ_S), "retry": None}
        self._url = f"{'https' if target.tls else 'http'}://{target.host}:{target.port}"
        self._bucket: Any = None

    def open(self) -> None:
        """Make the client, and ask for one name of what is shared. Who may not list may read all the same."""
        self._bucket = self._made()
        try:
            prefix = f"{self._prefix}/" if self._prefix else None
            next(iter(self._bucket.list_blobs(prefix=prefix, max_results=1, **self._options)), None)
        except Exception as error:  # noqa: BLE001 - the library's errors, whose texts can hold a request
            code = getattr(error, "code", None)
            if code == _NOT_ALLOWED:
                return
            kind = type(error).__name__
            said = _NO_LOGIN if kind == "RefreshError" else int(code or 0)
            raise OpeningError(_REASONS.get(said, "the storage could not be opened"), f"{kind} {said}") from None

    def pages(self, prefix: str, *, deep: bool) -> Iterable[list[Entry]]:
        """Return what begins with *prefix*, a thousand at a time."""
        found = self._bucket.list_blobs(prefix=prefix or None, delimiter=None if deep else "/", **self._options)
        pages = found.pages
        known: set[str] = set()
        while (page := _said(lambda: next(pages, None))) is not None:
            objects = [_entry(blob) for blob in page]
            # The library gathers the folders of all pages in one set.
            folders, known = set(found.prefixes) - known, set(found.prefixes)
            yield [*(Entry(folder.rstrip("/")) for folder in sorted(folders)), *objects]

    def find(self, key: str) -> Entry | None:
        """Return the one object of that key, or None."""
        blob = _said(lambda: self._bucket.get_blob(key, **self._options))
        return None if blob is None else _entry(blob)

    def sign(self, method: str, key: str, seconds: int) -> Link:
        """Return a link; nothing is sent. Its signature covers method, host, path and every parameter of its query."""
        url: str = self._bucket.blob(key).generate_signed_url(
            version="v4",
            expiration=dt.timedelta(seconds=seconds),
            method=method,
            api_access_endpoint=self._url,
        )
        return Link(url)

    def server(self) -> str:
        """Return where the storage is."""
        return f"Google Cloud Storage at {self._target.host}"

    def _made(self) -> Any:
        try:
            from google.cloud.storage import Client
            from google.oauth2.service_account import Credentials
        except ModuleNotFoundError:
            raise not_installed("gcs") from None
        try:
            key = json.loads(self._value)
            self._require_token_server(str(key["token_uri"]))
            login = Credentials.from_service_account_info(key, scopes=[_SCOPE])
        except (ValueError, TypeError, AttributeError, KeyError) as error:
            # The library's own text can quote the key.
            raise OpeningError("the secret is not a service account's key", type(error).__name__) from None
        client = Client(project="none", credentials=login, client_options={"api_endpoint": self._url})
        return client.bucket(self._name)

    def _require_token_server(self, url: str) -> None:
        """
        Raise OpeningError unless the server that the key itself names for its tokens is asked by TLS, and is somebody's.

        An emulator's, over http, may be one of this host's.
        """
        parts = urlsplit(url)
        host = parts.hostname or ""
        if (
            parts.scheme not in ({"https"} if self._target.tls else _SCHEMES)
            or leads_to_nobody(host)
            or refusal_of(host, pinned=self._target.host)
        ):
            raise OpeningError("the key names a server for its tokens that the broker does not ask", "token_uri")


def _said(ask: Callable[[], T]) -> T:
    """Return what the storage answers. Raises StatementError, and LostError where it does not answer."""
    try:
        return ask()
    except Exception as error:  # noqa: BLE001 - as above
        code = getattr(error, "code", None)
        if code is None:
            raise LostError(f"the storage does not answer ({type(error).__name__})") from None
        raise StatementError(f"the storage refused that: status {int(code)}", code=str(int(code))) from None


def _entry(blob: Any) -> Entry:
    # What a link's answer calls its ETag; an object that was put together of others has another, which no list tells.
    etag = f'"{base64.b64decode(blob.md5_hash).hex()}"' if blob.md5_hash else ""
    # A name that ends with a slash is a folder's, whatever made an object of it.
    return Entry(blob.name.rstrip("/"), not blob.name.endswith("/"), blob.size or 0, blob.updated, etag)
