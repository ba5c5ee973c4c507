"""What a caller may use, by ownership or by a grant to a group of his. One query each, whatever it finds."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache
from typing import Any

from sqlalchemy import Connection, Integer, Select, Table, and_, bindparam, case, delete, select

from flowfile_nb.broker.database import findable, insert
from flowfile_nb.broker.directory import Who
from flowfile_nb.broker.model import Access
from flowfile_nb.broker.removals import keep_removals
from flowfile_nb.broker.shown import ShareInfo
from flowfile_nb.broker.tables import (
    CONNECTION,
    SECRET,
    bindings,
    connections,
    grant_access,
    grants,
    groups,
    memberships,
    revocations,
    secrets,
    users,
)

_TABLES: dict[str, tuple[Table, Any]] = {
    SECRET: (secrets, secrets.c.user_id),
    CONNECTION: (connections, connections.c.owner_id),
}


def reachable(connection: Connection, who: Who, kind: str, name: str | None = None) -> list[Any]:
    """
    Return what a caller may use: own first, then by id; for each grant of a group of his one row, the widest first.

    Args:
        connection: A transaction of the store.
        who: The caller.
        kind: `SECRET` or `CONNECTION`.
        name: Of what; everything if not given.

    Returns:
        Rows of the table, with `owner_id`, `owner`, `grant_id`, `permission`, `access`, `granted_by` and `group_name`; these
        last are None for one's own.
    """
    asked: dict[str, Any] = {"who": who.id, "groups": sorted(who.groups)}
    if name is not None:
        asked["name"] = findable(name)
    return list(connection.execute(_reachable(kind, named=name is not None), asked))


@cache
def _reachable(kind: str, *, named: bool) -> Select[Any]:
    """Return the statement of `reachable`. To put it together takes longer than to run it."""
    who: Any = bindparam("who", type_=Integer)
    in_groups: Any = bindparam("groups", expanding=True)
    query = reach(kind, who, in_groups, (lambda table: table.c.name == bindparam("name")) if named else None)
    return query.order_by(*granted_first(query.selected_columns, who))


def reach(kind: str, who: Any, in_groups: Any, which: Callable[[Table], Any] | None = None) -> Select[Any]:
    """
    Return the question for what somebody may use, in no order.

    Args:
        kind: `SECRET` or `CONNECTION`.
        who: His id, in SQL.
        in_groups: The ids of his groups, in SQL.
        which: Returns what holds for those rows of the table that are asked for; all, if not given.
    """
    table, owner = _TABLES[kind]
    granters = users.alias("granters")
    granted = and_(
        grants.c.resource_type == kind,
        grants.c.resource_id == table.c.id,
        grants.c.group_id.in_(in_groups),
        owner != who,
    )
    query = (
        select(
            table,
            owner.label("of"),
            users.c.username.label("owner"),
            grants.c.id.label("grant_id"),
            grants.c.permission,
            grant_access.c.access,
            granters.c.username.label("granted_by"),
            groups.c.name.label("group_name"),
        )
        .join(users, users.c.id == owner)
        .outerjoin(grants, granted)
        .outerjoin(grant_access, grant_access.c.grant_id == grants.c.id)
        .outerjoin(groups, groups.c.id == grants.c.group_id)
        .outerjoin(granters, granters.c.id == grants.c.granted_by)
        .where((owner == who) | grants.c.id.is_not(None))
    )
    return query if which is None else query.where(which(table))


def granted_first(found: Any, who: Any) -> list[Any]:
    """Return the order of what `reach` finds: own first, then by id; of one's grants the widest first."""
    return [
        case((found.of == who, 0), else_=1),
        found.id,
        case((found.access == "write", 0), else_=1),
        case((found.permission == "manage", 0), else_=1),
        found.grant_id,
    ]


def access_of(row: Any) -> Access:
    """Return what a row of `reachable` allows at the target."""
    return "write" if row.grant_id is None or row.access == "write" else "read"


def manageable(row: Any, rows: Iterable[Any]) -> bool:
    """Return whether the caller may edit, delete and share what *row* is, of the rows of `reachable`."""
    return row.grant_id is None or any(other.id == row.id and other.permission == "manage" for other in rows)


def shares_of(connection: Connection, kind: str, resource_ids: Iterable[int]) -> dict[int, list[ShareInfo]]:
    """Return the shares of each resource, by its id."""
    query = (
        select(grants, grant_access.c.access, groups.c.name, users.c.username)
        .join(groups, groups.c.id == grants.c.group_id)
        .outerjoin(grant_access, grant_access.c.grant_id == grants.c.id)
        .outerjoin(users, users.c.id == grants.c.granted_by)
        .where(grants.c.resource_type == kind, grants.c.resource_id.in_(sorted(resource_ids)))
        .order_by(grants.c.id)
    )
    found: dict[int, list[ShareInfo]] = {}
    for row in connection.execute(query):
        share = ShareInfo(row.name, row.permission, row.access or "read", row.username or "")
        found.setdefault(row.resource_id, []).append(share)
    return found


def is_granted(connection: Connection, of: tuple[str, int, int]) -> bool:
    """Return whether there is a grant. *of* is a kind, the resource's id and the group's."""
    kind, resource_id, group_id = of
    which = (grants.c.resource_type == kind, grants.c.resource_id == resource_id, grants.c.group_id == group_id)
    return connection.execute(select(grants.c.id).where(*which)).first() is not None


def set_grant(connection: Connection, of: tuple[str, int, int], *, permission: str, access: str, by: int) -> None:
    """Make a grant, or change the one there is. *of* is a kind, the resource's id and the group's."""
    kind, resource_id, group_id = of
    row = {"resource_type": kind, "resource_id": resource_id, "group_id": group_id, "permission": permission, "granted_by": by}
    made = insert(connection, grants).values(row)
    made = made.on_conflict_do_update(
        index_elements=["resource_type", "resource_id", "group_id"], set_={"permission": permission}
    )
    grant_id = connection.execute(made.returning(grants.c.id)).scalar_one()
    noted = insert(connection, grant_access).values(grant_id=grant_id, access=access)
    connection.execute(noted.on_conflict_do_update(index_elements=["grant_id"], set_={"access": access}))


def remove_grants(connection: Connection, kind: str, resource_id: int, group_id: int | None = None) -> int:
    """Remove the grants of a resource, to one group or to all; return how many. Nothing stays for a row that gets its id."""
    which = [grants.c.resource_type == kind, grants.c.resource_id == resource_id]
    return _remove(connection, [*which, grants.c.group_id == group_id] if group_id is not None else which)


def remove_group(connection: Connection, group_id: int) -> None:
    """Remove a group with all that hangs on it, but for the memory of who was removed from it."""
    _remove(connection, [grants.c.group_id == group_id])
    connection.execute(delete(memberships).where(memberships.c.group_id == group_id))
    name = connection.execute(select(groups.c.name).where(groups.c.id == group_id)).scalar_one()
    keep_removals(connection, group_id, name)
    connection.execute(delete(revocations).where(revocations.c.group_id == group_id))
    connection.execute(delete(groups).where(groups.c.id == group_id))


def targets_of(connection: Connection, secret_ids: Iterable[int]) -> dict[int, list[Any]]:
    """Return the bindings of each secret, by its id."""
    found: dict[int, list[Any]] = {}
    query = select(bindings).where(bindings.c.secret_id.in_(sorted(secret_ids))).order_by(bindings.c.id)
    for row in connection.execute(query):
        found.setdefault(row.secret_id, []).append(row)
    return found


def fixed_by(connection: Connection, connection_ids: Iterable[int]) -> dict[int, Any]:
    """Return what each saved connection fixes, by its id: the `target`, and `name` and `user_id` of the secret."""
    query = (
        select(bindings.c.connection_id, bindings.c.target, secrets.c.name, secrets.c.user_id)
        .join(secrets, secrets.c.id == bindings.c.secret_id)
        .where(bindings.c.connection_id.in_(sorted(connection_ids)))
    )
    return {row.connection_id: row for row in connection.execute(query)}


def _remove(connection: Connection, which: list[Any]) -> int:
    ids = list(connection.execute(select(grants.c.id).where(*which)).scalars())
    connection.execute(delete(grant_access).where(grant_access.c.grant_id.in_(ids)))
    connection.execute(delete(grants).where(grants.c.id.in_(ids)))
    return len(ids)
