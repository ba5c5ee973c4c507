"""
Orders: one permitted use each, with the value and where alone it may go.

What is not there and what is not the caller's take the same way through this file: the same question to the store, one
decryption, one error.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from sqlalchemy import Connection, select

from flowfile_nb.broker.connections_desk import no_such_connection
from flowfile_nb.broker.definitions import definition_of, place, require_safe
from flowfile_nb.broker.grants import access_of
from flowfile_nb.broker.keeping import binding_of, require_binding, target_from, unseal
from flowfile_nb.broker.model import Caller, Definition, Order, Target
from flowfile_nb.broker.tables import CONNECTION, SECRET, tokens
from flowfile_nb.broker.usable import Binding, Credential, Usable, find_usable
from flowfile_nb.broker.uses_desk import UsesDesk
from flowfile_nb.core.crypto import Keychain
from flowfile_nb.errors import BindingError, FlowfileNbError, NotAllowedError, UsageError

_NOBODY = 0
"""No user's id: ids begin at 1."""
_NOWHERE = Target("postgresql", "localhost", 5432, "", "", "prefer", {})


class _Found(NamedTuple):
    """What a caller may use: the row that grants it, the sealed credential, and what fixes its target."""

    row: Usable
    secret: Credential | None
    secret_name: str
    binding: Binding | None
    target: Target
    session: str
    is_fixed: bool
    """Whether any target is fixed for the credential, this one or another."""


class OrdersDesk(UsesDesk):
    """The part of `Team` that permits uses, and takes them back."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        # What those who vouch have last said of each caller whose use was permitted: by name and voucher.
        self._vouched: dict[tuple[str, str], Caller | None] = {}
        self._decoys: dict[str, Any] = {}

    def order(
        self, caller: Caller, *, connection: str | None = None, description: str | Mapping[str, Any] | None = None
    ) -> Order:
        """
        Permit one use of a saved connection, or of a described one whose target is just one that the secret's owner fixed.

        Args:
            caller: Who asks.
            connection: A name: the caller's own one first, then of those shared with him the one with the lowest id.
            description: A body of `%%connect`.

        Raises:
            NoSuchConnectionError: If there is none, or none that the caller may use: the same for both.
            BindingError: If he may use the credential, and it is not fixed to that target.
            ConnectionSpecError, NotAllowedError: If the broker does not serve what *description* says.
        """
        if (connection is None) == (description is None):
            raise UsageError("a use names a connection, or describes one", hint="one of the two")
        keys = self._keys()
        definition = None if description is None else definition_of(description)
        found = self._saved(caller, str(connection)) if definition is None else self._described(caller, definition)
        asked = str(connection) if definition is None else definition.secret
        try:
            order = self._open(keys, caller, found, asked)
        except FlowfileNbError as error:
            owner = found.row.owner if found else ""
            secret = found.secret_name if found else ""
            self._note(None, caller, "refused", asked, owner=owner, secret=secret, detail=type(error).__name__)
            raise
        self._vouch(caller)
        return order

    def permitted(self, order: Order) -> bool:
        """
        Return whether what was permitted still is: asked anew of the store, with what is now known of the caller.

        Does not raise: where the store does not answer, nothing is permitted.
        """
        kind, resource, voucher = order.grant.split("/", 2)
        caller = self._vouched.get((order.caller, voucher))
        if caller is None or self.has_ended(caller):
            return False
        try:
            with self._store.asking() as connection:
                return self._token_holds(connection, voucher) and self._still(connection, caller, (kind, int(resource)), order)
        except FlowfileNbError:
            return False

    def vouched_for(self, order: Order) -> bool:
        """Return whether the time has not run out for which somebody vouches for an order's caller."""
        caller = self._vouched.get((order.caller, order.grant.split("/", 2)[2]))
        return caller is not None and not self.has_ended(caller)

    def has_ended(self, caller: Caller) -> bool:
        """Return whether the time has run out for which somebody vouches for a caller, by his newest token too."""
        known = self._vouched.get((caller.name, caller.vouched_by)) or caller
        return known.ends_at is not None and known.ends_at <= self._now()

    def observe(self, name: str, vouched_by: str, caller: Caller | None) -> None:
        """
        Take in what whoever vouches says of a caller now, and have all asked anew whose groups are others than before.

        Args:
            name: The caller's.
            vouched_by: As in his orders.
            caller: None where he is not vouched for any more.
        """
        before = self._vouched.get((name, vouched_by))
        if before is None or before == caller:
            return
        self._vouched[name, vouched_by] = caller
        self._store.changes.tell()

    def callers(self) -> list[Caller]:
        """Return those whose uses were permitted and who are still vouched for, for whoever watches their groups."""
        return [caller for caller in self._vouched.copy().values() if caller is not None]

    def _vouch(self, caller: Caller) -> None:
        """Keep what is said of a caller now. A token that is renewed while a statement runs lets it go on."""
        before = self._vouched.get((caller.name, caller.vouched_by))
        if before is not None and before.ends_at is not None and caller.ends_at is not None:
            caller = caller._replace(ends_at=max(before.ends_at, caller.ends_at))
        self._vouched[caller.name, caller.vouched_by] = caller

    def _saved(self, caller: Caller, name: str) -> _Found | None:
        rows = self._usable(caller, CONNECTION, name)
        if not rows:
            return None
        row = rows[0]
        definition = definition_of(row.body)
        secret, binding = row.credential, row.binding
        if secret is None or (secret.user_id, secret.name) != (row.owner_id, definition.secret):
            # The description refers to another one by now, to which nothing is fixed.
            secret = binding = None
        return _Found(row, secret, definition.secret, binding, definition.target, name, binding is not None)

    def _described(self, caller: Caller, definition: Definition) -> _Found | None:
        rows = self._usable(caller, SECRET, definition.secret)
        if not rows:
            return None
        row = rows[0]
        # One row for each grant and each target.
        fixed = [each.binding for each in rows if (each.id, each.grant_id) == (row.id, row.grant_id) and each.binding]
        binding = next((one for one in fixed if target_from(one.target) == definition.target), None)
        # The number tells apart what looks alike here and differs in an option.
        session = f"{place(definition.target)} by {row.name}#{binding.id if binding else 0}"
        return _Found(row, row.credential, row.name, binding, definition.target, session, bool(fixed))

    def _usable(self, caller: Caller, kind: str, name: str) -> list[Usable]:
        with self._store.asking() as connection:
            found = find_usable(connection, caller, kind, name=name)
        if found is None:
            self._make_known(caller)
            with self._store.asking() as connection:
                found = find_usable(connection, caller, kind, name=name)
        return found or []

    def _open(self, keys: Keychain, caller: Caller, found: _Found | None, asked: str) -> Order:
        if found is None or found.secret is None or found.binding is None:
            self._decoy(keys)
            if found is None:
                raise no_such_connection(asked, [])
            raise _not_fixed(found)
        require_binding(keys, found.secret, found.binding, found.target)
        row = found.row
        if row.owner != caller.name:
            # Also what was bound to another target since it was shared.
            require_safe(found.target)
        value = unseal(keys, found.secret.encrypted_value, found.secret.user_id)
        grant = f"{row.kind}/{row.id}/{caller.vouched_by}"
        of_secret = (found.secret.id, found.secret.name, row.used_at)
        return Order(caller.name, row.owner, found.session, grant, found.target, value, access_of(row), *of_secret)

    def _decoy(self, keys: Keychain) -> None:
        """Do the work that an order takes, on a credential of nobody's."""
        from types import SimpleNamespace

        decoy = self._decoys.get(keys.key_id)
        if decoy is None:
            token = keys.encrypt_secret("no value of anybody's", _NOBODY)
            decoy = SimpleNamespace(id=_NOBODY, user_id=_NOBODY, name="", encrypted_value=token)
            self._decoys = {keys.key_id: decoy}
        binding_of(keys, decoy, _NOBODY, _NOWHERE)
        unseal(keys, decoy.encrypted_value, _NOBODY)

    def _still(self, connection: Connection, caller: Caller, resource: tuple[str, int], order: Order) -> bool:
        kind, resource_id = resource
        found = find_usable(connection, caller, kind, resource_id=resource_id) or []
        rows = [row for row in found if row.owner == order.owner]
        if not rows or (order.access == "write" and access_of(rows[0]) != "write"):
            return False
        return any(row.binding is not None and target_from(row.binding.target) == order.target for row in rows)

    def _token_holds(self, connection: Connection, voucher: str) -> bool:
        kind, _, number = voucher.partition(":")
        if kind != "token" or not number:
            return True
        query = select(tokens.c.expires_at).where(tokens.c.id == int(number))
        row = connection.execute(query).one_or_none()
        return row is not None and (row.expires_at is None or row.expires_at > self._now())


def _not_fixed(found: _Found) -> NotAllowedError:
    if found.row.kind == SECRET and not found.is_fixed:
        return BindingError(
            f"{found.row.name!r} may be used nowhere: its owner has no saved connection with it any more",
            hint=f"{found.row.owner!r} saves one and enters it again:  %%connect NAME --save   %secret set NAME --replace",
        )
    if found.row.kind == SECRET:
        return BindingError(
            f"{found.row.name!r} may not be used for {place(found.target)}: {found.row.owner!r} has fixed other targets",
            hint="ask for them; each part counts: host, port, database, user, and how it is encrypted",
        )
    return BindingError(
        f"no credential is fixed to {place(found.target)}: its target was changed, or it was never entered",
        hint=f"its owner {found.row.owner!r} enters it (again):  %secret set NAME --replace",
    )
