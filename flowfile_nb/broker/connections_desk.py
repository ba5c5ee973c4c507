"""A caller's saved connections: keep, list, read, delete."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from sqlalchemy import delete, select, update

from flowfile_nb.broker.definitions import definition_of, place
from flowfile_nb.broker.desk import Desk, secrets_of
from flowfile_nb.broker.directory import Who
from flowfile_nb.broker.engines import guarantee_of
from flowfile_nb.broker.grants import access_of, fixed_by, manageable, reachable, remove_grants, shares_of
from flowfile_nb.broker.keeping import canonical, saved_by_proof
from flowfile_nb.broker.model import Caller, Definition
from flowfile_nb.broker.quotas import require_room, require_short
from flowfile_nb.broker.shown import ConnectionInfo
from flowfile_nb.broker.tables import CONNECTION, SECRET, bindings, connections, secrets
from flowfile_nb.connections.spec import read_spec, scheme_of
from flowfile_nb.core.names import require_name, suggest
from flowfile_nb.errors import (
    ConnectionSpecError,
    MissingDriverError,
    NoSuchConnectionError,
    NotAllowedError,
    SecretExistsError,
)


class ConnectionsDesk(Desk):
    """The part of `Team` that keeps descriptions of connections; they hold references, never a value."""

    def connections(self, caller: Caller) -> list[ConnectionInfo]:
        """Return what a caller may use: own ones, then those shared with groups of his. An own one shadows others."""
        with self._looking(caller) as (connection, who):
            rows = reachable(connection, who, CONNECTION)
            shares = shares_of(connection, CONNECTION, {row.id for row in rows if row.grant_id is None})
            fixed = fixed_by(connection, {row.id for row in rows})
        found: dict[str, tuple[int, ConnectionInfo]] = {}
        for row in rows:
            if row.name in found:
                first, info = found[row.name]
                if first == row.id and row.group_name:
                    info.groups.append(row.group_name)
                continue
            own = row.grant_id is None
            definition = _definition_of(row.body)
            target = None if definition is None else definition.target
            kind = _scheme_of(row.body) if target is None else target.kind
            info = ConnectionInfo(
                row.name,
                row.owner,
                "" if own else row.granted_by or "",
                [share.group for share in shares.get(row.id, [])] if own else [row.group_name],
                kind,
                "" if target is None else place(target),
                "owner" if own else "manage" if manageable(row, rows) else "use",
                access_of(row),
                secrets_of(row.body),
                "" if own else guarantee_of(kind, access_of(row)),
                [share.group for share in shares.get(row.id, []) if share.access == "write"],
                "" if definition is None or _is_fixed(definition, row, fixed.get(row.id)) else definition.secret,
            )
            found[row.name] = row.id, info
        return [info for _, info in found.values()]

    def connection_body(self, caller: Caller, name: str) -> str:
        """Return the description of a connection that the caller may use. Raises NoSuchConnectionError."""
        with self._looking(caller) as (connection, who):
            return str(self._reach(connection, who, name)[0].body)

    def save_connection(self, caller: Caller, name: str, body: str, *, replace: bool = True) -> bool:
        """
        Keep the description of a connection: an own one, or one that was shared with the caller to manage.

        A credential that is shared goes to no new place by that: whoever leads it elsewhere must enter it again.

        Returns:
            Whether the credential is fixed to what the description says. False: its owner enters it (again), or the broker does
            not serve such a connection.

        Raises:
            ConnectionSpecError: If *body* cannot be understood, or holds a password in clear.
            SecretExistsError: If there is one of that name, and *replace* is not said.
        """
        keys = self._keys()
        require_name(name)
        require_short(body)
        read_spec(body)
        with self._changing(caller) as (connection, who):
            rows = reachable(connection, who, CONNECTION, name)
            known = rows[0] if rows and manageable(rows[0], rows) else None
            if known is not None and not replace:
                raise SecretExistsError(
                    f"there is a connection named {name!r}", hint="save it under another name, or replace it"
                )
            row = {
                "name": name,
                "body": body,
                "owner_id": who.id if known is None else known.owner_id,
                "saved_by": who.id,
                "updated_at": int(self._now()),
            }
            if known is None:
                most, hint = self._quotas.connections_per_user, "delete those that nobody uses:  %connect  lists them"
                require_room(connection, connections.c.owner_id == who.id, most, "saved connections of yours", hint)
                made = connections.insert().values(**row, mac="").returning(connections.c.id)
                saved_id = connection.execute(made).scalar_one()
            else:
                saved_id = known.id
            saved = SimpleNamespace(**row, id=saved_id)
            saved.mac = saved_by_proof(keys, saved)
            change = update(connections).where(connections.c.id == saved_id)
            connection.execute(change.values(**row, mac=saved.mac))
            bound = self._rebind(connection, keys, saved, known)
            owner = who.name if known is None else known.owner
            self._note(connection, who, "save", name, owner=owner, detail="" if bound else "no credential is fixed to it")
        return bound

    def delete_connection(self, caller: Caller, name: str) -> None:
        """
        Delete a connection of one's own, or one that was shared to manage, with its shares and what it fixes.

        Raises:
            NoSuchConnectionError: If the caller can use none of that name.
            NotAllowedError: If it was shared with him for use only.
        """
        with self._changing(caller, first=True) as (connection, who):
            row, rows = self._reach(connection, who, name)
            if not manageable(row, rows):
                raise NotAllowedError(f"{name!r} belongs to {row.owner!r}, who shared it for use", hint="ask its owner")
            remove_grants(connection, CONNECTION, row.id)
            connection.execute(delete(bindings).where(bindings.c.connection_id == row.id))
            connection.execute(delete(connections).where(connections.c.id == row.id))
            self._note(connection, who, "delete connection", name, owner=row.owner)

    def _reach(self, connection: Any, who: Who, name: str) -> tuple[Any, list[Any]]:
        rows = reachable(connection, who, CONNECTION, name)
        if not rows:
            raise no_such_connection(name, [row.name for row in reachable(connection, who, CONNECTION)])
        return rows[0], rows

    def _rebind(self, connection: Any, keys: Any, saved: Any, known: Any) -> bool:
        """Fix the credential to what was saved, where that needs nobody's consent; return whether it is fixed to that."""
        definition = _definition_of(saved.body)
        if definition is None:
            connection.execute(delete(bindings).where(bindings.c.connection_id == saved.id))
            return False
        secret = connection.execute(
            select(secrets)
            .where(secrets.c.user_id == saved.owner_id, secrets.c.name == definition.secret)
            .order_by(secrets.c.id)
        ).first()
        before = connection.execute(select(bindings).where(bindings.c.connection_id == saved.id)).one_or_none()
        if before and secret and before.secret_id == secret.id and before.target == canonical(definition.target):
            return True
        connection.execute(delete(bindings).where(bindings.c.connection_id == saved.id))
        if secret is None:
            return False
        lent = shares_of(connection, SECRET, [secret.id]) or (
            known is not None and shares_of(connection, CONNECTION, [saved.id])
        )
        return not lent and self._bind(connection, keys, saved)


def _definition_of(body: str) -> Definition | None:
    """Return what a description means for the broker; None where it serves no such connection."""
    try:
        return definition_of(body)
    except (ConnectionSpecError, NotAllowedError, MissingDriverError):
        return None


def _scheme_of(body: str) -> str:
    try:
        return scheme_of(read_spec(body)).partition("+")[0]
    except ConnectionSpecError:
        return ""


def _is_fixed(definition: Definition, saved: Any, fixed: Any) -> bool:
    """Return whether the owner's secret of that name is fixed to just the target that the description has now."""
    return (
        fixed is not None
        and (fixed.user_id, fixed.name) == (saved.of, definition.secret)
        and fixed.target == canonical(definition.target)
    )


def no_such_connection(name: str, known: list[str]) -> NoSuchConnectionError:
    """Return the one error for a connection that is not there and for one that the caller may not use."""
    near = suggest(name, known)
    return NoSuchConnectionError(
        f"no connection or secret named {name!r} that you may use",
        hint=f"did you mean {near!r}?  List yours:  %connect   %secret list"
        if near
        else "list yours:  %connect   %secret list",
    )
