"""Another master key for the whole store: what would be done, and doing it. How it survives a crash: `storage.key_rotation`."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from flowfile_nb.core.crypto import Keychain, generate_master_key
from flowfile_nb.errors import StoreError, UsageError, WrongKeyError
from flowfile_nb.storage.access_log import EVERYTHING
from flowfile_nb.storage.key_rotation import Contents, KeyRotation, Tell
from flowfile_nb.storage.master_key import given_key, key_source, read_master_key
from flowfile_nb.vault import Vault

_MAKE = "python -c 'from cryptography.fernet import Fernet; print(Fernet.generate_key().decode())'"


class Rotation(NamedTuple):
    """What a rotation changed, or would change."""

    old_key_id: str
    new_key_id: str
    """Empty before it is done: the key is made then."""
    contents: Contents


def preview(vault: Vault, *, tell: Tell, new_key: bytes | None = None) -> Rotation:
    """
    Return what `rotate` would do. Nothing is changed.

    Raises:
        UsageError, StoreError: As `rotate`.
    """
    old = _keys(vault, new_key)
    contents = KeyRotation(vault.store, vault.environ).preview(old, new_key or generate_master_key(), tell)
    return Rotation(Keychain(old).key_id, Keychain(new_key).key_id if new_key else "", contents)


def rotate(vault: Vault, *, backup: Callable[[], object] | None, tell: Tell, new_key: bytes | None = None) -> Rotation:
    """
    Put all that is encrypted under another master key; when this returns, it is on disk.

    Args:
        vault: Whose store; the secrets of all its users are re-encrypted, and whatever else Flowfile keeps under the key.
        backup: Is called before anything is changed; what it raises stops the rotation. None is without a backup.
        tell: Is told how many rows are worked out, of how many.
        new_key: Where the user keeps the key: the one to use from now on. None makes one, where it is kept by us.

    Raises:
        UsageError: If *new_key* is needed, or given where the key is kept by us, or is no new Fernet key.
        WrongKeyError: If the master key in use is not the store's.
        StoreError: If a file cannot be read or written. Every secret is readable then.
    """
    old = _keys(vault, new_key)
    if backup is not None:
        backup()
    work = KeyRotation(vault.store, vault.environ)
    if new_key is not None:
        done = Rotation(Keychain(old).key_id, Keychain(new_key).key_id, work.reencrypt(old, new_key, tell))
        vault.log.record("rotate-key", EVERYTHING)
        return done
    contents = work.rotate(generate_master_key(), tell)
    vault.log.record("rotate-key", EVERYTHING)
    return Rotation(Keychain(old).key_id, vault.key.keychain().key_id, contents)


def _keys(vault: Vault, new_key: bytes | None) -> bytes:
    """Return the master key in use, proved to be the store's."""
    given = given_key(vault.paths, vault.environ)
    if given is None and new_key is not None:
        raise UsageError("the master key is kept here, and a new one is made here", hint="%secret rotate-key")
    if given is not None:
        _require_new(vault, given, new_key)
        assert new_key is not None
        try:
            vault.key.proved_keychain()
        except WrongKeyError:
            # Cut short after the secrets were changed: going on is what mends it.
            if not any(Keychain(new_key).opens(token, owner) for token, owner in vault.store.tokens(1)):
                raise
        return given
    # First what is not there, because a proof would make it.
    vault.key.keychain()
    vault.key.proved_keychain()
    key = read_master_key(vault.paths, vault.environ)
    assert key is not None
    return key


def _require_new(vault: Vault, given: bytes, new_key: bytes | None) -> None:
    source = key_source(vault.paths, vault.environ)
    if new_key is None:
        raise UsageError(
            f"the master key comes from {source}, which cannot be changed from here",
            hint=f"make a new one ({_MAKE}), set NEW_MASTER_KEY to it, and  %secret rotate-key --new-key-env NEW_MASTER_KEY",
        )
    try:
        Keychain(new_key)
    except StoreError:
        raise UsageError("the new master key is not a Fernet key; nothing was changed", hint=_MAKE) from None
    if new_key == given:
        raise UsageError("the new master key is the one in use; nothing was changed", hint=_MAKE)
