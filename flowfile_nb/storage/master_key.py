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
from flowfile_nb.storage.paths import Paths, create_private, make_private_directory, read_private, replace_private

_ENTRY = "master_key"
_RESTORE = "nothing was changed; put both key files back from a backup, or from the machine they came from"


def key_source(paths: Paths, environ: Mapping[str, str]) -> str:
    """Return in a few words where the master key is taken from, for `doctor` and for errors."""
    if environ.get("FLOWFILE_MASTER_KEY"):
        return "the environment variable FLOWFILE_MASTER_KEY"
    if os.path.isfile(paths.mounted_key):
        return paths.mounted_key
    return paths.key_store


def key_version(paths: Paths, environ: Mapping[str, str]) -> tuple[object, ...]:
    """Return something that changes when the key may have changed: cheap enough to ask before each use."""
    given = environ["FLOWFILE_MASTER_KEY"] if "FLOWFILE_MASTER_KEY" in environ else None  # noqa: SIM401 - four times faster
    return (given, _stamp(paths.key_store))


def read_master_key(paths: Paths, environ: Mapping[str, str]) -> bytes | None:
    """
    Return the master key (44 bytes, not yet checked to be a Fernet key), or None if none was ever made.

    The variable `FLOWFILE_MASTER_KEY` comes first, then a mounted file, then the two files of Flowfile's desktop mode.

    Raises:
        MasterKeyError: If there is a key that cannot be read, or docker mode was given none.
        UnsafePermissionsError: If others can read a key file.
    """
    given = environ.get("FLOWFILE_MASTER_KEY")
    if given:
        return _as_bytes(given.strip().strip("\"'"))
    if os.path.isfile(paths.mounted_key):
        with open(paths.mounted_key, "rb") as file:
            return file.read().strip()
    if environ.get("FLOWFILE_MODE") == "docker":
        raise MasterKeyError(
            "FLOWFILE_MODE=docker, and no master key was given; none is made silently",
            hint=f"set FLOWFILE_MASTER_KEY, or mount the key at {paths.mounted_key}, and restart",
        )
    sealed = read_private(paths.key_store, environ)
    if sealed is None:
        return None
    key = _open(paths, environ, sealed).get(_ENTRY)
    if key is not None and not isinstance(key, str):
        raise MasterKeyError(f"{paths.key_store} is damaged: its master key is not text", hint=_RESTORE)
    return _as_bytes(key) if key else None


def create_master_key(paths: Paths, environ: Mapping[str, str]) -> bytes:
    """
    Return the master key, making it if there is none yet. However many processes call this at once, all get the same.

    Raises:
        StoreError: If the folder cannot be written, or what is there cannot be read. Nothing is overwritten.
    """
    # Imported here: only writing needs it.
    from flowfile_nb.storage.lock import exclusive

    make_private_directory(paths.directory)
    with exclusive(paths.lock):
        key = read_master_key(paths, environ)
        if key is None:
            # Flowfile writes here too, without our lock; whoever is first wins, and everybody reads what won.
            create_private(paths.secret_key, Fernet.generate_key())
            _add_entry(paths, environ, generate_master_key().decode())
            key = read_master_key(paths, environ)
        assert key is not None
        return key


def _add_entry(paths: Paths, environ: Mapping[str, str], key: str) -> None:
    sealed = read_private(paths.key_store, environ)
    entries = {} if sealed is None else _open(paths, environ, sealed)
    if _ENTRY in entries:
        return
    content = _seal(paths, environ).encrypt(json.dumps({**entries, _ENTRY: key}).encode())
    if sealed is None:
        create_private(paths.key_store, content)
    else:
        replace_private(paths.key_store, content)


def _as_bytes(key: str) -> bytes:
    # Half a surrogate pair is in no key: whoever derives from it says so.
    return key.encode(errors="surrogatepass")


def _open(paths: Paths, environ: Mapping[str, str], sealed: bytes) -> dict[str, Any]:
    try:
        entries = json.loads(_seal(paths, environ).decrypt(sealed.strip()))
    except (InvalidToken, ValueError, RecursionError):
        problem = "is empty" if not sealed.strip() else f"is damaged, or was sealed by another {paths.secret_key}"
        raise MasterKeyError(f"{paths.key_store} {problem}", hint=_RESTORE) from None
    if not isinstance(entries, dict):
        raise MasterKeyError(f"{paths.key_store} is damaged: it holds no JSON object", hint=_RESTORE)
    return entries


def _seal(paths: Paths, environ: Mapping[str, str]) -> Fernet:
    secret_key = read_private(paths.secret_key, environ)
    if secret_key is None:
        raise MasterKeyError(
            f"{paths.secret_key} is missing; without it the master key in {paths.key_store} cannot be opened", hint=_RESTORE
        )
    try:
        return Fernet(secret_key.strip())
    except ValueError:
        raise MasterKeyError(f"{paths.secret_key} is damaged: it is not a Fernet key", hint=_RESTORE) from None


def _stamp(path: str) -> tuple[int, int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns
