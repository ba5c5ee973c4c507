"""32 processes that write at once; `tests.reliability` counts what they keep."""

from __future__ import annotations

import os
import sqlite3
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

from tests.benchmarks.at_once import at_once
from tests.benchmarks.measure import NO_FLOWFILE, BrokenError, Effort, Row
from tests.benchmarks.places import inside, inside_own, new_home, private_vault, require, value_of

PROCESSES = 32


def writers(effort: Effort) -> Iterator[Row]:
    """
    32 processes that each add secrets, against Flowfile's `store_secret`. Goal: 2.5 times its throughput.

    Trials alternate, in forks of one process of Flowfile's interpreter. Checked each time: no error, every acknowledged
    secret readable, no name twice. Then all 32 write the *same* names, in our database and in a catalog made by Flowfile's
    schema, which does not forbid duplicates: one row for each name, and it holds a value that was acknowledged.
    """
    processes, each, trials = effort.pick((PROCESSES, 40, 7), (PROCESSES, 20, 3), (4, 3, 1))
    arguments = {"processes": processes, "each": each, "trials": trials}
    name, held = f"{processes} writers, adds per second / Flowfile's", "0 lost, 0 errors"
    with new_home() as home:
        if effort.flowfile is None:
            ours = inside_own("tests.benchmarks.writers:alone", home, **arguments)
            yield Row(name, ours, unit="/s", at_least=2.5, held=held, missing=NO_FLOWFILE)
        else:
            ours, peer = inside(effort.flowfile, "tests.benchmarks.writers:against_flowfile", home, **arguments)
            yield Row(name, ours, peer, unit="/s", at_least=2.5, held=held)
    for place in ("own database", "Flowfile's catalog"):
        with new_home() as home:
            catalog = place != "own database"
            times = inside_own("tests.benchmarks.writers:same_names", home, catalog=catalog, **arguments)
        yield Row(f"{processes} writers of the same {each} names, {place}", times, held="0 errors, 0 duplicates")


def alone(processes: int, each: int, trials: int) -> list[float]:
    """Return our adds per second in each trial."""
    return [_ours(trial, processes, each) for trial in range(trials)]


def against_flowfile(processes: int, each: int, trials: int) -> tuple[list[float], list[float]]:
    """Return the adds per second in each trial, ours and Flowfile's."""
    # Importing it creates its key and its catalog.
    import flowfile_core  # noqa: F401

    ours, theirs = [], []
    for trial in range(trials):
        # Every other trial begins with the other one.
        for side in (_ours, _theirs) if trial % 2 else (_theirs, _ours):
            (ours if side is _ours else theirs).append(side(trial, processes, each))
    return ours, theirs


def same_names(processes: int, each: int, trials: int, *, catalog: bool) -> list[float]:
    """Let all processes store the same names at once; return how long each trial took."""
    times = []
    for trial in range(trials):
        home = Path(f"same-{trial}").absolute()
        vault = private_vault(home)
        if catalog:
            make_catalog(Path(vault.paths.catalog))
        vault.set("first", "value", replace=True)
        database = vault.store.location
        require(catalog == (database == vault.paths.catalog), f"the secrets went to {database}")
        jobs = [partial(_store_same, str(home), number, each) for number in range(processes)]
        spans = at_once(jobs)
        times.append(max(end for _, end in spans) - min(start for start, _ in spans))
        # A new vault: this one's connection was open while others wrote.
        reader = private_vault(home)
        for number in range(each):
            value = reader.peek(f"same_{number}")
            require(value in {f"value {writer}" for writer in range(processes)}, f"same_{number} holds what nobody stored")
        _require_each_once(database, each + 1)
    return times


def _ours(trial: int, processes: int, each: int) -> float:
    home = Path(f"ours-{trial}").absolute()
    vault = private_vault(home)
    vault.set("first", value_of("first"), replace=True)
    # No connection is open here when the processes fork: their time must not hold this one's locks.
    vault.store.close()
    names = writer_names(processes, each)
    spans = at_once([partial(_store, str(home), part) for part in names])
    # `peek` is not recorded: the record has a thread of its own when it is busy, and this process forks again.
    reader = private_vault(home)
    lost = [name for part in names for name in part if reader.peek(name) != value_of(name)]
    require(not lost, f"{len(lost)} acknowledged secrets are lost")
    _require_each_once(reader.store.location, processes * each + 1)
    return processes * each / (max(end for _, end in spans) - min(start for start, _ in spans))


def _theirs(trial: int, processes: int, each: int) -> float:
    from flowfile_core.database.connection import engine
    from flowfile_core.secret_manager.secret_manager import get_encrypted_secret

    names = [[f"{trial}_{name}" for name in part] for part in writer_names(processes, each)]
    engine.dispose()
    spans = at_once([partial(_store_theirs, part) for part in names])
    lost = sum(get_encrypted_secret(1, name) is None for part in names for name in part)
    if lost:
        raise BrokenError(f"Flowfile lost {lost} secrets: its figure means nothing")
    return processes * each / (max(end for _, end in spans) - min(start for start, _ in spans))


def writer_names(processes: int, each: int) -> list[list[str]]:
    return [[f"writer_{process}_{number}" for number in range(each)] for process in range(processes)]


def _store(home: str, names: list[str]) -> tuple[float, float]:
    vault = private_vault(home)
    start = time.monotonic()
    for name in names:
        vault.set(name, value_of(name), replace=False)
    return start, time.monotonic()


def _store_same(home: str, writer: int, each: int) -> tuple[float, float]:
    vault = private_vault(home)
    start = time.monotonic()
    for number in range(each):
        vault.set(f"same_{number}", f"value {writer}", replace=True)
    return start, time.monotonic()


def _store_theirs(names: list[str]) -> tuple[float, float]:
    from flowfile_core.auth.models import SecretInput
    from flowfile_core.database.connection import get_db_context
    from flowfile_core.secret_manager.secret_manager import store_secret

    start = time.monotonic()
    for name in names:
        with get_db_context() as db:
            store_secret(db, SecretInput(name=name, value=value_of(name)), 1)
    return start, time.monotonic()


def _require_each_once(database: str, rows: int) -> None:
    with closing(sqlite3.connect(database)) as connection:
        counts: Counter[Any] = Counter(connection.execute("SELECT user_id, name FROM secrets"))
    doubled = [key for key, count in counts.items() if count > 1]
    require(not doubled, f"{len(doubled)} names are stored twice")
    require(len(counts) == rows, f"{len(counts)} names are stored instead of {rows}")


def make_catalog(path: Path) -> None:
    """Make the tables of Flowfile's catalog that we use, as Flowfile 0.23.3 does: no unique name, WAL."""
    from flowfile_nb.storage.migrations import _FLOWFILE_TABLES

    os.makedirs(path.parent)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("PRAGMA journal_mode=WAL")
        for statement in _FLOWFILE_TABLES:
            if "uq_secrets_user_name" not in statement:
                connection.execute(statement)
        connection.execute("CREATE INDEX ix_secrets_name ON secrets (name)")
