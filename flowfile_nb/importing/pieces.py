"""The credentials in one value: the whole of it, or the password in a URL, whose rest is no secret."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple
from urllib.parse import unquote, unquote_plus

from flowfile_nb.importing.credentials import is_no_value, json_holds_credential, key_is_credential, value_is_credential
from flowfile_nb.importing.fields import SyntaxAtError
from flowfile_nb.importing.json_file import read_json

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+._-]*://")
_PORT = re.compile(r"[^:]*:\d*")
_AUTHORITY_END = re.compile(r"[/?#]")


class Piece(NamedTuple):
    """One credential in a value."""

    start: int
    stop: int
    secret: str
    """The credential itself, decoded: what a driver would be given."""
    label: str
    """What it is in the value: `password`, a parameter's name; empty if it is the whole value."""


def whole(value: str) -> Piece:
    """Return all of a value as one piece."""
    return Piece(0, len(value), value, "")


def replaced(value: str, texts: Sequence[tuple[Piece, str]]) -> str:
    """Return *value* with each piece replaced by its text; the pieces are in order."""
    done, end = [], 0
    for piece, text in texts:
        done += [value[end : piece.start], text]
        end = piece.stop
    return "".join([*done, value[end:]])


def pieces_of(key: str, value: str, *, named_by_user: bool = False) -> list[Piece]:
    """
    Return the credentials in a value, in order; none if it is a plain setting.

    Args:
        key: The last part of the field's key.
        value: The value.
        named_by_user: Whether the key is a name that somebody gave a connection, which says nothing about the value.
    """
    if is_no_value(value):
        return []
    if not named_by_user and key_is_credential(key):
        return [whole(value)]
    if value_is_credential(value) and not _is_airflow_object(value):
        # A DSN, a connection string; a URL can be told apart further.
        return _of_url(value) or [whole(value)]
    if _is_airflow_object(value):
        return _of_object(value)
    return _of_url(value)


def _of_url(value: str) -> list[Piece]:
    scheme = _SCHEME.match(value)
    if scheme is None or "\n" in value:
        return []
    start = scheme.end()
    end = _AUTHORITY_END.search(value, start)
    stop = end.start() if end else len(value)
    authority = value[start:stop]
    at = authority.rfind("@")
    if "@" in value[stop:] and (at >= 0 or (":" in authority and not _PORT.fullmatch(authority))):
        # A password with a bare `/`, `?`, `#` or `@`: programs differ in where it ends, so no part of it may stay.
        return [whole(value)]
    try:
        found = [*_of_user_info(authority[: max(at, 0)], start), *_of_query(value, stop)]
    except UnicodeDecodeError:
        return [whole(value)]
    return [whole(value)] if value_is_credential(replaced(value, [(piece, "") for piece in found])) else found


def _of_user_info(text: str, start: int) -> list[Piece]:
    user, colon, password = text.partition(":")
    if colon and not is_no_value(password):
        return [Piece(start + len(user) + 1, start + len(text), unquote(password, errors="strict"), "password")]
    if user and value_is_credential(unquote(user)):
        return [Piece(start, start + len(user), unquote(user, errors="strict"), "user")]
    return []


def _of_query(value: str, start: int) -> list[Piece]:
    found = []
    question = value.find("?", start)
    end = value.find("#", start)
    at = question + 1
    for part in value[at : end if end >= 0 else None].split("&") if question >= 0 and (end < 0 or question < end) else ():
        key, equals, encoded = part.partition("=")
        secret = unquote_plus(encoded, errors="strict")
        name = unquote_plus(key)
        if equals and not is_no_value(secret) and (key_is_credential(name) or value_is_credential(secret)):
            found.append(Piece(at + len(key) + 1, at + len(part), secret, name.strip("_")))
        at += len(part) + 1
    return found


def _is_airflow_object(value: str) -> bool:
    return value.lstrip().startswith("{") and '"conn_type"' in value


def _of_object(value: str) -> list[Piece]:
    """Return the credentials of an Airflow connection that is one JSON text."""
    try:
        fields = read_json(value).fields
    except (SyntaxAtError, RecursionError):
        return [whole(value)]
    found = []
    for field in fields:
        secret = not is_no_value(field.value) and (
            key_is_credential(field.path[-1]) or value_is_credential(field.value) or json_holds_credential(field.value)
        )
        if secret and field.place is not None:
            found.append(Piece(field.place.start, field.place.stop, field.value, field.path[-1]))
        elif secret:
            return [whole(value)]
    return found
