"""
Orders: one permitted use each, with the value and where alone it may go.

What is not there and what is not the caller's take the same way through this file: the same questions to the store, one
decryption, one error.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from sqlalchemy import Connection, Integer, and_, bindparam, select

from flowfile_nb.broker.connections_desk import no_such_connection
from flowfile_nb.broker.definitions import definition_of, place, require_safe
from flowfile_nb.broker.database import findable
from flowfile_nb.broker.directory import Who, find_who
from flowfile_nb.broker.grants import access_of, reachable
from flowfile_nb.broker.keeping import binding_of, require_binding, target_from, unseal
from flowfile_nb.broker.model import Caller, Definition, Order, Target
from flowfile_nb.broker.tables import CONNECTION, SECRET, bindings, secrets, tokens, uses
from flowfile_nb.broker.uses_desk import UsesDesk
from flowfile_nb.core.crypto import Keychain
from flowfile_nb.errors import BindingError, FlowfileNbError, NotAllowedError, UsageError

_NOBODY = 0
"""No user's id: ids begin at 1."""
# Put together once: that takes longer than to run them, and each use needs one.
# An owner's secret of a name, of several the first, and what fixes it to where a saved connection leads: one row of both, in
# which `mac` is None where nothing does.
_CREDENTIAL = (
    select(secrets, uses.c.used_at, bindings.c.secret_id, bindings.c.connection_id, bindings.c.target, bindings.c.mac)
    .outerjoin(uses, uses.c.secret_id == secrets.c.id)
    .outerjoin(
        bindings,
        and_(bindings.c.secret_id == secrets.c.id, bindings.c.connection_id == bindparam("connection", type_=Integer)),
    )
    .where(secrets.c.user_id == bindparam("owner", type_=Integer), secrets.c.name == bindparam("name"))
    .order_by(secrets.c.id)
    .limit(1)
)
_FIXED = (
    select(bindings, uses.c.used_at)
    .outerjoin(uses, uses.c.secret_id == bindings.c.secret_id)
    .where(bindings.c.secret_id == bindparam("secret", type_=Integer))
    .order_by(bindings.c.id)
)
_NOWHERE = Target("postgresql", "localhost", 5432, "", "", "prefer", {})


class _Found(NamedTuple):
    """What a caller may use: the row that grants it, the sealed credential, and what fixes its target."""

    row: Any
    secret: Any
    binding: Any
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
        with self._looking(caller) as (store, who):
            found = self._saved(store, who, str(connection)) if definition is None else self._described(store, who, definition)
        asked = str(connection) if definition is None else definition.secret
        try:
            order = self._open(keys, who, found, asked)
        except FlowfileNbError as error:
            owner = found.row.owner if found else ""
            secret = found.secret.name if found and found.secret is not None else ""
            self._note(None, who, "refused", asked, owner=owner, secret=secret, detail=type(error).__name__)
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
            with self._store.reading() as connection:
                if not self._token_holds(connection, voucher):
                    return False
                who = find_who(connection, caller)
                return who is not None and self._still(connection, who, (kind, int(resource)), order)
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

    def _saved(self, connection: Connection, who: Who, name: str) -> _Found | None:
        rows = reachable(connection, who, CONNECTION, name)
        row = rows[0] if rows else None
        definition = None
        if row is not None:
            definition = definition_of(row.body)
        owner_id, secret_name = (row.of, definition.secret) if row is not None and definition else (_NOBODY, name)
        # Asked also where there is nothing to ask for.
        asked = {"owner": owner_id, "name": findable(secret_name), "connection": row.id if row is not None else _NOBODY}
        credential = connection.execute(_CREDENTIAL, asked).one_or_none()
        if row is None or definition is None:
            return None
        is_bound = credential is not None and credential.mac is not None
        return _Found(row, credential, credential if is_bound else None, definition.target, name, is_bound)

    def _described(self, connection: Connection, who: Who, definition: Definition) -> _Found | None:
        rows = reachable(connection, who, SECRET, definition.secret)
        row = rows[0] if rows else None
        targets = connection.execute(_FIXED, {"secret": row.id if row is not None else _NOBODY}).all()
        bound = [each for each in targets if target_from(each.target) == definition.target]
        if row is None:
            return None
        binding = bound[0] if bound else None
        # The number tells apart what looks alike here and differs in an option.
        session = f"{place(definition.target)} by {row.name}#{binding.id if binding else 0}"
        return _Found(row, row, binding, definition.target, session, bool(targets))

    def _open(self, keys: Keychain, who: Who, found: _Found | None, asked: str) -> Order:
        if found is None or found.secret is None or found.binding is None:
            self._decoy(keys)
            if found is None:
                raise no_such_connection(asked, [])
            raise _not_fixed(found)
        require_binding(keys, found.secret, found.binding, found.target)
        if found.row.owner != who.name:
            # Also what was bound to another target since it was shared.
            require_safe(found.target)
        value = unseal(keys, found.secret.encrypted_value, found.secret.user_id)
        kind = SECRET if found.row is found.secret else CONNECTION
        grant = f"{kind}/{found.row.id}/{who.vouched_by}"
        access, of_secret = access_of(found.row), (found.secret.id, found.binding.used_at)
        return Order(who.name, found.row.owner, found.session, grant, found.target, value, access, *of_secret)

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

    def _still(self, connection: Connection, who: Who, resource: tuple[str, int], order: Order) -> bool:
        kind, resource_id = resource
        rows = [row for row in reachable(connection, who, kind, resource_id=resource_id) if row.owner == order.owner]
        if not rows or (order.access == "write" and access_of(rows[0]) != "write"):
            return False
        column = bindings.c.secret_id if kind == SECRET else bindings.c.connection_id
        fixed = connection.execute(select(bindings.c.target).where(column == resource_id)).scalars()
        return any(target_from(target) == order.target for target in fixed)

    def _token_holds(self, connection: Connection, voucher: str) -> bool:
        kind, _, number = voucher.partition(":")
        if kind != "token" or not number:
            return True
        query = select(tokens.c.expires_at).where(tokens.c.id == int(number))
        row = connection.execute(query).one_or_none()
        return row is not None and (row.expires_at is None or row.expires_at > self._now())


def _not_fixed(found: _Found) -> NotAllowedError:
    if found.row is found.secret and not found.is_fixed:
        return BindingError(
            f"{found.row.name!r} may be used nowhere: its owner has no saved connection with it any more",
            hint=f"{found.row.owner!r} saves one and enters it again:  %%connect NAME --save   %secret set NAME --replace",
        )
    if found.row is found.secret:
        return BindingError(
            f"{found.row.name!r} may not be used for {place(found.target)}: {found.row.owner!r} has fixed other targets",
            hint="ask for them; each part counts: host, port, database, user, and how it is encrypted",
        )
    return BindingError(
        f"no credential is fixed to {place(found.target)}: its target was changed, or it was never entered",
        hint=f"its owner {found.row.owner!r} enters it (again):  %secret set NAME --replace",
    )
