"""What the description of an HTTP API says, checked: where it leads, and how to authenticate."""

from __future__ import annotations

import re
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any, NamedTuple
from urllib.parse import SplitResult, unquote, urlsplit

from flowfile_nb.connections.access import TIMEOUT_S
from flowfile_nb.connections.keys import Key
from flowfile_nb.connections.spec import Spec, TableSpec, UrlSpec, read_spec, scheme_of
from flowfile_nb.core.expression import expression
from flowfile_nb.core.references import StandIns, names_in
from flowfile_nb.errors import ConnectionSpecError

_COMMON = {"type", "url", "base_url", "auth", "headers", "params", "test_path", "follow_redirects"}
_COMMON |= {"timeout", "verify", "cert", "cert_key"}
# What others may ask for, with whom it is shared; who has the value asks for anything.
_SHARED = ("methods", "paths")
_COMMON |= {*_SHARED}
_IN_CLEAR = {"auth", "cert", "cert_key", "client_auth", "header", "parameter", "test_path", "token_url", "verify", *_SHARED}
OAUTH = "oauth2_client_credentials"
# What each way to authenticate needs, and what else it takes.
_WAYS: dict[str, tuple[set[str], set[str]]] = {
    "none": (set(), set()),
    "bearer": ({"token"}, set()),
    "basic": ({"username", "password"}, set()),
    "header": ({"header", "token"}, set()),
    "query": ({"parameter", "token"}, set()),
    OAUTH: ({"token_url", "client_id", "client_secret"}, {"scope", "audience", "client_auth"}),
}
KEYS = (
    Key("url", "URL", required=True, example="https://api.example.com/v1"),
    Key("auth", "Authentication", choices=tuple(_WAYS)),
    Key("header", "Header", example="X-Api-Key", when=("auth", ("header",))),
    Key("parameter", example="api_key", when=("auth", ("query",))),
    Key("token", secret=True, when=("auth", ("bearer", "header", "query"))),
    Key("username", example="me", when=("auth", ("basic",))),
    Key("password", secret=True, when=("auth", ("basic",))),
    Key("token_url", "Token URL", example="https://login.example.com/token", when=("auth", (OAUTH,))),
    Key("client_id", "Client ID", when=("auth", (OAUTH,))),
    Key("client_secret", secret=True, when=("auth", (OAUTH,))),
    Key("scope", example="read", when=("auth", (OAUTH,))),
    Key("test_path", "Path for a test", example="me"),
    *(Key(name, in_form=False) for name in ("headers", "params", "timeout", "verify", "cert", "cert_key", "follow_redirects")),
    *(Key(name, in_form=False) for name in _SHARED),
)
"""What a description usually has, for completion and forms."""
# What people call a key here, with the way to authenticate that they mean; and with the key.
_WAYS_ELSEWHERE = {
    **dict.fromkeys(("access_token", "authorization", "bearer_token", "jwt", "pat"), "bearer"),
    **dict.fromkeys(("api_key", "api_token", "apikey", "header_name", "key", "x_api_key"), "header"),
    **dict.fromkeys(("oauth", "oauth2", "secret"), OAUTH),
}
_WAYS_CALLED = {**dict.fromkeys(("jwt", "token"), "bearer"), **dict.fromkeys(("api_key", "apikey"), "header")}
_WAYS_CALLED |= {**dict.fromkeys(("oauth", "oauth2"), OAUTH), **dict.fromkeys(("password", "login"), "basic")}
_KEYS_ELSEWHERE = {
    **dict.fromkeys(("login", "user", "user_name"), "username"),
    **dict.fromkeys(("pass", "pw", "pwd"), "password"),
    **dict.fromkeys(("address", "endpoint", "host", "server", "uri"), "url"),
    **dict.fromkeys(("ca", "ca_bundle", "ca_file", "ssl_ca", "ssl_verify", "verify_ssl"), "verify"),
    **dict.fromkeys(("certificate", "client_cert"), "cert"),
}
_HEADER_NAME = expression(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
# How those are written that are no text.
_WRITTEN = {
    "follow_redirects": "follow_redirects = true   (without quotes)",
    "headers": '[headers]   and in the line below it  X-Team = "sales"',
    "params": '[params]   and in the line below it  page_size = "100"',
    "timeout": "timeout = 30   (seconds, without quotes)",
    "verify": 'verify = false   (without quotes)   or  verify = "/path/to/ca.pem"',
}
EXAMPLE = 'type = "https"   url = "https://api.example.com/v1"   auth = "bearer"   token = %secret NAME'


class Api(NamedTuple):
    """A description, understood: where it leads, and what its client is made with."""

    url: SplitResult
    """With a stand-in for each reference."""
    marked: StandIns
    parts: Mapping[str, Any]

    def text(self, part: str | None) -> str:
        """Return a part of the URL with its references."""
        return self.marked.restore(unquote(part or ""))


def described(spec: Spec) -> Api:
    """Return what a description says, checked. Raises ConnectionSpecError."""
    parts: Mapping[str, Any] = spec.parts if isinstance(spec, TableSpec) else {}
    if isinstance(spec, UrlSpec):
        marked = spec.marked
    else:
        _check_keys(parts)
        _check_headers(parts)
        text = parts.get("url", parts.get("base_url", ""))
        marked = StandIns(text)
        if "://" in text:
            # As if it stood alone: a password in it is refused.
            read_spec(text)
    try:
        url = urlsplit(marked.text)
        port, host = url.port, url.hostname
    except ValueError:
        port, host, url = None, None, urlsplit("")
    if host is None and re.match(r"https?://", marked.text):
        raise ConnectionSpecError(
            "the url has a port that is none, or a host that is none",
            hint=f'url = "{scheme_of(spec)}://api.example.com:8443/v1"   (a port is a number up to 65535)',
        )
    if host and (url.scheme, scheme_of(spec)) == ("http", "https"):
        raise ConnectionSpecError(
            "the url begins with http://, and the type is https: what is attached would go unencrypted",
            hint='url = "https://…"   or, where the network is safe,  type = "http"',
        )
    if url.scheme not in {"http", "https"} or not host:
        raise ConnectionSpecError(
            f"the url is not the address of an API of type {scheme_of(spec)!r}",
            hint=f'url = "{scheme_of(spec)}://api.example.com/v1"',
        )
    if marked.restore(host) != host or port == 0:
        # A host that only a secret knows could be anybody's; values go where the description says.
        raise ConnectionSpecError(
            "a reference stands in the host of the URL, which is no place for one", hint="write the host; the path may hold one"
        )
    if url.username is not None and way_of(parts) != "none":
        raise ConnectionSpecError(
            "the url has a user, and the description another way to authenticate",
            hint=f"one of them:  {example_of(way_of(parts))}",
        )
    return Api(url, marked, parts)


def _check_keys(parts: Mapping[str, Any]) -> None:
    way = way_of(parts)
    needed, other = _WAYS[way]
    known = _COMMON | needed | other
    for key in parts:
        if key not in known:
            raise ConnectionSpecError(f"an API with auth = {way!r} has no key {key!r}", hint=_meant(key, way, known))
    if isinstance(parts.get("header"), Mapping):
        raise ConnectionSpecError("'header' is the name of one header, and no table", hint="did you mean [headers]?")
    if ("url" in parts) == ("base_url" in parts):
        raise ConnectionSpecError("an API is described by one url", hint=EXAMPLE)
    if missing := sorted(needed - parts.keys()):
        raise ConnectionSpecError(f"auth = {way!r} needs {', '.join(missing)}", hint=example_of(way))
    kinds: dict[str, type | tuple[type, ...]] = dict.fromkeys(known, str)
    kinds |= {"timeout": (int, float), "verify": (bool, str), "follow_redirects": bool, "headers": Mapping, "params": Mapping}
    kinds |= dict.fromkeys(_SHARED, (str, list))
    timeout: Any = parts.get("timeout", TIMEOUT_S)
    for key, item in parts.items():
        is_word = key == "verify" and str(item).lower() in {"true", "false"} and isinstance(item, str)
        if not isinstance(item, kinds[key]) or is_word or (key == "timeout" and (timeout is True or timeout <= 0)):
            raise ConnectionSpecError(f"the value of {key!r} is of the wrong kind", hint=_WRITTEN.get(key, EXAMPLE))
        if key in _IN_CLEAR and names_in(str(item)):
            raise ConnectionSpecError(f"a reference stands in {key!r}, which is no place for one", hint=f"write {key} in clear")


def _check_headers(parts: Mapping[str, Any]) -> None:
    """Let headers pass that HTTP can carry. A value is not repeated."""
    if "header" in parts:
        _require_header_name(parts["header"], 'header = "{name}"')
    for name, value in parts.get("headers", {}).items():
        _require_header_name(name, '{name} = "…"')
        text = "" if names_in(str(value)) else str(value)
        if not text.isascii() or not text.isprintable():
            raise ConnectionSpecError(
                f"the value of the header {name!r} is no text that HTTP carries: ASCII, on one line",
                hint="write it without accents and line breaks, or as the API's page says that it encodes them",
            )


def _require_header_name(name: str, written: str) -> None:
    """Let a header's name pass that HTTP can carry; with another, no request would be sent."""
    if not _HEADER_NAME.fullmatch(name):
        plain = name.strip(": \t")
        raise ConnectionSpecError(
            "a header's name is a word of letters, digits and hyphens, without a colon or blanks",
            hint=written.format(name=plain if _HEADER_NAME.fullmatch(plain) else "X-Team"),
        )


def _meant(key: str, way: str, known: set[str]) -> str:
    """Return what a key that is not known may have meant: another key, or a way to authenticate."""
    keys = _COMMON.union(*(needs | takes for needs, takes in _WAYS.values()))
    if (other := next((other for other, (needs, takes) in _WAYS.items() if key in needs | takes), None)) is not None:
        if way == "none":
            return f"with it stand  {example_of(other)}   (each on a line of its own)"
        return f"authenticate in one way:  {example_of(way)}   or  {example_of(other)}   (each on a line of its own)"
    others = [*_KEYS_ELSEWHERE, *_WAYS_ELSEWHERE, *(_WAYS.keys() - {"none"})]
    near = next(iter(get_close_matches(key.lower().replace("-", "_"), sorted(keys.union(others)), 1)), None)
    if near is None:
        return f"its keys are {', '.join(sorted(known))}"
    if (its := _KEYS_ELSEWHERE.get(near, near)) in keys:
        return f"did you mean {its!r}?"
    return f"did you mean  {example_of(_WAYS_ELSEWHERE.get(near, near))}   (each on a line of its own)?"


def way_of(parts: Mapping[str, Any]) -> str:
    """Return how to authenticate: as `auth` says, or as the keys tell."""
    said = parts.get("auth")
    if said is None:
        told = {"token_url": OAUTH, "parameter": "query", "header": "header", "token": "bearer", "username": "basic"}
        return next((way for key, way in told.items() if key in parts), "none")
    if isinstance(said, str) and said in _WAYS:
        return said
    words = str(said).lower().split()
    near = get_close_matches(words[0] if words else "", [*_WAYS, *_WAYS_CALLED], 1)
    raise ConnectionSpecError(
        "the value of 'auth' is no way to authenticate that is known",
        hint=f"did you mean  {example_of(_WAYS_CALLED.get(near[0], near[0]))}   (each on a line of its own)?"
        if near
        else f"known are {', '.join(sorted(_WAYS))}",
    )


def example_of(way: str) -> str:
    """Return the keys of a way to authenticate, as they are written."""
    lines = {
        "bearer": 'auth = "bearer"   token = %secret NAME',
        "basic": 'auth = "basic"   username = "me"   password = %secret NAME',
        "header": 'auth = "header"   header = "X-Api-Key"   token = %secret NAME',
        "query": 'auth = "query"   parameter = "api_key"   token = %secret NAME',
    }
    return lines.get(way, 'token_url = "https://login.example.com/token"   client_id = "me"   client_secret = %secret NAME')
