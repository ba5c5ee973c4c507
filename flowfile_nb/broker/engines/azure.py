"""Azure's storage, by Microsoft's own library: requests are signed with the account's key, and so are links, without asking."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any, TypeVar
from urllib.parse import quote

from flowfile_nb.broker.engines import LostError, OpeningError, StatementError
from flowfile_nb.broker.limits import Limits
from flowfile_nb.broker.model import Target
from flowfile_nb.broker.storage.links import Entry, Link, not_installed

T = TypeVar("T")
# By the letters of a shared access signature: read; create and write; delete.
_PERMISSIONS = {"GET": "r", "HEAD": "r", "PUT": "cw", "DELETE": "d"}
_READ_S = 30
_NO_OBJECT = {"BlobNotFound", "404"}
# The last is the library's, of a key that is not base64.
_REFUSED = ("AuthenticationFailed", "AuthorizationFailure", "InvalidAuthenticationInfo", "AzureSigningError")
_REASONS = dict.fromkeys(_REFUSED, "the storage refused the key") | {"ContainerNotFound": "there is no container of that name"}


class Azure:
    """One container (`storage.links.Store`). Args: where it is, the account's key, and how long it may take."""

    def __init__(self, target: Target, value: str, limits: Limits) -> None:
        self._target, self._value, self._limits = target, value, limits
        self._name, _, self._prefix = target.database.partition("/")
        # Over http it is an emulator's, which has the account in the path.
        account = "" if target.tls else f"/{target.username}"
        self._url = f"{'https' if target.tls else 'http'}://{target.host}:{target.port}{account}"
        self._container: Any = None

    def open(self) -> None:
        """Make the client, and ask for one name of what is shared."""
        try:
            from azure.storage.blob import ContainerClient
        except ModuleNotFoundError:
            raise not_installed("azure") from None
        try:
            self._container = ContainerClient(
                self._url,
                self._name,
                credential={"account_name": self._target.username, "account_key": self._value},
                connection_timeout=self._limits.connect_s,
                read_timeout=_READ_S,
                retry_total=1,
            )
            prefix = f"{self._prefix}/" if self._prefix else None
            next(iter(self._container.list_blob_names(name_starts_with=prefix, results_per_page=1)), None)
        except Exception as error:  # noqa: BLE001 - the library's errors, whose texts can hold a request
            code = _code_of(error) or type(error).__name__
            raise OpeningError(_REASONS.get(code, "the storage could not be opened"), code) from None

    def pages(self, prefix: str, *, deep: bool) -> Iterable[list[Entry]]:
        """Return what begins with *prefix*, up to five thousand at a time."""
        options = {"name_starts_with": prefix or None}
        found = self._container.list_blobs(**options) if deep else self._container.walk_blobs(**options, delimiter="/")
        pages = found.by_page()
        while (page := _said(lambda: next(pages, None))) is not None:
            yield [_entry(each) for each in page]

    def find(self, key: str) -> Entry | None:
        """Return the one object of that key, or None."""
        with suppress(_NothingThereError):
            return _entry(_said(self._container.get_blob_client(key).get_blob_properties))
        return None

    def sign(self, method: str, key: str, seconds: int) -> Link:
        """Return a link; nothing is sent. Its signature covers the blob, what may be done with it, and until when."""
        from azure.storage.blob import generate_blob_sas

        signature = generate_blob_sas(
            self._target.username,
            self._name,
            key,
            account_key=self._value,
            permission=_PERMISSIONS[method],
            expiry=dt.datetime.now(dt.timezone.utc) + dt.timedelta(seconds=seconds),
            protocol="https" if self._target.tls else "https,http",
        )
        headers = {"x-ms-blob-type": "BlockBlob"} if method == "PUT" else {}
        return Link(f"{self._url}/{self._name}/{quote(key, safe='/~')}?{signature}", headers)

    def server(self) -> str:
        """Return where the storage is."""
        return f"Azure at {self._target.host}"


class _NothingThereError(StatementError):
    """There is no object of that key."""


def _said(ask: Callable[[], T]) -> T:
    """Return what the storage answers. Raises StatementError, and LostError where it does not answer."""
    try:
        return ask()
    except Exception as error:  # noqa: BLE001 - as above
        code = _code_of(error)
        if not code:
            raise LostError(f"the storage does not answer ({type(error).__name__})") from None
        kind = _NothingThereError if code in _NO_OBJECT else StatementError
        raise kind(f"the storage refused that: {code}", code=code) from None


def _code_of(error: Exception) -> str:
    """Return Azure's own word for an error, or else the answer's status; empty where there was no answer."""
    code = getattr(error, "error_code", None)
    return str(getattr(code, "value", None) or code or getattr(error, "status_code", None) or "")


def _entry(blob: Any) -> Entry:
    size = getattr(blob, "size", None)
    # What a list gathers to a folder has no size; of a folder of a hierarchical account, there is an object besides.
    if size is None or blob.name.endswith("/") or (getattr(blob, "metadata", None) or {}).get("hdi_isfolder") == "true":
        return Entry(blob.name.rstrip("/"))
    return Entry(blob.name, True, size, blob.last_modified, f'"{str(blob.etag).strip(chr(34))}"')
