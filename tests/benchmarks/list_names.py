"""All names."""

from __future__ import annotations

import time
from collections.abc import Iterator
from types import SimpleNamespace

from tests.benchmarks.measure import NO_FLOWFILE, Effort, Row, rounds
from tests.benchmarks.places import inside, inside_own, make_flowfile_store, make_store, name_of, new_home, require


def list_names(effort: Effort) -> Iterator[Row]:
    """
    `list(secrets)` with 100,000 stored, against the function behind Flowfile's `GET /secrets`. Goal: 0.03 of its time.

    One process, one catalog, alternating. The function alone: no web server, no login, no JSON, which would add to its time.
    """
    stored = effort.pick(100_000, 100_000, 200)
    name = f"list {stored:,} names / Flowfile's"
    with new_home() as home:
        if effort.flowfile is None:
            (ours,) = inside_own("tests.benchmarks.list_names:alone", home, stored=stored, times=effort.pick(9, 3, 1))
            yield Row(name, ours, at_most=0.03, missing=NO_FLOWFILE)
            return
        ours, peer = inside(
            effort.flowfile, "tests.benchmarks.list_names:against_flowfile", home, stored=stored, times=effort.pick(9, 3, 1)
        )
    yield Row(name, ours, peer, at_most=0.03)


def alone(stored: int, times: int) -> list[list[float]]:
    """List our own database."""
    make_store(stored)
    return rounds(times, lambda _: _list(stored))


def against_flowfile(stored: int, times: int) -> list[list[float]]:
    """List Flowfile's catalog, alternately with our code and with Flowfile's."""
    make_flowfile_store(stored)
    from flowfile_core.database.connection import get_db_context
    from flowfile_core.routes.secrets import get_secrets

    def theirs(_: int) -> float:
        start = time.perf_counter()
        with get_db_context() as db:
            found = get_secrets(SimpleNamespace(id=1), db)
        seconds = time.perf_counter() - start
        require(len(found) == stored, f"Flowfile listed {len(found)} of {stored} secrets")
        return seconds

    return rounds(times, lambda _: _list(stored), theirs)


def _list(stored: int) -> float:
    from flowfile_nb import secrets

    start = time.perf_counter()
    names = list(secrets)
    seconds = time.perf_counter() - start
    require(names == [name_of(number) for number in range(stored)], f"{len(names)} of {stored} names were listed")
    return seconds
