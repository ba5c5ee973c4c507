"""
A backup into a store: a preview, and then a merge that overwrites nothing that was not named in it.

On a home without a master key it becomes the backup's; on one with a key of its own that stays, and what comes in is encrypted
anew. Each step can be repeated: users, then secrets with those who may use them in one transaction, then connections.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import NamedTuple

from flowfile_nb.core.crypto import Keychain
from flowfile_nb.core.sealed import MAGIC, require_sealed, unseal
from flowfile_nb.errors import DamagedSecretError, MasterKeyError, StoreError, UsageError, WrongKeyError
from flowfile_nb.lifecycle.contents import Contents, from_bytes
from flowfile_nb.storage.access_log import EVERYTHING
from flowfile_nb.storage.master_key import create_master_key, key_source, read_master_key
from flowfile_nb.storage.merge import Item, Sharing, add_users, merge, merge_connections
from flowfile_nb.storage.rows import Row
from flowfile_nb.storage.whole import SavedConnection, Whole, read_whole
from flowfile_nb.vault import Vault

NEW = "new"
SAME = "the same"
DIFFERS = "differs"
SHADOWED = "hidden by another of that name"
UNREADABLE = "cannot be decrypted"


class Entry(NamedTuple):
    """What a restore would do with one secret of a backup."""

    row: Row
    owner: str
    """The user's name; empty for whoever restores."""
    state: str
    seen: str | None
    """The token that is here under that name."""

    @property
    def is_carried(self) -> bool:
        """Whether it is added as it is, although nobody can decrypt it."""
        return self.state == UNREADABLE and self.seen is None


class Plan(NamedTuple):
    """What a restore would do. Nothing is changed yet."""

    backup: Contents
    entries: list[Entry]
    connections: list[tuple[SavedConnection, str]]
    """Each with NEW, SAME or DIFFERS."""
    groups: list[str]
    """Names of those that are not here."""
    takes_key: bool
    """Whether this home has no master key, and gets the backup's."""
    key_id: str
    """Of the backup's master key."""

    def __repr__(self) -> str:
        return f"<Plan: {len(self.entries)} secrets, {len(self.connections)} connections>"

    def count(self, state: str) -> int:
        """Return how many secrets and connections are in a state."""
        return [entry.state for entry in self.entries].count(state) + [found for _, found in self.connections].count(state)

    @property
    def carried(self) -> int:
        """How many secrets nobody can decrypt are added as they are."""
        return sum(entry.is_carried for entry in self.entries)


class Restored(NamedTuple):
    """What a restore did."""

    added: int
    replaced: int
    late: list[str]
    """Names of secrets that another program changed since the preview; they were left alone."""


def read_backup(path: str, passphrase: str) -> Contents:
    """Return what a backup holds. Raises as `read_sealed` and `opened`."""
    return opened(read_sealed(path), passphrase)


def opened(sealed: bytes, passphrase: str) -> Contents:
    """Return what `read_sealed` has read. Raises WrongPassphraseError."""
    return from_bytes(unseal(sealed, passphrase))


def read_sealed(path: str) -> bytes:
    """
    Return a backup as it is on disk: before its passphrase is asked for, it is one that can be opened.

    Raises:
        UsageError: If there is no file to read.
        ForeignBackupError, DamagedBackupError, NewerBackupError: As they say.
    """
    try:
        with open(os.path.expanduser(path), "rb") as file:
            # Something else may be larger than the memory: then its beginning says enough.
            beginning = file.read(len(MAGIC))
            sealed = beginning + (file.read() if beginning == MAGIC else b"")
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}", hint="check the path; nothing was changed") from None
    require_sealed(sealed)
    return sealed


def preview(vault: Vault, backup: Contents) -> Plan:
    """
    Return what restoring would do, and change nothing.

    Raises:
        MasterKeyError, WrongKeyError: If there is a master key here that cannot be read, or does not open this store.
        StoreError: If this store is damaged.
    """
    here = read_whole(vault.store)
    if here.lost:
        raise StoreError(
            f"the store here is damaged: {vault.store.location} cannot be read in full; nothing was changed",
            hint="%secret backup ~/damaged.backup  saves what can be read; then move it away, and restore that and this",
        )
    theirs = Keychain(backup.master_key)
    mine = _present_keychain(vault, theirs, here)
    entries = _entries(backup, here, vault.user_id, theirs, mine or theirs)
    saved = {connection.name: connection.body for connection in here.connections}
    connections = [(item, _state(item.body, saved.get(item.name))) for item in backup.whole.connections]
    known = {group.name for group in here.groups}
    groups = [group.name for group in backup.whole.groups if group.name not in known]
    return Plan(backup, entries, connections, groups, mine is None, theirs.key_id)


def apply(vault: Vault, plan: Plan, *, replace: bool) -> Restored:
    """
    Do what the preview said.

    Args:
        vault: Whose store.
        plan: From `preview`.
        replace: Whether what differs gets the backup's value; it keeps ids, shares and connections, and `undo` takes it back.

    Raises:
        StoreError: If it cannot be written. What was not restored yet can be restored again.
    """
    backup = plan.backup
    if plan.takes_key:
        create_master_key(vault.paths, vault.environ, backup.master_key)
    # Another one, if another kernel made one just now.
    keychain = vault.key.proved_keychain()
    states = {NEW, DIFFERS} if replace else {NEW}
    chosen = [entry for entry in plan.entries if entry.state in states or entry.is_carried]
    sharing = _sharing(backup.whole, plan.groups, {entry.row.id for entry in chosen if entry.seen is None})
    ids = _ids(vault, backup, {entry.row.owner_id for entry in chosen}, sharing)
    theirs = Keychain(backup.master_key)
    items = [
        Item(
            user_id=ids[entry.row.owner_id],
            name=entry.row.name,
            token=_token(entry.row, ids[entry.row.owner_id], theirs, keychain),
            seen=entry.seen,
            former_id=entry.row.id,
        )
        for entry in chosen
    ]
    late = merge(vault.store, items, _renumbered(sharing, ids, vault.user_id))
    connections = [(connection, state) for connection, state in plan.connections if state in states]
    if connections:
        merge_connections(vault.store, [connection for connection, _ in connections])
    done = [NEW if item.seen is None else DIFFERS for item in items if item not in late] + [state for _, state in connections]
    vault.log.record("restore", EVERYTHING)
    return Restored(done.count(NEW), done.count(DIFFERS), [item.name for item in late])


def _present_keychain(vault: Vault, theirs: Keychain, here: Whole) -> Keychain | None:
    """Return the keys of this home, or None where it has none and the backup's opens whatever is here."""
    away = (
        f"if the backup's key ({theirs.key_id}) is the right one, move what is in use now"
        f" ({key_source(vault.paths, vault.environ)}) away, and restore again"
    )
    try:
        key = read_master_key(vault.paths, vault.environ)
    except MasterKeyError as error:
        docker = vault.environ.get("FLOWFILE_MODE") == "docker"
        raise MasterKeyError(error.message, hint=error.hint if docker else away) from None
    mine = theirs if key is None else Keychain(key)
    if here.rows and not any(_value(mine, row) is not None for row in here.rows):
        which = "the backup's master key" if key is None else "the master key in use"
        raise WrongKeyError(
            f"{which} ({mine.key_id}) does not open the secrets that are here; nothing was changed",
            hint="put back the key that they were written with" if key is None else away,
        )
    return None if key is None else mine


def _entries(backup: Contents, here: Whole, user_id: int, theirs: Keychain, mine: Keychain) -> list[Entry]:
    by_name = {name: found for found, name in here.users.items()}
    # Whoever restores gets what was their own, whatever their number and name were.
    targets = {found: by_name.get(name) for found, name in backup.whole.users.items()} | {backup.user_id: user_id}
    names = {**backup.whole.users, backup.user_id: ""}
    taken: set[tuple[bool, int, str]] = set()
    owns = {target: here.owns(target) for target in set(targets.values()) if target is not None}
    entries = []
    for row in sorted(backup.whole.rows, key=lambda row: (row.owner_id != backup.user_id, row.id)):
        target = targets[row.owner_id]
        place = (target is None, row.owner_id if target is None else target, row.name)
        found = None if target is None else owns[target].get(row.name)
        state = SHADOWED if place in taken else _compare(row, found, theirs, mine)
        taken.add(place)
        entries.append(Entry(row, names[row.owner_id], state, found.token if found else None))
    return entries


def _compare(row: Row, found: Row | None, theirs: Keychain, mine: Keychain) -> str:
    if found is not None and found.token == row.token:
        return SAME
    value = _value(theirs, row)
    if value is None:
        return UNREADABLE
    if found is None:
        return NEW
    return SAME if _value(mine, found) == value else DIFFERS


def _value(keychain: Keychain, row: Row) -> str | None:
    try:
        return keychain.decrypt_secret(row.token, row.owner_id)
    except DamagedSecretError:
        return None


def _token(row: Row, user_id: int, theirs: Keychain, keychain: Keychain) -> str:
    value = None if theirs.key_id == keychain.key_id and row.owner_id == user_id else _value(theirs, row)
    # As it is, it keeps the time it was stored at; and what cannot be decrypted cannot be encrypted anew.
    return row.token if value is None else keychain.encrypt_secret(value, user_id)


def _sharing(whole: Whole, groups: list[str], added: set[int]) -> Sharing:
    """Return what of a backup's sharing is new here: groups with their members, and the grants of rows that are added."""
    grants = [grant for grant in whole.grants if grant.row_id in added]
    wanted = {*groups, *(grant.group for grant in grants)}
    return Sharing(
        groups=[group for group in whole.groups if group.name in wanted],
        memberships=[membership for membership in whole.memberships if membership.group in groups],
        grants=grants,
    )


def _ids(vault: Vault, backup: Contents, owners: set[int], sharing: Sharing) -> Mapping[int, int]:
    """Return the ids that a backup's users have here; who is needed and not here is made."""
    needed = (
        owners | {membership.user_id for membership in sharing.memberships} | {grant.granted_by for grant in sharing.grants}
    )
    names = {user_id: backup.whole.users[user_id] for user_id in needed if user_id != backup.user_id}
    made = add_users(vault.store, names.values()) if names else {}
    return {**{user_id: made[name] for user_id, name in names.items()}, backup.user_id: vault.user_id}


def _renumbered(sharing: Sharing, ids: Mapping[int, int], user_id: int) -> Sharing:
    return Sharing(
        # A group needs a maker, and theirs may not be here.
        [group._replace(created_by=ids.get(group.created_by, user_id)) for group in sharing.groups],
        [membership._replace(user_id=ids[membership.user_id]) for membership in sharing.memberships],
        [grant._replace(granted_by=ids[grant.granted_by]) for grant in sharing.grants],
    )


def _state(theirs: str, here: str | None) -> str:
    if here is None:
        return NEW
    return SAME if here == theirs else DIFFERS
