"""The user's own secrets: the store's rows, decrypted with keys derived from the master key."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from time import monotonic
from typing import TYPE_CHECKING

from flowfile_nb.core.names import NOT_KEPT, environment_variable, no_such_secret, overridden_by, require_name, require_value
from flowfile_nb.errors import FlowfileNbError, InvalidNameError, NoSuchSecretError, StoreError
from flowfile_nb.kept_connections import KeptConnections
from flowfile_nb.storage.access_log import AccessLog
from flowfile_nb.storage.database import ALL
from flowfile_nb.storage.paths import find_paths
from flowfile_nb.storage.rows import Row
from flowfile_nb.storage.store import Store
from flowfile_nb.storage.store_key import StoreKey

# What only showing and describing need is imported there: a cold read of one secret is half imports.
if TYPE_CHECKING:
    from flowfile_nb.backend import Finding, Listing, TeamConnection
    from flowfile_nb.checkup import Subject
    from flowfile_nb.storage.access_history import AccessHistory

LOCAL_USER = 1
# `secrets[name].get_secret_value()` looks up once: what was found this short a while ago, in the same vault, is what is there.
_SAME_MOMENT_S = 0.001


class Vault(KeptConnections):
    """
    A `SecretBackend` over the files of this machine.

    Args:
        environ: The environment: it says where the files are and may override values (`FLOWFILE_SECRET_<NAME>`).
        user_id: Whose secrets; 1 is Flowfile's single local user.
    """

    keeps_previous = True

    def __init__(self, environ: Mapping[str, str], user_id: int = LOCAL_USER) -> None:
        self.environ = environ
        self.user_id = user_id
        self.paths = find_paths(environ)
        self.store = Store(self.paths)
        self.key = StoreKey(self.paths, environ, self.store)
        self.log = AccessLog(self.paths.access_log, environ)
        self._is_overridden = overridden_by(environ)
        self._found: tuple[float, Row] | None = None
        self._history: AccessHistory | None = None

    def names(self) -> list[str]:
        """Return the names that can be used, the oldest first."""
        return self.store.names(self.user_id)

    def count(self) -> int:
        """Return how many names can be used."""
        return self.store.count(self.user_id)

    def version(self) -> object:
        """Return something that differs when any secret may have changed since; cheap to ask."""
        given = [hash((key, self.environ[key])) for key in self.environ if key.startswith("FLOWFILE_SECRET_")]
        return (self.store.version(), given)

    def fingerprints(self) -> dict[str, object]:
        """Return for each name something that differs when its value may have changed since, and tells nothing about it."""
        from flowfile_nb.listing import fingerprints

        return fingerprints(self.store.listing(self.user_id), self.environ)

    def fingerprint(self, name: str) -> object:
        """Return that of one name. Raises NoSuchSecretError."""
        if self._is_overridden(name):
            return hash(self.environ[environment_variable(name)])
        if (row := self.store.find(self.user_id, name)) is None:
            raise self._unknown(name)
        self._found = monotonic(), row  # a new database connection asks for the value next
        return hash((row.id, row.owner_id, row.token))

    def missing(self, names: Iterable[str]) -> list[str]:
        """Return those of *names* that cannot be used, each once."""
        stored = set(self.store.names(self.user_id))
        return [name for name in dict.fromkeys(names) if name not in stored and not self._is_overridden(name)]

    def brokered(self, names: Iterable[str]) -> dict[str, str]:
        """Return none: whatever can be used here can be read here."""
        return {}

    def team_connections(self) -> list[TeamConnection]:
        """Return none: there is no team."""
        return []

    def updated_at(self, name: str) -> int | None:
        """Return when a value was stored, in seconds since 1970; None where that is not known."""
        from flowfile_nb.core.crypto import token_times

        row = None if self._is_overridden(name) else self.store.find(self.user_id, name)
        return None if row is None else token_times([row.token])[0]

    def describe(self, limit: int | None = None, names: Sequence[str] | None = None) -> Listing:
        """Return what may be shown of the secrets, by name in any case; of the first *limit*, or of some *names*, if given."""
        from flowfile_nb.listing import described, overridden

        used = self.history().last_used() if self.log.is_on else {}
        columns = self.store.listing(self.user_id, ALL if limit is None else limit, names)
        return overridden(described(columns, self.store.user_names(), used, self.user_id, limit), self.environ)

    def history(self) -> AccessHistory:
        """Return what the record of uses says, by this moment."""
        self.log.flush()
        if self._history is None:
            from flowfile_nb.storage.access_history import AccessHistory

            self._history = AccessHistory(self.paths.access_log)
        return self._history

    def require(self, name: str) -> None:
        """Let *name* pass only if it can be used. Raises NoSuchSecretError if neither the store nor the environment has it."""
        if self._is_overridden(name):
            return
        if (row := self.store.find(self.user_id, name)) is None:
            raise self._unknown(name)
        self._found = monotonic(), row

    def reveal(self, name: str) -> str:
        """Return the plaintext, and record the use. Raises as `require`, and StoreError if it cannot be read or decrypted."""
        try:
            value = self.peek(name)
        except FlowfileNbError as error:
            self.log.refused(name, error)
            raise
        # `used` would ask the same, but a call is a twentieth of a warm read.
        if monotonic() >= self.log.again_at.get(name, 0.0):
            self.log.used(name)
        return value

    def peek(self, name: str) -> str:
        """Return the plaintext to look for it in cells, outputs and files; not recorded. Raises as `reveal` does."""
        found, self._found = self._found, None
        if found is not None and found[1].name == name and monotonic() - found[0] < _SAME_MOMENT_S:
            # The row that `require` found a moment ago, once: a Secret that is kept and asked again looks again.
            row: Row | None = found[1]
        else:
            if self._is_overridden(name):
                return self.environ[environment_variable(name)]
            row = self.store.find(self.user_id, name)
        if row is None:
            raise self._unknown(name)
        return self.key.decrypt(row)

    def stored(self, name: str) -> str | None:
        """Return the plaintext of an own secret in the store, not of a variable; None if there is none. Raises StoreError."""
        row = self.store.find(self.user_id, name)
        return None if row is None or row.owner_id != self.user_id else self.key.decrypt(row)

    def set(self, name: str, value: str, *, replace: bool) -> bool:
        """
        Store a value; when this returns, it is on disk.

        Returns:
            Whether it replaced a value. The row keeps its id, and with it its shares and connections; `undo` takes it back.

        Raises:
            InvalidNameError, InvalidValueError: If it cannot be stored.
            SecretExistsError: If the name is taken and *replace* is false.
            WrongKeyError: If the master key is not the one this store is written with.
        """
        try:
            require_name(name)
        except InvalidNameError:
            # Flowfile takes any name: what it stored can be replaced under it.
            if not (replace and self.store.find(self.user_id, name)):
                raise
        require_value(value)
        try:
            replaced = self._put(name, value, replace=replace)
        except FlowfileNbError as error:
            self.log.refused_change("replace" if replace else "add", name, error)
            raise
        self.log.soon("replace" if replaced else "add", name)
        return replaced

    def _put(self, name: str, value: str, *, replace: bool) -> bool:
        # Ahead of the lock, which others wait for; whether it is the right key is proved when it is held.
        keychain = self.key.last_proved or self.key.proved_keychain()
        token = keychain.encrypt_secret(value, self.user_id)
        self._found = None
        with self.store.active.alone():
            present = self.key.proved_keychain()
            if present is not keychain:
                # Rotated while this waited for its turn.
                token = present.encrypt_secret(value, self.user_id)
            return self.store.put(self.user_id, name, token, replace=replace)

    def replaced_at(self, name: str) -> int:
        """
        Return when the value was stored that `undo` would take back, in seconds since 1970.

        Raises:
            NoSuchSecretError: If *name* is not an own secret.
            NothingToUndoError: If there is no previous value to put back.
        """
        from flowfile_nb.storage.previous import of_present

        return of_present(self._own(name), self.store, self.key).replaced_at

    def undo(self, name: str) -> None:
        """
        Put the previous value of an own secret back, once; the value that is taken back is not kept.

        Raises:
            NoSuchSecretError: If *name* is not an own secret.
            NothingToUndoError: If there is no previous value to put back.
            StoreError: If the previous value cannot be decrypted; nothing is changed then.
        """
        from flowfile_nb.storage.previous import of_present

        with self._recorded("undo", name):
            row = self._own(name)
            previous = of_present(row, self.store, self.key)
            self.key.decrypt_kept(previous.token, row)
            self._found = None
            self.store.undo(self.user_id, name, row.token, previous.token)
        self.log.record("undo", name)

    def rename(self, old: str, new: str) -> list[str]:
        """Rename an own secret, and what saved connections call it; return their names. Raises as the port says."""
        self._found = None
        require_name(new)
        with self._recorded("rename", old, to=new):
            followed = self.store.rename(self.user_id, old, new)
        self.log.record("rename", old, to=new)
        return followed

    def delete(self, name: str) -> None:
        """Delete an own secret and its shares. Raises NoSuchSecretError."""
        if self.store.find(self.user_id, name) is None:
            raise self._unknown(name, instead="")
        self._found = None
        with self._recorded("delete", name):
            self.store.delete(self.user_id, name)
        self.log.record("delete", name)

    def awaits_key(self) -> bool:
        """Return whether docker mode was given no master key, and there is nothing yet that an earlier one has encrypted."""
        return self.key.is_awaited()

    def findings(self) -> list[Finding]:
        """Return what `%secret doctor` says about key and store."""
        from flowfile_nb.checkup import check_up

        return check_up(self._subject())

    def mend(self) -> list[str]:
        """Mend what `%secret doctor --fix` may: nothing that could lose a value. Return what was done. Raises StoreError."""
        from flowfile_nb.checkup import mend

        return mend(self._subject())

    def _subject(self) -> Subject:
        from flowfile_nb.checkup import Subject

        return Subject(self.paths, self.environ, self.store, self.key, self.log, self.user_id)

    @contextmanager
    def _recorded(self, operation: str, name: str, *, to: str = "") -> Iterator[None]:
        """Record that a change was refused, and why."""
        try:
            yield
        except FlowfileNbError as error:
            self.log.refused_change(operation, name, error, to=to)
            raise

    def _own(self, name: str) -> Row:
        row = self.store.find(self.user_id, name)
        if row is None or row.owner_id != self.user_id:
            raise self._unknown(name, instead=NOT_KEPT)
        return row

    def _unknown(self, name: str, *, instead: str | None = None) -> NoSuchSecretError | StoreError:
        names = self.names()
        is_there = name in names or self.store.is_indexed(self.user_id, name)
        if is_there and self.store.find(self.user_id, name) is None:
            # The index does not lead to it, or to what is there no more.
            return self.store.damaged()
        from flowfile_nb.attended import is_attended

        return no_such_secret(name, names, instead=instead, attended=is_attended())


def open_vault() -> Vault:
    """Return the vault of this process's user and environment."""
    return Vault(os.environ)
