"""A team's database through the broker's sessions, next to the same database directly; only HTTP is left out."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import adbc_driver_postgresql.dbapi as adbc
import pandas as pd
import psutil
import sqlalchemy as sa

from flowfile_nb.broker.engines.postgresql import _dsn
from flowfile_nb.broker.limits import Limits
from flowfile_nb.team import dbapi
from notebooks.throwaway import Postgres
from tests.benchmarks.measure import BrokenError, Effort, Row, rounds
from tests.support.broker import Broker, DirectCall, order_for, running_broker
from tests.support.postgres import running_postgres

_TABLE = """
CREATE TABLE sold AS SELECT g AS number, g * 1.5::float8 AS price, 'customer ' || g AS name,
  date '2020-01-01' + g % 1000 AS day, now() + g * interval '1 s' AS at, g % 2 = 0 AS paid, g::bigint * 1000 AS big
FROM generate_series(1, COUNT) AS g
"""
_ALL = "SELECT number, price, name, day, at, paid, big FROM sold"
_ACTIVE = "SELECT 1 FROM pg_stat_activity WHERE query LIKE %s AND state = 'active' AND pid <> pg_backend_pid()"
_ENDLESS = (
    "SELECT pg_sleep(600)",
    "SELECT count(*) FROM generate_series(1, 1000000000000)",
    "SELECT a.number, a.name FROM sold AS a, sold AS b, sold AS c",
)
_MIB = 1024 * 1024
_FRONT_MIB = 100


def brokered(effort: Effort) -> Iterator[Row]:
    """Measure a large result, a trivial statement, a revocation, and the memory of the process that hands on a large result."""
    count = effort.pick(1_000_000, 200_000, 1000)
    with running_postgres() as server, running_broker() as broker:
        with server.admin() as admin:
            admin.execute(_TABLE.replace("COUNT", str(count)))
            admin.execute("VACUUM sold")
        call = DirectCall(broker, order_for(server))
        # First: later this process holds memory that it has no use for.
        yield _memory(effort, server, broker)
        yield from _results(effort, server, call, count)
        yield _trivial(effort, server, call)
        yield _revoked(effort, server, broker)


def _direct(server: Postgres) -> adbc.Connection:
    order = order_for(server)
    return adbc.connect(_dsn(order.target, order.value, Limits()), autocommit=True)


def _results(effort: Effort, server: Postgres, call: DirectCall, count: int) -> Iterator[Row]:
    connection = dbapi.connect(call, {"connection": "sold"})
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

    def pandas(_: int) -> float:
        start = time.perf_counter()
        pd.read_sql(_ALL, engine)
        return time.perf_counter() - start

    def frame(_: int) -> float:
        start = time.perf_counter()
        connection.execute(_ALL).fetch_df()
        return time.perf_counter() - start

    ours(0)
    figures = rounds(effort.pick(7, 3, 1), ours, direct)
    yield Row(f"broker: {count:,} rows to Arrow; peer: ADBC directly", *figures, at_most=1.5)
    figures = rounds(effort.pick(3, 1, 1), frame, pandas)
    yield Row(f"broker: {count:,} rows to pandas; peer: pandas.read_sql directly", *figures, at_most=1.0)
    engine.dispose()


def _trivial(effort: Effort, server: Postgres, call: DirectCall) -> Row:
    connection = dbapi.connect(call, {"connection": "sold"})
    with _direct(server) as opened, opened.cursor() as cursor:

        def ours(_: int) -> float:
            start = time.perf_counter()
            connection.execute("SELECT 1").fetchall()
            return time.perf_counter() - start

        def allowed(_: int) -> float:
            start = time.perf_counter()
            cursor.execute("SELECT 1")
            cursor.fetchall()
            return time.perf_counter() - start + 0.010

        figures = rounds(effort.pick(200, 50, 2), ours, allowed)
    return Row("broker: SELECT 1 on an open session; peer: directly, and 10 ms", *figures, at_most=1.0)


def _revoked(effort: Effort, server: Postgres, broker: Broker) -> Row:
    took = []
    for statement in _ENDLESS:
        for _ in range(effort.pick(5, 2, 1)):
            broker.sessions._revoked = (-100.0, None)
            running = broker.begin(order_for(server), statement, keep=False)
            with server.admin() as admin:
                while not admin.execute(_ACTIVE, [f"%{statement[-12:]}%"]).fetchone():
                    pass
                start = time.perf_counter()
                broker.do(broker.sessions.revoke(lambda order: False))
                if running().outcome.state != "revoked":
                    raise BrokenError("a statement outlived its permission")
                while admin.execute(_ACTIVE, [f"%{statement[-12:]}%"]).fetchone():
                    pass
            took.append(time.perf_counter() - start)
    broker.sessions._revoked = (-100.0, None)
    return Row("broker: revoked until the database is idle; peer: 0.5 s", took, [0.5] * len(took), at_most=1.0)


def _memory(effort: Effort, server: Postgres, broker: Broker) -> Row:
    """Stream a gigabyte through this very process, which is the front here, and watch what it takes in addition."""
    count = effort.pick(100_000, 20_000, 1000)
    process, most, done = psutil.Process(), [0], threading.Event()
    before = process.memory_info().rss

    def watch() -> None:
        while not done.wait(0.01):
            most[0] = max(most[0], process.memory_info().rss - before)

    watching = threading.Thread(target=watch)
    watching.start()
    statement = f"SELECT repeat('x', 10000) AS text, generate_series(1, {count})"
    start = time.perf_counter()
    answer = broker.begin(order_for(server), statement, keep=False)()
    took = time.perf_counter() - start
    done.set()
    watching.join()
    if answer.outcome.rows != count:
        raise BrokenError(f"{answer.outcome.rows} rows of {count}")
    if most[0] > _FRONT_MIB * _MIB:
        raise BrokenError(f"the front took {most[0] // _MIB} MiB for one result")
    return Row(
        f"broker: {answer.outcome.bytes / 1e9:.1f} GB streamed",
        [took],
        held=f"the front took {most[0] // _MIB} MiB in addition",
    )
