"""A team's database through whole brokers, as a kernel uses it over HTTP, next to the same database directly."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager

import adbc_driver_postgresql.dbapi as adbc
import pandas as pd
import sqlalchemy as sa

from flowfile_nb.team import dbapi
from notebooks.throwaway import Postgres
from tests.attacks.trying import prepare
from tests.benchmarks.measure import BrokenError, Effort, Row, rounds
from tests.support.front import House, Member, Result, running_house
from tests.support.kernel_side import connected, join
from tests.support.postgres import running_postgres
from tests.support.processes import peak_memory
from tests.support.replicas import Replicas, running_replicas

_TABLE = """
CREATE TABLE sold AS SELECT g AS number, g * 1.5::float8 AS price, 'customer ' || g AS name,
  date '2020-01-01' + g % 1000 AS day, now() + g * interval '1 s' AS at, g % 2 = 0 AS paid, g::bigint * 1000 AS big
FROM generate_series(1, COUNT) AS g
"""
_ALL = "SELECT number, price, name, day, at, paid, big FROM sold"
_RUNNING = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'reporting' AND state = 'active'"
_ENDLESS = (
    "SELECT pg_sleep(600)",
    "SELECT count(*) FROM generate_series(1, 1000000000000)",
    "SELECT a.number, a.name FROM sold AS a, sold AS b, sold AS c",
)
_MIB = 1024 * 1024
_FRONT_BYTES = 100_000_000
_WRITERS = 16


def over_http(effort: Effort) -> Iterator[Row]:
    """Measure a large result, a trivial statement alone and beside a gigabyte, the front's memory, and a revocation."""
    count = effort.pick(1_000_000, 200_000, 1000)
    with ExitStack() as stack:
        # A password that libpq takes in a URL as it is: how ADBC is called directly is not what is measured.
        server = prepare(stack.enter_context(running_postgres("p4ssword-of-the-reader")))
        with server._replace(user="app").admin() as admin:
            admin.execute(_TABLE.replace("COUNT", str(count)))
            admin.execute("VACUUM sold")
            admin.execute("GRANT SELECT ON sold TO reporting")
        replicas = stack.enter_context(running_replicas(stack.enter_context(running_postgres()), server))
        replicas.house.share()
        bob = replicas.house.tokens["bob"]
        connection = stack.enter_context(connected(replicas.other.url, bob))
        yield from _results(effort, server, connection, count)
        yield _trivial(effort, server, connection, "a store in PostgreSQL")
        house = stack.enter_context(running_house(server))
        house.share()
        by_sqlite = stack.enter_context(connected(house.front.url, house.tokens["bob"]))
        yield _trivial(effort, server, by_sqlite, "a store in SQLite")
        yield _beside(effort, connection, stack.enter_context(connected(replicas.other.url, bob)), replicas)
        yield _revoked(effort, server, replicas.house, replicas.other.url, "unshared at another replica")
        with _writing(house):
            yield _revoked(effort, server, house, house.front.url, f"unshared beside {_WRITERS} members who write")


def _direct(server: Postgres) -> adbc.Connection:
    url = sa.URL.create("postgresql", server.user, server.password, server.host, server.port, server.database)
    return adbc.connect(url.render_as_string(hide_password=False), autocommit=True)


def _results(effort: Effort, server: Postgres, connection: dbapi.Connection, count: int) -> Iterator[Row]:
    engine = sa.create_engine(
        sa.URL.create("postgresql+psycopg", server.user, server.password, server.host, server.port, server.database)
    )

    def ours(_: int) -> float:
        start = time.perf_counter()
        table = connection.execute(_ALL).fetch_arrow_table()
        if table.num_rows != count:
            raise BrokenError(f"{table.num_rows} rows of {count}")
        return time.perf_counter() - start

    def direct(_: int) -> float:
        start = time.perf_counter()
        with _direct(server) as opened, opened.cursor() as cursor:
            cursor.execute(_ALL)
            cursor.fetch_arrow_table()
        return time.perf_counter() - start

    def frame(_: int) -> float:
        start = time.perf_counter()
        connection.execute(_ALL).fetch_df()
        return time.perf_counter() - start

    def pandas(_: int) -> float:
        start = time.perf_counter()
        pd.read_sql(_ALL, engine)
        return time.perf_counter() - start

    ours(0)
    figures = rounds(effort.pick(9, 3, 1), ours, direct)
    yield Row(f"over HTTP: {count:,} rows to Arrow; peer: ADBC directly", *figures, at_most=1.5)
    figures = rounds(effort.pick(3, 1, 1), frame, pandas)
    yield Row(f"over HTTP: {count:,} rows to pandas; peer: pandas.read_sql directly", *figures, at_most=1.0)
    engine.dispose()


def _trivial(effort: Effort, server: Postgres, connection: dbapi.Connection, store: str) -> Row:
    with _direct(server) as opened, opened.cursor() as cursor:

        def allowed(_: int) -> float:
            start = time.perf_counter()
            cursor.execute("SELECT 1")
            cursor.fetchall()
            return time.perf_counter() - start + 0.010

        figures = rounds(effort.pick(200, 50, 2), lambda _: _ask(connection), allowed)
    return Row(f"over HTTP, {store}: SELECT 1 on an open session; peer: directly, and 10 ms", *figures, at_most=1.0)


def _beside(effort: Effort, connection: dbapi.Connection, large: dbapi.Connection, replicas: Replicas) -> Row:
    """Ask trivial questions while a gigabyte streams through the same front, and watch what that takes."""
    count = effort.pick(100_000, 20_000, 1000)
    alone = [_ask(connection) for _ in range(effort.pick(50, 20, 2))]
    seen: list[int] = []

    def read() -> None:
        cursor = large.execute(f"SELECT repeat('x', 10000) AS text, generate_series(1, {count}) AS number")
        seen.append(sum(batch.num_rows for batch in cursor.fetch_record_batch()))

    reading = threading.Thread(target=read)
    reading.start()
    beside = [_ask(connection)]
    while reading.is_alive():
        beside.append(_ask(connection))
    reading.join()
    if seen != [count]:
        raise BrokenError(f"{seen} rows of {count}")
    assert replicas.other.process is not None
    peak = peak_memory(replicas.other.process.pid)
    if peak > _FRONT_BYTES:
        raise BrokenError(f"the front took {peak // _MIB} MiB")
    pairs = min(len(alone), len(beside))
    return Row(
        f"over HTTP: SELECT 1 beside {count / 1e5:.2g} GB; peer: alone",
        beside[:pairs],
        alone[:pairs],
        held=f"the front took {peak // _MIB} MiB in all",
    )


@contextmanager
def _writing(house: House) -> Iterator[None]:
    """Have members replace secrets of theirs, one after the other without a pause, while the block runs."""
    over = threading.Event()
    tokens = join(house, *(f"writer-{number}" for number in range(_WRITERS)))

    def write(token: str) -> None:
        with closing(Member(house.front.url, token).http) as http:
            while not over.is_set():
                http.put("api/secrets", json={"name": "own", "value": "of a writer", "replace": True}).raise_for_status()

    with ThreadPoolExecutor(_WRITERS) as pool:
        writers = [pool.submit(write, token) for token in tokens.values()]
        try:
            yield
        finally:
            over.set()
        for writer in writers:
            writer.result()


def _revoked(effort: Effort, server: Postgres, house: House, url: str, what: str) -> Row:
    """Have an owner take back what a member uses at a broker, until the database is idle."""
    took = []
    bob = Member(url, house.tokens["bob"])
    with server._replace(user="app").admin() as admin:
        for statement in _ENDLESS:
            for _ in range(effort.pick(5, 2, 1)):
                house.share()
                with bob.running(statement) as answer:
                    while admin.execute(_RUNNING).fetchall() != [(1,)]:
                        pass
                    start = time.perf_counter()
                    house.unshare()
                    while admin.execute(_RUNNING).fetchall() != [(0,)]:
                        pass
                    took.append(time.perf_counter() - start)
                    if Result(answer.read()).failed != "RevokedError":
                        raise BrokenError("a statement outlived its permission")
    bob.http.close()
    return Row(f"over HTTP: {what} until the database is idle; peer: 0.5 s", took, [0.5] * len(took), at_most=1.0)


def _ask(connection: dbapi.Connection) -> float:
    start = time.perf_counter()
    connection.execute("SELECT 1").fetchall()
    return time.perf_counter() - start
