"""Amazon S3, and what speaks its protocol, by Amazon's own library: requests and links are signed with Signature Version 4."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from flowfile_nb.broker.engines import LostError, OpeningError, StatementError
from flowfile_nb.broker.limits import Limits
from flowfile_nb.broker.model import Target
from flowfile_nb.broker.storage.links import Entry, Link, not_installed

_OPERATIONS = {"GET": "get_object", "HEAD": "head_object", "PUT": "put_object", "DELETE": "delete_object"}
_READ_S = 30
_NO_OBJECT = {"404", "NoSuchKey", "NotFound"}
_REFUSED = {"InvalidAccessKeyId", "SignatureDoesNotMatch", "403", "Forbidden", "InvalidToken", "ExpiredToken"}
_REASONS = {"NoSuchBucket": "there is no bucket of that name", "404": "there is no bucket of that name"}


class S3:
    """One bucket (`storage.links.Store`). Args: where it is, the secret key, and how long it may take."""

    def __init__(self, target: Target, value: str, limits: Limits) -> None:
        self._target, self._value, self._limits = target, value, limits
        self._bucket = target.database.partition("/")[0]
        self._client: Any = None

    def open(self) -> None:
        """Make the client, and ask for one name of what is shared. Who may not list may read all the same."""
        self._client = self._made()
        _, _, prefix = self._target.database.partition("/")
        try:
            self._client.list_objects_v2(Bucket=self._bucket, Prefix=f"{prefix}/" if prefix else "", MaxKeys=1)
        except Exception as error:  # noqa: BLE001 - the library's errors, whose texts can hold a request
            code = _code_of(error)
            if code == "AccessDenied":
                return
            reason = (
                "the storage refused the key" if code in _REFUSED else _REASONS.get(code, "the storage could not be opened")
            )
            raise OpeningError(reason, f"{type(error).__name__} {code}".strip()) from None

    def pages(self, prefix: str, *, deep: bool) -> Iterable[list[Entry]]:
        """Return what begins with *prefix*, a thousand at a time."""
        asked = {"Bucket": self._bucket, "Prefix": prefix, **({} if deep else {"Delimiter": "/"})}
        while True:
            page = self._ask(self._client.list_objects_v2, **asked)
            folders = [Entry(each["Prefix"].rstrip("/")) for each in page.get("CommonPrefixes", ())]
            yield folders + [_entry(each["Key"], each, each["Size"]) for each in page.get("Contents", ())]
            if not page.get("IsTruncated"):
                return
            asked["ContinuationToken"] = page["NextContinuationToken"]

    def find(self, key: str) -> Entry | None:
        """Return the one object of that key, or None."""
        try:
            head = self._ask(self._client.head_object, Bucket=self._bucket, Key=key)
        except StatementError as error:
            if error.code in _NO_OBJECT:
                return None
            raise
        return _entry(key, head, head["ContentLength"])

    def sign(self, method: str, key: str, seconds: int) -> Link:
        """Return a link; nothing is sent. Its signature covers method, host, path and every parameter of its query."""
        parameters = {"Bucket": self._bucket, "Key": key}
        return Link(self._client.generate_presigned_url(_OPERATIONS[method], parameters, seconds, method))

    def server(self) -> str:
        """Return where the storage is."""
        return f"S3 at {self._target.host}"

    def _made(self) -> Any:
        try:
            from botocore.config import Config
            from botocore.session import Session
        except ModuleNotFoundError:
            raise not_installed("s3") from None
        target = self._target
        session = Session()
        session.set_credentials(target.username, self._value)
        return session.create_client(
            "s3",
            region_name=target.options["region"],
            endpoint_url=f"{'https' if target.tls else 'http'}://{target.host}:{target.port}",
            config=Config(
                # The former version signs no parameter that it does not know.
                signature_version="s3v4",
                s3={"addressing_style": target.options["addressing_style"]},
                connect_timeout=self._limits.connect_s,
                read_timeout=_READ_S,
                retries={"total_max_attempts": 2, "mode": "standard"},
                # Else a link for PUT would ask for a checksum of what nobody knows yet.
                request_checksum_calculation="when_required",
            ),
        )

    def _ask(self, question: Callable[..., dict[str, Any]], **arguments: Any) -> dict[str, Any]:
        try:
            return question(**arguments)
        except Exception as error:  # noqa: BLE001 - as above
            code = _code_of(error)
            if not code:
                raise LostError(f"the storage does not answer ({type(error).__name__})") from None
            raise StatementError(f"the storage refused that: {code}", code=code) from None


def _code_of(error: Exception) -> str:
    """Return S3's own word for an error; empty where it did not say any."""
    answer = getattr(error, "response", None)
    return str(answer.get("Error", {}).get("Code", "")) if isinstance(answer, dict) else ""


def _entry(key: str, facts: dict[str, Any], size: int) -> Entry:
    # A name that ends with a slash is a folder's, whatever made an object of it.
    return Entry(key.rstrip("/"), not key.endswith("/"), size, facts.get("LastModified"), facts.get("ETag", ""))
