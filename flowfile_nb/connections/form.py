"""A definition as the fields of a form, and back: the text that a `%%connect` cell has below its first line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from flowfile_nb.connections.definition import Definition
from flowfile_nb.connections.families import declared_keys
from flowfile_nb.connections.keys import Key
from flowfile_nb.connections.spec import TableSpec, read_spec, read_toml
from flowfile_nb.connections.toml_text import toml_text
from flowfile_nb.core.names import quoted
from flowfile_nb.core.references import names_in, reference
from flowfile_nb.errors import ConnectionSpecError, FlowfileNbError


class Fields(NamedTuple):
    """What is filled in. Only one of a key's value and its secret counts: which one, its kind says."""

    kind: str
    values: Mapping[str, str]
    secrets: Mapping[str, str]
    """By key, the name of the secret that it gets."""
    more: str
    """What no field is for, as TOML."""


def fields_of(definition: Definition) -> Fields | None:
    """Return a definition as fields; None where only its text says all of it: a URL, a comment, what is not understood."""
    if isinstance(definition.description, str) and "#" in definition.description:
        return None
    try:
        spec = read_spec(definition.description)
    except (FlowfileNbError, TypeError, ValueError, AttributeError):
        return None
    if not isinstance(spec, TableSpec):
        return None
    rest = dict(spec.parts)
    kind = rest.pop("type")
    values: dict[str, str] = {}
    secrets: dict[str, str] = {}
    for key in _in_form(kind):
        item = rest.get(key.name)
        if key.secret and isinstance(item, str) and (name := _whole_reference(item)) is not None:
            secrets[key.name] = name
        elif isinstance(item, int if key.number else str) and not key.secret and item is not True and "\n" not in str(item):
            values[key.name] = str(item)
        else:
            # What a field could not hold stays as it is, as text.
            continue
        del rest[key.name]
    return Fields(kind, values, secrets, toml_text(rest).rstrip("\n"))


def body_of(fields: Fields) -> str:
    """
    Return the text of a definition, checked as a cell's is.

    Raises:
        ConnectionSpecError: If something is missing, or the TOML cannot be understood.
        LiteralPasswordError: If a password stands in it in clear.
    """
    lines = [toml_text({"type": fields.kind}).rstrip("\n")]
    for key in _in_form(fields.kind):
        if name := fields.secrets.get(key.name, "") if key.secret else "":
            lines.append(f"{key.name} = %secret {quoted(name)}")
        elif value := "" if key.secret else fields.values.get(key.name, "").strip():
            lines.append(toml_text({key.name: _number(key, value) if key.number else value}).rstrip("\n"))
    more = fields.more.strip()
    # For itself, so that an error says where it is in the text that was typed.
    there = read_toml(more) if more else {}
    body = "\n".join([*lines, more] if more else lines)
    read_spec(body)
    for key in _in_form(fields.kind):
        filled = fields.secrets.get(key.name) if key.secret else fields.values.get(key.name, "").strip()
        if key.required and not filled and key.name not in there:
            raise ConnectionSpecError(
                f"{key.label} is missing", hint=f"for example  {key.example}" if key.example else "fill it in"
            )
    return body


def _in_form(kind: str) -> list[Key]:
    return [key for key in declared_keys(kind) if key.in_form]


def _whole_reference(item: str) -> str | None:
    names = names_in(item)
    return names[0] if len(names) == 1 and item == reference(names[0]) else None


def _number(key: Key, value: str) -> Any:
    if not (value.isascii() and value.isdigit()):
        raise ConnectionSpecError(f"{key.label} is not a number", hint=f"for example  {key.example or 5432}")
    return int(value)
