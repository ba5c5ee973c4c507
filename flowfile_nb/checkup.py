"""What `%secret doctor` looks at: key, store and the rows in it. It reads, and changes nothing."""

from __future__ import annotations

import os
import sqlite3
import stat
import sys
from collections.abc import Callable, Mapping

from flowfile_nb.backend import Finding
from flowfile_nb.core.crypto import Keychain
from flowfile_nb.core.names import quoted
from flowfile_nb.errors import FlowfileNbError
from flowfile_nb.storage.database import connect
from flowfile_nb.storage.filesystem import file_system, is_local
from flowfile_nb.storage.master_key import key_source
from flowfile_nb.storage.paths import Paths
from flowfile_nb.storage.store import Store


def check_up(paths: Paths, environ: Mapping[str, str], store: Store, keychain: Callable[[], Keychain]) -> list[Finding]:
    """
    Return the findings, the good ones too.

    Args:
        paths: Where everything is.
        environ: Says where the key comes from.
        store: The rows.
        keychain: Returns the keys, or raises what is wrong with them.
    """
    return [
        Finding("mode", environ.get("FLOWFILE_MODE", "local user")),
        *_key(paths, environ, store, keychain),
        *_permissions(paths),
        *_database(paths, store),
        *_rows(store, keychain),
    ]


def _key(paths: Paths, environ: Mapping[str, str], store: Store, keychain: Callable[[], Keychain]) -> list[Finding]:
    source = key_source(paths, environ)
    made = environ.get("FLOWFILE_MODE") != "docker"
    if made and not store.tokens(1) and source == paths.key_store and not os.path.exists(source):
        return [Finding("master key", "none yet; it is made with the first secret")]
    try:
        key_id = keychain().key_id
    except FlowfileNbError as error:
        return [Finding("master key", error.message, ok=False, remedy=error.hint)]
    expected = store.fact("key_id")
    if expected not in (None, key_id):
        remedy = "put the key with that id back; nothing is written until then"
        return [
            Finding("master key", f"{key_id} from {source}, but the store is written with {expected}", ok=False, remedy=remedy)
        ]
    return [Finding("master key", f"{key_id} from {source}")]


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
    found = [Finding("store", f"{location} ({whose}, journal {journal}, {disk})", safe, remedy)]
    if copies := store.copies():
        in_catalog = f"{copies:,} that were written here are copied, encrypted, to {paths.database}, should Flowfile be removed"
        gone = f"{copies:,} were in Flowfile's catalog, which is gone: they are as they were when it was last opened here"
        found.append(Finding("copies", in_catalog if location == paths.catalog else gone))
    return found


def _rows(store: Store, keychain: Callable[[], Keychain]) -> list[Finding]:
    rows = store.rows(1)
    findings = [Finding("secrets", f"{len(rows):,}")]
    try:
        keys = keychain()
    except FlowfileNbError:
        return findings
    for row in rows:
        try:
            keys.decrypt_secret(row.token, row.owner_id)
        except FlowfileNbError:
            remedy = f"%secret set {quoted(row.name)} --replace  stores it anew"
            findings.append(Finding("secret", f"{row.name}: cannot be decrypted", ok=False, remedy=remedy))
    return findings
