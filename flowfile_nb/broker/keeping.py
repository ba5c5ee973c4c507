"""The master key of the broker, and what is sealed under its owners' keys."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

from flowfile_nb.broker.database import Store
from flowfile_nb.broker.model import Target
from flowfile_nb.core.crypto import Keychain, token_owner
from flowfile_nb.errors import BindingError, DamagedSecretError, MasterKeyError, WrongKeyError
from flowfile_nb.storage.master_key import given_key
from flowfile_nb.storage.paths import Paths
from flowfile_nb.storage.private_files import read_private

KEY_FILE = "master_key"
_KEY_ID = "key_id"


class Keeper:
    """
    Finds the master key, and opens and proves with it. No key is ever made here, and none leaves.

    Args:
        store: Whose rows it opens.
        environ: May hold FLOWFILE_MASTER_KEY.
        mounted_key: Where a container is given the key as a file.
    """

    def __init__(self, store: Store, environ: Mapping[str, str], mounted_key: str = "/run/secrets/flowfile_master_key") -> None:
        self._store = store
        self._environ = environ
        self._paths = Paths(store.directory, os.path.join(store.directory, "none"), mounted_key)
        self._known: tuple[bytes, Keychain] | None = None

    def __repr__(self) -> str:
        return "<Keeper>"

    def keys(self) -> Keychain:
        """
        Return the keys. Looked up at each call, so that a key which is given later needs no restart.

        Raises:
            MasterKeyError: If there is none, or it is not a key.
            WrongKeyError: If the store was written with another.
        """
        key = given_key(self._paths, self._environ)
        if key is None:
            key = read_private(os.path.join(self._store.directory, KEY_FILE), self._environ)
        if not key:
            raise MasterKeyError(
                "the team's broker has no master key yet; nothing can be stored or used before it has one",
                hint="its administrator makes one with  python -m flowfile_nb new-key  and sets FLOWFILE_MASTER_KEY,"
                f" or puts it into the file {KEY_FILE} (0600) in the broker's directory",
            )
        key = key.strip()
        if self._known is None or self._known[0] != key:
            chain = Keychain(key)
            if self._store.settle_fact(_KEY_ID, chain.key_id) != chain.key_id:
                raise WrongKeyError(
                    "the team's broker was given another master key than its store was written with",
                    hint="give it the right one; a new key cannot open what the old one wrote",
                )
            self._known = key, chain
        return self._known[1]


def unseal(keys: Keychain, token: str | None, owner_id: int) -> str:
    """
    Return the plaintext of a row, if it was sealed for the user who owns the row.

    A token names the user under whose key it is. Taken at its word, a copy of it in another user's row would be opened for
    that user.

    Raises:
        DamagedSecretError: If it was sealed for another, or no key opens it.
    """
    owner = token_owner(token or "")
    if owner is None:
        # From before tokens named their user: then it must be under this owner's key, never under the master key alone.
        token = f"$ffsec$1${owner_id}${token}"
    elif owner != owner_id:
        raise DamagedSecretError(
            "a stored row belongs to another user than the one it was sealed for; it is not opened",
            hint="its owner enters the credential again:  %secret set NAME --replace",
        )
    return keys.decrypt_secret(token or "", owner_id)


def binding_of(keys: Keychain, secret: Any, connection_id: int, target: Target) -> str:
    """
    Return the proof that the owner of a secret lets it go to *target*: HMAC under a key derived from the owner's.

    It covers everything that a copied or altered row would have different: id, owner, name and sealed value of the secret,
    the connection, and each part of the target.

    Args:
        keys: The broker's.
        secret: A row of `secrets`.
        connection_id: Which saved connection says so.
        target: Where to.
    """
    facts = [secret.id, secret.user_id, secret.name, secret.encrypted_value, connection_id, canonical(target)]
    return keys.bind(_bytes(["target", *facts]), secret.user_id)


def require_binding(keys: Keychain, secret: Any, binding: Any, target: Target) -> None:
    """Raise BindingError unless a row of `nb_bindings` lets the secret go to *target*, and was made for just these rows."""
    import hmac

    proof = binding_of(keys, secret, binding.connection_id, target)
    if binding.target != canonical(target) or binding.secret_id != secret.id or not hmac.compare_digest(proof, binding.mac):
        raise BindingError(
            "what fixes the target of this credential does not fit what is stored; it is not used",
            hint="its owner enters it again:  %secret set NAME --replace",
        )


def saved_by_proof(keys: Keychain, saved: Any) -> str:
    """Return the proof of who saved a row of `nb_connections`: only what its owner saved gets a credential by itself."""
    facts = [saved.id, saved.owner_id, saved.name, saved.body, saved.saved_by]
    return keys.bind(_bytes(["connection", *facts]), saved.owner_id)


def canonical(target: Target) -> dict[str, Any]:
    """Return a target as the JSON object it is stored as."""
    return {**target._asdict(), "options": dict(target.options)}


def target_from(stored: Mapping[str, Any]) -> Target:
    """Return the target that `canonical` made an object of."""
    return Target(**stored)


def _bytes(facts: list[Any]) -> bytes:
    return json.dumps(facts, sort_keys=True, separators=(",", ":")).encode()
