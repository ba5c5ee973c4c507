"""
What a caller may use, with its credential and where alone that may go.

One question: so it is about one state of the store, waits for it once in each use, and is the same for what is not there and
for what is not the caller's.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any, Literal, NamedTuple

from sqlalchemy import Connection, Integer, Select, bindparam, select, true

from flowfile_nb.broker.database import findable
from flowfile_nb.broker.directory import GROUPS_OF_CALLER, ID_OF_CALLER, asked_of, require_let_in
from flowfile_nb.broker.grants import granted_first, reach
from flowfile_nb.broker.model import Caller
from flowfile_nb.broker.tables import CONNECTION, bindings, secrets, users, uses


class Credential(NamedTuple):
    """A row of `secrets`, as far as it is needed to open it."""

    id: int
    user_id: int
    name: str
    encrypted_value: str


class Binding(NamedTuple):
    """A row of `nb_bindings`: where a credential may go."""

    id: int
    secret_id: int
    connection_id: int
    target: dict[str, Any]
    mac: str


class Usable(NamedTuple):
    """Something that a caller may use by one grant, or as his own."""

    kind: str
    """`SECRET` or `CONNECTION`."""
    id: int
    name: str
    body: str
    """Of a connection; empty of a secret."""
    owner_id: int
    owner: str
    grant_id: int | None
    """None of one's own."""
    access: str | None
    credential: Credential | None
    """Of a connection the one that is bound to it."""
    binding: Binding | None
    used_at: int | None
    """When the credential was last used, as the store has it, in seconds since 1970."""


def find_usable(
    connection: Connection, caller: Caller, kind: str, *, name: str | None = None, resource_id: int | None = None
) -> list[Usable] | None:
    """
    Return what a caller may use of a name, or by an id: one for each grant and binding, in the order of `grants.reachable`.

    Returns:
        None for a caller who was never here.

    Raises:
        NotAllowedError: If he was shut out.
    """
    asked = {**asked_of(caller), "which": resource_id if name is None else findable(name)}
    rows = connection.execute(_question(kind, "id" if name is None else "name"), asked).all()
    if not rows:
        return None
    require_let_in(caller, disabled=rows[0].disabled)
    return [_usable(row, kind) for row in rows if row.id is not None]


@cache
def _question(kind: str, by: Literal["name", "id"]) -> Select[Any]:
    """Return the statement. To put it together takes longer than to run it."""
    groups = select(GROUPS_OF_CALLER.c.group_id)
    which = bindparam("which", type_=Integer) if by == "id" else bindparam("which")
    found = reach(kind, ID_OF_CALLER, groups, lambda table: table.c[by] == which).subquery()
    is_bound = bindings.c.connection_id if kind == CONNECTION else bindings.c.secret_id
    return (
        select(
            users.c.disabled,
            *found.c,
            *(secrets.c[name].label(f"secret_{name}") for name in Credential._fields),
            *(bindings.c[name].label(f"binding_{name}") for name in Binding._fields),
            uses.c.used_at,
        )
        .select_from(users)
        .outerjoin(found, true())
        .outerjoin(bindings, is_bound == found.c.id)
        .outerjoin(secrets, secrets.c.id == (bindings.c.secret_id if kind == CONNECTION else found.c.id))
        .outerjoin(uses, uses.c.secret_id == secrets.c.id)
        .where(users.c.id == ID_OF_CALLER)
        .order_by(*granted_first(found.c, ID_OF_CALLER), bindings.c.id)
    )


def _usable(row: Any, kind: str) -> Usable:
    credential = None if row.secret_id is None else Credential(*_part(row, "secret", Credential._fields))
    binding = None if row.binding_id is None else Binding(*_part(row, "binding", Binding._fields))
    body = row.body if kind == CONNECTION else ""
    return Usable(kind, row.id, row.name, body, row.of, row.owner, row.grant_id, row.access, credential, binding, row.used_at)


def _part(row: Any, of: str, fields: Iterable[str]) -> Iterator[Any]:
    return (getattr(row, f"{of}_{name}") for name in fields)
