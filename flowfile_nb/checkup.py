"""What `%secret doctor` looks at: key, store and the rows in it. It reads, and changes nothing."""

from __future__ import annotations

import os
import sqlite3
import stat
import sys
from collections.abc import Mapping

from flowfile_nb.backend import Finding
from flowfile_nb.core.names import quoted
from flowfile_nb.errors import FlowfileNbError
from flowfile_nb.storage.database import connect
from flowfile_nb.storage.filesystem import file_system, is_local
from flowfile_nb.storage.master_key import key_source, read_master_key
from flowfile_nb.storage.paths import Paths
from flowfile_nb.storage.store import Store
from flowfile_nb.storage.store_key import StoreKey


def check_up(paths: Paths, environ: Mapping[str, str], store: Store, key: StoreKey) -> list[Finding]:
    """
    Return the findings, the good ones too.

    Args:
        paths: Where everything is.
        environ: Says where the key comes from.
        store: The rows.
        key: Says which keys open them, or raises what is wrong with it.
    """
    return [
        Finding("mode", environ.get("FLOWFILE_MODE", "local user")),
        *_key(paths, environ, store, key),
        *_permissions(paths),
        *_database(paths, store),
        *_rows(store, key),
    ]


def _key(paths: Paths, environ: Mapping[str, str], store: Store, key: StoreKey) -> list[Finding]:
    source = key_source(paths, environ)
    try:
        expected = store.fact("key_id")
        if store.fact("key_home") is None and not store.tokens(1) and read_master_key(paths, environ) is None:
            return [Finding("master key", f"none yet; it is made with the first secret, in {source}"), *_home(paths)]
        key_id = key.keychain().key_id
    except FlowfileNbError as error:
        return [Finding("master key", error.message, ok=False, remedy=error.hint)]
    # The one before the last rotation: it was cut short when all but this record was done; the next write sets that right.
    if expected not in (None, key_id, key.previous_id):
        remedy = "put the key with that id back; nothing is written until then"
        return [
            Finding("master key", f"{key_id} from {source}, but the store is written with {expected}", ok=False, remedy=remedy)
        ]
    return [Finding("master key", f"{key_id} from {source}"), *_home(paths)]


def _home(paths: Paths) -> list[Finding]:
    if not paths.keychain:
        return []
    return [Finding("key home", "the OS keychain, which Flowfile cannot read: its own secrets are not used here")]


def _permissions(paths: Paths) -> list[Finding]:
    if sys.platform == "win32":
        return []
    findings = []
    for path, wanted in (
        (paths.directory, 0o700),
        (paths.secret_key, 0o600),
        (paths.key_store, 0o600),
        (paths.database, 0o600),
    ):
        if os.path.exists(path):
            mode = stat.S_IMODE(os.stat(path).st_mode)
            ok = not mode & 0o077
            findings.append(Finding("permissions", f"{path} {mode:04o}", ok, "" if ok else f"chmod {wanted:o} '{path}'"))
    return findings


def _database(paths: Paths, store: Store) -> list[Finding]:
    location = store.location
    if location is None:
        return [Finding("store", f"none yet; it will be {paths.database}")]
    connection = connect(location)
    try:
        journal = connection.execute("PRAGMA journal_mode").fetchone()[0]
        version = connection.execute("PRAGMA user_version").fetchone()[0]
    except sqlite3.Error as error:
        return [Finding("store", f"{location}: {error}", ok=False, remedy="put it back from a backup")]
    finally:
        connection.close()
    whose = "Flowfile's catalog" if location == paths.catalog else f"our own database, schema {version}"
    disk = file_system(location) or "unknown file system"
    safe = journal != "wal" or is_local(location) or not sys.platform.startswith("linux")
    remedy = "" if safe else "keep it on a local disk: FLOWFILE_DB_PATH moves it"
    return [Finding("store", f"{location} ({whose}, journal {journal}, {disk})", safe, remedy)]


def _rows(store: Store, key: StoreKey) -> list[Finding]:
    rows = store.rows(1)
    findings = [Finding("secrets", f"{len(rows):,}")]
    try:
        keys = key.keychain()
    except FlowfileNbError:
        return findings
    for row in rows:
        try:
            keys.decrypt_secret(row.token, row.owner_id)
        except FlowfileNbError:
            state, remedy = "cannot be decrypted", f"%secret set {quoted(row.name)} --replace  stores it anew"
            if key.is_left_behind(row.token, row.owner_id):
                state = "still under the key from before the last rotation, and Flowfile cannot read it"
                remedy = "%secret rotate-key  puts it under the new one; so does reading it here"
            findings.append(Finding("secret", f"{row.name}: {state}", ok=False, remedy=remedy))
    return findings
