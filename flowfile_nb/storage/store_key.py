"""The master key of a store: read when it is needed, and proved to be the store's own before anything is written with it."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress

from flowfile_nb.core.crypto import Keychain
from flowfile_nb.core.names import quoted
from flowfile_nb.errors import DamagedSecretError, MasterKeyError, StoreError, WrongKeyError
from flowfile_nb.storage.master_key import create_master_key, given_key, key_source, key_version, read_keys
from flowfile_nb.storage.paths import Paths
from flowfile_nb.storage.rows import NOT_STORED, Row
from flowfile_nb.storage.store import Store

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
        self._pending: Keychain | None = None
        self._previous: Keychain | None = None
        self._version: tuple[object, ...] | None = None
        self._proved: tuple[object, ...] | None = None
        self.last_proved: Keychain | None = None
        """What `proved_keychain` has returned last; it may be another by now."""

    def keychain(self, *, create: bool = False) -> Keychain:
        """
        Return the keys as the files or the environment now say; *create* makes the master key if there never was one.

        Raises:
            MasterKeyError: If there is none, it cannot be read, or it is lost.
        """
        version = key_version(self._paths, self._environ)
        if self._keychain is None or version != self._version:
            key = self._read()
            self._keychain = self._keychain_of(self._make(create=create) if key is None else key)
            # The version is from before the read: should the key change in between, or be made now, the next call reads again.
            self._version = None if key is None else version
        return self._keychain

    def proved_keychain(self) -> Keychain:
        """
        Return the keys to write with: made if there never were any, and proved to open what is in the store.

        Who writes holds the store's lock from before this until the row is written: else a rotation may come between.

        Raises:
            WrongKeyError: If they do not open it. Nothing may be written then.
            MasterKeyError: If there is a key that cannot be read, or it is lost.
        """
        keychain = self.keychain(create=True)
        if self._pending is not None:
            # Reading could do without; what is written now would be under a key that is about to go.
            self._finish_rotation()
            keychain = self.keychain()
        proof = (keychain.key_id, self._store.active.recent_location)
        if proof != self._proved:
            keychain = self._fitting(keychain)
            if self._store.fact("key_id") != keychain.key_id:
                self._store.set_fact("key_id", keychain.key_id)
                if self._paths.keychain:
                    self._store.set_fact("key_home", "keychain")
            self._proved = (keychain.key_id, self._store.active.recent_location)
        self.last_proved = keychain
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

    def decrypt_kept(self, token: str, row: Row) -> str:
        """Return the plaintext of a token that is kept beside *row*; `decrypt` would look again what *row* has now."""
        return self.decrypt(Row(NOT_STORED, row.name, token, row.owner_id))

    def is_awaited(self) -> bool:
        """Return whether docker mode was given no master key, and there is nothing yet that an earlier one has encrypted."""
        docker = self._environ.get("FLOWFILE_MODE") == "docker"
        in_files = docker and key_source(self._paths, self._environ) == self._paths.key_store
        return in_files and not self._store.tokens(1)

    def given(self) -> str | None:
        """Return the master key that a variable or a mounted file gives, to be masked; it is not checked here."""
        with suppress(StoreError):
            return (given_key(self._paths, self._environ) or b"").decode(errors="replace") or None
        return None

    @property
    def is_pending(self) -> bool:
        """Whether a rotation was cut short, as far as the key was looked up: the first who can writes the rest of it."""
        return self._pending is not None

    @property
    def previous_id(self) -> str | None:
        """The id of the key from before the last rotation, as far as the key was looked up; None if there was none."""
        return None if self._previous is None else self._previous.key_id

    def is_left_behind(self, token: str, owner_id: int) -> bool:
        """Return whether only the key from before the last rotation opens a token: Flowfile cannot read it then."""
        keychain, previous = self.keychain(), self._previous
        return previous is not None and not keychain.opens(token, owner_id) and previous.opens(token, owner_id)

    def _decrypt_with_present_key(self, row: Row) -> str:
        keychain = self.keychain()
        for candidate in filter(None, (keychain, self._pending, self._previous)):
            try:
                value = candidate.decrypt_secret(row.token, row.owner_id)
            except DamagedSecretError:
                continue
            if candidate is self._previous:
                self._put_under_present_key(row)
            return value
        now = self._store.token(row.id)
        if now not in (None, row.token):
            # Rotated, or replaced, since it was looked up.
            return self.decrypt(Row(row.id, row.name, now, row.owner_id))
        self._fitting(keychain)
        raise DamagedSecretError(
            f"the secret {row.name!r} cannot be decrypted, although the master key is the store's; its row is damaged",
            hint=f"%secret set {quoted(row.name)} --replace  stores it anew, or put the store back from a backup",
        ) from None

    def _put_under_present_key(self, row: Row) -> None:
        # Best effort: the value is known, and the old key is kept.
        with suppress(StoreError), self._store.active.alone():
            keychain, previous = self.keychain(), self._previous
            if previous is not None and previous.opens(row.token, row.owner_id):
                self._store.renew(row.id, row.token, previous.renewed(row.token, row.owner_id, keychain))

    def _read(self) -> bytes | None:
        key = self._look_up()
        if self._pending is not None:
            # Cut short, or under way in another process; that one holds the lock then, and finishes it.
            with suppress(StoreError), self._store.active.alone(wait=False) as held:
                if held:
                    self._finish_rotation()
                    key = self._look_up()
        if key is None and self._store.tokens(1):
            # Something was encrypted, so a key was made: by another process just now, or it is lost.
            key = self._look_up()
            if key is None:
                raise self._lost()
        return key

    def _look_up(self) -> bytes | None:
        try:
            key, pending, previous = read_keys(self._paths, self._environ)
        except MasterKeyError as error:
            raise self._expecting(error) from None
        self._pending = None if pending is None else self._keychain_of(pending)
        self._previous = None if previous is None else self._keychain_of(previous)
        return key

    def _keychain_of(self, key: bytes) -> Keychain:
        try:
            return Keychain(key)
        except MasterKeyError:
            source = key_source(self._paths, self._environ)
            found = "is not a Fernet key (44 characters of URL-safe base64)" if key else "is empty"
            hint = "put the right key back; nothing was changed, and a new key cannot open what the old one wrote"
            raise self._expecting(MasterKeyError(f"the master key from {source} {found}", hint=hint)) from None

    def _expecting(self, error: MasterKeyError) -> MasterKeyError:
        expected = self._store.fact("key_id")
        written = f"; {self._store.location} is written with key {expected}" if expected and self._store.location else ""
        return MasterKeyError(error.message + written, hint=error.hint)

    def _finish_rotation(self) -> None:
        from flowfile_nb.storage.key_rotation import KeyRotation

        KeyRotation(self._store, self._environ).finish()
        self._version = None

    def _make(self, *, create: bool) -> bytes:
        if not self._paths.keychain and self._store.fact("key_home") == "keychain":
            raise self._lost()
        if not create:
            raise MasterKeyError("there is no master key yet", hint="it is made with the first secret:  %secret set NAME")
        return create_master_key(self._paths, self._environ)

    def _lost(self) -> MasterKeyError:
        written_with, in_keychain = self._store.fact("key_id"), self._store.fact("key_home") == "keychain"
        named = f"the master key{f' {written_with}' if written_with else ''}"
        if in_keychain and not self._paths.keychain:
            return MasterKeyError(
                f"{named} of {self._store.location} is in the OS keychain, and FLOWFILE_NB_KEY_HOME is not set",
                hint="set FLOWFILE_NB_KEY_HOME=keychain  before the kernel starts; no new key was made",
            )
        if self._paths.keychain and not in_keychain:
            return MasterKeyError(
                f"{self._store.location} is written with a key in files ({named.removeprefix('the ')}), not in the OS keychain",
                hint="unset FLOWFILE_NB_KEY_HOME to use it, or set FLOWFILE_SECURE_STORAGE_PATH to a new folder",
            )
        if in_keychain:
            return MasterKeyError(
                f"{named} is gone from the OS keychain, but {self._store.location} holds secrets",
                hint="unlock the keychain of the user who made it, or put the store back from a backup; no new key was made",
            )
        return MasterKeyError(
            f"{named} is gone: {self._paths.key_store} does not exist, but {self._store.location} holds secrets",
            hint="put flowfile.json.enc and .secret_key back from a backup; no new key was made",
        )

    def _fitting(self, keychain: Keychain) -> Keychain:
        """Return the keys, looked up anew where they do not fit the store: it may have been rotated between the two looks."""
        error = self._misfit(keychain)
        if error is None:
            return keychain
        # Nobody rotates it while this holds the lock.
        with suppress(StoreError), self._store.active.alone():
            self._version = None
            keychain = self.keychain()
            if self._misfit(keychain) is None:
                return keychain
        raise error

    def _misfit(self, keychain: Keychain) -> WrongKeyError | None:
        """Return the error for a key that does not open the store, or None for one that does."""
        expected = self._store.fact("key_id")
        chains = [keychain, *filter(None, (self._pending, self._previous))]
        proof = self._store.tokens(_PROOF)
        opened = (any(chain.opens(token, owner) for chain in chains) for token, owner in proof)
        # Without a record one readable row is enough: Flowfile itself can have left rows of a lost key behind.
        known = [None, *(chain.key_id for chain in chains)]
        fits = all(opened) if expected not in known else any(opened) or not proof
        # In our own database the record is beside the rows and from the same moment: what its key does not open is damaged.
        if fits or (expected == keychain.key_id and self._store.active.one_database):
            return None
        in_use = f"the master key in use ({keychain.key_id}, from {key_source(self._paths, self._environ)})"
        if expected in known[1:]:
            return WrongKeyError(
                f"{in_use} opens none of the secrets in {self._store.location}, which was last written with it",
                hint="they are damaged, or another key's: put that file back from a backup; nothing was written",
            )
        return WrongKeyError(
            f"{in_use} does not open {self._store.location}" + (f", which was written with {expected}" if expected else ""),
            hint="put the right key back; nothing was written and no key was changed.  %secret doctor  shows both",
        )
