"""What a request may hold. Anything more, anything less and anything else is refused, and never quoted."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from flowfile_nb.errors import UsageError

MAX_BODY_BYTES = 2 * 1024 * 1024
NAME_CHARACTERS = 1024
_MAX_BRACKETS = 300_000
"""Of a body, wherever they stand. To understand more takes seconds, in which nobody else is answered."""


class Field(NamedTuple):
    """One field of a request."""

    kind: type | tuple[type, ...] = str
    required: bool = True
    default: Any = None
    among: tuple[str, ...] = ()
    """The only texts that are taken; any, if empty."""
    max_characters: int = NAME_CHARACTERS


Schema = Mapping[str, Field]

NAME = Field()
TEXT = Field(max_characters=MAX_BODY_BYTES)
WHAT = Field(among=("secret", "connection"))
ROLE = Field(among=("owner", "manager", "member"))
NAMED: Schema = {"name": NAME}
# It holds references and no values. Understanding it takes time that grows with the square of its length, and all wait for it.
DESCRIPTION = Field(max_characters=8 * 1024)
TARGET: Schema = {"connection": NAME._replace(required=False), "description": DESCRIPTION._replace(required=False)}


def fields_of(body: bytes, schema: Schema) -> dict[str, Any]:
    """
    Return the fields of a JSON body.

    Raises:
        UsageError: If it is no JSON object with these fields, each once, each of its type.
    """
    if body.count(b"[") + body.count(b"{") > _MAX_BRACKETS:
        raise UsageError(f"a request holds {_MAX_BRACKETS:,} brackets at most", hint="send it in parts")
    try:
        given = json.loads(body.decode("utf-8"), object_pairs_hook=_once, parse_constant=_refuse)
    except (ValueError, RecursionError):
        raise UsageError("the request's body is no JSON, or has a field twice") from None
    if not isinstance(given, dict):
        raise UsageError("the request's body is no JSON object")
    return require_fields(given, schema)


def require_fields(given: Mapping[str, Any], schema: Schema) -> dict[str, Any]:
    """Return what a schema takes, with the defaults of what was left out. Raises UsageError."""
    if set(given) - set(schema):
        # Not quoted: a value may have been sent as a name.
        raise UsageError(f"the request has a field that is not known; known: {', '.join(schema) or 'none'}")
    return {name: _checked(name, field, given) for name, field in schema.items()}


def require_one_target(fields: Mapping[str, Any]) -> None:
    """Let pass a connection's name or a description, not both. Raises UsageError."""
    if (fields["connection"] is None) == (fields["description"] is None):
        raise UsageError("the request names a connection, or describes one: one of both")


def _checked(name: str, field: Field, given: Mapping[str, Any]) -> Any:
    if name not in given:
        if field.required:
            raise UsageError(f"the request has no field {name!r}")
        return field.default
    item = given[name]
    kinds = field.kind if isinstance(field.kind, tuple) else (field.kind,)
    # By the very class: True is an int, too.
    if type(item) not in kinds:
        raise UsageError(f"the field {name!r} is of another type than it has to be")
    if isinstance(item, str):
        _require_text(name, item, field)
    return item


def _require_text(name: str, text: str, field: Field) -> None:
    if len(text) > field.max_characters:
        raise UsageError(f"the field {name!r} is longer than {field.max_characters:,} characters")
    if field.among and text not in field.among:
        raise UsageError(f"the field {name!r} is one of: {', '.join(field.among)}")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise UsageError(f"the field {name!r} holds half of a surrogate pair") from None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError
    return found


def _refuse(_: str) -> None:
    raise ValueError
