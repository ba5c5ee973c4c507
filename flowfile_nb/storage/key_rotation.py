"""
Another master key for a store, so that a crash at any point loses nothing.

The steps, under the store's lock, each durable before the next begins:

1. the new key is kept beside the present one, as the entry NEXT;
2. in each database one transaction puts tokens of the same values under the new key in the place of the old ones;
3. at once, the new key becomes the master key, and the old one PREVIOUS;
4. the fact `key_id` says so.

Whoever reads tries all of these keys, so between any two steps every secret is readable; whoever finds NEXT goes on from step 2
(`finish`). A program that read the old key just before step 3 may still write with it: PREVIOUS opens such a row, and reading
it puts it under the new key.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple

from flowfile_nb.core.crypto import Keychain
from flowfile_nb.errors import MasterKeyError, StoreError
from flowfile_nb.storage.master_key import ENTRY, NEXT, PREVIOUS, read_entries, replace_entries
from flowfile_nb.storage.renewal import Renewal, count, places_of
from flowfile_nb.storage.store import Store

_EVERY = 200

Tell = Callable[[int, int], None]
"""Is told how many rows are worked out, of how many."""


class Contents(NamedTuple):
    """What a rotation changes, or would."""

    location: str
    """The database that holds the secrets."""
    owners: dict[str, int]
    """How many secrets it has of each user, by user name."""
    elsewhere: dict[str, int]
    """How many more rows hold tokens, by `table.column`."""
    unopened: list[str]
    """Rows that no key of the store opens, as `table.column: name`; they are left as they are."""


class KeyRotation:
    """
    The rotation of one store's key.

    Args:
        store: The rows, and where everything is.
        environ: Says where the key is.
    """

    def __init__(self, store: Store, environ: Mapping[str, str]) -> None:
        self._store = store
        self._paths = store.paths
        self._environ = environ

    def preview(self, old: bytes, new: bytes, tell: Tell) -> Contents:
        """Return what would change if *new* came after *old*. Nothing is changed, and nobody has to wait."""
        with self._store.active.reading() as db, self._store.active.ours() as ours:
            databases = [found for found in (db, None if ours is db else ours) if found is not None]
            return self._contents(databases, Renewal([Keychain(old)], Keychain(new)), tell)

    def rotate(self, new: bytes, tell: Tell) -> Contents:
        """
        Make *new* the master key, where the key is kept by us. It happens, or is undone, or is finished by the next start.

        Raises:
            StoreError: If a file cannot be written; every secret is readable then.
        """
        with self._databases() as databases:
            self.finish()
            before = self._entries()
            renewal = _renewal(before, new)
            # The long part; until it is over nothing is changed.
            found = self._contents(databases, renewal, tell)
            self._replace({**before, NEXT: new.decode()})
            try:
                self._require_kept(new)
                renewal.apply(databases[0])
            except BaseException:
                self._undo(databases, renewal)
                raise
            self._complete(databases, renewal, before.get(ENTRY), new.decode())
        return found

    def finish(self) -> None:
        """
        Finish a rotation that was cut short, if there is one.

        Raises:
            StoreError: If a file cannot be written; every secret is readable then.
        """
        with self._databases() as databases:
            entries = self._entries()
            new = entries.get(NEXT)
            if new is not None:
                self._complete(databases, _renewal(entries, new.encode()), entries.get(ENTRY), new)

    def reencrypt(self, old: bytes, new: bytes, tell: Tell) -> Contents:
        """
        Put a store under a key that the user keeps: one transaction for each database. Cut short, it can be repeated.

        Raises:
            StoreError: If a file cannot be written.
        """
        with self._databases() as databases:
            renewal = Renewal([Keychain(old)], Keychain(new))
            found = self._contents(databases, renewal, tell)
            # The secrets last: until then the old key proves to be the store's own.
            for database in reversed(databases):
                renewal.apply(database)
            self._store.set_fact("key_id", renewal.new.key_id)
        return found

    def _complete(self, databases: list[sqlite3.Connection], renewal: Renewal, old: str | None, new: str) -> None:
        for database in databases:
            renewal.apply(database)
        # Until it is certainly kept: rows are under it. Read each time, because Flowfile, which takes no lock of ours, keeps
        # entries here, too, and may write back what it had read before.
        while (entries := self._entries()).get(ENTRY) != new or NEXT in entries:
            entries.pop(NEXT, None)
            self._replace({**entries, ENTRY: new, **({PREVIOUS: old} if old else {})})
            for database in databases:
                # What Flowfile wrote with the old key in the moment before.
                renewal.apply(database)
            self._store.set_fact("key_id", renewal.new.key_id)

    def _undo(self, databases: list[sqlite3.Connection], renewal: Renewal) -> None:
        """Forget the new key, but only if certainly nothing is under it: else the rotation is finished later."""
        with suppress(StoreError, sqlite3.Error):
            if not any(renewal.has_begun(database) for database in databases):
                self._replace({name: entry for name, entry in self._entries().items() if name != NEXT})

    def _require_kept(self, new: bytes) -> None:
        if self._entries().get(NEXT) != new.decode():
            raise MasterKeyError("another program wrote the key file at this moment", hint="nothing was changed; try again")

    @contextmanager
    def _databases(self) -> Iterator[list[sqlite3.Connection]]:
        """The databases that may hold tokens, to write while no other process does: the active one, and ours beside it."""
        with self._store.active.writing() as db:
            if self._store.location == self._paths.catalog:
                # What was cut short there would otherwise be taken for other rows when its tokens have changed.
                from flowfile_nb.storage.handover import move_rows

                move_rows(self._paths, db)
            with self._store.active.ours() as ours:
                yield [db] if ours is None or ours is db else [db, ours]

    def _contents(self, databases: list[sqlite3.Connection], renewal: Renewal, tell: Tell) -> Contents:
        places = [(database, place) for database in databases for place in places_of(database)]
        counts = [count(database, place) for database, place in places]
        total, done = sum(counts), 0

        def one_more() -> None:
            nonlocal done
            done += 1
            if done % _EVERY == 0 or done == total:
                tell(done, total)

        owners: dict[str, int] = {}
        elsewhere: dict[str, int] = {}
        unopened: list[str] = []
        for (database, place), rows in zip(places, counts, strict=True):
            found = [f"{place.name}: {label}" for label in renewal.survey(database, place, one_more)]
            # Beside the catalog, copies of its rows are the same secrets.
            unopened += found if database is databases[0] else [named for named in found if named not in unopened]
            if place.name != "secrets.encrypted_value" and rows:
                elsewhere[place.name] = elsewhere.get(place.name, 0) + rows
        for database in databases:
            for owner, rows in database.execute(_OWNERS, {"copies": database is databases[0]}):
                owners[owner] = owners.get(owner, 0) + rows
        return Contents(self._store.location or "", owners, elsewhere, unopened)

    def _entries(self) -> dict[str, Any]:
        return read_entries(self._paths, self._environ) or {}

    def _replace(self, entries: Mapping[str, Any]) -> None:
        replace_entries(self._paths, self._environ, entries)


_OWNERS = """
    SELECT ifnull(u.username, 'user ' || s.user_id), count(*) FROM secrets s LEFT JOIN users u ON u.id = s.user_id
    WHERE :copies OR s.iv IS NOT 'copy'
    GROUP BY s.user_id ORDER BY s.user_id
"""


def _renewal(entries: Mapping[str, Any], new: bytes) -> Renewal:
    """Return what puts rows under *new*; those, too, that were written with the key before the last rotation."""
    old = [entries[name] for name in (ENTRY, PREVIOUS) if entries.get(name)]
    return Renewal([Keychain(key.encode()) for key in old], Keychain(new))
