"""What the description of an API may have meant: other names of its keys, and a line to copy for each way to authenticate."""

from __future__ import annotations

from collections.abc import Collection
from difflib import get_close_matches

_EXAMPLES = {
    "bearer": 'auth = "bearer",  token = %secret NAME',
    "basic": 'auth = "basic",  username = "me",  password = %secret NAME',
    "header": 'auth = "header",  header = "X-Api-Key",  token = %secret NAME',
    "query": 'auth = "query",  parameter = "api_key",  token = %secret NAME',
}
_OAUTH = 'token_url = "https://login.example.com/token",  client_id = "me",  client_secret = %secret NAME'
# What people write for what has another name here, with the lines that say it; a key alone is the name.
_OTHER_NAMES = {
    **dict.fromkeys(("bearer", "bearer_token", "access_token", "jwt", "pat"), _EXAMPLES["bearer"]),
    **dict.fromkeys(("api_key", "apikey", "key", "x_api_key", "header_name", "api_token"), _EXAMPLES["header"]),
    **dict.fromkeys(("query_key", "param", "query_param"), _EXAMPLES["query"]),
    **dict.fromkeys(("basic", "basic_auth"), _EXAMPLES["basic"]),
    **dict.fromkeys(("oauth", "oauth2", "secret"), _OAUTH),
    **dict.fromkeys(("user", "login", "user_name"), "username"),
    **dict.fromkeys(("pass", "pwd", "pw"), "password"),
    **dict.fromkeys(("ca", "ca_bundle", "ca_file", "cafile", "ssl_ca", "ssl_verify", "verify_ssl"), "verify"),
    **dict.fromkeys(("host", "uri", "endpoint", "address", "server", "base"), "url"),
    **dict.fromkeys(("client_cert", "certificate"), "cert"),
    **dict.fromkeys(("scopes",), "scope"),
    **dict.fromkeys(("ping", "test", "health_path", "test_url"), "test_path"),
}


def example_of(way: str) -> str:
    """Return what a description says for a way to authenticate."""
    return _EXAMPLES.get(way, _OAUTH)


def meant_by(key: str, known: Collection[str]) -> str:
    """
    Return what a key that is not known was probably meant for, to be read; empty if nothing is like it.

    Args:
        key: As it was written.
        known: The keys that there are.

    >>> meant_by("bearrer", ["header", "token"])
    '  auth = "bearer",  token = %secret NAME  '
    >>> meant_by("heaader", ["header", "token"])
    "'header'"
    """
    words = key.lower().replace("-", "_")
    near = get_close_matches(words, [*_OTHER_NAMES, *known], 1)
    said = _OTHER_NAMES.get(near[0], near[0]) if near else ""
    return f"  {said}  " if "=" in said else repr(said) if said else ""
