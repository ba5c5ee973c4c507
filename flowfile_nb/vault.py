"""The user's own secrets: the store's rows, decrypted with keys derived from the master key."""

from __future__ import annotations

import os
from collections.abc import Mapping
from time import monotonic
from typing import TYPE_CHECKING

from flowfile_nb.core.crypto import Keychain, token_times
from flowfile_nb.core.names import environment_variable, quoted, require_name, require_value, suggest
from flowfile_nb.errors import DamagedSecretError, MasterKeyError, NoSuchSecretError, StoreError, WrongKeyError
from flowfile_nb.storage.database import ALL
from flowfile_nb.storage.master_key import create_master_key, key_source, key_version, read_master_key
from flowfile_nb.storage.paths import find_paths
from flowfile_nb.storage.store import Row, Store

# What only showing and describing need is imported there: a cold read of one secret is half imports.
if TYPE_CHECKING:
    from flowfile_nb.backend import Finding, Listing

LOCAL_USER = 1
# How many of the newest tokens prove that a key is the store's own.
_PROOF = 25
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
        self._environ = environ
        self._user_id = user_id
        self._paths = find_paths(environ)
        self._store = Store(self._paths)
        self._keychain: Keychain | None = None
        self._version: tuple[object, ...] | None = None
        self._proved: tuple[object, ...] | None = None
        self._found: tuple[float, Row] | None = None

    def names(self) -> list[str]:
        """Return the names that can be used, the oldest first."""
        return self._store.names(self._user_id)

    def count(self) -> int:
        """Return how many names can be used."""
        return self._store.count(self._user_id)

    def describe(self, limit: int | None = None) -> Listing:
        """Return what may be shown of the secrets, the oldest first; of the first *limit* if that is given."""
        from flowfile_nb.backend import Listing

        names, tokens, owner_ids = self._store.listing(self._user_id, ALL if limit is None else limit)
        users = self._store.user_names()
        owner = {owner_id: users.get(owner_id, f"user {owner_id}") for owner_id in set(owner_ids)}
        sharer = {**owner, self._user_id: ""}
        listing = Listing(
            names, list(map(owner.__getitem__, owner_ids)), list(map(sharer.__getitem__, owner_ids)), token_times(tokens)
        )
        # Most environments override nothing; then no name has to be spelled as a variable.
        if any(variable.startswith("FLOWFILE_SECRET_") for variable in self._environ):
            for number, name in enumerate(names):
                if environment_variable(name) in self._environ:
                    listing.owners[number], listing.sharers[number], listing.updated_at[number] = "environment", "", None
        return listing

    def require(self, name: str) -> None:
        """
        Let *name* pass only if it can be used.

        Raises:
            NoSuchSecretError: If it is neither stored nor given by the environment.
        """
        if environment_variable(name) in self._environ:
            return
        row = self._store.find(self._user_id, name)
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
        row = self._just_found(name)
        if row is None:
            variable = environment_variable(name)
            if variable in self._environ:
                return self._environ[variable]
            row = self._store.find(self._user_id, name)
        if row is None:
            raise self._unknown(name)
        # A key that opens the token is right, whatever has become of its files: they are read again only where it fails.
        keychain = self._keychain or self._require_keychain()
        try:
            return keychain.decrypt_secret(row.token, row.owner_id)
        except DamagedSecretError:
            return self._decrypt_with_present_key(row)

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
        keychain = self._require_keychain(create=True)
        self._prove(keychain)
        self._found = None
        return self._store.put(self._user_id, name, keychain.encrypt_secret(value, self._user_id), replace=replace)

    def rename(self, old: str, new: str) -> None:
        """Rename an own secret. Raises NoSuchSecretError, SecretExistsError, InvalidNameError."""
        self._found = None
        self._store.rename(self._user_id, old, require_name(new))

    def delete(self, name: str) -> None:
        """Delete an own secret and its shares. Raises NoSuchSecretError."""
        if self._store.find(self._user_id, name) is None:
            raise self._unknown(name)
        self._found = None
        self._store.delete(self._user_id, name)

    def used_by(self, name: str) -> list[str]:
        """Return the saved connections that use a secret: Flowfile's and ours."""
        row = self._store.find(self._user_id, name)
        theirs = [] if row is None else self._store.used_by(row.id)
        from flowfile_nb.core.references import names_in

        ours = [saved for saved, body in self._store.connection_bodies().items() if name in names_in(body)]
        return list(dict.fromkeys([*theirs, *ours]))

    def save_connection(self, name: str, body: str) -> None:
        """Keep the definition of a connection; *body* holds references only."""
        self._store.save_connection(name, body)

    def connection_bodies(self) -> dict[str, str]:
        """Return the saved definitions by name."""
        return self._store.connection_bodies()

    def findings(self) -> list[Finding]:
        """Return what `%secret doctor` says about key and store."""
        # Imported here: only `doctor` needs it.
        from flowfile_nb.checkup import check_up

        return check_up(self._paths, self._environ, self._store, self._require_keychain)

    def _just_found(self, name: str) -> Row | None:
        """Return the row that `require` found a moment ago, once: a Secret that is kept and asked again looks again."""
        found, self._found = self._found, None
        return found[1] if found and found[1].name == name and monotonic() - found[0] < _SAME_MOMENT_S else None

    # The key

    def _decrypt_with_present_key(self, row: Row) -> str:
        keychain = self._require_keychain()
        try:
            return keychain.decrypt_secret(row.token, row.owner_id)
        except DamagedSecretError:
            self._verify_key(keychain)
            raise DamagedSecretError(
                f"the secret {row.name!r} cannot be decrypted, although the master key opens others; its row is damaged",
                hint=f"%secret set {quoted(row.name)} --replace  stores it anew, or put the store back from a backup",
            ) from None

    def _require_keychain(self, *, create: bool = False) -> Keychain:
        version = key_version(self._paths, self._environ)
        if self._keychain is None or version != self._version:
            key = self._read_key()
            self._keychain = Keychain(key or self._make_key(create=create))
            # The version is from before the read: should the key change in between, or be made now, the next call reads again.
            self._version = version if key else None
        return self._keychain

    def _read_key(self) -> bytes | None:
        key = read_master_key(self._paths, self._environ)
        if key is None and self._store.tokens(1):
            # Something was encrypted, so a key was made: by another process just now, or it is lost.
            key = read_master_key(self._paths, self._environ)
            if key is None:
                raise self._lost_key()
        return key

    def _make_key(self, *, create: bool) -> bytes:
        if not create:
            raise MasterKeyError("there is no master key yet", hint="it is made with the first secret:  %secret set NAME")
        return create_master_key(self._paths, self._environ)

    def _lost_key(self) -> MasterKeyError:
        written_with = self._store.fact("key_id")
        return MasterKeyError(
            f"the master key{f' {written_with}' if written_with else ''} is gone: {self._paths.key_store} does not exist,"
            f" but {self._store.location} holds secrets",
            hint="put flowfile.json.enc and .secret_key back from a backup; no new key was made",
        )

    def _prove(self, keychain: Keychain) -> None:
        """Before a first write: the key opens what is there, or nothing is written with it."""
        proof = (keychain.key_id, self._store.location)
        if proof != self._proved:
            self._verify_key(keychain)
            if self._store.fact("key_id") != keychain.key_id:
                self._store.set_fact("key_id", keychain.key_id)
            self._proved = (keychain.key_id, self._store.location)

    def _verify_key(self, keychain: Keychain) -> None:
        expected = self._store.fact("key_id")
        opened = [_opens(keychain, token, owner) for token, owner in self._store.tokens(_PROOF)]
        # Without a record one readable row is enough: Flowfile itself can have left rows of a lost key behind.
        fits = all(opened) if expected not in (None, keychain.key_id) else any(opened) or not opened
        if not fits:
            raise WrongKeyError(
                f"the master key in use ({keychain.key_id}, from {key_source(self._paths, self._environ)}) does not open"
                f" {self._store.location}" + (f", which was written with {expected}" if expected else ""),
                hint="put the right key back; nothing was written and no key was changed.  %secret doctor  shows both",
            )

    def _unknown(self, name: str) -> NoSuchSecretError:
        close = suggest(name, self.names())
        meant = f"did you mean {close!r}?  " if close else ""
        return NoSuchSecretError(
            f"no secret named {name!r}", hint=f"{meant}Add it:  %secret set {quoted(name)}   List yours:  %secret list"
        )


def _opens(keychain: Keychain, token: str, owner: int) -> bool:
    try:
        keychain.decrypt_secret(token, owner)
    except StoreError:
        return False
    return True


def open_vault() -> Vault:
    """Return the vault of this process's user and environment."""
    return Vault(os.environ)
