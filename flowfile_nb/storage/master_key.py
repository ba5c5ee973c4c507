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
from flowfile_nb.storage.paths import Paths, create_private, exchange_private, make_private_directory, read_private, stamp

_ENTRY = "master_key"
# How often, and how far apart, a key that Flowfile might overwrite is looked at before it is used.
_LOOKS, _BETWEEN_LOOKS_S = 5, 0.01
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
    return (given, stamp(paths.key_store))


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
        return given.strip().strip("\"'").encode()
    if os.path.isfile(paths.mounted_key):
        with open(paths.mounted_key, "rb") as file:
            return file.read().strip()
    if environ.get("FLOWFILE_MODE") == "docker":
        raise MasterKeyError(
            "FLOWFILE_MODE=docker, and no master key was given; none is made silently",
            hint="set FLOWFILE_MASTER_KEY, or mount the key at"
            f" {paths.mounted_key}, and restart. To make the first one, in a terminal:  python -m flowfile_nb new-key",
        )
    sealed = read_private(paths.key_store, environ)
    if sealed is None:
        return None
    key = _open(paths, environ, sealed).get(_ENTRY)
    if key is not None and not isinstance(key, str):
        raise MasterKeyError(f"{paths.key_store} is damaged: its master key is not text", hint=_RESTORE)
    return key.encode() if key else None


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
            wanted = {_ENTRY: generate_master_key().decode()}
            flowfile_is_here = _flowfile_is_here(paths)
            _add(paths, environ, wanted)
            if flowfile_is_here:
                _settled(paths, environ, wanted)
            key = wanted[_ENTRY].encode()
        return key


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
        there = {name: entry for name, entry in entries.items() if entry or name != _ENTRY}
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


def _open(paths: Paths, environ: Mapping[str, str], sealed: bytes) -> dict[str, Any]:
    try:
        entries = json.loads(_seal(paths, environ).decrypt(sealed.strip()))
    except (InvalidToken, ValueError):
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
