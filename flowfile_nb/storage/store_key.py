"""The master key of a store: read when it is needed, and proved to be the store's own before anything is written with it."""

from __future__ import annotations

from collections.abc import Mapping

from flowfile_nb.core.crypto import Keychain
from flowfile_nb.core.names import quoted
from flowfile_nb.errors import DamagedSecretError, MasterKeyError, StoreError, WrongKeyError
from flowfile_nb.storage.master_key import create_master_key, key_source, key_version, read_master_key
from flowfile_nb.storage.paths import Paths
from flowfile_nb.storage.store import Row, Store

# How many of the newest tokens prove that a key is the store's own.
_PROOF = 25


class StoreKey:
    """
    The key that opens a store.

    Args:
        paths: Where the key's files are, or would be.
        environ: May give the key, or say where it is.
        store: The rows that the key has to open.
    """

    def __init__(self, paths: Paths, environ: Mapping[str, str], store: Store) -> None:
        self._paths = paths
        self._environ = environ
        self._store = store
        self._keychain: Keychain | None = None
        self._version: tuple[object, ...] | None = None
        self._proved: tuple[object, ...] | None = None

    def keychain(self, *, create: bool = False) -> Keychain:
        """
        Return the keys as the files or the environment now say; *create* makes the master key if there never was one.

        Raises:
            MasterKeyError: If there is none, it cannot be read, or it is lost.
        """
        version = key_version(self._paths, self._environ)
        if self._keychain is None or version != self._version:
            key = self._read()
            self._keychain = Keychain(key or self._make(create=create))
            # The version is from before the read: should the key change in between, or be made now, the next call reads again.
            self._version = version if key else None
        return self._keychain

    def proved_keychain(self) -> Keychain:
        """
        Return the keys to write with: made if there never were any, and proved to open what is in the store.

        Raises:
            WrongKeyError: If they do not open it. Nothing may be written then.
            MasterKeyError: If there is a key that cannot be read, or it is lost.
        """
        keychain = self.keychain(create=True)
        proof = (keychain.key_id, self._store.location)
        if proof != self._proved:
            self._verify(keychain)
            if self._store.fact("key_id") != keychain.key_id:
                self._store.set_fact("key_id", keychain.key_id)
            self._proved = (keychain.key_id, self._store.location)
        return keychain

    def decrypt(self, row: Row) -> str:
        """
        Return the plaintext of a row.

        Raises:
            WrongKeyError: If the key is not the store's.
            DamagedSecretError: If it is, and the row alone cannot be opened.
        """
        # A key that opens the token is right, whatever has become of its files: they are read again only where it fails.
        keychain = self._keychain or self.keychain()
        try:
            return keychain.decrypt_secret(row.token, row.owner_id)
        except DamagedSecretError:
            return self._decrypt_with_present_key(row)

    def _decrypt_with_present_key(self, row: Row) -> str:
        keychain = self.keychain()
        try:
            return keychain.decrypt_secret(row.token, row.owner_id)
        except DamagedSecretError:
            self._verify(keychain)
            raise DamagedSecretError(
                f"the secret {row.name!r} cannot be decrypted, although the master key opens others; its row is damaged",
                hint=f"%secret set {quoted(row.name)} --replace  stores it anew, or put the store back from a backup",
            ) from None

    def _read(self) -> bytes | None:
        key = read_master_key(self._paths, self._environ)
        if key is None and self._store.tokens(1):
            # Something was encrypted, so a key was made: by another process just now, or it is lost.
            key = read_master_key(self._paths, self._environ)
            if key is None:
                raise self._lost()
        return key

    def _make(self, *, create: bool) -> bytes:
        if not create:
            raise MasterKeyError("there is no master key yet", hint="it is made with the first secret:  %secret set NAME")
        return create_master_key(self._paths, self._environ)

    def _lost(self) -> MasterKeyError:
        written_with = self._store.fact("key_id")
        return MasterKeyError(
            f"the master key{f' {written_with}' if written_with else ''} is gone: {self._paths.key_store} does not exist,"
            f" but {self._store.location} holds secrets",
            hint="put flowfile.json.enc and .secret_key back from a backup; no new key was made",
        )

    def _verify(self, keychain: Keychain) -> None:
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


def _opens(keychain: Keychain, token: str, owner: int) -> bool:
    try:
        keychain.decrypt_secret(token, owner)
    except StoreError:
        return False
    return True
