"""What a description of object storage means for the broker: one key, one endpoint, one bucket, and below which prefix."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from typing import Any
from urllib.parse import urlsplit

from flowfile_nb.broker.model import Access, Target
from flowfile_nb.broker.storage.names import lies_within
from flowfile_nb.connections.azure import Azure
from flowfile_nb.connections.gcs import GoogleStorage
from flowfile_nb.connections.s3 import S3
from flowfile_nb.connections.spec import Spec, scheme_of
from flowfile_nb.core.references import names_in, reference
from flowfile_nb.errors import ConnectionSpecError, NotAllowedError

_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,254}")
_PORTS = {"https": 443, "http": 80}
_TEMPORARY = "ASIA"
"""What Amazon's temporary keys begin with."""


def storage_definition(spec: Spec) -> tuple[Target, str]:
    """
    Return where the key of a description goes, and its name as a secret.

    Raises:
        ConnectionSpecError: If it cannot be understood, or has a key that the broker does not take.
        NotAllowedError: If its credential cannot be lent. The message says why.
    """
    return _KINDS[scheme_of(spec).lower()](spec)


def _s3(spec: Spec) -> tuple[Target, str]:
    family = S3()
    parts, example = family.described(spec), family.grammar.example
    if "session_token" in parts or str(parts.get("access_key_id", "")).startswith(_TEMPORARY):
        raise NotAllowedError(
            "this key is temporary: it ends by itself within hours, and with it whatever would be shared",
            hint="share a key that lasts, of an account that may do no more than the members shall",
        )
    _require_keys(
        parts, {"bucket", "prefix", "region", "endpoint_url", "access_key_id", "secret_access_key", "addressing_style"}
    )
    secret = _sole_secret(parts.get("secret_access_key", ""), example)
    if names_in(parts["access_key_id"]):
        raise ConnectionSpecError("the ID of the access key stands in clear; it is no secret", hint=example)
    region, bucket = parts.get("region", ""), parts.get("bucket", "")
    options = {"region": region or "us-east-1", "addressing_style": parts.get("addressing_style", "path")}
    if "endpoint_url" not in parts:
        if not region:
            raise ConnectionSpecError(
                "the broker signs for one region, and the description says none", hint='region = "eu-central-1"'
            )
        suffix = ".cn" if region.startswith("cn-") else ""
        parts["endpoint_url"] = f"https://s3.{region}.amazonaws.com{suffix}"
        # Amazon's certificate is for one word before its name.
        options["addressing_style"] = parts.get("addressing_style", "path" if "." in bucket else "virtual")
    return _target("s3", parts["endpoint_url"], (bucket, parts.get("prefix", "")), parts["access_key_id"], options), secret


def _azure(spec: Spec) -> tuple[Target, str]:
    family = Azure()
    parts, example = family.described(spec), family.grammar.example
    if "sas_token" in parts:
        raise NotAllowedError(
            "links are signed with an account's key, and a SAS token is none: it is a signature itself, and ends by itself",
            hint="describe the connection by its account_key",
        )
    _require_keys(parts, {"account", "container", "prefix", "account_key", "endpoint_url"})
    secret = _sole_secret(parts.get("account_key", ""), example)
    endpoint = parts.get("endpoint_url") or f"https://{parts['account']}.blob.core.windows.net"
    return _target("abfs", endpoint, (parts.get("container", ""), parts.get("prefix", "")), parts["account"], {}), secret


def _google(spec: Spec) -> tuple[Target, str]:
    family = GoogleStorage()
    parts, example = family.described(spec), family.grammar.example
    # A bucket's name is the whole world's: the project leads nowhere.
    _require_keys(parts, {"bucket", "prefix", "project", "service_account_key", "endpoint_url"})
    secret = _sole_secret(parts.get("service_account_key", ""), example)
    endpoint = parts.get("endpoint_url") or "https://storage.googleapis.com"
    return _target("gs", endpoint, (parts.get("bucket", ""), parts.get("prefix", "")), "", {}), secret


def _target(kind: str, endpoint: str, place: tuple[str, str], username: str, options: dict[str, str]) -> Target:
    bucket, prefix = place
    if not _BUCKET.fullmatch(bucket):
        raise ConnectionSpecError(
            "the broker signs for one bucket, and the description names none that it can be", hint='bucket = "sales"'
        )
    root = f"{bucket}/{prefix}".strip("/")
    if not lies_within(bucket, root):
        raise ConnectionSpecError("the prefix is not one that the broker can hold to: it has dots for folders in it")
    url = urlsplit(endpoint)
    try:
        port = url.port or _PORTS.get(url.scheme, 0)
    except ValueError:
        port = 0
    if not port or not url.hostname or "@" in url.netloc or url.path.strip("/") or url.query or url.fragment:
        raise ConnectionSpecError(
            "the endpoint is not one that the broker can fix: a scheme, a host and a port alone",
            hint='endpoint_url = "https://minio.example.com"',
        )
    tls = "verify-full" if url.scheme == "https" else ""
    return Target(kind, url.hostname, port, root, username, tls, options)


def _require_keys(parts: dict[str, Any], taken: Collection[str]) -> None:
    if refused := sorted(parts.keys() - set(taken)):
        raise NotAllowedError(
            f"the broker does not take {', '.join(map(repr, refused))}: it may lead to files or logins of the broker's host",
            hint=f"it takes {', '.join(sorted(taken))}",
        )


def _sole_secret(text: str, example: str) -> str:
    names = names_in(text)
    if len(names) != 1 or text != reference(names[0]):
        raise ConnectionSpecError("the broker needs one secret, and it stands for the whole key", hint=example)
    return names[0]


_KINDS: dict[str, Callable[[Spec], tuple[Target, str]]] = {
    "s3": _s3,
    **dict.fromkeys(("abfs", "abfss", "az"), _azure),
    **dict.fromkeys(("gs", "gcs"), _google),
}
GUARANTEES: dict[Access, str] = {
    "read": "links to single objects below the prefix that its owner fixed, for GET and HEAD, good for a minute each",
    "write": "links to single objects below the prefix that its owner fixed, good for a minute each; with them they may be"
    " replaced and deleted",
}
"""What is promised of a share."""
STORAGE = set(_KINDS)
"""Kinds of connections whose objects can be lent by links."""
