"""Many processes that do something at the same moment."""

from __future__ import annotations

import multiprocessing
import os
from _thread import _count as running_threads
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from typing import Any

from tests.benchmarks.measure import BrokenError


def at_once(jobs: Sequence[Callable[[], Any]]) -> list[Any]:
    """
    Run each job in a forked process of its own, all released together; return their results in order.

    What is imported before the fork is imported in all of them, so the jobs really meet.

    Raises:
        BrokenError: If a job raised, or its process died; or if there are other threads here: a lock that one of them holds
            at this moment, SQLite's on its memory for example, would be held in the fork for ever.
    """
    if others := running_threads():
        raise BrokenError(f"{others} other threads run in the process that is to fork")
    fork = multiprocessing.get_context("fork")
    gate, opener = os.pipe()
    started = []
    for job in jobs:
        here, there = fork.Pipe()
        process = fork.Process(target=_run, args=(job, gate, opener, there))
        process.start()
        there.close()
        started.append((process, here))
    os.close(gate)
    try:
        for _, here in started:
            _receive(here)
        # Closing the only open end wakes everybody who reads from the other.
        os.close(opener)
        outcomes = [_receive(here) for _, here in started]
    finally:
        for process, here in started:
            here.close()
            process.join()
    failures = [failure for failure, _ in outcomes if failure]
    if failures:
        raise BrokenError(f"{len(failures)} of {len(jobs)} processes failed: {failures[0]}")
    return [result for _, result in outcomes]


def _run(job: Callable[[], Any], gate: int, opener: int, there: Connection) -> None:
    os.close(opener)
    there.send("ready")
    os.read(gate, 1)
    try:
        there.send(("", job()))
    except BaseException as error:
        there.send((f"{type(error).__name__}: {error}", None))


def _receive(here: Connection) -> Any:
    try:
        return here.recv()
    except EOFError:
        return "a process died", None
