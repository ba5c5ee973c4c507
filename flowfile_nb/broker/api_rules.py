"""
What a member may ask of an HTTP API: pure rules, held by the front before a session is touched.

A path is compared as it is written, never decoded: what a server could read as another path is refused, as is a header that the
owner of the API has not to expect from a stranger.
"""

from __future__ import annotations

import base64
import binascii
import re
import unicodedata
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, unquote, unquote_to_bytes

from flowfile_nb.broker.api_names import OVERRIDES, names_in, overrides_method, readings
from flowfile_nb.broker.model import Access, Target
from flowfile_nb.broker.storage.names import has_dots
from flowfile_nb.errors import LimitError, NotAllowedError, UsageError

READING = ("GET", "HEAD")
"""What a share to read may do, and what an owner allows who says nothing."""
METHODS = (*READING, "OPTIONS", "POST", "PUT", "PATCH", "DELETE")
"""What may be allowed. TRACE answers with the request, the credential included; CONNECT leads elsewhere."""
_KEY = "the key is taken out of answers, unless the API tells it in a way of its own or at a path that shows or makes keys"
GUARANTEES: Mapping[Access, str] = {
    "read": f"GET and HEAD to the host and paths that its owner fixed; {_KEY}",
    "write": "by the methods that its owner listed, all that the API's key may do at the paths that he fixed; that nobody makes"
    " or changes keys by that is not promised",
}
MAX_BODY_BYTES = 1024 * 1024
MAX_TEXT = 8 * 1024
_MAX_HEADERS = 64
TOLD_PATH = 300
"""Characters of a path in the audit."""
_TOLD_NAMES = 20

_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_PATH = re.compile(r"/(?:[A-Za-z0-9._~!$&'()*+,;=:@/-]|%[0-9A-Fa-f]{2})*")
# A dot, a backslash, a per cent sign, a semicolon or a control character in disguise: who decodes it, or does so twice, reads
# another path.
_DISGUISED = re.compile(r"%(?:2[5eE]|3[bB]|5[cC]|[01][0-9A-Fa-f]|7[fF])")
# A slash within a name, as in GitLab's `projects/group%2Fname`. Servers that take it for any other slash read a path that lies
# below the same ones: those are compared with the slashes that are none but slashes.
_SLASH_OF_NAME = re.compile("%2F", re.IGNORECASE)
# What some servers take for a slash, by the table with which their system writes a text in fewer characters.
_NEARLY_SLASHES = re.compile("[\u2044\u2215\u2216\u29f5\u29f8\u29f9]")
_QUERY = re.compile(r"(?:[!$&-;=?-\[\]_a-z~|{}^`-]|%[0-9A-Fa-f]{2})*")
_VALUE = re.compile(r"[\t -~]*")
# Neither who asks, nor for whom, nor how the connection is used, nor a part of an answer: an echo that comes in two parts holds
# the credential in neither.
_HEADERS = {
    *("accept", "accept-language", "cache-control", "content-language", "content-type", "idempotency-key", "if-match"),
    *("if-modified-since", "if-none-match", "if-unmodified-since", "prefer", "user-agent", "x-correlation-id", "x-request-id"),
    *("consistencylevel", "odata-maxversion", "odata-version"),
}


def permitted(target: Target, access: Access, fields: Mapping[str, Any]) -> dict[str, Any]:
    """
    Return what is sent to the API, of what a member asks.

    Args:
        target: As the owner fixed it.
        access: Of the share.
        fields: `method`, `path` and `query` as they go onto the wire, `headers` as pairs, `body` in base64, `timeout_s`.

    Raises:
        NotAllowedError: If the owner does not allow that.
        UsageError, LimitError: If it is no request.
    """
    path, query = require_path(fields["path"]), fields["query"]
    if (fields["timeout_s"] or 0) < 0:
        raise UsageError("a request waits no time below zero", hint="timeout=10")
    _require_method(target, access, fields["method"])
    _require_below(target, path)
    _require_query(target, query)
    headers = [_header(target, one) for one in _pairs(fields["headers"])]
    body = _body(fields["body"])
    _require_no_body(fields["method"], body)
    _require_no_override(headers, body)
    return {
        "method": fields["method"],
        "path": path,
        "query": query,
        "headers": headers,
        "body": fields["body"],
        "timeout_s": fields["timeout_s"],
    }


def require_path(path: str) -> str:
    """
    Return a path that every server reads as the same, or, if there is an escaped slash in it, as one below the same paths.

    Raises:
        NotAllowedError: For any other.
    """
    segments = _SLASH_OF_NAME.sub("/", path).split("/")[1:]
    if (
        len(path) > MAX_TEXT
        or not _PATH.fullmatch(path)
        or _DISGUISED.search(path)
        or has_dots(unquote(path))
        # An empty one between two slashes: some servers leave it out, and for some it begins the name of a host.
        or "" in segments[:-1]
        or not _is_plain(path)
    ):
        raise NotAllowedError(
            "the broker sends no path with  ..  or  //  in it, also escaped, or with an escaped  .  \\  ;  or  %",
            hint="write the path as the API's documentation has it",
        )
    return path


def _is_plain(path: str) -> bool:
    """Return whether what is escaped is UTF-8, and holds no sign that some server takes for a dot or a slash."""
    try:
        text = unquote_to_bytes(path).decode("utf-8")
    except UnicodeDecodeError:
        return False
    alike = unicodedata.normalize("NFKC", text)
    return all(alike.count(sign) == text.count(sign) for sign in "./\\%;") and not _NEARLY_SLASHES.search(alike)


def untried(target: Target) -> str:
    """Return what is not known of an API after a check; empty if it has asked for the path that its owner named for that."""
    if "test_path" in target.options:
        return ""
    return f"no test_path: {'the token was given, and' if 'token_url' in target.options else 'the key was'} not tried"


def is_token(text: str) -> bool:
    """Return whether a text may be a header's name."""
    return _TOKEN.fullmatch(text) is not None


def told(asked: Mapping[str, Any]) -> str:
    """Return a request for the audit: method, path, names of parameters, size of the body. No value of a parameter."""
    names = list(dict.fromkeys(name for name, _ in parse_qsl(asked["query"], keep_blank_values=True)))
    path = asked["path"] if len(asked["path"]) <= TOLD_PATH else f"{asked['path'][:TOLD_PATH]}…"
    more = ["…"] if len(names) > _TOLD_NAMES else []
    query = "&".join([*(name[:_TOLD_NAMES] for name in names[:_TOLD_NAMES]), *more])
    size = len(_body(asked["body"]))
    return f"{asked['method']} {path}{'?' if query else ''}{query}{f' ({size:,} bytes)' if size else ''}"


def _require_method(target: Target, access: Access, method: str) -> None:
    allowed = target.options["methods"].split()
    if access == "read":
        allowed = [one for one in allowed if one in READING]
    if method not in METHODS:
        raise NotAllowedError("the broker sends no request by that method", hint=f"here are allowed: {', '.join(allowed)}")
    if method not in allowed:
        more = (
            "" if method in target.options["methods"].split() else f'  methods = ["GET", "{method}"]  in its description, and'
        )
        raise NotAllowedError(
            f"{method} is not allowed through this share; allowed: {', '.join(allowed) or 'nothing'}",
            hint=f"its owner may allow it:{more}  a share with --write",
        )


def _require_below(target: Target, path: str) -> None:
    for prefix in target.options["paths"]:
        if path == prefix or path.startswith(f"{prefix.rstrip('/')}/"):
            return
    raise NotAllowedError(
        "this path is not one that its owner has fixed", hint=f"there are: {', '.join(target.options['paths'])}"
    )


def _require_query(target: Target, query: str) -> None:
    if len(query) > MAX_TEXT or not _QUERY.fullmatch(query):
        raise UsageError("the query is too long, or not as it goes onto the wire", hint="client.get(path, params={…})")
    attached = [target.options.get("parameter", ""), *target.options.get("params", {})]
    names = names_in(query)
    if names & {reading for name in attached if name for reading in readings(name)}:
        raise NotAllowedError("the query has a parameter that the broker attaches", hint="leave it out")
    if names & OVERRIDES:
        raise _override()


def _pairs(given: Any) -> list[tuple[str, str]]:
    if len(given) > _MAX_HEADERS:
        raise LimitError(f"a request has {_MAX_HEADERS} headers at most", hint="leave some out")
    found = []
    for pair in given:
        if not isinstance(pair, list) or len(pair) != 2 or not all(isinstance(one, str) for one in pair):
            raise UsageError("headers are pairs of texts")
        found.append((pair[0], pair[1]))
    if sum(len(name) + len(value) for name, value in found) > MAX_TEXT:
        raise LimitError(f"the headers of a request hold {MAX_TEXT:,} characters at most", hint="leave some out")
    return found


def _header(target: Target, pair: tuple[str, str]) -> tuple[str, str]:
    name, value = pair
    if not is_token(name) or not _VALUE.fullmatch(value):
        raise NotAllowedError("a header's name or value holds a character that none may", hint="printable ASCII")
    fixed = {str(target.options.get("header", "")).lower(), *(known.lower() for known in target.options.get("headers", {}))}
    if name.lower() in fixed or name.lower() not in _HEADERS:
        raise NotAllowedError(
            f"the header {name[:60]!r} is not taken from a member",
            hint=f'its owner may fix it for all, in the description:  headers = {{ {name[:60]} = "…" }}',
        )
    return name, value


def _body(text: str) -> bytes:
    try:
        body = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise UsageError("the body is no base64") from None
    if len(body) > MAX_BODY_BYTES:
        raise LimitError(
            f"the body of a request through the broker holds {MAX_BODY_BYTES:,} bytes at most", hint="send it in parts"
        )
    return body


def _require_no_body(method: str, body: bytes) -> None:
    if body and method in READING:
        # Who does not expect one reads it as the next request.
        raise NotAllowedError(f"a {method} request has no body through the broker", hint="ask by its query")


def _require_no_override(headers: list[tuple[str, str]], body: bytes) -> None:
    if overrides_method([value for name, value in headers if name.lower() == "content-type"], body):
        raise _override()


def _override() -> NotAllowedError:
    return NotAllowedError("the request would have itself taken for one by another method", hint="leave out what overrides it")
