"""
Orders: one permitted use each, with the value and where alone it may go.

What is not there and what is not the caller's take the same way through this file: the same questions to the store, one
decryption, one error.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from sqlalchemy import Connection, select

from flowfile_nb.broker.audit import without
from flowfile_nb.broker.connections_desk import no_such_connection
from flowfile_nb.broker.database import insert
from flowfile_nb.broker.definitions import definition_of, place, require_safe
from flowfile_nb.broker.desk import Desk, own_secret
from flowfile_nb.broker.directory import Who, find_who
from flowfile_nb.broker.grants import access_of, reachable
from flowfile_nb.broker.keeping import binding_of, require_binding, target_from, unseal
from flowfile_nb.broker.model import Caller, Definition, Order, Outcome, Target
from flowfile_nb.broker.shown import LogEntry
from flowfile_nb.broker.tables import CONNECTION, SECRET, bindings, secrets, tokens, uses
from flowfile_nb.core.crypto import Keychain
from flowfile_nb.errors import BindingError, FlowfileNbError, NotAllowedError, UsageError

_NOBODY = 0
"""No user's id: ids begin at 1."""
_NOWHERE = Target("postgresql", "localhost", 5432, "", "", "prefer", {})


class _Found(NamedTuple):
    """What a caller may use: the row that grants it, the sealed credential, and what fixes its target."""

    row: Any
    secret: Any
    binding: Any
    target: Target
    session: str


class OrdersDesk(Desk):
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

    def begin_use(self, caller: Caller, order: Order, query_id: str, statement: str) -> None:
        """
        Write down that a statement is about to run; it does not, where that fails.

        Raises:
            BrokerError: If it cannot be written.
        """
        entry = self._entry(caller, order, query_id)._replace(statement=without(statement, order.value), state="started")
        with self._store.writing(durable=False) as connection:
            self._audit.record(entry, connection)
            kind, resource, _ = order.grant.split("/", 2)
            named = select(secrets.c.id)
            if kind == SECRET:
                named = named.where(secrets.c.id == int(resource))
            else:
                bound = select(bindings.c.secret_id).where(bindings.c.connection_id == int(resource))
                named = named.where(secrets.c.id.in_(bound))
            for secret_id in connection.execute(named).scalars().all():
                row = insert(connection, uses).values(secret_id=secret_id, used_at=int(self._now()))
                connection.execute(row.on_conflict_do_update(index_elements=["secret_id"], set_={"used_at": int(self._now())}))

    def end_use(self, caller: Caller, order: Order, query_id: str, outcome: Outcome) -> None:
        """Write down how a statement ended. Raises BrokerError if that cannot be written."""
        entry = self._entry(caller, order, query_id)._replace(
            state=outcome.state,
            rows=outcome.rows,
            bytes=outcome.bytes,
            duration_s=outcome.duration_s,
            detail=without(outcome.detail, order.value)[:200],
        )
        self._audit.record(entry)

    def refuse_use(self, caller: Caller, order: Order, statement: str, why: str) -> None:
        """Write down a request to an API that its owner does not allow. Raises BrokerError if that cannot be written."""
        text = without(statement, order.value)
        self._audit.record(self._entry(caller, order, "")._replace(action="refused", statement=text, detail=why))

    def log(self, caller: Caller, name: str = "") -> list[LogEntry]:
        """
        Return what was done with an own secret or connection of that name, also under a name that it had; oldest first.

        Without a name: what was done with all that is the caller's, and what he did with what others share.
        """
        return self._audit.of(caller.name, name) if name else self._audit.around(caller.name)

    def require_audit(self) -> None:
        """Raise BrokerError unless uses can be written down now."""
        self._audit.require()

    def _vouch(self, caller: Caller) -> None:
        """Keep what is said of a caller now. A token that is renewed while a statement runs lets it go on."""
        before = self._vouched.get((caller.name, caller.vouched_by))
        if before is not None and before.ends_at is not None and caller.ends_at is not None:
            caller = caller._replace(ends_at=max(before.ends_at, caller.ends_at))
        self._vouched[caller.name, caller.vouched_by] = caller

    def _entry(self, caller: Caller, order: Order, query_id: str) -> LogEntry:
        secret = order.connection.rpartition(" by ")[2].rpartition("#")[0] if order.grant.startswith(f"{SECRET}/") else ""
        return LogEntry(
            self._now(), caller.name, caller.vouched_by, "use", order.owner, order.connection, secret, query_id=query_id
        )

    def _saved(self, connection: Connection, who: Who, name: str) -> _Found | None:
        rows = reachable(connection, who, CONNECTION, name)
        row = rows[0] if rows else None
        definition = None
        if row is not None:
            definition = definition_of(row.body)
        owner_id, secret_name = (row.of, definition.secret) if row is not None and definition else (_NOBODY, name)
        # Asked also where there is nothing to ask for.
        secret = own_secret(connection, owner_id, secret_name)
        query = select(bindings).where(
            bindings.c.connection_id == (row.id if row is not None else _NOBODY),
            bindings.c.secret_id == (secret.id if secret is not None else _NOBODY),
        )
        binding = connection.execute(query).one_or_none()
        if row is None or definition is None:
            return None
        return _Found(row, secret, binding, definition.target, name)

    def _described(self, connection: Connection, who: Who, definition: Definition) -> _Found | None:
        rows = reachable(connection, who, SECRET, definition.secret)
        row = rows[0] if rows else None
        query = select(bindings).where(bindings.c.secret_id == (row.id if row is not None else _NOBODY)).order_by(bindings.c.id)
        bound = [each for each in connection.execute(query) if target_from(each.target) == definition.target]
        if row is None:
            return None
        binding = bound[0] if bound else None
        # The number tells apart what looks alike here and differs in an option.
        session = f"{place(definition.target)} by {row.name}#{binding.id if binding else 0}"
        return _Found(row, row, binding, definition.target, session)

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
        return Order(who.name, found.row.owner, found.session, grant, found.target, value, access_of(found.row))

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
        rows = [row for row in reachable(connection, who, kind) if row.id == resource_id and row.owner == order.owner]
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
    if found.row is found.secret:
        return BindingError(
            f"{found.row.name!r} may not be used for {place(found.target)}: {found.row.owner!r} has fixed other targets",
            hint="ask for them; each part counts: host, port, database, user, and how it is encrypted",
        )
    return BindingError(
        f"no credential is fixed to {place(found.target)}: its target was changed, or it was never entered",
        hint=f"its owner {found.row.owner!r} enters it (again):  %secret set NAME --replace",
    )
