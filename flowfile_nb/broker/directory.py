"""Who is who: users, groups, and in which groups a caller is. Plain questions to the store, no decisions beyond membership."""

from __future__ import annotations

from typing import Any, NamedTuple

from sqlalchemy import Connection, bindparam, func, null, select, true, union_all

from flowfile_nb.broker.database import findable, insert
from flowfile_nb.broker.model import Caller, Role
from flowfile_nb.broker.tables import groups, memberships, revocations, users
from flowfile_nb.core.names import require_name
from flowfile_nb.errors import NotAllowedError

MAX_NAME = 255

# Put together once: that takes longer than to run it, and each use needs it. What they are filled with is `asked_of` a caller.
ID_OF_CALLER = select(users.c.id).where(users.c.username == bindparam("caller")).scalar_subquery()
_REMOVED = select(revocations.c.group_id).where(revocations.c.user_id == ID_OF_CALLER)
_OF_THE_HUB = select(groups.c.id.label("group_id"), null().label("role")).where(
    groups.c.name.in_(bindparam("hub_groups", expanding=True)), groups.c.id.not_in(_REMOVED)
)
_OURS = select(memberships.c.group_id, memberships.c.role).where(memberships.c.user_id == ID_OF_CALLER)
GROUPS_OF_CALLER = union_all(_OURS, _OF_THE_HUB).subquery()
"""`group_id` and `role`, which is NULL where the Hub has him in the group. That counts, unless he was removed from it here."""
_WHO = (
    select(users.c.id, users.c.disabled, users.c.is_admin, GROUPS_OF_CALLER.c.group_id, GROUPS_OF_CALLER.c.role)
    .outerjoin(GROUPS_OF_CALLER, true())
    .where(users.c.username == bindparam("caller"))
)


class Who(NamedTuple):
    """A caller as the store knows him."""

    id: int
    name: str
    is_admin: bool
    groups: dict[int, Role]
    """By id, those of the Hub too."""
    vouched_by: str
    hub_groups: frozenset[str]


def find_who(connection: Connection, caller: Caller) -> Who | None:
    """
    Return what the store knows of a caller; None for one who was never here.

    Raises:
        NotAllowedError: If he was shut out.
    """
    rows = connection.execute(_WHO, asked_of(caller)).all()
    if not rows:
        return None
    user = rows[0]
    require_let_in(caller, disabled=user.disabled)
    is_admin = caller.is_admin or bool(user.is_admin)
    # Where the Hub has him in a group of ours, the role counts that he has here.
    roles: dict[int, Role] = {row.group_id: "member" for row in rows if row.group_id is not None}
    roles |= {row.group_id: row.role for row in rows if row.role is not None}
    return Who(user.id, caller.name, is_admin, roles, caller.vouched_by, caller.groups)


def asked_of(caller: Caller) -> dict[str, Any]:
    """Return what `ID_OF_CALLER` and `GROUPS_OF_CALLER` are filled with."""
    return {"caller": findable(caller.name), "hub_groups": sorted(map(findable, caller.groups))}


def require_let_in(caller: Caller, *, disabled: bool | None) -> None:
    """Raise NotAllowedError for a caller who was shut out."""
    if disabled:
        raise NotAllowedError(
            f"the user {caller.name!r} is shut out of the team's broker", hint="ask the broker's administrator"
        )


def make_user(connection: Connection, name: str) -> int:
    """
    Return the id of a user, who is made if there is none of that name.

    Raises:
        NotAllowedError: If nobody may be called that.
    """
    if len(name) > MAX_NAME or require_name(name) != name.strip():
        raise NotAllowedError(
            "a user's name is of another form", hint=f"up to {MAX_NAME} characters, none of them blank at an end"
        )
    new = {"username": name, "disabled": False, "is_admin": False, "must_change_password": False}
    connection.execute(insert(connection, users).values(new).on_conflict_do_nothing())
    return int(connection.execute(select(users.c.id).where(users.c.username == name)).scalar_one())


def user_named(connection: Connection, name: str) -> Any:
    """Return the row of a user, or None."""
    return connection.execute(select(users).where(users.c.username == findable(name))).one_or_none()


def group_named(connection: Connection, name: str) -> Any:
    """Return the row of a group, or None."""
    return connection.execute(select(groups).where(groups.c.name == findable(name))).one_or_none()


def owners(connection: Connection, group_id: int) -> int:
    """Return how many owners a group has."""
    counted = select(func.count()).where(memberships.c.group_id == group_id, memberships.c.role == "owner")
    return connection.execute(counted).scalar_one()
