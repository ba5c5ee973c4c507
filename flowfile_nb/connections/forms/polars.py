"""
`--as polars`: what Polars reads S3 with by itself, which is quicker than through Python: `pl.scan_parquet("s3://…", **lake)`.

Polars takes a function that returns the key, and calls it when it opens what it scans. So the key is in no argument.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NoReturn

from flowfile_nb.connections.access import Access
from flowfile_nb.connections.s3 import S3, key_of
from flowfile_nb.connections.spec import Spec, scheme_of
from flowfile_nb.connections.storage_parts import Credentials, Parts
from flowfile_nb.errors import ConnectionSpecError

# Polars keeps a key until it is over, beyond one scan. For a scan that was begun before a secret changed, that is soon.
_LASTS_S = 1
_KEY = {
    "access_key_id": "aws_access_key_id",
    "secret_access_key": "aws_secret_access_key",
    "session_token": "aws_session_token",
}


class PolarsOptions(Mapping[str, Any]):
    """The arguments of `pl.scan_parquet` and its like: `storage_options`, without a value, and `credential_provider`."""

    def __init__(self, parts: Parts, credentials: Credentials, place: str) -> None:
        self._parts, self._credentials, self._place = parts, credentials, place
        # Polars knows providers by identity, so a former one is kept: no other may get its place in memory.
        self._providers: list[tuple[list[object], Callable[[], Any]]] = []

    def __getitem__(self, key: str) -> Any:
        if key not in list(self):
            raise KeyError(key)
        return _options(self._parts) if key == "storage_options" else self._provider()

    def __iter__(self) -> Iterator[str]:
        yield "storage_options"
        if "access_key_id" in self._parts:
            yield "credential_provider"

    def __len__(self) -> int:
        return len(list(iter(self)))

    def _provider(self) -> Callable[[], Any]:
        """Return what Polars asks for the key: another one, which it has not asked yet, where a secret has changed."""
        now = self._credentials.state()
        if not self._providers or self._providers[-1][0] != now:
            self._providers.append((now, _provider(self._parts, self._credentials)))
        return self._providers[-1][1]

    def __repr__(self) -> str:
        return f"<options of Polars for {self._place}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError(f"{self!r} are not pickled: open the connection where it is used:  %connect NAME --as polars")


class Polars:
    """A `PolarsOptions`."""

    note = 'Use it so:  pl.scan_parquet("s3://bucket/path.parquet", **NAME)'

    def __init__(self) -> None:
        self._place = ""

    def make(self, spec: Spec, reveal: Access) -> PolarsOptions:
        """
        Return the options; nothing is opened.

        Raises:
            ConnectionSpecError: If it is not S3, or a login that Polars does not take from here.
        """
        if scheme_of(spec) != "s3":
            raise ConnectionSpecError(
                "--as polars is for S3", hint="leave it out:  pl.read_parquet(lake.open(…)),  pl.read_database(…, warehouse)"
            )
        family = S3()
        parts = family.described(spec)
        if unknown := {"profile", "role_arn"} & parts.keys():
            raise ConnectionSpecError(
                f"{' and '.join(sorted(unknown))} are not taken by --as polars",
                hint="pl.read_parquet(lake.open(…))  takes them",
            )
        self._place = family.place(parts).text
        return PolarsOptions(parts, Credentials(parts, reveal), self._place)

    def check(self, connection: PolarsOptions) -> None:
        """Ask for the key once, so that one that cannot be read is said now; Polars asks the server."""
        if "credential_provider" in connection:
            connection["credential_provider"]()

    def target(self, connection: PolarsOptions) -> str:
        """Return where it leads."""
        return self._place

    def close(self, connection: PolarsOptions) -> None:
        """Do nothing: nothing is open."""


def _provider(parts: Parts, credentials: Credentials) -> Callable[[], tuple[dict[str, str], int]]:
    def provide() -> tuple[dict[str, str], int]:
        key = {_KEY[name]: value for name, value in key_of(parts, credentials).items()}
        return key, int(time.time()) + _LASTS_S

    return provide


def _options(parts: Parts) -> dict[str, str]:
    options = {"aws_region": parts.get("region"), "aws_endpoint_url": parts.get("endpoint_url")}
    if str(parts.get("endpoint_url", "")).startswith("http:"):
        options["allow_http"] = "true"
    if parts.get("addressing_style") == "virtual":
        options["aws_virtual_hosted_style_request"] = "true"
    if parts.get("anonymous"):
        options["aws_skip_signature"] = "true"
    if parts.get("verify") is False:
        options["allow_invalid_certificates"] = "true"
    return {key: item for key, item in options.items() if item}
