"""What every part of the team's policy stands on: the store, the key, the audit, and who is calling."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, delete, select

from flowfile_nb.broker.audit import Audit
from flowfile_nb.broker.database import Store, findable, insert
from flowfile_nb.broker.definitions import definition_of
from flowfile_nb.broker.directory import Who, find_who, make_user
from flowfile_nb.broker.keeping import Keeper, binding_of, canonical, saved_by_proof
from flowfile_nb.broker.limits import Quotas
from flowfile_nb.broker.model import Caller
from flowfile_nb.broker.shown import LogEntry
from flowfile_nb.broker.tables import bindings, connections, secrets
from flowfile_nb.core.crypto import Keychain
from flowfile_nb.errors import BrokerError, ConnectionSpecError, MissingDriverError, NotAllowedError


class Desk:
    """
    The base of the parts of `Team`.

    Args:
        store: An open store.
        keeper: Finds the master key.
        audit: The record.
        now: Seconds since 1970.
        quotas: How much one user may keep.
    """

    def __init__(
        self,
        store: Store,
        keeper: Keeper,
        audit: Audit,
        now: Callable[[], float] = time.time,
        quotas: Quotas = Quotas(),  # noqa: B008 - it cannot be changed
    ) -> None:
        self._store = store
        self._keeper = keeper
        self._audit = audit
        self._now = now
        self._quotas = quotas

    @contextmanager
    def _looking(self, caller: Caller) -> Iterator[tuple[Connection, Who]]:
        """Give a reading transaction and who calls, who is made known if he was never here."""
        with self._store.reading() as connection:
            who = find_who(connection, caller)
            if who is not None:
                yield connection, who
                return
        self._make_known(caller)
        with self._store.reading() as connection:
            yield connection, _known(find_who(connection, caller))

    @contextmanager
    def _changing(self, caller: Caller, *, first: bool = False) -> Iterator[tuple[Connection, Who]]:
        """Give a writing transaction that changes what is allowed, and who calls; what takes something back goes first."""
        with self._store.writing(policy=True, first=first) as connection:
            who = find_who(connection, caller)
            if who is None:
                make_user(connection, caller.name)
                who = find_who(connection, caller)
            yield connection, _known(who)

    def _make_known(self, caller: Caller) -> None:
        with self._store.writing() as connection:
            make_user(connection, caller.name)

    def _keys(self) -> Keychain:
        return self._keeper.keys()

    def _note(  # noqa: PLR0913 - what an entry consists of
        self,
        connection: Connection | None,
        who: Who | Caller,
        action: str,
        name: str,
        *,
        owner: str = "",
        secret: str = "",
        detail: str = "",
    ) -> None:
        """Write down what a caller does, as part of a transaction if one is given."""
        entry = LogEntry(self._now(), who.name, who.vouched_by, action, owner or who.name, name, secret, detail=detail)
        self._audit.record(entry, connection)

    def _bind(self, connection: Connection, keys: Keychain, saved: Any) -> bool:
        """
        Let the credential of a saved connection go where its description says, and nowhere else on account of it.

        Only for a description that its owner saved himself.

        Returns:
            Whether there is a credential, and the broker serves such a connection.
        """
        connection.execute(delete(bindings).where(bindings.c.connection_id == saved.id))
        proof = saved_by_proof(keys, saved)
        if saved.saved_by != saved.owner_id or proof != saved.mac:
            return False
        try:
            definition = definition_of(saved.body)
        except (ConnectionSpecError, NotAllowedError, MissingDriverError):
            return False
        secret = own_secret(connection, saved.owner_id, definition.secret)
        if secret is None:
            return False
        row = {
            "secret_id": secret.id,
            "connection_id": saved.id,
            "target": canonical(definition.target),
            "mac": binding_of(keys, secret, saved.id, definition.target),
        }
        connection.execute(insert(connection, bindings).values(row))
        return True

    def _bind_all(self, connection: Connection, keys: Keychain, owner_id: int, name: str) -> None:
        """Bind anew every connection of an owner that uses the secret *name*, which has just got a value from him."""
        query = select(connections).where(connections.c.owner_id == owner_id).order_by(connections.c.id)
        for saved in connection.execute(query).all():
            if uses(saved.body, name):
                self._bind(connection, keys, saved)


def own_secret(connection: Connection, owner_id: int, name: str) -> Any:
    """Return the row of a user's own secret, of several of that name the first; or None."""
    query = (
        select(secrets).where(secrets.c.user_id == owner_id, secrets.c.name == findable(name)).order_by(secrets.c.id).limit(1)
    )
    return connection.execute(query).one_or_none()


def uses(body: str, name: str) -> bool:
    """Return whether a description refers to the secret *name*."""
    return name in secrets_of(body)


def secrets_of(body: str) -> list[str]:
    """Return the names of the secrets in a description; none of one that cannot be read any more."""
    from flowfile_nb.core.references import names_in

    try:
        return names_in(body)
    except ConnectionSpecError:
        return []


def _known(who: Who | None) -> Who:
    if who is None:
        raise BrokerError("the broker does not know its caller any more", hint="try again")
    return who
