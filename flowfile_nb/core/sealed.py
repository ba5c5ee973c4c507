"""
The sealed file of a backup: a passphrase opens it, and nothing else does.

    flowfile_nb backup, line break    what the file is (19 bytes)
    version                           1 (1 byte)
    scrypt, NUL, NUL                  how the passphrase becomes a key, RFC 7914 (8 bytes)
    log2 n, r, p                      what that costs (1 byte each)
    salt, nonce                       random (16 and 12 bytes)
    content                           AES-256-GCM, NIST SP 800-38D; everything above is authenticated with it
    checksum                          SHA-256 of everything above (32 bytes)

Anybody can make the checksum anew: it only tells a damaged file from a wrong passphrase, before any of the work.
"""

from __future__ import annotations

import hashlib
import struct
import unicodedata
from secrets import token_bytes
from typing import NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from flowfile_nb.errors import BackupError, DamagedBackupError, ForeignBackupError, NewerBackupError, WrongPassphraseError

MAGIC = b"flowfile_nb backup\n"
"""How each such file begins, in all versions to come."""
_VERSION = 1
_SCRYPT = b"scrypt\0\0"
_HEADER = struct.Struct(">19sB8sBBB16s12s")
_CHECKSUM_BYTES = 32
_TAG_BYTES = 16
# What a file may ask of whoever opens it: 1 GiB, and some ten seconds.
_MAX_BYTES = 2**30
_MAX_WORK = 2**24


class Cost(NamedTuple):
    """What scrypt costs: 128 · r · 2^log2_n bytes of memory, and p times the work for them."""

    log2_n: int
    r: int
    p: int


STRONG = Cost(17, 8, 1)
"""128 MiB and a quarter of a second for each guess (OWASP Password Storage Cheat Sheet)."""


def seal(content: bytes, passphrase: str, cost: Cost = STRONG) -> bytes:
    """
    Return *content* sealed under a passphrase; no two calls return the same.

    Args:
        content: What to seal, up to 2 GiB.
        passphrase: Any text. Spellings that look the same (`é` as one character or as two) are the same.
        cost: Of each guess of the passphrase. Tests alone have a reason for less.

    >>> unseal(seal(b"content", "correct horse battery", Cost(4, 8, 1)), "correct horse battery")
    b'content'
    """
    salt, nonce = token_bytes(16), token_bytes(12)
    header = _HEADER.pack(MAGIC, _VERSION, _SCRYPT, *cost, salt, nonce)
    sealed = header + AESGCM(_derive(passphrase, salt, cost)).encrypt(nonce, content, header)
    return sealed + hashlib.sha256(sealed).digest()


def unseal(sealed: bytes, passphrase: str) -> bytes:
    """
    Return the content.

    Raises:
        ForeignBackupError: If *sealed* is something else.
        DamagedBackupError: If it was cut short or altered.
        NewerBackupError: If it is of a version we do not know.
        WrongPassphraseError: If the passphrase does not open it.
    """
    header, body = _parts(sealed)
    _, _, _, log2_n, r, p, salt, nonce = _HEADER.unpack(header)
    try:
        return AESGCM(_derive(passphrase, salt, Cost(log2_n, r, p))).decrypt(nonce, body, header)
    except InvalidTag:
        raise WrongPassphraseError(
            "the passphrase does not open this backup; nothing was changed",
            hint="try again. If it is surely the right one, somebody has altered the file: take another copy",
        ) from None


def require_sealed(sealed: bytes) -> None:
    """Let pass what is a backup, whole and of a version we know, whatever its passphrase is. Raises as `unseal`."""
    _parts(sealed)


def _parts(sealed: bytes) -> tuple[bytes, bytes]:
    """Return the header, and what it says how to open."""
    magic = sealed[: len(MAGIC)]
    if magic != MAGIC and not MAGIC.startswith(magic):
        raise ForeignBackupError(
            "this file is no backup of flowfile_nb; nothing was changed", hint="a backup is made by  %secret backup PATH"
        )
    # The version stands where it is in all versions to come; the rest may not.
    version = sealed[len(MAGIC)] if len(sealed) > len(MAGIC) else 0
    if version > _VERSION:
        raise _newer(f"version {version}")
    header, body = sealed[: _HEADER.size], sealed[_HEADER.size : -_CHECKSUM_BYTES]
    whole = version == _VERSION and len(body) >= _TAG_BYTES
    if not whole or hashlib.sha256(header + body).digest() != sealed[-_CHECKSUM_BYTES:]:
        raise _damaged("cut short or altered")
    _, _, kdf, log2_n, r, p, _, _ = _HEADER.unpack(header)
    if kdf != _SCRYPT:
        raise _newer("a way to treat the passphrase")
    # The first limit is scrypt's own.
    if not (0 < log2_n < 16 * r and p) or 128 * r << log2_n > _MAX_BYTES or r * p << log2_n > _MAX_WORK:
        raise _damaged("altered: it asks for more memory or time than any backup of ours")
    return header, body


def _derive(passphrase: str, salt: bytes, cost: Cost) -> bytes:
    # `surrogatepass`: the environment can hold what is not Unicode, and that is a passphrase, too.
    typed = unicodedata.normalize("NFC", passphrase).encode("utf-8", "surrogatepass")
    try:
        return Scrypt(salt=salt, length=32, n=1 << cost.log2_n, r=cost.r, p=cost.p).derive(typed)
    except MemoryError:
        megabytes = (128 * cost.r << cost.log2_n) >> 20
        raise BackupError(
            f"a passphrase needs {megabytes:,} MiB of free memory, and they are not there; nothing was changed",
            hint="restart this kernel and try again",
        ) from None


def _newer(what: str) -> NewerBackupError:
    return NewerBackupError(
        f"this backup has {what} that this version of flowfile_nb does not know; nothing was changed",
        hint="pip install -U flowfile-nb",
    )


def _damaged(how: str) -> DamagedBackupError:
    return DamagedBackupError(f"this backup is {how}; nothing was changed", hint="take another copy of it")
