"""
Sharing with groups: who may, for what, and what is refused.

As Flowfile's sharing page: only who owns or manages shares; only owners give `manage`, and write access; who manages shares for
use, with groups of his own; a secret is shared for use alone; a stranger's answer is the same as for what is not there.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, select

from flowfile_nb.broker.api_definitions import is_api
from flowfile_nb.broker.connections_desk import no_such_connection
from flowfile_nb.broker.definitions import definition_of, place, require_safe
from flowfile_nb.broker.desk import Desk
from flowfile_nb.broker.directory import Who, group_named
from flowfile_nb.broker.grants import is_granted, manageable, reachable, remove_grants, set_grant, shares_of, targets_of
from flowfile_nb.broker.keeping import require_binding, target_from
from flowfile_nb.broker.model import Access, Caller, Permission, Target
from flowfile_nb.broker.quotas import require_room
from flowfile_nb.broker.refusals import told_of
from flowfile_nb.broker.removals import take_removals_over
from flowfile_nb.broker.shown import ShareInfo, What
from flowfile_nb.broker.storage.definitions import STORAGE
from flowfile_nb.broker.tables import CONNECTION, SECRET, connections, grants, groups, secrets
from flowfile_nb.core.names import quoted, suggest
from flowfile_nb.errors import (
    BindingError,
    NoSuchGroupError,
    NoSuchSecretError,
    NotAllowedError,
    UsageError,
    WriteShareError,
)

_MAY_WRITE = "may change the account's own password or find it out, on most databases"
_MAY_WRITE_API = "may do all that the API's key may do by the methods of the description, on some also make or change keys"
_KINDS = {"secret": SECRET, "connection": CONNECTION}


class SharingDesk(Desk):
    """The part of `Team` that shares."""

    def share(  # noqa: PLR0913 - what a share consists of
        self,
        caller: Caller,
        what: What,
        name: str,
        group: str,
        *,
        permission: Permission = "use",
        access: Access = "read",
        confirmed: bool = False,
    ) -> None:
        """
        Let the members of a group use a secret towards its targets, or a connection; a share that is there is changed.

        Args:
            caller: Who shares.
            what: What.
            name: Its name.
            group: The group's.
            permission: `manage` lets them edit, delete and share a connection.
            access: `write` lets them do all that the account may do.
            confirmed: That the caller has read what a share for writing means.

        Raises:
            NoSuchSecretError, NoSuchConnectionError: If it is not there, or the caller may not use it: the same answer.
            NoSuchGroupError: If there is no such group, or, where the caller manages only, he is not in it.
            NotAllowedError: If he may only use it, or such a share is not made. Its hint says what to do instead.
            WriteShareError: If write access needs a yes.
            BindingError: If no credential is fixed to the target.
        """
        if permission not in {"use", "manage"} or access not in {"read", "write"}:
            raise UsageError("a share is for 'use' or 'manage', and for 'read' or 'write'", hint="--write  and  --manage")
        keys = self._keys()
        with self._changing(caller) as (connection, who):
            row = self._manageable(connection, who, what, name)
            if what == "secret" and permission == "manage":
                raise NotAllowedError(
                    "a secret is shared for use only: who manages a credential would be its owner",
                    hint=f"%secret share {quoted(name)} --group {quoted(group)}",
                )
            owns = row.grant_id is None
            if not owns and (permission == "manage" or access == "write"):
                raise NotAllowedError(
                    f"only its owner {row.owner!r} lets others manage {name!r}, or write with it", hint="share it for reading"
                )
            group_id = self._group_to_share_with(connection, who, group, owns=owns)
            targets = self._require_targets(connection, keys, what, row)
            if access == "write" and not confirmed:
                raise WriteShareError(_risk(name, targets), hint="if that is meant, say so: confirmed with  --write --yes")
            of = (_KINDS[what], row.id, group_id)
            if not is_granted(connection, of):
                most, hint = self._quotas.shares_per_user, "end some that nobody needs:  %secret unshare NAME --group GROUP"
                require_room(connection, grants.c.granted_by == who.id, most, "shares that you have made", hint)
            set_grant(connection, of, permission=permission, access=access, by=who.id)
            secret = name if what == "secret" else ""
            self._note(
                connection, who, "share", name, owner=row.owner, secret=secret, detail=f"{group}: {permission}, {access}"
            )

    def unshare(self, caller: Caller, what: What, name: str, group: str) -> None:
        """
        End a share, at once also for what runs by it.

        Raises:
            NoSuchSecretError, NoSuchConnectionError: As `share`.
            NoSuchGroupError: If it is not shared with a group of that name.
        """
        with self._changing(caller, first=True) as (connection, who):
            row = self._manageable(connection, who, what, name)
            known = group_named(connection, group)
            if known is None or not remove_grants(connection, _KINDS[what], row.id, known.id):
                raise NoSuchGroupError(f"{name!r} is not shared with a group {group!r}", hint="%secret list  shows with whom")
            self._note(connection, who, "unshare", name, owner=row.owner, secret=name if what == "secret" else "", detail=group)

    def shares(self, caller: Caller, what: What, name: str) -> list[ShareInfo]:
        """Return with whom something is shared; for who owns or manages it. Raises as `share`."""
        with self._looking(caller) as (connection, who):
            row = self._manageable(connection, who, what, name)
            return shares_of(connection, _KINDS[what], [row.id]).get(row.id, [])

    def _manageable(self, connection: Connection, who: Who, what: What, name: str) -> Any:
        if what not in _KINDS:
            raise UsageError("what is shared is a secret or a connection", hint="%secret share NAME --group GROUP")
        rows = reachable(connection, who, _KINDS[what], name)
        row = rows[0] if rows and manageable(rows[0], rows) else None
        if row is not None:
            return row
        if rows:
            # Who may use it knows that it is there.
            raise NotAllowedError(f"{name!r} is {rows[0].owner}'s: only its owner shares it", hint="ask its owner")
        if what == "connection":
            raise no_such_connection(name, [])
        raise NoSuchSecretError(f"no secret named {name!r} that is yours to share", hint="list yours:  %secret list")

    def _group_to_share_with(self, connection: Connection, who: Who, name: str, *, owns: bool) -> int:
        known = group_named(connection, name)
        if known is None and name in who.hub_groups:
            # The Hub's administrator made it; it needs a row here to be granted anything.
            made = groups.insert().values(name=name, created_by=who.id).returning(groups.c.id)
            group_id = int(connection.execute(made).scalar_one())
            take_removals_over(connection, group_id, name)
            return group_id
        if known is None or (not owns and known.id not in who.groups):
            # Only what he sees anyway: his own groups.
            own = connection.scalars(select(groups.c.name).where(groups.c.id.in_(who.groups))).all()
            near = suggest(name, [*own, *who.hub_groups])
            meant = f"did you mean {near!r}?  List yours:" if near else "list yours:"
            raise NoSuchGroupError(f"there is no group {name!r} that you can share with", hint=f"{meant}  %secret groups")
        return int(known.id)

    def _require_targets(self, connection: Connection, keys: Any, what: What, row: Any) -> list[Target]:
        """Return the targets to which the credential is fixed, all of which it may be lent to. Raises BindingError."""
        if what == "secret":
            bound = [(row, binding) for binding in targets_of(connection, [row.id]).get(row.id, [])]
            if not bound:
                raise BindingError(
                    f"no saved connection of yours says where {row.name!r} may go, so nobody could use it",
                    hint="save one with it, then share:  %%connect warehouse --save   and   "
                    f"postgresql://user:%secret {quoted(row.name)}@host/database",
                )
        else:
            definition = definition_of(row.body)
            query = select(secrets).where(secrets.c.user_id == row.owner_id, secrets.c.name == definition.secret)
            secret = connection.execute(query.order_by(secrets.c.id)).first()
            found = [] if secret is None else targets_of(connection, [secret.id]).get(secret.id, [])
            bound = [(secret, binding) for binding in found if binding.connection_id == row.id]
            if not bound or target_from(bound[0][1].target) != definition.target:
                raise BindingError(
                    f"no credential is fixed to {place(definition.target)}: its target was changed, or it was never entered",
                    hint=f"its owner enters it (again):  %secret set {quoted(definition.secret)} --replace",
                )
        targets = [target_from(binding.target) for _, binding in bound]
        leading = [binding.connection_id for _, binding in bound if what == "secret"]
        query = select(connections.c.id, connections.c.name).where(connections.c.id.in_(leading))
        names = {row.id: row.name for row in connection.execute(query)}
        for (secret, binding), target in zip(bound, targets, strict=True):
            with told_of(names.get(binding.connection_id, "")):
                require_safe(target)
                require_binding(keys, secret, binding, target)
        return targets


def _risk(name: str, targets: list[Target]) -> str:
    """Return what cannot be promised of a share for writing."""
    if all(target.kind in STORAGE for target in targets):
        roots = ", ".join(f"{target.kind}://{target.database}" for target in targets)
        return (
            f"who may write with {name!r} may replace and delete every object below {roots}, unseen by the broker;"
            " what is gone comes back only where the bucket keeps versions"
        )
    may = _MAY_WRITE_API if all(is_api(target.kind) for target in targets) else _MAY_WRITE
    return f"who may write with {name!r} {may}; that members never see the value is promised for reading only"
