"""Every byte of a token and of the key files changed in turn: each single bit, and all of them at once."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

from flowfile_nb.core.crypto import Keychain
from flowfile_nb.errors import DamagedSecretError, FlowfileNbError, MasterKeyError, WrongKeyError
from tests.benchmarks.places import inside_own, new_home, private_vault
from tests.reliability.counts import Plan, Tally, as_json, not_ours

_VALUE = "the value of this secret"
_OTHER = "another value"


def flips(plan: Plan) -> Iterator[Tally]:
    """Change each byte; what is read is the value or an error of the right class, and no file is written."""
    masks = plan.pick([*(1 << bit for bit in range(8)), 0xFF], [1, 0x80])
    with new_home() as home:
        yield Tally(**inside_own("tests.reliability.flips:flip_tokens", home, masks=masks))
    with new_home() as home:
        yield Tally(**inside_own("tests.reliability.flips:flip_rows", home, masks=masks))
    for file in (".secret_key", "flowfile.json.enc"):
        with new_home() as home:
            yield Tally(**inside_own("tests.reliability.flips:flip_key_file", home, file=file, masks=masks))


def flip_tokens(masks: list[int]) -> dict[str, Any]:
    """Change each byte of a token in memory; return the tally."""
    tally = Tally("a changed byte of a token")
    keychain = Keychain(b"Z6Mh_4vw9Ub1IIVj8kKRKQK7FAPFyG8B0X2uOAnVfHI=")
    for token in (keychain.encrypt_secret(_VALUE, 1), keychain.encrypt_secret(_VALUE, 1).rpartition("$")[2]):
        for changed in _changed(token.encode(), masks):
            tally.tried += 1
            _judge(tally, changed, partial(keychain.decrypt_secret, changed.decode("latin-1"), 1), DamagedSecretError)
    return as_json(tally)


def flip_rows(masks: list[int]) -> dict[str, Any]:
    """Change each byte of a token in the database; the row beside it is read as ever."""
    tally = Tally("a changed byte of a stored row")
    vault = private_vault(Path("home").absolute())
    vault.set("a", _VALUE, replace=False)
    vault.set("b", _OTHER, replace=False)
    row = vault.store.find(1, "a")
    with closing(sqlite3.connect(vault.paths.database, isolation_level=None)) as database:
        for changed in _changed(row.token.encode(), masks):
            tally.tried += 1
            database.execute("UPDATE secrets SET encrypted_value = CAST(? AS TEXT) WHERE id = ?", (changed, row.id))
            _judge(tally, changed, lambda: vault.reveal("a"), DamagedSecretError)
            if vault.reveal("b") != _OTHER or vault.describe().names != ["a", "b"]:
                tally.wrong.append(f"{changed!r}: the other secret suffers")
            (stored,) = database.execute("SELECT CAST(encrypted_value AS BLOB) FROM secrets WHERE id = ?", (row.id,)).fetchone()
            if stored != changed:
                tally.wrong.append(f"{changed!r}: the row was written over")
    return as_json(tally)


def flip_key_file(file: str, masks: list[int]) -> dict[str, Any]:
    """Change each byte of a key file; a new process reads the value or says what is wrong, and makes no new key."""
    tally = Tally(f"a changed byte of {file}")
    home = Path("home").absolute()
    vault = private_vault(home)
    vault.set("a", _VALUE, replace=False)
    vault.store.close()
    path = Path(vault.paths.directory, file)
    original = path.read_bytes()
    for changed in _changed(original, masks):
        path.write_bytes(changed)
        before = _files(home)
        for action in (lambda: private_vault(home).reveal("a"), lambda: _write(home)):
            tally.tried += 1
            # Some bits of base64 mean nothing: with those changed, the key is the same.
            _judge(tally, changed, action, MasterKeyError, WrongKeyError)
            after = _files(home)
            if after != before:
                tally.wrong.append(f"{changed!r}: {[name for name in after if after[name] != before.get(name)]} written")
    path.write_bytes(original)
    if private_vault(home).reveal("a") != _VALUE:
        tally.lost.append("the value cannot be read with the right key")
    return as_json(tally)


def _write(home: Path) -> str:
    """Try to replace the value by itself, which only the right key may."""
    vault = private_vault(home)
    keychain = vault.key.proved_keychain()
    return str(keychain.decrypt_secret(vault.store.find(1, "a").token, 1))


def _changed(content: bytes, masks: list[int]) -> Iterator[bytes]:
    for place in range(len(content)):
        for mask in masks:
            yield content[:place] + bytes([content[place] ^ mask]) + content[place + 1 :]


def _judge(tally: Tally, changed: bytes, action: Any, *allowed: type[FlowfileNbError]) -> None:
    try:
        value = action()
    except Exception as error:
        tally.shown += 1
        if problem := not_ours(error, *allowed):
            tally.wrong.append(f"{changed!r}: {problem}")
    else:
        if value != _VALUE:
            tally.wrong.append(f"{changed!r}: a wrong value: {value!r}")


def _files(home: Path) -> dict[str, bytes]:
    """Return all files but SQLite's log while nothing is in it, and the index of that: reading makes them."""
    files = {path.name: path.read_bytes() for path in sorted(home.rglob("*")) if path.is_file() and path.suffix != ".log"}
    return {name: content for name, content in files.items() if content and not name.endswith("-shm")}
