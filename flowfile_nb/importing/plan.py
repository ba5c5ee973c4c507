"""What would be imported: each credential with its name and what is stored already. Nothing is changed here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import Enum
from typing import NamedTuple

from flowfile_nb.core.names import require_value, suggest
from flowfile_nb.core.references import reference
from flowfile_nb.errors import DamagedSecretError, InvalidValueError, UsageError
from flowfile_nb.importing.credentials import is_no_value
from flowfile_nb.importing.fields import Field
from flowfile_nb.importing.naming import base_name, distinct
from flowfile_nb.importing.pieces import Piece, pieces_of, replaced, whole


class State(Enum):
    """What becomes of one item."""

    NEW = "credential: will be stored"
    REPLACE = "credential: replaces another stored value"
    SAME = "stored already, the same value"
    KEPT = "another value is stored under this name: kept"
    LEFT_OUT = "credential: not among the names you gave"
    PLAIN = "looks like a plain setting: skipped unless named"
    UNFIT = "no secret can have this value: skipped"


IMPORTED = {State.NEW, State.REPLACE, State.SAME}
"""After the import the store has exactly these values under these names."""


class Item(NamedTuple):
    """One credential, or one plain setting."""

    name: str
    field: Field
    piece: Piece
    state: State


class Choice(NamedTuple):
    """What the user asks for."""

    names: Sequence[str] = ()
    """Only these: names that secrets would get, or keys of the file."""
    everything: bool = False
    """Plain settings, too."""
    replace: bool = False
    prefix: str = ""


def make_plan(
    fields: Sequence[Field], choice: Choice, stored: Callable[[str], str | None], *, connections_are_named: bool = False
) -> list[Item]:
    """
    Return an item for each credential and each plain setting of *fields*, in their order.

    Args:
        fields: What was read.
        choice: What the user asks for.
        stored: Returns what the store has under a name, or None.
        connections_are_named: Whether a key at the top is the name of a connection, as in Airflow's files.

    Raises:
        UsageError: If a name that the user gave is not there.
    """
    found = [(field, piece, plain) for field in fields for piece, plain in _pieces(field, connections_are_named)]
    wanted = [(choice.prefix + base_name(field.path, piece.label), piece.secret) for field, piece, _ in found]
    items = []
    for (field, piece, plain), name in zip(found, distinct(wanted), strict=True):
        named = bool({name, field.path[-1], ".".join(field.path)}.intersection(choice.names))
        if choice.names and not named:
            state = State.PLAIN if plain else State.LEFT_OUT
        elif plain and not named and not choice.everything:
            state = State.PLAIN
        else:
            state = _state(name, piece.secret, stored, replace=choice.replace)
        items.append(Item(name, field, piece, state))
    _require_names(choice.names, items)
    return items


def imported_by_field(items: Sequence[Item]) -> dict[int, list[Item]]:
    """Return the items that are imported, by the `id` of their field."""
    found: dict[int, list[Item]] = {}
    for item in items:
        if item.state in IMPORTED:
            found.setdefault(id(item.field), []).append(item)
    return found


def with_references(text: str, items: Sequence[Item]) -> str:
    """Return the *text* of a field with a reference in place of each of the field's *items*."""
    return replaced(text, [(item.piece, reference(item.name)) for item in items])


def _pieces(field: Field, connections_are_named: bool) -> list[tuple[Piece, bool]]:
    key = field.path[-1]
    if key.startswith("FLOWFILE_SECRET_") and not is_no_value(field.value):
        return [(whole(field.value), False)]
    is_connection = "://" in field.value or field.value.lstrip().startswith("{")
    named_by_user = is_connection and (key.startswith("AIRFLOW_CONN_") or (connections_are_named and len(field.path) == 1))
    pieces = pieces_of(key, field.value, named_by_user=named_by_user)
    if pieces:
        return [(piece, False) for piece in pieces]
    return [] if is_no_value(field.value) and not field.value.strip().isalnum() else [(whole(field.value), True)]


def _state(name: str, value: str, stored: Callable[[str], str | None], *, replace: bool) -> State:
    try:
        require_value(value)
    except InvalidValueError:
        return State.UNFIT
    try:
        there = stored(name)
    except DamagedSecretError:
        there = ""
    if there is None:
        return State.NEW
    if there == value:
        return State.SAME
    return State.REPLACE if replace else State.KEPT


def _require_names(names: Sequence[str], items: Sequence[Item]) -> None:
    known = {key for item in items for key in (item.name, item.field.path[-1], ".".join(item.field.path))}
    for name in names:
        if name not in known:
            close = suggest(name, known)
            meant = f"did you mean {close!r}?  " if close else ""
            raise UsageError(f"nothing there is called {name!r}", hint=f"{meant}--dry-run  shows what there is")
