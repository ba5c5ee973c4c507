"""A process that is killed at a chosen step: before something becomes durable, or in the middle of a statement."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sqlite3
from collections.abc import Callable
from typing import Any

from flowfile_nb.storage import keychain_home, private_files, renewal

_fork = multiprocessing.get_context("fork")
_CHANGES = ("BEGIN", "COMMIT", "ROLLBACK", "INSERT", "UPDATE", "DELETE", "CREATE", "PRAGMA journal_mode=")


class _Steps:
    def __init__(self, last: int) -> None:
        self.last = last
        self.names: list[str] = []

    def __call__(self, name: str) -> None:
        self.names.append(name)
        if len(self.names) == self.last:
            os.kill(os.getpid(), signal.SIGKILL)


def steps_of(action: Callable[[], object]) -> list[str]:
    """Run an action in a process of its own and return its steps by name."""
    outcome = _fork.SimpleQueue()
    process = _fork.Process(target=_run, args=(action, 0, outcome))
    process.start()
    names: list[str] = outcome.get()
    process.join()
    assert process.exitcode == 0
    return names


def kill_at(step: int, action: Callable[[], object]) -> None:
    """Run an action in a process of its own that is killed (SIGKILL) just before its step number *step*, the first being 1."""
    process = _fork.Process(target=_run, args=(action, step, None))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL, f"step {step} was not reached"


def _run(action: Callable[[], object], last: int, outcome: Any) -> None:
    step = _Steps(last)
    try:
        _count(step)
        action()
    finally:
        if outcome is not None:
            outcome.put(step.names)


def _count(step: _Steps) -> None:
    """Have each step of this process counted."""
    for name in ("replace", "link", "unlink", "fsync", "open"):
        setattr(os, name, _counted(step, name, getattr(os, name)))
    connect = sqlite3.connect

    def traced(*args: Any, **options: Any) -> sqlite3.Connection:
        connection = connect(*args, **options)
        connection.set_trace_callback(lambda sql: step(sql.split(" (")[0][:60]) if sql.startswith(_CHANGES) else None)
        return connection

    sqlite3.connect = traced  # type: ignore[assignment]
    # What stands for a rename where another program may write the file, too.
    private_files._exchange = _counted(step, "exchange", private_files._exchange)
    keychain_home.write_keychain = _counted(step, "write_keychain", keychain_home.write_keychain)
    # In the middle of the one long statement.
    renewal.Renewal._in_sql = _counted(step, "a row", renewal.Renewal._in_sql)  # type: ignore[method-assign]


def _counted(step: _Steps, name: str, real: Any) -> Any:
    def counted(*args: Any, **options: Any) -> Any:
        if name != "open" or args[1] & os.O_CREAT:
            step(name)
        return real(*args, **options)

    return counted
