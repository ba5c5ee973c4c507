"""What Polars reads a place for files with: its names of our keys, and the function that it asks for the login."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, NamedTuple, NoReturn

from flowfile_nb.connections.azure import account_url, login_of
from flowfile_nb.connections.gcs import access_token, service_account
from flowfile_nb.connections.later import Teller
from flowfile_nb.connections.s3 import key_of
from flowfile_nb.connections.storage_parts import Credentials, Parts
from flowfile_nb.errors import ConnectionSpecError

LASTS_S = 1
"""Polars keeps a key until it is over, beyond one scan. For a scan that was begun before a secret changed, that is soon."""
_S3_KEY = {
    "access_key_id": "aws_access_key_id",
    "secret_access_key": "aws_secret_access_key",
    "session_token": "aws_session_token",
}
_AZURE_SCOPE = "https://storage.azure.com/.default"

Login = Callable[[], dict[str, str]]


class Source(NamedTuple):
    """How Polars reads one connection."""

    options: dict[str, str]
    """`storage_options`, which hold no value."""
    login: Login | None
    """Returns the login as it is at this moment, by Polars' names; None where Polars finds the machine's own, or nobody."""


def source_of(kind: str, parts: Parts, credentials: Credentials) -> Source:
    """
    Return what reads a described place.

    Raises:
        ConnectionSpecError: If Polars has no such login.
    """
    return {"s3": _s3, "gs": _google, "abfs": _azure}[kind](parts, credentials)


class Provider:
    """A function for `credential_provider`, which stays here: a scan that is sent elsewhere would take it along."""

    def __init__(self, login: Login, teller: Teller) -> None:
        self.login, self._teller = login, teller

    def __call__(self) -> tuple[dict[str, str], int]:
        """Return the login, and when it has to be asked for again, in seconds since 1970."""
        self._teller.used()
        return self.login(), int(time.time()) + LASTS_S

    def __repr__(self) -> str:
        return "<login for Polars>"

    def __reduce__(self) -> NoReturn:
        raise TypeError(f"{self!r} is not pickled: scan where it is used, after  %connect NAME --as polars")


def _s3(parts: Parts, credentials: Credentials) -> Source:
    _require_none_of(parts, "profile", "role_arn")
    endpoint = str(parts.get("endpoint_url", ""))
    options = {"aws_region": parts.get("region"), "aws_endpoint_url": endpoint, "allow_http": _unencrypted(endpoint)}
    options["aws_virtual_hosted_style_request"] = _true(parts.get("addressing_style") == "virtual")
    options["aws_skip_signature"] = _true(parts.get("anonymous"))
    options["allow_invalid_certificates"] = _true(parts.get("verify") is False)

    def login() -> dict[str, str]:
        return {_S3_KEY[name]: value for name, value in key_of(parts, credentials).items()}

    return Source(_said(options), login if "access_key_id" in parts else None)


def _google(parts: Parts, credentials: Credentials) -> Source:
    endpoint = str(parts.get("endpoint_url", ""))
    options = {"google_base_url": endpoint, "allow_http": _unencrypted(endpoint)}
    options["google_skip_signature"] = _true(parts.get("anonymous"))
    if "service_account_key" not in parts:
        return Source(_said(options), None)
    account = service_account(parts["service_account_key"], credentials)
    return Source(_said(options), lambda: {"bearer_token": access_token(account)})


def _azure(parts: Parts, credentials: Credentials) -> Source:
    endpoint = account_url(parts)
    options = {"azure_storage_account_name": parts["account"], "allow_http": _unencrypted(endpoint)}
    options["azure_storage_endpoint"] = endpoint if "endpoint_url" in parts else None
    options["azure_skip_signature"] = _true(parts.get("anonymous"))
    options["allow_invalid_certificates"] = _true(parts.get("verify") is False)
    return Source(_said(options), login_of(parts, credentials, _AZURE_SCOPE))


def _require_none_of(parts: Parts, *keys: str) -> None:
    if unknown := {*keys} & parts.keys():
        raise ConnectionSpecError(
            f"{' and '.join(sorted(unknown))} are not taken by --as polars", hint="pl.read_parquet(lake.open(…))  takes them"
        )


def _unencrypted(endpoint: str) -> str | None:
    return _true(endpoint.startswith("http:"))


def _true(said: Any) -> str | None:
    return "true" if said else None


def _said(options: dict[str, Any]) -> dict[str, str]:
    return {key: item for key, item in options.items() if item}
