"""The user's own secrets: the store's rows, decrypted with keys derived from the master key."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from time import monotonic
from typing import TYPE_CHECKING

from flowfile_nb.core.crypto import token_times
from flowfile_nb.core.names import environment_variable, quoted, require_name, require_value, suggest
from flowfile_nb.errors import NoSuchSecretError
from flowfile_nb.storage.database import ALL
from flowfile_nb.storage.paths import find_paths
from flowfile_nb.storage.store import Row, Store
from flowfile_nb.storage.store_key import StoreKey

# What only showing and describing need is imported there: a cold read of one secret is half imports.
if TYPE_CHECKING:
    from flowfile_nb.backend import Finding, Known, Listing

LOCAL_USER = 1
# `secrets[name].get_secret_value()` looks up once: what was found this short a while ago, in the same vault, is what is there.
_SAME_MOMENT_S = 0.001


class Vault:
    """
    A `SecretBackend` over the files of this machine.

    Args:
        environ: The environment: it says where the files are and may override values (`FLOWFILE_SECRET_<NAME>`).
        user_id: Whose secrets; 1 is Flowfile's single local user.
    """

    def __init__(self, environ: Mapping[str, str], user_id: int = LOCAL_USER) -> None:
        self.environ = environ
        self.user_id = user_id
        self.paths = find_paths(environ)
        self.store = Store(self.paths)
        self.key = StoreKey(self.paths, environ, self.store)
        self._found: tuple[float, Row] | None = None

    def names(self) -> list[str]:
        """Return the names that can be used, the oldest first."""
        return self.store.names(self.user_id)

    def count(self) -> int:
        """Return how many names can be used."""
        return self.store.count(self.user_id)

    def version(self) -> object:
        """Return something that differs when any secret may have changed since; cheap to ask."""
        given = [hash(item) for item in self.environ.items() if item[0].startswith("FLOWFILE_SECRET_")]
        return (self.store.version(), given)

    def fingerprints(self) -> dict[str, object]:
        """Return for each name something that differs when its value may have changed since, and tells nothing about it."""
        names, heads, _ = self.store.listing(self.user_id)
        found: dict[str, object] = dict(zip(names, heads, strict=True))
        if any(variable.startswith("FLOWFILE_SECRET_") for variable in self.environ):
            for name in names:
                if (variable := environment_variable(name)) in self.environ:
                    found[name] = hash(self.environ[variable])
        return found

    def fingerprint(self, name: str) -> object:
        """Return that of one name. Raises NoSuchSecretError."""
        variable = environment_variable(name)
        if variable in self.environ:
            return hash(self.environ[variable])
        row = self.store.find(self.user_id, name)
        if row is None:
            raise self._unknown(name)
        return hash((row.id, row.owner_id, row.token))

    def missing(self, names: Iterable[str]) -> list[str]:
        """Return those of *names* that cannot be used, each once."""
        stored = set(self.store.names(self.user_id))
        return [name for name in dict.fromkeys(names) if name not in stored and environment_variable(name) not in self.environ]

    def updated_at(self, name: str) -> int | None:
        """Return when a value was stored, in seconds since 1970; None where that is not known."""
        row = None if environment_variable(name) in self.environ else self.store.find(self.user_id, name)
        return None if row is None else token_times([row.token])[0]

    def describe(self, limit: int | None = None) -> Listing:
        """Return what may be shown of the secrets, the oldest first; of the first *limit* if that is given."""
        from flowfile_nb.backend import Listing

        names, tokens, owner_ids = self.store.listing(self.user_id, ALL if limit is None else limit)
        users = self.store.user_names()
        owner = {owner_id: users.get(owner_id, f"user {owner_id}") for owner_id in set(owner_ids)}
        sharer = {**owner, self.user_id: ""}
        listing = Listing(
            names, list(map(owner.__getitem__, owner_ids)), list(map(sharer.__getitem__, owner_ids)), token_times(tokens)
        )
        # Most environments override nothing; then no name has to be spelled as a variable.
        if any(variable.startswith("FLOWFILE_SECRET_") for variable in self.environ):
            for number, name in enumerate(names):
                if environment_variable(name) in self.environ:
                    listing.owners[number], listing.sharers[number], listing.updated_at[number] = "environment", "", None
        return listing

    def require(self, name: str) -> None:
        """
        Let *name* pass only if it can be used.

        Raises:
            NoSuchSecretError: If it is neither stored nor given by the environment.
        """
        if environment_variable(name) in self.environ:
            return
        row = self.store.find(self.user_id, name)
        if row is None:
            raise self._unknown(name)
        self._found = monotonic(), row

    def reveal(self, name: str) -> str:
        """
        Return the plaintext.

        Raises:
            NoSuchSecretError: If *name* is neither stored nor given by the environment.
            StoreError: If it cannot be read or decrypted.
        """
        found, self._found = self._found, None
        if found is not None and found[1].name == name and monotonic() - found[0] < _SAME_MOMENT_S:
            # The row that `require` found a moment ago, once: a Secret that is kept and asked again looks again.
            row: Row | None = found[1]
        else:
            variable = environment_variable(name)
            if variable in self.environ:
                return self.environ[variable]
            row = self.store.find(self.user_id, name)
        if row is None:
            raise self._unknown(name)
        return self.key.decrypt(row)

    def set(self, name: str, value: str, *, replace: bool) -> bool:
        """
        Store a value; when this returns, it is on disk.

        Returns:
            Whether it replaced a value. The row keeps its id, and with it its shares and connections.

        Raises:
            InvalidNameError, InvalidValueError: If it cannot be stored.
            SecretExistsError: If the name is taken and *replace* is false.
            WrongKeyError: If the master key is not the one this store is written with.
        """
        require_name(name)
        require_value(value)
        keychain = self.key.proved_keychain()
        self._found = None
        return self.store.put(self.user_id, name, keychain.encrypt_secret(value, self.user_id), replace=replace)

    def rename(self, old: str, new: str) -> None:
        """Rename an own secret. Raises NoSuchSecretError, SecretExistsError, InvalidNameError."""
        self._found = None
        self.store.rename(self.user_id, old, require_name(new))

    def delete(self, name: str) -> None:
        """Delete an own secret and its shares. Raises NoSuchSecretError."""
        if self.store.find(self.user_id, name) is None:
            raise self._unknown(name)
        self._found = None
        self.store.delete(self.user_id, name)

    def used_by(self, name: str) -> list[str]:
        """Return the saved connections that use a secret: Flowfile's and ours."""
        row = self.store.find(self.user_id, name)
        theirs = [] if row is None else self.store.used_by(row.id)
        from flowfile_nb.core.references import names_in

        ours = [saved for saved, body in self.store.connection_bodies().items() if name in names_in(body)]
        return list(dict.fromkeys([*theirs, *ours]))

    def save_connection(self, name: str, body: str) -> None:
        """Keep the definition of a connection; *body* holds references only."""
        self.store.save_connection(name, body)

    def connection_bodies(self) -> dict[str, str]:
        """Return the saved definitions by name."""
        return self.store.connection_bodies()

    def delete_connection(self, name: str) -> bool:
        """Delete a saved definition; return whether there was one."""
        return self.store.delete_connection(name)

    def used_connections(self) -> dict[tuple[str, str], Known]:
        """Return what is known of definitions, by origin (the path of a project file; empty for the saved ones) and name."""
        from flowfile_nb.backend import Known

        return {place: Known(*known) for place, known in self.store.used_connections().items()}

    def note_connection(self, origin: str, name: str, digest: str = "", used_at: int | None = None) -> None:
        """Keep what is known of a definition; no time leaves the one that is known."""
        self.store.note_connection(origin, name, digest, used_at)

    def findings(self) -> list[Finding]:
        """Return what `%secret doctor` says about key and store."""
        # Imported here: only `doctor` needs it.
        from flowfile_nb.checkup import check_up

        return check_up(self.paths, self.environ, self.store, self.key.keychain)

    def _unknown(self, name: str) -> NoSuchSecretError:
        close = suggest(name, self.names())
        meant = f"did you mean {close!r}?  " if close else ""
        return NoSuchSecretError(
            f"no secret named {name!r}", hint=f"{meant}Add it:  %secret set {quoted(name)}   List yours:  %secret list"
        )


def open_vault() -> Vault:
    """Return the vault of this process's user and environment."""
    return Vault(os.environ)
