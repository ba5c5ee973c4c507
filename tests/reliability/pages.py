"""
A database in which bytes have changed by themselves: each page in turn, and its write-ahead log.

Each answer is either the value that was stored or an error of ours with a remedy. SQLite takes a damaged log for one that a
crash has cut off, so what was stored last can be gone from it; but what is there then is what once was there, as a whole.
"""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from flowfile_nb.errors import NoSuchSecretError, StoreError
from tests.benchmarks.places import inside_own, new_home, private_vault
from tests.benchmarks.writers import make_catalog
from tests.reliability.counts import Plan, Tally, as_json, not_ours

PAGE = 4096
STORED = {f"secret {number:02}": f"value {number} " * (1 if number % 7 else 1500) for number in range(60)}
_REMEDIES = ("backup", "--replace", "pip install -U")

Damage = Callable[[random.Random, bytes], bytes]


def _noise(numbers: random.Random, page: bytes) -> bytes:
    return numbers.randbytes(len(page))


def _zeros(numbers: random.Random, page: bytes) -> bytes:
    return bytes(len(page))


def _few_bytes(numbers: random.Random, page: bytes) -> bytes:
    changed = bytearray(page)
    for _ in range(numbers.randrange(1, 9)):
        changed[numbers.randrange(len(page))] ^= numbers.randrange(1, 256)
    return bytes(changed)


def pages(plan: Plan) -> Iterator[Tally]:
    """Change each page of a database; nothing that is read is wrong, and what cannot be read says what to do."""
    for catalog in (False, True):
        with new_home() as home:
            yield Tally(
                **inside_own(
                    "tests.reliability.pages:damage_pages", home, catalog=catalog, seed=plan.seed, rounds=plan.pick(12, 0)
                )
            )
    with new_home() as home:
        yield Tally(**inside_own("tests.reliability.pages:damage_log", home, seed=plan.seed, rounds=plan.pick(12, 0)))


def damage_pages(rounds: int, seed: int, *, catalog: bool) -> dict[str, Any]:
    """Change each page in some bytes, so many times, and twice wholly; return the tally."""
    tally = Tally("a damaged page, " + ("Flowfile's catalog" if catalog else "own database"))
    template, numbers = Path("template").absolute(), random.Random(f"{seed} {catalog}")
    database = Path(filled(template, catalog=catalog))
    size = (template / database).stat().st_size
    for page in range(size // PAGE):
        for kind in kinds(rounds, numbers):
            home = Path(f"home-{tally.tried}").absolute()
            shutil.copytree(template, home)
            damage(home / database, page * PAGE, PAGE, kind, numbers)
            tally.tried += 1
            _read_and_write(home, home / database, f"page {page + 1}, {kind.__name__.strip('_')}", tally)
            shutil.rmtree(home)
    return as_json(tally)


def damage_log(rounds: int, seed: int) -> dict[str, Any]:
    """Change the log and its index in some bytes, page for page; return the tally."""
    tally = Tally("a damaged log (WAL)")
    template, numbers = Path("template").absolute(), random.Random(f"{seed} log")
    vault = private_vault(template)
    history: list[dict[str, str]] = [{}]
    for number, (name, value) in enumerate(list(STORED.items())[:12]):
        vault.set(name, value[:200], replace=False)
        history.append({**history[-1], name: value[:200]})
        if number % 3 == 0:
            vault.set(name, "replaced", replace=True)
            history.append({**history[-1], name: "replaced"})
    older = 0
    # The vault stays open: closing the last connection would empty the log.
    for suffix in ("-wal", "-shm"):
        size = Path(f"{vault.paths.database}{suffix}").stat().st_size
        for start in range(0, size, PAGE):
            for kind in kinds(rounds, numbers):
                home = Path(f"home-{tally.tried}").absolute()
                shutil.copytree(template, home)
                damage(home / "key" / f"flowfile_nb.db{suffix}", start, PAGE, kind, numbers)
                tally.tried += 1
                found = _all_of(home, tally, suffix)
                if found is not None and found not in history:
                    tally.wrong.append(f"{suffix} at {start}, {kind.__name__}: holds what was never stored so: {found}")
                older += found is not None and found != history[-1]
                shutil.rmtree(home)
    vault.store.close()
    tally.note = f"{older} times an earlier state, as after a power cut"
    return as_json(tally)


def kinds(rounds: int, numbers: random.Random) -> tuple[Damage, ...]:
    """Return what to do to each page; without rounds, one thing only."""
    return (_noise, _zeros, *[_few_bytes] * rounds) if rounds else (numbers.choice((_noise, _few_bytes)),)


def filled(home: Path, *, catalog: bool) -> str:
    """Store all secrets; return where the database is below *home*."""
    vault = private_vault(home)
    if catalog:
        make_catalog(Path(vault.paths.catalog))
    for name, value in STORED.items():
        vault.set(name, value, replace=False)
    location = vault.store.location
    vault.store.close()
    return os.path.relpath(location, home)


def damage(path: Path, start: int, length: int, kind: Damage, numbers: random.Random) -> None:
    """Change some bytes of a file where it is."""
    content = path.read_bytes()
    path.write_bytes(content[:start] + kind(numbers, content[start : start + length]) + content[start + length :])


def _read_and_write(home: Path, database: Path, what: str, tally: Tally) -> None:
    """Do all that can be done with a store in which something is damaged."""
    vault = private_vault(home)
    for name, value in STORED.items():
        if _is_gone(database, name):
            # Its row has another legal name or owner now: no one can tell that from a row that was never there.
            tally.note = f"{int(tally.note.partition(' ')[0] or 0) + 1} rows with another name or owner are no more found"
            continue
        answer = _answer(tally, f"{what}, read of {name!r}", lambda name=name: vault.reveal(name))
        if answer not in (None, value):
            tally.wrong.append(f"{what}: {name!r} reads as {answer[:40]!r}")
    for action in (vault.names, vault.count, vault.describe, vault.version, vault.fingerprints, vault.findings):
        _answer(tally, f"{what}, {action.__name__}", action)
    _answer(tally, f"{what}, a name that is not there", lambda: _require_none(vault))
    if _answer(tally, f"{what}, a new secret", lambda: vault.set("new", "new value", replace=False)) is not None:
        new = _answer(tally, f"{what}, read of a new secret", lambda: private_vault(home).reveal("new"))
        if new not in (None, "new value"):
            tally.wrong.append(f"{what}: a new secret reads as {new!r}")
    for change in (
        lambda: vault.set("secret 01", "replaced", replace=True),
        *(lambda: vault.rename("secret 02", "renamed") for _ in range(not _is_gone(database, "secret 02"))),
        *(lambda: vault.delete("secret 03") for _ in range(not _is_gone(database, "secret 03"))),
    ):
        _answer(tally, f"{what}, a change", change)
    vault.store.close()


def _is_gone(database: Path, name: str) -> bool:
    """Return whether every row can be read, and none is the local user's and has the name."""
    with closing(sqlite3.connect(database)) as connection, suppress(sqlite3.Error, UnicodeDecodeError):
        rows = connection.execute("SELECT name, user_id FROM secrets NOT INDEXED").fetchall()
        return (name, 1) not in rows
    return False


def _require_none(vault: Any) -> None:
    try:
        vault.require("secret 99")
    except NoSuchSecretError:
        return
    raise AssertionError("a name that nobody stored is there")


def _all_of(home: Path, tally: Tally, what: str) -> dict[str, str] | None:
    vault = private_vault(home)
    found: dict[str, str] | None = _answer(tally, what, lambda: {name: vault.reveal(name) for name in vault.names()})
    vault.store.close()
    return found


def _answer(tally: Tally, what: str, action: Callable[[], Any]) -> Any:
    """Return the answer, or None where an error refuses it; count what is no error of ours or has no remedy."""
    try:
        return action()
    except Exception as error:
        problem = not_ours(error, StoreError)
        tally.shown += 1
        if problem or not any(remedy in str(error) for remedy in _REMEDIES):
            tally.wrong.append(f"{what}: {problem or f'an error without a remedy: {error}'}")
        return None
