"""
Keys and tokens, to the byte as Flowfile writes them.

A token is `$ffsec$1$<owner id>$<Fernet token>`. Older rows hold a bare Fernet token, under the owner's user key or, older
still, under the master key itself. Source: Flowfile 0.23.3, `flowfile_core/secret_manager/secret_manager.py`.
"""

from __future__ import annotations

import base64
import re
import struct
from collections.abc import Iterable

from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from flowfile_nb.errors import DamagedSecretError, MasterKeyError

_SALT = b"flowfile-secrets-v1"
_PREFIX = "$ffsec$1$"
_ANY_VERSION = "$ffsec$"
_BASE64 = "[A-Za-z0-9_-]*"
_NO_HEAD = "A" * 12


def generate_master_key() -> bytes:
    """Return a new Fernet key: 44 characters of URL-safe base64, as bytes."""
    return Fernet.generate_key()


def derive_user_key(master_key: bytes, user_id: int) -> bytes:
    """
    Derive one user's Fernet key from the master key (HKDF-SHA256).

    Args:
        master_key: The 44-character Fernet key as text bytes, as Flowfile feeds it. Not a passphrase: HKDF does not stretch.
        user_id: Row id in `users`. Another id gives another, unrelated key.

    Returns:
        44 URL-safe base64 characters.

    Raises:
        MasterKeyError: If *master_key* is not a Fernet key.
    """
    _fernet(master_key)
    hkdf = HKDF(algorithm=SHA256(), length=32, salt=_SALT, info=b"user-%d" % user_id)
    return base64.urlsafe_b64encode(hkdf.derive(master_key))


def token_owner(token: str) -> int | None:
    """
    Return the owner's user id that a token carries, or None for a bare one from before tokens carried it.

    Raises:
        DamagedSecretError: If the token is of a version we do not know, or cut short.
    """
    if not token.startswith(_ANY_VERSION):
        return None
    owner, _, body = token[len(_PREFIX) :].partition("$")
    # An id of SQLite's has 19 digits at most.
    if not body or not owner.isdecimal() or len(owner) > 19 or not token.startswith(_PREFIX):
        raise DamagedSecretError(
            "a stored token is of an unknown version or cut short",
            hint="a newer Flowfile may have written it:  pip install -U flowfile-nb",
        )
    return int(owner)


def token_times(tokens: Iterable[str]) -> list[int | None]:
    """
    Return when each token was made, in seconds since 1970 (Fernet keeps it in clear), or None where it is not a token.

    >>> token_times(["$ffsec$1$1$gAAAAABlU_EA", "not a token"])
    [1700000000, None]
    """
    # Fernet: one version byte 0x80, then 8 bytes of big-endian seconds. 9 bytes are just 12 characters of base64, so the heads
    # of all tokens decode in one go: ten thousand in 1.5 ms instead of 10.
    heads = [token.rpartition("$")[2][:12] for token in tokens]
    if len(joined := "".join(heads)) < 12 * len(heads) or not re.fullmatch(_BASE64, joined):
        joined = "".join(head if len(head) == 12 and re.fullmatch(_BASE64, head) else _NO_HEAD for head in heads)
    pairs = struct.iter_unpack(">BQ", base64.urlsafe_b64decode(joined))
    return [seconds if version == 0x80 else None for version, seconds in pairs]


class Keychain:
    """
    One master key and the user keys derived from it, each derived once.

    Args:
        master_key: A Fernet key, 44 characters of URL-safe base64 as bytes.

    Raises:
        MasterKeyError: If *master_key* is not a Fernet key.
    """

    def __init__(self, master_key: bytes) -> None:
        self._master_key = master_key
        self._master = _fernet(master_key)
        self._id = ""
        self._users: dict[int, tuple[str, Fernet]] = {}
        self._binding: dict[int, bytes] = {}

    def __repr__(self) -> str:
        return f"<Keychain {self.key_id}>"

    @property
    def key_id(self) -> str:
        """8 hex digits that name the master key and tell nothing about it (truncated HMAC-SHA256)."""
        if not self._id:
            import hmac

            self._id = hmac.digest(self._master_key, b"flowfile_nb key id v1", "sha256").hex()[:8]
        return self._id

    def encrypt_secret(self, value: str, user_id: int, made_at: int | None = None) -> str:
        """Return the token of *value* under the key of user *user_id*; it says that it was made now, or at *made_at*."""
        prefix, key = self._user(user_id)
        plain = value.encode()
        token = key.encrypt(plain) if made_at is None else key.encrypt_at_time(plain, made_at)
        return prefix + token.decode()

    def bind(self, facts: bytes, user_id: int) -> str:
        """
        Return what only a holder of user *user_id*'s key can make of *facts*: 64 hex digits (HMAC-SHA256).

        Its key is derived from the user key (HKDF-SHA256, info `flowfile-nb-binding`), which encrypts and nothing else.
        """
        import hmac

        key = self._binding.get(user_id)
        if key is None:
            hkdf = HKDF(algorithm=SHA256(), length=32, salt=_SALT, info=b"flowfile-nb-binding")
            key = self._binding[user_id] = hkdf.derive(derive_user_key(self._master_key, user_id))
        return hmac.digest(key, facts, "sha256").hex()

    def decrypt_secret(self, token: str, user_id: int) -> str:
        """
        Return the plaintext of a token.

        Args:
            token: As stored; of the current format or bare.
            user_id: The row's owner: used for bare tokens, which do not carry it.

        Raises:
            DamagedSecretError: If no key of this chain opens it.
        """
        keys: tuple[Fernet, ...]
        prefix, key = self._users.get(user_id) or self._user(user_id)
        if token.startswith(prefix):
            # Nearly every token: of the current format, and the row's owner is who it names.
            body, keys = token[len(prefix) :], (key,)
        else:
            owner, body = token_owner(token), token.rpartition("$")[2]
            keys = (key, self._master) if owner is None else (self._user(owner)[1],)
        for key in keys:
            try:
                return key.decrypt(body).decode()
            except (InvalidToken, ValueError):
                continue
        raise DamagedSecretError(
            "a stored token cannot be decrypted: it is damaged, or was written with another master key",
            hint="%secret doctor  names what is stored and which key is in use",
        )

    def opens(self, token: str, user_id: int) -> bool:
        """Return whether `decrypt_secret` would return a plaintext."""
        try:
            self.decrypt_secret(token, user_id)
        except DamagedSecretError:
            return False
        return True

    def renewed(self, token: str, user_id: int, new: Keychain) -> str:
        """
        Return the token of the same value under another master key, of the current format; it keeps the time it was made at.

        Args:
            token: As `decrypt_secret` takes it.
            user_id: The row's owner.
            new: The keys of the other master key.

        Raises:
            DamagedSecretError: If no key of this chain opens it.
        """
        owner = token_owner(token)
        whose = user_id if owner is None else owner
        return new.encrypt_secret(self.decrypt_secret(token, whose), whose, token_times([token])[0])

    def _user(self, user_id: int) -> tuple[str, Fernet]:
        """Return what a user's tokens begin with, and the key that opens them."""
        known = self._users.get(user_id)
        if known is None:
            key = Fernet(derive_user_key(self._master_key, user_id))
            known = self._users[user_id] = (f"{_PREFIX}{user_id}$", key)
        return known


def _fernet(master_key: bytes) -> Fernet:
    try:
        return Fernet(master_key)
    except ValueError:
        raise MasterKeyError(
            "the master key is not a Fernet key (44 characters of URL-safe base64)",
            hint="put the right key back from a backup; a new key cannot open what the old one wrote",
        ) from None
