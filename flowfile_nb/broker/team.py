"""The team's policy: every decision of the broker, behind one object. No network, no web; synchronous, from any thread."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping

from flowfile_nb.broker.audit import Audit
from flowfile_nb.broker.connections_desk import ConnectionsDesk
from flowfile_nb.broker.database import open_store
from flowfile_nb.broker.groups_desk import GroupsDesk
from flowfile_nb.broker.keeping import Keeper
from flowfile_nb.broker.limits import Quotas
from flowfile_nb.broker.orders_desk import OrdersDesk
from flowfile_nb.broker.secrets_desk import SecretsDesk
from flowfile_nb.broker.sharing import SharingDesk
from flowfile_nb.broker.tokens_desk import TokensDesk


class Team(SecretsDesk, ConnectionsDesk, SharingDesk, GroupsDesk, OrdersDesk, TokensDesk):
    """
    Secrets, connections, shares, groups, uses and tokens of a team.

    Methods whose first argument is a `Caller` decide by who that is; the others are the operator's, at the command line.
    All raise our errors only. What was changed is in the store, and written down, when they return.
    """

    def subscribe(self, callback: Callable[[], None]) -> None:
        """Call *callback*, from any thread, whenever what is allowed may have changed, here or in another process."""
        self._store.changes.subscribe(callback)

    def same_users(self) -> str:
        """Return which sources speak of the same users: in a store from before that was asked, those there were; else none."""
        with self._store.reading() as connection:
            return self._store.fact(connection, "same_users") or "none"

    def require_key(self) -> None:
        """Raise MasterKeyError if the broker has no key, and WrongKeyError if it has another than its store."""
        self._keys()

    def take_over(self, path: str) -> str:
        """Copy a Flowfile database into this empty store; return what came. Raises as `importing.import_flowfile`."""
        from flowfile_nb.broker.importing import import_flowfile

        taken = import_flowfile(self._store, self._keeper, path)
        return ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in taken._asdict().items())

    @property
    def place(self) -> str:
        """Where the store is, to be read."""
        return self._store.place

    def close(self) -> None:
        """Close the store."""
        self._presence.end()
        self._store.close()


def open_team(
    url: str = "sqlite",
    directory: str = "",
    environ: Mapping[str, str] | None = None,
    mounted_key: str = "/run/secrets/flowfile_master_key",
    quotas: Quotas | None = None,
) -> Team:
    """
    Open a broker's store.

    Args:
        url: As `database.open_store` takes it.
        directory: The broker's own.
        environ: May give the master key; this process's if not given.
        mounted_key: Where a container is given the key as a file.
        quotas: How much one user may keep; the usual, if not given.

    Raises:
        StoreError: If it cannot be opened.
    """
    store = open_store(url, os.path.abspath(directory))
    keeper = Keeper(store, os.environ if environ is None else environ, mounted_key)
    return Team(store, keeper, Audit(store), quotas=quotas or Quotas())
