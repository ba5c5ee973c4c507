"""The secrets inside of a secret: what a JSON file of credentials holds under the usual keys."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

# The end of a key in small letters and digits: `privateKey`, `private-key`, `aws_secret_access_key`.
_SECRET_KEYS = (
    *(
        "accesstoken",
        "accountkey",
        "apikey",
        "authtoken",
        "clientsecret",
        "connectionstring",
        "idtoken",
        "passphrase",
        "passwd",
    ),
    *(
        "password",
        "privatekey",
        "pwd",
        "refreshtoken",
        "secret",
        "secretaccesskey",
        "secretkey",
        "securitytoken",
        "sessiontoken",
    ),
    "token",
)


def secrets_in(value: str) -> list[str]:
    """
    Return the texts that a JSON object holds under keys of secrets, at any depth; none of anything else.

    >>> secrets_in('{"type": "service_account", "private_key": "-----BEGIN…"}')
    ['-----BEGIN…']
    """
    if not value.lstrip().startswith("{"):
        return []
    try:
        return list(_secrets(json.loads(value, strict=False), is_secret=False))
    except (ValueError, RecursionError):
        return []


def _secrets(item: Any, *, is_secret: bool) -> Iterator[str]:
    if isinstance(item, str):
        if is_secret:
            yield item
    elif isinstance(item, list):
        for one in item:
            yield from _secrets(one, is_secret=is_secret)
    elif isinstance(item, dict):
        for key, one in item.items():
            name = "".join(filter(str.isalnum, key)).lower()
            yield from _secrets(one, is_secret=name.endswith(_SECRET_KEYS))
