"""Credentials that stand in clear where people usually write them, and references where none can stand."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

from flowfile_nb.core.expression import expression
from flowfile_nb.core.references import StandIns, names_in, without_references
from flowfile_nb.errors import ConnectionSpecError, LiteralPasswordError

# The last word of a key that holds a credential: `password`, `sslpassword`, `aws_secret_access_key`, `apiKey`, `sas_token` …
_CREDENTIAL = expression(
    r"(?:password|passwd|passphrase|passcode|pwd)$"
    r"|(?:^|[_\W])(?:pass|pw|secret|token|apikey|api_?key|access_?key|secret_?key|account_?key|private_?key"
    r"|credentials?(?:_json|_base64)?|connection_?string|sig|signature)$",
    re.IGNORECASE,
)
_WORDS = expression(r"(?<=[a-z0-9])(?=[A-Z])")
_HEADER = expression(
    r"(?:authorization|cookie|(?:^|[-_])(?:(?:api|access|auth|subscription)-?key|token|secret))$", re.IGNORECASE
)
# What stands before a credential in a header, whatever that is called.
_SCHEME = expression(r"(?:basic|bearer)\s+\S+", re.IGNORECASE)
# A credential that people have in a file.
_IN_FILE = expression(r"(?:private_key|service_account_key|credentials(?:_json)?|key_pem)$")
_IN_URL = expression(r"(?:^|[._])connection_?string$", re.IGNORECASE)
# In an ODBC string, a DSN, a storage account's connection string, the query of a signed URL.
_EMBEDDED = expression(
    r"(?:^|[;&?\s'\"])(?:\w*password|passwd|pwd|accountkey|sharedaccesskey|sharedaccesssignature|sig)\s*=\s*(?P<value>\{(?:[^}]|\}\})*|[^;&\s]+)",
    re.IGNORECASE,
)
_PEM = expression(r"-----BEGIN [A-Z ]*PRIVATE KEY")
# From the first `:` to the last `@`, so that a password with an unescaped `@`, `/` or `?` is seen whole; a port is none.
_USER_INFO = expression(r"[^:]+://[^:/@?]*:(?!\d+(?:[/?]|$))(?P<password>.+)@", re.DOTALL)
_USER_ALONE = expression(r"https?://(?P<user>[^:/@?#]+):?@", re.IGNORECASE)
# Not of an address in brackets; of several hosts the first.
# What other magics and templates fill in.
_VARIABLE = expression(r"[$%]?\{\{?\s*[A-Za-z_][\w.]*\s*(?:![rsa])?(?::\w+)?\s*\}?\}|[$:][A-Za-z_]\w*|%\([A-Za-z_]\w*\)s")
_PORT = expression(r"[^:]+://[^:/@?\[]*:(?P<port>[^@/?,]+)(?:[/?,]|$)")
# Tables of an API's description.
_OF_API = {"headers", "params"}
_HOSTS = {"account", "bootstrap_servers", "host", "hostname", "server"}
# What people put round a reference, and no password is made longer by.
_AROUND = expression(r"[\s:'\"\u2018-\u201f\u2039\u203a<>(){}\[\]]+")
_BEFORE_HOST = expression(r"[^/@:\s]*:[^@]+@")


def is_credential(key: str) -> bool:
    """Return whether what stands under a key is a password, by the key's last word."""
    return _CREDENTIAL.search(_WORDS.sub("_", key)) is not None


def refuse_literals(parts: Mapping[str, Any], path: str = "", *, of_api: bool = False) -> None:
    """
    Let a description's parts pass only if no password stands in clear in them, however deep, and each reference is in a value.

    Args:
        parts: The parts.
        path: What stands before a key in an error: `connect_args.`
        of_api: Whether an API names the keys; then none is taken for a mistyped one.

    Raises:
        LiteralPasswordError: If one does, or may: under a key that is a password's with a typing mistake in it.
        ConnectionSpecError: If a key is a reference.
    """
    for key, item in parts.items():
        if names_in(str(key)):
            raise misplaced("a key")
        secret = is_credential(str(key)) or _HEADER.search(str(key)) is not None
        _refuse_literal(str(key), item, f"{path}{key}", secret=secret)
        if not secret and not of_api:
            _refuse_mistyped(str(key), item, path)
        elif not secret and path == "headers.":
            _refuse_in_header(str(key), item)


def refuse_literals_in_url(marked: StandIns) -> None:
    """
    Let a URL pass only if no password stands in clear in it, and each reference stands where a value can.

    Args:
        marked: The URL, with stand-ins.

    Raises:
        LiteralPasswordError: If one does.
        ConnectionSpecError: If what stands in the port's place is none, or a reference where no value can be.
    """
    _refuse_user_info(marked)
    # Behind the scheme's there is another colon.
    port = _PORT.match(marked.text) if marked.text.count(":") > 1 else None
    if port and not port["port"].isdigit() and marked.restore(port["port"]) == port["port"]:
        # A password may stand there, too, where the host was forgotten.
        raise ConnectionSpecError(
            "this is not a URL that a connection can be made of: what stands behind the host's `:` is no port",
            hint=example_of(marked.text),
        )
    _refuse_in_query(marked)


def misplaced(place: str) -> ConnectionSpecError:
    """Return the error for a reference in the place of a key, a type: where no value can stand."""
    return ConnectionSpecError(
        f"a reference to a secret stands in the place of {place}, which cannot hold one",
        hint="write that in clear, and the reference in the place of a value:  password = %secret NAME",
    )


def _refuse_mistyped(key: str, item: Any, path: str) -> None:
    is_literal = (isinstance(item, str) and item and not names_in(item)) or type(item) in {int, float}
    if not is_literal:
        return
    # Imported here, as below: a URL seldom has options, and what it has are seldom unusual keys.
    from flowfile_nb.connections.mistyped import meant_credential

    if (meant := meant_credential(key)) is not None:
        raise LiteralPasswordError(
            f"what stands under {path}{key} may be a password in clear, and no such key is known; nothing was opened",
            hint=f"did you mean {meant!r}?  Store the value:  %secret set my_pw   and write  {meant} = %secret my_pw",
        )


def _refuse_in_header(name: str, item: Any) -> None:
    """Refuse a credential in a header that is called otherwise than it should be, or by a name of the API's own."""
    if not isinstance(item, str) or names_in(item):
        return
    from flowfile_nb.connections.mistyped import is_authorization

    if is_authorization(name):
        raise LiteralPasswordError(
            f"what stands under headers.{name} may be a password in clear, and no such header is known; nothing was opened",
            hint="did you mean 'Authorization'?  Store the value:  %secret set my_pw   and write"
            '  Authorization = "Bearer %secret my_pw"',
        )
    if _SCHEME.fullmatch(item):
        raise _literal_password(f"headers.{name}")


def _refuse_literal(key: str, item: Any, path: str, *, secret: bool) -> None:
    if isinstance(item, Mapping):
        refuse_literals(item, f"{path}.", of_api=key in _OF_API)
    elif isinstance(item, (list, tuple)):
        for inner in item:
            _refuse_literal(key, inner, path, secret=secret)
    elif isinstance(item, str):
        if (secret and item and not names_in(item)) or _holds_password(key, item):
            raise _literal_password(path, item if "://" in item else "")
        if "://" in item:
            marked = StandIns(item)
            _refuse_user_info(marked)
            _refuse_in_query(marked)
    elif secret and isinstance(item, (int, float)) and not isinstance(item, bool):
        raise _literal_password(path)


def _holds_password(key: str, text: str) -> bool:
    """Return whether a text that is no password itself has one in it, beside references or not."""
    if _PEM.search(text):
        return True
    marked = StandIns(text)
    if any(not names_in(marked.restore(found["value"])) for found in _EMBEDDED.finditer(marked.text)):
        return True
    before = _BEFORE_HOST.match(marked.text) if key.lower() in _HOSTS else None
    return before is not None and not names_in(marked.restore(before[0]))


def _is_api(url: str) -> bool:
    return url[:8].lower().startswith(("http://", "https://"))


def _refuse_user_info(marked: StandIns) -> None:
    if "@" not in marked.text:
        return
    user_info = _USER_INFO.match(marked.text)
    password = marked.restore(user_info["password"]) if user_info else ""
    if password and not names_in(password):
        raise _literal_password("in the part before the @", password)
    if password and _AROUND.fullmatch(without_references(password)):
        raise ConnectionSpecError(
            "beside the reference stands more before the @, which would be a part of the password; nothing was opened",
            hint="write it alone, without blanks, quotes or brackets:  user:%secret NAME@host",
        )
    # Of an API, a user without a password is a token.
    alone = _USER_ALONE.match(marked.text) if _is_api(marked.text) else None
    if alone and not names_in(marked.restore(alone["user"])):
        raise _literal_password("in the part before the @")


def _refuse_in_query(marked: StandIns) -> None:
    query = parse_qsl(marked.text.partition("?")[2])
    if any(marked.restore(key) != key for key, _ in query):
        raise misplaced("an option's name")
    refuse_literals({key: marked.restore(item) for key, item in query}, "?", of_api=_is_api(marked.text))


def example_of(url: str) -> str:
    """Return a URL of the same kind that is one, to be read."""
    from flowfile_nb.connections.database_keys import port_of

    scheme = url.partition(":")[0].lower()
    if scheme in {"http", "https"}:
        return f"{scheme}://api.example.com:8443/v1   (the port is a number)"
    if scheme.partition("+")[0] in {"duckdb", "sqlite"}:
        return f"{scheme}:///C:/data/file.db   (three slashes before a path)"
    place = "host:22/path" if scheme in {"sftp", "ssh"} else f"host:{port_of(scheme)}/database"
    return f"{scheme}://user:%secret NAME@{place}   (the port is a number)"


def _literal_password(place: str, written: str = "") -> LiteralPasswordError:
    if _VARIABLE.fullmatch(written):
        return LiteralPasswordError(
            f"no variable is put into a connection{', which is no f-string' * ('{' in written)} ({place}); nothing was opened",
            hint="store what it holds:  %secret set my_pw   and write  %secret my_pw  in its place",
        )
    if _IN_URL.search(place) and "://" in written:
        return LiteralPasswordError(
            f"what stands in this connection ({place}) is a URL in clear, and may hold a password; nothing was opened",
            hint="leave only the URL, without the key and quotes, and with  %secret NAME  in the password's place",
        )
    if _IN_FILE.search(place):
        # What stands there may be the file's path, or its text.
        return LiteralPasswordError(
            f"what stands in this connection ({place}) is no reference; nothing was opened",
            hint="store the file:  %secret set my_key --file PATH   and write  %secret my_key  in its place",
        )
    return LiteralPasswordError(
        f"a password stands in clear in this connection ({place}); nothing was opened",
        hint="store it:  %secret set my_pw   and delete it from the cell, with  %secret my_pw  in its place",
    )
