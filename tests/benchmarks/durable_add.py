"""Adding one secret, safe on disk."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

from tests.benchmarks.measure import Effort, Row, rounds
from tests.benchmarks.places import inside_own, name_of, new_home, private_vault, require, value_of


def durable_add(effort: Effort) -> Iterator[Row]:
    """
    `secrets[name] = value` against a raw append and fdatasync of as many bytes to the same disk. Goal: 1.6 of its time.

    Our own database, in the journal mode that its disk gets, alternating. Encryption, the lock against other kernels and the
    check of the key are in our time.
    """
    with new_home() as home:
        ours, peer, mode = inside_own("tests.benchmarks.durable_add:add", home, pairs=effort.pick(1_500, 400, 10))
    yield Row(f"durable add ({mode}) / append + fdatasync", ours, peer, at_most=1.6, held="all readable")


def add(pairs: int) -> tuple[list[float], list[float], str]:
    """Add secrets and append to a file, alternately; then read all of them with a new vault."""
    from flowfile_nb import secrets, session

    home = Path("store").absolute()
    vault = private_vault(home)
    session.use_backend(vault)
    warm_up = max(1, pairs // 10)
    names = [name_of(number) for number in range(pairs + warm_up)]
    entry = value_of(names[0])
    secrets["first"] = entry
    row = vault.store.find(1, "first")
    payload = (row.name + row.token).encode()
    raw = os.open(home / "raw", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    sync = getattr(os, "fdatasync", os.fsync)
    left = iter(names)

    def ours(_: int) -> float:
        name = next(left)
        value = value_of(name)
        start = time.perf_counter()
        secrets[name] = value
        return time.perf_counter() - start

    def append(_: int) -> float:
        start = time.perf_counter()
        os.write(raw, payload)
        sync(raw)
        return time.perf_counter() - start

    rounds(warm_up, ours, append)
    mine, peer = rounds(pairs, ours, append)
    mode = vault.store.active._connection.execute("PRAGMA journal_mode").fetchone()[0]
    other = private_vault(home)
    require(all(other.reveal(name) == value_of(name) for name in names), "an added secret cannot be read")
    return mine, peer, mode
