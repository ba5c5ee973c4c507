"""
Where the master key comes from, and how it is made once.

Source of the layout: Flowfile 0.23.3, `flowfile_core/auth/secrets.py`. A key that cannot be read is an error here, never a
reason to make another one: a new key cannot open what the old one wrote.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from typing import Any

from cryptography.fernet import Fernet, InvalidToken

from flowfile_nb.core.crypto import generate_master_key
from flowfile_nb.errors import MasterKeyError
from flowfile_nb.storage.paths import Paths
from flowfile_nb.storage.private_files import create_private, exchange_private, make_private_directory, read_private, stamp

ENTRY = "master_key"
NEXT = "flowfile_nb_next_master_key"
"""While a rotation is under way, or where it was cut short: the key that it changes to."""
PREVIOUS = "flowfile_nb_previous_master_key"
"""The key before the last rotation: a program that read the key just before it may still have written with that one."""
_OURS = {ENTRY, NEXT, PREVIOUS}
# How often, and how far apart, a key that Flowfile might overwrite is looked at before it is used.
_LOOKS, _BETWEEN_LOOKS_S = 5, 0.01
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
    return (given, object() if paths.keychain else stamp(paths.key_store))


def given_key(paths: Paths, environ: Mapping[str, str]) -> bytes | None:
    """
    Return the key that the variable `FLOWFILE_MASTER_KEY` or a mounted file gives, not yet checked; None where neither does.

    Raises:
        MasterKeyError: If the mounted file cannot be read.
    """
    given = environ.get("FLOWFILE_MASTER_KEY")
    if given:
        return _as_bytes(given.strip().strip("\"'"))
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
            key = _add_key(paths, environ, made or generate_master_key())
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
            hint="set FLOWFILE_MASTER_KEY, or mount the key at"
            f" {paths.mounted_key}, and restart. To make the first one, in a terminal:  python -m flowfile_nb new-key",
        )
    sealed = read_private(paths.key_store, environ)
    return None if sealed is None else _open(paths, environ, sealed)


def replace_entries(paths: Paths, environ: Mapping[str, str], entries: Mapping[str, Any]) -> None:
    """
    Replace our entries at once, durably: whoever reads sees the old ones or the new. Callers hold the store's lock.

    Flowfile writes its own entries here without that lock: what it has written meanwhile stays.

    Raises:
        StoreError: If they cannot be written; the old ones are there then.
    """
    if paths.keychain:
        from flowfile_nb.storage.keychain_home import write_keychain

        write_keychain(paths.directory, entries)
        return
    newer: dict[str, Any] = {}
    while True:
        before = stamp(paths.key_store)
        theirs = _theirs(read_entries(paths, environ) or {})
        content = _seal(paths, environ).encrypt(json.dumps({**entries, **theirs, **newer}).encode())
        replaced = exchange_private(paths.key_store, content, before)
        if replaced is not None:
            there = _theirs(_open(paths, environ, replaced))
            # What was written between the reading and the replacing.
            lost = {name: entry for name, entry in there.items() if entry != theirs.get(name)}
            if not lost:
                return
            newer.update(lost)


def _theirs(entries: Mapping[str, Any]) -> dict[str, Any]:
    return {name: entry for name, entry in entries.items() if name not in _OURS}


def _key(paths: Paths, entries: Mapping[str, Any], name: str) -> bytes | None:
    key = entries.get(name)
    if key is not None and not isinstance(key, str):
        raise MasterKeyError(f"{paths.key_store} is damaged: its entry {name} is not text", hint=_RESTORE)
    return _as_bytes(key) if key else None


def _add_key(paths: Paths, environ: Mapping[str, str], key: bytes) -> bytes:
    """Add the first master key where the others are kept, and return the one that is there then."""
    wanted: dict[str, Any] = {ENTRY: key.decode()}
    if paths.keychain:
        replace_entries(paths, environ, {**(read_entries(paths, environ) or {}), **wanted})
        return key
    # Flowfile writes here too, without our lock; whoever is first wins, and everybody reads what won.
    create_private(paths.secret_key, Fernet.generate_key())
    flowfile_is_here = _flowfile_is_here(paths)
    _add(paths, environ, wanted)
    if flowfile_is_here:
        _settled(paths, environ, wanted)
    added = _key(paths, wanted, ENTRY)
    assert added is not None
    return added


def _settled(paths: Paths, environ: Mapping[str, str], wanted: dict[str, Any]) -> None:
    """
    Add entries to a file that Flowfile may be writing just now, until they have stayed.

    Flowfile reads the file, adds an entry of its own and writes all of it anew, within milliseconds and without a lock: what
    was added between is lost. So it is looked at again, and added again; what Flowfile itself has written comes first.
    """
    stayed = 0
    while stayed < _LOOKS:
        time.sleep(_BETWEEN_LOOKS_S)
        stayed = 0 if _add(paths, environ, wanted) else stayed + 1


def _flowfile_is_here(paths: Paths) -> bool:
    """Return whether Flowfile has ever started on this home; it makes its folders before anything else."""
    return os.path.exists(paths.key_store) or os.path.exists(os.path.dirname(paths.catalog))


def _add(paths: Paths, environ: Mapping[str, str], wanted: dict[str, Any]) -> bool:
    """
    Add what the file lacks of *wanted*, keeping what it has; *wanted* is what it has then, so that it can be looked for again.

    Returns:
        Whether anything was lacking, or different.
    """
    newer: dict[str, Any] = {}
    known, wrote = dict(wanted), False
    while True:
        before = stamp(paths.key_store)
        sealed = read_private(paths.key_store, environ)
        entries = {} if sealed is None else _open(paths, environ, sealed)
        # An empty master key is none, for Flowfile too.
        there = {name: entry for name, entry in entries.items() if entry or name != ENTRY}
        whole = {**wanted, **there, **newer}
        wanted.update(whole)
        if whole == entries:
            return wrote or wanted != known
        wrote = True
        content = _seal(paths, environ).encrypt(json.dumps(whole).encode())
        if sealed is None:
            create_private(paths.key_store, content)
            continue
        replaced = exchange_private(paths.key_store, content, before)
        if replaced is not None:
            # What Flowfile has written between the reading and the replacing is added again. Also a master key: it may have
            # used that already, and nobody has used ours.
            now = _open(paths, environ, replaced)
            newer = {name: now[name] for name in now if now[name] != entries.get(name)}


def _as_bytes(key: str) -> bytes:
    # Half a surrogate pair is in no key: whoever derives from it says so.
    return key.encode(errors="surrogatepass")


def _open(paths: Paths, environ: Mapping[str, str], sealed: bytes) -> dict[str, Any]:
    try:
        entries = json.loads(_seal(paths, environ).decrypt(sealed.strip()))
    except InvalidToken:
        raise MasterKeyError(f"{paths.key_store} {_what_is_wrong(paths, sealed.strip())}", hint=_RESTORE) from None
    except (ValueError, RecursionError):
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
