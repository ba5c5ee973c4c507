"""
Where the master key comes from, and how it is made once.

Source of the layout: Flowfile 0.23.3, `flowfile_core/auth/secrets.py`. A key that cannot be read is an error here, never a
reason to make another one: a new key cannot open what the old one wrote.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

from cryptography.fernet import Fernet, InvalidToken

from flowfile_nb.core.crypto import generate_master_key
from flowfile_nb.errors import MasterKeyError
from flowfile_nb.storage.paths import Paths, create_private, make_private_directory, not_writable, read_private, replace_private

ENTRY = "master_key"
NEXT = "flowfile_nb_next_master_key"
"""While a rotation is under way, or where it was cut short: the key that it changes to."""
PREVIOUS = "flowfile_nb_previous_master_key"
"""The key before the last rotation: a program that read the key just before it may still have written with that one."""
_RESTORE = "nothing was changed; put both key files back from a backup, or from the machine they came from"
# A Fernet token has 57 bytes beside its ciphertext, which comes in blocks of 16; four characters of base64 hold three bytes.
_FRAME, _BLOCK = 57, 16


def key_source(paths: Paths, environ: Mapping[str, str]) -> str:
    """Return in a few words where the master key is taken from, for `doctor` and for errors."""
    if environ.get("FLOWFILE_MASTER_KEY"):
        return "the environment variable FLOWFILE_MASTER_KEY"
    if os.path.isfile(paths.mounted_key):
        return paths.mounted_key
    return "the OS keychain" if paths.keychain else paths.key_store


def key_version(paths: Paths, environ: Mapping[str, str]) -> tuple[object, ...]:
    """Return something that changes when the key may have changed: cheap enough to ask before each use."""
    given = environ["FLOWFILE_MASTER_KEY"] if "FLOWFILE_MASTER_KEY" in environ else None  # noqa: SIM401 - four times faster
    # A keychain has no time stamp: there the key is looked up before each write.
    return (given, object() if paths.keychain else _stamp(paths.key_store))


def given_key(paths: Paths, environ: Mapping[str, str]) -> bytes | None:
    """
    Return the key that the variable `FLOWFILE_MASTER_KEY` or a mounted file gives, not yet checked; None where neither does.

    Raises:
        MasterKeyError: If the mounted file cannot be read.
    """
    given = environ.get("FLOWFILE_MASTER_KEY")
    if given:
        return given.strip().strip("\"'").encode()
    if os.path.isfile(paths.mounted_key):
        try:
            with open(paths.mounted_key, "rb") as file:
                return file.read().strip()
        except OSError as error:
            raise MasterKeyError(
                f"cannot read the master key that is mounted at {paths.mounted_key}: {error.strerror}",
                hint="make it readable for this user, and restart; nothing was changed",
            ) from None
    return None


def read_keys(paths: Paths, environ: Mapping[str, str]) -> tuple[bytes | None, bytes | None, bytes | None]:
    """
    Return the master key, the one that a rotation under way changes to, and the one before the last rotation.

    Each is 44 bytes that are not yet checked to be a Fernet key, or None. The variable `FLOWFILE_MASTER_KEY` comes first, then
    a mounted file, then the two files of Flowfile's desktop mode, or the OS keychain where that was chosen.

    Raises:
        MasterKeyError: If there is a key that cannot be read, or docker mode was given none.
        UnsafePermissionsError: If others can read a key file.
    """
    given = given_key(paths, environ)
    if given is not None:
        return given, None, None
    entries = read_entries(paths, environ)
    return (None, None, None) if entries is None else (_key(paths, entries, ENTRY), *spare_keys(paths, entries))


def spare_keys(paths: Paths, entries: Mapping[str, Any]) -> tuple[bytes | None, bytes | None]:
    """Return the key that a rotation under way changes to, and the one before the last rotation."""
    return _key(paths, entries, NEXT), _key(paths, entries, PREVIOUS)


def read_master_key(paths: Paths, environ: Mapping[str, str]) -> bytes | None:
    """Return the master key as `read_keys` does, or None if none was ever made."""
    return read_keys(paths, environ)[0]


def create_master_key(paths: Paths, environ: Mapping[str, str], made: bytes | None = None) -> bytes:
    """
    Return the master key, making it if there is none yet. However many processes call this at once, all get the same.

    Args:
        paths: Where it is kept.
        environ: May give one.
        made: A Fernet key to take instead of a new one, such as that of a backup.

    Raises:
        StoreError: If the folder cannot be written, or what is there cannot be read. Nothing is overwritten.
    """
    # Imported here: only writing needs it.
    from flowfile_nb.storage.lock import exclusive

    make_private_directory(paths.directory)
    with exclusive(paths.lock):
        key = read_master_key(paths, environ)
        if key is None:
            _add_entry(paths, environ, (made or generate_master_key()).decode())
            key = read_master_key(paths, environ)
        assert key is not None
        return key


def read_entries(paths: Paths, environ: Mapping[str, str]) -> dict[str, Any] | None:
    """
    Return what is kept beside and with the master key, by name, or None where nothing ever was.

    Raises:
        MasterKeyError, UnsafePermissionsError: As `read_keys`.
    """
    if paths.keychain:
        from flowfile_nb.storage.keychain_home import read_keychain

        return read_keychain(paths.directory)
    if environ.get("FLOWFILE_MODE") == "docker":
        raise MasterKeyError(
            "FLOWFILE_MODE=docker, and no master key was given; none is made silently",
            hint=f"set FLOWFILE_MASTER_KEY, or mount the key at {paths.mounted_key}, and restart",
        )
    sealed = read_private(paths.key_store, environ)
    return None if sealed is None else _open(paths, environ, sealed)


def replace_entries(paths: Paths, environ: Mapping[str, str], entries: Mapping[str, Any]) -> None:
    """
    Replace all entries at once, durably: whoever reads sees the old ones or the new. Callers hold the store's lock.

    Raises:
        StoreError: If they cannot be written; the old ones are there then.
    """
    if paths.keychain:
        from flowfile_nb.storage.keychain_home import write_keychain

        write_keychain(paths.directory, entries)
    else:
        try:
            replace_private(paths.key_store, _seal(paths, environ).encrypt(json.dumps(entries).encode()))
        except OSError as error:
            raise not_writable(paths.directory, error) from None


def _add_entry(paths: Paths, environ: Mapping[str, str], key: str) -> None:
    if not paths.keychain:
        # Flowfile writes here too, without our lock; whoever is first wins, and everybody reads what won.
        create_private(paths.secret_key, Fernet.generate_key())
    entries = read_entries(paths, environ)
    if entries is not None and ENTRY in entries:
        return
    if entries is None and not paths.keychain:
        create_private(paths.key_store, _seal(paths, environ).encrypt(json.dumps({ENTRY: key}).encode()))
    else:
        replace_entries(paths, environ, {**(entries or {}), ENTRY: key})


def _key(paths: Paths, entries: Mapping[str, Any], name: str) -> bytes | None:
    key = entries.get(name)
    if key is not None and not isinstance(key, str):
        raise MasterKeyError(f"{paths.key_store} is damaged: its entry {name} is not text", hint=_RESTORE)
    return key.encode() if key else None


def _open(paths: Paths, environ: Mapping[str, str], sealed: bytes) -> dict[str, Any]:
    try:
        entries = json.loads(_seal(paths, environ).decrypt(sealed.strip()))
    except InvalidToken:
        raise MasterKeyError(f"{paths.key_store} {_what_is_wrong(paths, sealed.strip())}", hint=_RESTORE) from None
    except ValueError:
        entries = None
    if not isinstance(entries, dict):
        raise MasterKeyError(f"{paths.key_store} is damaged: it holds no JSON object", hint=_RESTORE)
    return entries


def _what_is_wrong(paths: Paths, sealed: bytes) -> str:
    if not sealed:
        return "is empty"
    import base64

    try:
        token = base64.b64decode(sealed, altchars=b"-_", validate=True)
    except ValueError:
        return "is damaged or cut short: it is not a Fernet token"
    if token[:1] != b"\x80" or len(token) <= _FRAME or (len(token) - _FRAME) % _BLOCK:
        return "is damaged or cut short: it is not a whole Fernet token"
    return f"was sealed by another .secret_key than {paths.secret_key}, or is damaged"


def _seal(paths: Paths, environ: Mapping[str, str]) -> Fernet:
    secret_key = read_private(paths.secret_key, environ)
    if secret_key is None:
        raise MasterKeyError(
            f"{paths.secret_key} is missing; without it the master key in {paths.key_store} cannot be opened", hint=_RESTORE
        )
    try:
        return Fernet(secret_key.strip())
    except ValueError:
        problem = "is damaged: it is not a Fernet key" if secret_key.strip() else "is empty"
        raise MasterKeyError(f"{paths.secret_key} {problem}", hint=_RESTORE) from None


def _stamp(path: str) -> tuple[int, int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns
