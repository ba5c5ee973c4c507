"""
Which settings are credentials: by the words of the key, or by what the value plainly is.

Meant to be believed: a value that only looks random (a commit, a UUID, a checksum) is none, and so is the path of a key file or
the lifetime of a token. What is missed can be named by the user, and what is found by mistake left out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

_LAST = {"password", "passwd", "passphrase", "passcode", "pass", "pwd", "secret", "secrets", "token"}
_LAST |= {"credential", "credentials", "apikey", "pat", "pin", "sig", "signature"}
_ENDINGS = ("password", "passwd", "passphrase", "pwd", "secret", "token", "apikey", "secretkey", "accesskey", "privatekey")
_KEY_BUT = {"public", "primary", "foreign", "partition", "sort", "cache", "index", "distribution", "cluster"}
_KEY_BUT |= {"row"}
_STRONG = {"password", "passwd", "passphrase", "pwd", "secret"}
# `TOKEN_URL`, `PASSWORD_FILE`, `SECRET_NAME`: what is about a credential, and is none.
_ABOUT = {"id", "name", "names", "path", "file", "dir", "directory", "folder", "arn", "url", "uri"}
_ABOUT |= {"endpoint", "host", "port", "version", "region", "ttl", "expiry", "expires", "expiration"}
_ABOUT |= {"lifetime", "timeout", "age", "days", "hours", "minutes", "seconds", "length", "min", "max"}
_ABOUT |= {"size", "type", "kind", "algorithm", "alg", "enabled", "disabled", "required", "policy", "header"}
_ABOUT |= {"field", "prefix", "suffix", "user", "username", "login", "email", "count", "rotation", "reset"}
_ABOUT |= {"hint", "manager", "backend", "provider", "store", "scope", "audience", "issuer", "format"}
_ABOUT |= {"limit", "engine"}
_NO_VALUES = {"true", "false", "yes", "no", "on", "off", "none", "null", "0", "1"}

_PRIVATE_KEY = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY(?: BLOCK)?-----")
_ISSUED = re.compile(
    r"""
      gh[pousr]_[A-Za-z0-9]{30,} | github_pat_\w{30,} | glpat-[\w-]{15,}
    | sk-[\w-]{20,} | [sr]k_(?:live|test)_\w{10,} | xox[abeoprs]-[\w-]{10,} | AIza[\w-]{35}
    | hf_\w{20,} | pypi-[\w-]{20,} | npm_\w{30,} | dop_v1_\w{30,} | SG\.[\w-]{10,}\.[\w-]{10,} | ya29\.[\w-]{20,}
    | shp(?:at|ca|pa|ss)_\w{20,} | dapi[0-9a-f]{32}(?:-\d)? | hvs\.[\w-]{20,} | AGE-SECRET-KEY-1\w{20,} | lin_api_\w{20,}
    | eyJ[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]*
    | https://hooks\.slack\.com/services/\S+ | https://(?:\w+\.)?discord(?:app)?\.com/api/webhooks/\S+
    """,
    re.VERBOSE,
)
_EMBEDDED = re.compile(
    r"(?:^|[;&?\s'\"])(?:password|passwd|pwd|accountkey|sharedaccesskey|sharedaccesssignature|secretkey|apikey)\s*=\s*[^;&\s]",
    re.IGNORECASE,
)
_REFERENCE = re.compile(r"%secret\s|\$\{secret:")
_VARIABLE = re.compile(r"\$\{[^}]*\}|<[^<>]*>")


def key_is_credential(key: str) -> bool:
    """
    Return whether the words of a key say that its value is a credential.

    >>> [key_is_credential(key) for key in ("DB_PASSWORD", "apiKey", "PGPASSWORD", "SECRET_KEY_BASE", "PASSWORD_2")]
    [True, True, True, True, True]
    >>> [key_is_credential(key) for key in ("TOKEN_URL", "public_key", "max_tokens", "AWS_ACCESS_KEY_ID", "DB_HOST")]
    [False, False, False, False, False]
    """
    words = re.findall(r"[^\W_]+", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", key[:200]).lower())
    while len(words) > 1 and words[-1].isdigit():
        words.pop()
    if not words or words[-1] in _ABOUT:
        return False
    last, before = words[-1].rstrip("0123456789"), words[-2] if len(words) > 1 else ""
    if last in {"key", "keys"}:
        return before not in _KEY_BUT
    return last in _LAST or last.endswith(_ENDINGS) or bool(_STRONG.intersection(words))


def is_no_value(value: str) -> bool:
    """Return whether a value is none: empty, a switch, a variable's name, a placeholder in `<>`, or a reference to a secret."""
    bare = value.strip()
    return not bare or bare.lower() in _NO_VALUES or _VARIABLE.fullmatch(bare) is not None or is_reference(value)


def is_reference(value: str) -> bool:
    """Return whether a value has a reference to a secret in it, or the beginning of one."""
    return _REFERENCE.search(value) is not None


def value_is_credential(value: str) -> bool:
    """Return whether a value is a credential whatever its key is: a private key, an issued token, text with a password."""
    return (
        _PRIVATE_KEY.search(value) is not None
        or _ISSUED.fullmatch(value.strip()) is not None
        or _EMBEDDED.search(value) is not None
        or json_holds_credential(value)
    )


def json_holds_credential(value: str) -> bool:
    """Return whether a value is a JSON object in which a key is that of a credential, such as a service account's file."""
    if not value.lstrip().startswith("{"):
        return False
    try:
        return any(isinstance(item, str) and key_is_credential(key) for key, item in _items(json.loads(value)))
    except (ValueError, RecursionError):
        return False


def _items(tree: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(tree, dict):
        for key, item in tree.items():
            if not isinstance(item, str) or not is_no_value(item):
                yield key, item
            yield from _items(item)
    elif isinstance(tree, list):
        for item in tree:
            yield from _items(item)
