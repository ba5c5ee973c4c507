"""Reads in a process that has read before."""

from __future__ import annotations

import random
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tests.benchmarks.measure import NO_FLOWFILE, Effort, Row, rounds
from tests.benchmarks.places import (
    fill,
    inside,
    inside_own,
    make_flowfile_store,
    name_of,
    new_home,
    private_vault,
    require,
    value_of,
)

_FEW = 10


def warm_read(effort: Effort) -> Iterator[Row]:
    """
    `secrets[name].get_secret_value()` against Flowfile's `decrypt_secret(get_encrypted_secret(…))`. Goal: 0.10 of its time.

    Both in one process of Flowfile's interpreter, on one catalog, alternating call by call, names at random: caches are as
    cold for each as another program in between leaves them. Of 100,000 secrets against 10, in our own database: at most 1.3;
    and so of 100,000 against Flowfile's at most 0.13.

    The floor is one SELECT of the row and one `Fernet.decrypt` of its token: no variable that may override it, no name looked
    at, no other database that may have come, no `Secret`.
    """
    many = effort.pick(100_000, 100_000, 200)
    pairs = effort.pick(4_000, 1_000, 20)
    for stored in (_FEW, 1_000, many):
        name = f"warm read of {stored:,} / Flowfile's"
        goal = 0.13 if stored == many else 0.1
        if effort.flowfile is None:
            yield Row(name, missing=NO_FLOWFILE, at_most=goal)
            continue
        with new_home() as home:
            ours, floor = inside(
                effort.flowfile, "tests.benchmarks.warm_read:against_flowfile", home, stored=stored, pairs=pairs
            )
        yield Row(name, *ours, at_most=goal)
        yield Row("the floor of that / Flowfile's", *floor)
    with new_home() as home:
        ours, peer = inside_own("tests.benchmarks.warm_read:many_against_few", home, many=many, pairs=pairs)
    yield Row(f"warm read of {many:,} / of {_FEW}", ours, peer, at_most=1.3)


def against_flowfile(stored: int, pairs: int) -> list[list[list[float]]]:
    """Read at random in Flowfile's catalog, alternately with our code, with Flowfile's, and with the least there could be."""
    make_flowfile_store(stored)
    from flowfile_core.secret_manager.secret_manager import decrypt_secret, get_encrypted_secret

    from flowfile_nb import secrets

    theirs = _reader(stored, lambda name: decrypt_secret(get_encrypted_secret(1, name)).get_secret_value())
    ours = _reader(stored, lambda name: secrets[name].get_secret_value())
    least = _reader(stored, _least())
    figures = []
    # Flowfile's in turn with each: caches are as cold for the floor as for ours.
    for pair in ((ours, theirs), (least, theirs)):
        rounds(pairs // 10, *pair)
        figures.append(rounds(pairs, *pair))
    return figures


def _least() -> Callable[[str], str]:
    """Return a function that reads a secret and does nothing else."""
    from cryptography.fernet import Fernet

    from flowfile_nb import session
    from flowfile_nb.core.crypto import derive_user_key
    from flowfile_nb.storage.master_key import read_keys

    vault = session.vault()
    key, _, _ = read_keys(vault.paths, vault.environ)
    assert key is not None
    fernet, database = Fernet(derive_user_key(key, 1)), sqlite3.connect(str(vault.store.location))
    query = "SELECT encrypted_value FROM secrets WHERE name = ? AND user_id = 1"

    def read(name: str) -> str:
        return fernet.decrypt(database.execute(query, (name,)).fetchone()[0].rpartition("$")[2]).decode()

    return read


def many_against_few(many: int, pairs: int) -> list[list[float]]:
    """Read at random in a large store and in a small one, alternately."""
    large, small = (_store(Path(f"store-{count}").absolute(), count) for count in (many, _FEW))
    rounds(pairs // 10, large, small)
    return rounds(pairs, large, small)


def _store(home: Path, count: int) -> Callable[[int], float]:
    from flowfile_nb import secrets, session

    vault = private_vault(home)
    fill(vault, count)
    read = _reader(count, lambda name: secrets[name].get_secret_value())

    def read_here(number: int) -> float:
        session.use_backend(vault)
        return read(number)

    return read_here


def _reader(stored: int, read: Callable[[str], Any]) -> Callable[[int], float]:
    def clocked(number: int) -> float:
        # The same names for each side, whichever comes first.
        name = name_of(random.Random(number).randrange(stored))
        start = time.perf_counter()
        value = read(name)
        seconds = time.perf_counter() - start
        require(value == value_of(name), f"a wrong value was read for {name}")
        return seconds

    return clocked
