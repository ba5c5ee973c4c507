"""A caller's secrets: keep, list, rename, delete, and show to their owner alone."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import delete, select, update

from flowfile_nb.broker.definitions import place
from flowfile_nb.broker.desk import Desk, own_secret
from flowfile_nb.broker.directory import Who
from flowfile_nb.broker.engines import guarantee_of
from flowfile_nb.broker.grants import access_of, reachable, remove_grants, shares_of, targets_of
from flowfile_nb.broker.keeping import binding_of, target_from, unseal
from flowfile_nb.broker.model import Access, Caller
from flowfile_nb.broker.quotas import require_room, require_small
from flowfile_nb.broker.renaming import rename_references
from flowfile_nb.broker.shown import Promise, SecretInfo
from flowfile_nb.broker.tables import SECRET, bindings, secrets, uses
from flowfile_nb.core.crypto import token_times
from flowfile_nb.core.names import quoted, require_name, require_value, suggest
from flowfile_nb.errors import NoSuchSecretError, SecretExistsError, SharedSecretError


class SecretsDesk(Desk):
    """The part of `Team` that keeps secrets."""

    def secrets(self, caller: Caller) -> list[SecretInfo]:
        """Return what a caller may use: own ones, then those shared with groups of his. An own one shadows others."""
        with self._looking(caller) as (connection, who):
            rows = reachable(connection, who, SECRET)
            ids = {row.id for row in rows}
            shares = shares_of(connection, SECRET, {row.id for row in rows if row.grant_id is None})
            targets = targets_of(connection, ids)
            used = {row.secret_id: row.used_at for row in connection.execute(select(uses).where(uses.c.secret_id.in_(ids)))}
        found: dict[str, SecretInfo] = {}
        for row in rows:
            info = found.get(row.name)
            if info is not None:
                if info.id == row.id and row.group_name:
                    info.groups.append(row.group_name)
                    if access_of(row) == "write":
                        info.writers.append(row.group_name)
                continue
            own = row.grant_id is None
            # Of another's the first row is the widest, and what the caller may is as wide.
            accesses = {share.access for share in shares.get(row.id, [])} if own else {access_of(row)}
            bound = [target_from(each.target) for each in targets.get(row.id, [])]
            found[row.name] = SecretInfo(
                row.id,
                row.name,
                row.owner,
                "" if own else row.granted_by or "",
                [share.group for share in shares.get(row.id, [])] if own else [row.group_name],
                "in this kernel" if own else "brokered",
                token_times([row.encrypted_value or ""])[0],
                used.get(row.id),
                list(dict.fromkeys(map(place, bound))),
                [share.group for share in shares.get(row.id, []) if share.access == "write"]
                if own
                else [row.group_name] * (access_of(row) == "write"),
                _promises(accesses, dict.fromkeys(target.kind for target in bound)),
            )
        return list(found.values())

    def put_secret(self, caller: Caller, name: str, value: str, *, replace: bool) -> bool:
        """
        Keep a secret of the caller's own, and let it go where the connections lead that he has saved with it.

        Returns:
            Whether it replaced a value: then its id and its shares are as before.

        Raises:
            SecretExistsError: If there is one and *replace* was not said.
            InvalidNameError, InvalidValueError: If no secret may be that.
            LimitError: If it is too long for this broker, or the caller keeps as many as he may.
        """
        keys = self._keys()
        require_name(name)
        require_value(value)
        require_small(value, self._quotas.secret_bytes)
        with self._changing(caller) as (connection, who):
            known = own_secret(connection, who.id, name)
            if known is not None and not replace:
                raise SecretExistsError(
                    f"there is a secret named {name!r}", hint=f"%secret set {quoted(name)} --replace  keeps its shares"
                )
            token = keys.encrypt_secret(value, who.id)
            if known is None:
                most = self._quotas.secrets_per_user
                hint = "delete those that nothing uses:  %secret list  says when each was last used"
                require_room(connection, secrets.c.user_id == who.id, most, "secrets of yours", hint)
                row = {"name": name, "encrypted_value": token, "iv": "", "user_id": who.id}
                connection.execute(secrets.insert().values(row))
            else:
                connection.execute(update(secrets).where(secrets.c.id == known.id).values(encrypted_value=token, iv=""))
                # Also those of a name that it does not have any more.
                connection.execute(delete(bindings).where(bindings.c.secret_id == known.id))
            self._bind_all(connection, keys, who.id, name)
            self._note(connection, who, "set" if known is None else "replace", name, secret=name)
        return known is not None

    def rename_secret(self, caller: Caller, old: str, new: str) -> list[str]:
        """
        Rename an own secret; its shares and targets stay, and the caller's own connections refer to it by the new name.

        Returns:
            The names of the connections that were changed.

        Raises:
            NoSuchSecretError, SecretExistsError, InvalidNameError: As usual.
            ReferenceSyntaxError: If a connection refers to it, and no reference can say the new name.
        """
        keys = self._keys()
        require_name(new)
        with self._changing(caller) as (connection, who):
            known = self._own(connection, who, old)
            if own_secret(connection, who.id, new) is not None:
                raise SecretExistsError(
                    f"there is a secret named {new!r}", hint="choose another name, or delete that one first"
                )
            bound = [
                row
                for row in targets_of(connection, [known.id]).get(known.id, [])
                if row.mac == binding_of(keys, known, row.connection_id, target_from(row.target))
            ]
            connection.execute(update(secrets).where(secrets.c.id == known.id).values(name=new))
            renamed = connection.execute(select(secrets).where(secrets.c.id == known.id)).one()
            for row in bound:
                mac = binding_of(keys, renamed, row.connection_id, target_from(row.target))
                connection.execute(update(bindings).where(bindings.c.id == row.id).values(mac=mac))
            followed = rename_references(connection, keys, who.id, old, new)
            self._note(connection, who, "rename", old, secret=old, detail=f"to {new}")
            for name in followed:
                self._note(connection, who, "save", name, detail=f"{old} is renamed to {new}")
        return followed

    def delete_secret(self, caller: Caller, name: str) -> None:
        """Delete an own secret with its shares and targets. Raises NoSuchSecretError."""
        with self._changing(caller, first=True) as (connection, who):
            known = self._own(connection, who, name)
            # All of it: a later secret may get the same id.
            remove_grants(connection, SECRET, known.id)
            connection.execute(delete(bindings).where(bindings.c.secret_id == known.id))
            connection.execute(delete(uses).where(uses.c.secret_id == known.id))
            connection.execute(delete(secrets).where(secrets.c.id == known.id))
            self._note(connection, who, "delete", name, secret=name)

    def reveal_own(self, caller: Caller, name: str) -> str:
        """
        Return the value of a secret to its owner; that is written down first.

        Raises:
            SharedSecretError: If it is another's, who shared it for use.
            NoSuchSecretError: If the caller may use none of that name.
        """
        keys = self._keys()
        with self._looking(caller) as (connection, who):
            row = own_secret(connection, who.id, name)
            if row is None:
                self._refuse(connection, who, name)
        value = unseal(keys, row.encrypted_value, who.id)
        self._note(None, who, "read", name, secret=name)
        return value

    def _own(self, connection: Any, who: Who, name: str) -> Any:
        row = own_secret(connection, who.id, name)
        if row is None:
            self._refuse(connection, who, name)
        return row

    def _refuse(self, connection: Any, who: Who, name: str) -> None:
        rows = reachable(connection, who, SECRET)
        shared = next((row for row in rows if row.name == name), None)
        if shared is not None:
            raise SharedSecretError(
                f"{name!r} belongs to {shared.owner!r}, who shared it for use; its value is not shown",
                hint="open a connection that is shared with you:  %connect  lists them;  or describe one to the fixed target",
            )
        near = suggest(name, [row.name for row in rows])
        raise NoSuchSecretError(
            f"no secret named {name!r}",
            hint=f"did you mean {near!r}?  List yours:  %secret list" if near else "list yours:  %secret list",
        )


def _promises(accesses: Iterable[Access], kinds: Iterable[str]) -> list[Promise]:
    """Return what is promised of shares for *accesses* at targets of *kinds*, where something is known of that."""
    found = [Promise(access, kind, guarantee_of(kind, access)) for access in sorted(accesses) for kind in kinds]
    return [promise for promise in found if promise.guarantee]
