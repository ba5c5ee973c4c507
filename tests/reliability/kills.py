"""A writer that is killed at any moment: `kill -9`, 500 times each on our own database and on a catalog of Flowfile's."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import count
from pathlib import Path
from typing import Any

from tests.benchmarks.places import inside_own, new_home, private_vault
from tests.benchmarks.writers import make_catalog
from tests.reliability.counts import Plan, Tally, as_json

_HOMES_ANEW = 10
"""Every so many kills begin with an empty home: making key and database is interrupted, too."""
_OPERATIONS = 40
_LONGEST_WAIT_S = 0.004
_LONGEST_FIRST_WAIT_S = 0.03
_MAKE_IT_SPILL = 6_000
"""Values of up to so many characters: longer than a page, so that rows have overflow pages."""

Contents = dict[str, str]
Operation = tuple[str, ...]


def kills(plan: Plan) -> Iterator[Tally]:
    """Kill writers; all that they acknowledged is there, nothing is half there, and the next writer works."""
    times = plan.pick(500, 8)
    for catalog in (False, True):
        with new_home() as home:
            yield Tally(
                **inside_own("tests.reliability.kills:kill_writers", home, times=times, seed=plan.seed, catalog=catalog)
            )


def kill_writers(times: int, seed: int, *, catalog: bool) -> dict[str, Any]:
    """Kill a forked writer so many times; return the tally."""
    tally = Tally("kill -9 of a writer, " + ("Flowfile's catalog" if catalog else "own database"))
    numbers = random.Random(f"{seed} {catalog}")
    home, contents, acknowledged, in_the_middle = Path(), Contents(), 0, 0
    for attempt in count():
        if tally.tried == times:
            break
        if attempt % _HOMES_ANEW == 0:
            home, contents = Path(f"home-{attempt}").absolute(), Contents()
            if catalog:
                make_catalog(Path(private_vault(home).paths.catalog))
        operations = list(_operations(contents, numbers))
        stages = list(_stages(contents, operations))
        done, errors, killed = _run_and_kill(home, operations, numbers)
        tally.shown += len(errors)
        tally.wrong += errors
        found = _read(home, tally)
        if found == stages[min(done + 1, _OPERATIONS)] != stages[done]:
            in_the_middle += 1
        elif found != stages[done]:
            _compare(found, stages[done], tally)
        acknowledged += done
        contents = _next_writer(home, found, tally)
        # One that was done before the signal came was not killed.
        tally.tried += killed
    tally.note = f"{acknowledged:,} acknowledged changes; {in_the_middle} more were done when the signal came"
    return as_json(tally)


def _operations(contents: Contents, numbers: random.Random) -> Iterator[Operation]:
    """Yield changes of all four kinds that can be made one after the other."""
    now = dict(contents)
    for number in range(_OPERATIONS):
        value = f"{number} " + "".join(numbers.choices("abcdefgh", k=numbers.randrange(1, _MAKE_IT_SPILL)))
        kind = numbers.choice(["add", "add", "replace", "rename", "delete"]) if now else "add"
        name = numbers.choice(sorted(now)) if now else ""
        new = f"secret {numbers.randrange(10**9)}"
        operation = {"add": ("add", new, value), "replace": ("replace", name, value), "rename": ("rename", name, new)}
        yield operation.get(kind, ("delete", name))
        _apply(now, operation.get(kind, ("delete", name)))


def _apply(contents: Contents, operation: Operation) -> None:
    match operation:
        case ("add" | "replace", name, value):
            contents[name] = value
        case ("rename", old, new):
            contents[new] = contents.pop(old)
        case ("delete", name):
            del contents[name]


def _stages(contents: Contents, operations: list[Operation]) -> Iterator[Contents]:
    """Yield what is stored before the first operation and after each."""
    now = dict(contents)
    yield dict(now)
    for operation in operations:
        _apply(now, operation)
        yield dict(now)


def _change(vault: Any, operation: Operation) -> None:
    """Do in a vault what `_apply` does in a dictionary."""
    change: Callable[..., object] = {
        "add": lambda name, value: vault.set(name, value, replace=False),
        "replace": lambda name, value: vault.set(name, value, replace=True),
        "rename": vault.rename,
        "delete": vault.delete,
    }[operation[0]]
    change(*operation[1:])


def _run_and_kill(home: Path, operations: list[Operation], numbers: random.Random) -> tuple[int, list[str], bool]:
    """Return how many operations a writer acknowledged before it was killed, its errors, and whether it was killed at all."""
    receiver, sender = os.pipe()
    writer = os.fork()
    if writer == 0:
        _write(home, operations, sender)
    os.close(sender)
    try:
        enough = numbers.randrange(_OPERATIONS * 3 // 4)
        got = b""
        while len(got) < enough and (more := os.read(receiver, 1)):
            got += more
        # The moment is to be any moment: this waits for nothing.
        time.sleep(numbers.uniform(0, _LONGEST_WAIT_S if enough else _LONGEST_FIRST_WAIT_S))
        os.kill(writer, signal.SIGKILL)
        while more := os.read(receiver, 4096):
            got += more
    finally:
        os.close(receiver)
        _, status = os.waitpid(writer, 0)
    done, _, error = got.partition(b"!")
    return len(done), [error.decode()] if error else [], os.WIFSIGNALED(status)


def _write(home: Path, operations: list[Operation], sender: int) -> None:
    """Change the store until killed; each change that returned is acknowledged by one byte."""
    try:
        vault = private_vault(home)
        for operation in operations:
            _change(vault, operation)
            os.write(sender, b".")
    except BaseException as error:
        os.write(sender, f"!{type(error).__name__}: {error}".encode())
    finally:
        os._exit(0)


def _read(home: Path, tally: Tally) -> Contents:
    """Return all that a new process finds, and count what is half there."""
    vault = private_vault(home)
    try:
        rows = vault.store.rows(vault.user_id)
        contents = {row.name: vault.reveal(row.name) for row in rows}
    except Exception as error:
        tally.shown += 1
        tally.wrong.append(f"after the kill: {type(error).__name__}: {error}")
        return {}
    if vault.store.location:
        with closing(sqlite3.connect(vault.store.location)) as database:
            (sound,) = database.execute("PRAGMA integrity_check").fetchone()
            (stored,) = database.execute("SELECT count(*) FROM secrets").fetchone()
        if sound != "ok" or stored != len(contents):
            tally.wrong.append(f"{stored} rows for {len(contents)} names; integrity check: {sound}")
    vault.store.close()
    return contents


def _compare(found: Contents, expected: Contents, tally: Tally) -> None:
    tally.lost += [f"{name!r} is gone" for name in expected if name not in found]
    others = sorted(found.items() - expected.items())
    tally.wrong += [f"{name!r} was never acknowledged, or holds another value" for name, _ in others]


def _next_writer(home: Path, contents: Contents, tally: Tally) -> Contents:
    """Let another process store something where one was killed; return what is stored then."""
    vault = private_vault(home)
    try:
        vault.set("next", f"value {len(contents)}", replace=True)
    except Exception as error:
        tally.shown += 1
        tally.wrong.append(f"the next writer: {type(error).__name__}: {error}")
        return contents
    finally:
        # No connection may be open here when the next writer is forked.
        vault.store.close()
    return {**contents, "next": f"value {len(contents)}"}
