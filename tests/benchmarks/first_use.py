"""The first secrets of an empty home, by many processes at once."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from tests.benchmarks.at_once import at_once
from tests.benchmarks.measure import Effort, Row
from tests.benchmarks.places import inside_own, name_of, new_home, private_vault, require, value_of

PROCESSES = 64


def first_use(effort: Effort) -> Iterator[Row]:
    """
    64 processes at once on an empty home, 200 times: each stores a secret and reads it. Goal: one key, no failure.

    Checked each time: all used the same key, and a process that comes later reads all of their secrets with it.
    """
    processes, trials = effort.pick((PROCESSES, 200), (PROCESSES, 10), (4, 2))
    with new_home() as home:
        times = inside_own("tests.benchmarks.first_use:first_uses", home, processes=processes, trials=trials)
    yield Row(f"first use by {processes} processes at once, {trials} times", times, held="1 key, 0 failures, 0 lost")


def first_uses(processes: int, trials: int) -> list[float]:
    """Return how long the slowest process took in each trial."""
    # What a store needs is imported before the fork, so that the processes do not meet one by one.
    private_vault("nowhere")
    slowest = []
    for trial in range(trials):
        home = Path(f"home-{trial}").absolute()
        done = at_once([partial(_store_and_read, str(home), name_of(number)) for number in range(processes)])
        keys = {key for key, _ in done}
        require(len(keys) == 1, f"trial {trial}: {len(keys)} different keys")
        # `peek` is not recorded: the record has a thread of its own when it is busy, and this process forks again.
        later = private_vault(home)
        read = {name_of(number): later.peek(name_of(number)) for number in range(processes)}
        require(all(value == value_of(name) for name, value in read.items()), f"trial {trial}: a stored secret is lost")
        require(later.key.keychain().key_id in keys, f"trial {trial}: the key on disk is another one")
        slowest.append(max(seconds for _, seconds in done))
        shutil.rmtree(home)
    return slowest


def _store_and_read(home: str, name: str) -> tuple[str, float]:
    start = time.perf_counter()
    vault = private_vault(home)
    vault.set(name, value_of(name), replace=False)
    value = vault.reveal(name)
    seconds = time.perf_counter() - start
    require(value == value_of(name), "the value just stored reads differently")
    return vault.key.keychain().key_id, seconds
