"""One file that holds key and data, under a passphrase; read back from disk before it gets its name."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple

from flowfile_nb.core.crypto import Keychain
from flowfile_nb.core.sealed import STRONG, Cost, seal, unseal
from flowfile_nb.errors import (
    BackupError,
    DamagedSecretError,
    FlowfileNbError,
    MasterKeyError,
    StoreError,
    UsageError,
    WrongKeyError,
)
from flowfile_nb.lifecycle.contents import Contents, from_bytes, to_bytes
from flowfile_nb.storage.access_log import EVERYTHING
from flowfile_nb.storage.master_key import key_source, read_master_key
from flowfile_nb.storage.private_files import place_private
from flowfile_nb.storage.rows import Row
from flowfile_nb.storage.whole import Whole, read_whole
from flowfile_nb.vault import Vault

MIN_PASSPHRASE = 12
_EVERY = 200


class BackupSummary(NamedTuple):
    """What a backup holds."""

    path: str
    secrets: int
    """Rows, of all users."""
    connections: int
    key_id: str
    unreadable: list[str]
    """Names of secrets that the master key does not open; the backup carries them as they are."""
    lost: list[str]
    """What could not be read of a damaged database, and is not in the backup."""


def require_passphrase(passphrase: str) -> str:
    """
    Return *passphrase* if it is long enough to guard everything.

    Raises:
        UsageError: Otherwise.
    """
    if len(passphrase.strip()) < MIN_PASSPHRASE:
        raise UsageError(
            f"a passphrase has at least {MIN_PASSPHRASE} characters: whoever guesses it has every secret you have",
            hint="a few words that do not belong together are easy to type; nothing was written",
        )
    return passphrase


def write_backup(  # noqa: PLR0913 - three say what, the others are options
    vault: Vault,
    path: str,
    passphrase: str,
    *,
    overwrite: bool = False,
    tell: Callable[[int, int], None] | None = None,
    cost: Cost = STRONG,
) -> BackupSummary:
    """
    Write a backup of the store: master key, secrets of all users, who may use them, and saved connections.

    The file is 0600 from its first byte, and has its name only when it was read back from disk and is what was to be written.

    Args:
        vault: Whose store.
        path: Of the file.
        passphrase: Guards it; at least 12 characters.
        overwrite: Whether a file of that name may be replaced.
        tell: Is told how many secrets were checked, of how many.
        cost: Of guessing the passphrase.

    Raises:
        UsageError: If the passphrase is too short, or a file of that name exists.
        MasterKeyError: If there is no master key, or it cannot be read.
        WrongKeyError: If it opens none of the secrets: with that key the backup would be useless.
        StoreError: If the store cannot be opened at all.
        BackupError: If the file cannot be written, or the disk gives back something else than was written.
    """
    require_passphrase(passphrase)
    path = os.path.abspath(os.path.expanduser(path))
    if os.path.lexists(path) and not overwrite:
        raise _exists(path)
    key = read_master_key(vault.paths, vault.environ)
    if key is None:
        raise MasterKeyError("there is no master key yet, and nothing to back up", hint="%secret set NAME  stores a secret")
    keychain = Keychain(key)
    whole = read_whole(vault.store)
    rows, unreadable = _checked(vault, keychain, whole.rows, tell)
    if rows and len(unreadable) == len(rows):
        raise WrongKeyError(
            f"the master key in use ({keychain.key_id}, from {key_source(vault.paths, vault.environ)}) opens none of the"
            " secrets; a backup with it would be useless, and was not written",
            hint="put the right key back.  %secret doctor  shows which one that is",
        )
    contents = Contents(int(time.time()), vault.user_id, key, _with_users(whole._replace(rows=rows)))
    _place(path, contents, passphrase, cost, overwrite=overwrite)
    with suppress(StoreError):
        # A damaged store has a backup now, and cannot be told.
        vault.store.set_fact("last_backup", f"{contents.made_at} {path}")
    vault.log.record("backup", EVERYTHING)
    return BackupSummary(path, len(rows), len(whole.connections), keychain.key_id, unreadable, whole.lost)


def _checked(
    vault: Vault, keychain: Keychain, rows: list[Row], tell: Callable[[int, int], None] | None
) -> tuple[list[Row], list[str]]:
    """Return the rows under this key, and the names of those that no key opens."""
    checked, unreadable = [], []
    for number, row in enumerate(rows, start=1):
        try:
            keychain.decrypt_secret(row.token, row.owner_id)
            checked.append(row)
        except DamagedSecretError:
            try:
                # The vault may know another key that opens it; in the backup there is one.
                token = keychain.encrypt_secret(vault.key.decrypt(row), row.owner_id)
                checked.append(Row(row.id, row.name, token, row.owner_id))
            except FlowfileNbError:
                checked.append(row)
                unreadable.append(row.name)
        if tell is not None and (number % _EVERY == 0 or number == len(rows)):
            tell(number, len(rows))
    return checked, unreadable


def _with_users(whole: Whole) -> Whole:
    """Return *whole* with a name for each user that something in it belongs to; a damaged database may not have it."""
    ids, _ = whole.mentions()
    named = {user_id: name for user_id, name in whole.users.items() if name}
    return whole._replace(users={**{user_id: f"user {user_id}" for user_id in ids}, **named})


def _place(path: str, contents: Contents, passphrase: str, cost: Cost, *, overwrite: bool) -> None:
    plain = to_bytes(contents)
    # What could not be read again must not be written.
    from_bytes(plain)

    def verify(temporary: str) -> None:
        with open(temporary, "rb") as file:
            if unseal(file.read(), passphrase) != plain:
                raise BackupError("the disk gave back something else than was written", hint="write the backup elsewhere")

    try:
        placed = place_private(path, seal(plain, passphrase, cost), verify, overwrite=overwrite)
    except OSError as error:
        raise BackupError(
            f"cannot write {path}: {error.strerror}; there is no backup", hint="choose a folder that you can write in"
        ) from None
    if not placed:
        raise _exists(path)


def _exists(path: str) -> UsageError:
    return UsageError(f"{path} exists already; it was not overwritten", hint="choose another name, or say  --overwrite")
