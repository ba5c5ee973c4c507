"""What ends a statement before its time: revoking, a reader that sleeps, a server that goes. Nothing cut is taken for whole."""

from __future__ import annotations

import asyncio
import threading
import tracemalloc
from collections.abc import Iterator

import pytest

from flowfile_nb.broker.limits import Limits
from flowfile_nb.broker.model import Order
from flowfile_nb.core import wire
from notebooks.throwaway import Postgres
from tests.support.broker import Broker, order_for, running_broker
from tests.support.postgres import running_postgres

_STREAM = "SELECT repeat('cut', 3333) AS text, generate_series(1, 1000000000)"
_KINDS = {
    "sleep": "SELECT pg_sleep(600) AS cut",
    "CPU": "SELECT count(*) AS cut FROM generate_series(1, 1000000000000) AS g",
    "stream": _STREAM,
    "no timeout": "SELECT set_config('statement_timeout', '0', false), pg_sleep(600) AS cut",
}
_ACTIVE = "SELECT 1 FROM pg_stat_activity WHERE query LIKE '%%cut%%' AND state = 'active' AND pid <> pg_backend_pid()"


def _until(postgres: Postgres, condition: str, *, runs: bool) -> None:
    """Return when the server runs such a statement, or none; the test's own timeout is what ends a wait for ever."""
    with postgres.admin() as admin:
        while (admin.execute(_ACTIVE + condition).fetchone() is not None) is not runs:
            pass


def _not_bobs(order: Order) -> bool:
    return order.caller != "bob"


@pytest.fixture
def own(postgres: Postgres) -> Iterator[Broker]:
    """Sessions for one test: after a revocation others would be asked about."""
    with running_broker() as running:
        yield running


@pytest.mark.parametrize("kind", _KINDS)
def test_revoking_cuts_what_runs(own: Broker, order: Order, postgres: Postgres, kind: str) -> None:
    """The caller's statement ends with an error, in the database too; another's goes on; the next one is refused."""
    go_on = asyncio.Event()
    running = own.begin(order, _KINDS[kind], keep=False)
    other = own.begin(order._replace(caller="carol", owner="carol"), "SELECT 1 AS a", on_frame=lambda one: go_on.wait())
    _until(postgres, "", runs=True)

    ended = own.do(own.sessions.revoke(_not_bobs))
    answer = running()
    own.loop.call_soon_threadsafe(go_on.set)

    assert ended == 1
    assert answer.last["type"] == "RevokedError"
    assert answer.outcome.state == "revoked"
    _until(postgres, "", runs=False)
    assert other().rows == [{"a": 1}]
    assert own.ask(order, "SELECT 1").last["type"] == "RevokedError"


def test_revoking_cuts_a_reader_that_sleeps(own: Broker, order: Order, postgres: Postgres) -> None:
    """Whoever does not read cannot keep what he began: the database is free, and the answer has no end."""
    never = asyncio.Event()
    frames: list[wire.Frame] = []

    def sleep(one: wire.Frame) -> object:
        frames.append(one)
        return never.wait() if one.kind == wire.ARROW else None

    running = own.begin(order, _STREAM, on_frame=sleep)
    _until(postgres, " AND wait_event = 'ClientWrite'", runs=True)

    own.do(own.sessions.revoke(_not_bobs))
    # The database first: the reader is told as soon as he listens, and gets no answer meanwhile.
    _until(postgres, "", runs=False)

    assert running().outcome.state == "revoked"
    assert wire.END not in {one.kind for one in frames}


def test_revoking_ends_idle_sessions(own: Broker, order: Order) -> None:
    """Nobody's connection stays open without a permission; others' do."""
    own.ask(order, "SELECT 1")
    own.ask(order._replace(caller="carol", owner="carol"), "SELECT 1")

    assert own.do(own.sessions.revoke(_not_bobs)) == 1

    assert len(own.sessions.pids()) == 1


def test_what_cannot_be_asked_is_not_permitted(own: Broker, order: Order) -> None:
    """A store that fails in the middle of a revocation lets nothing go on."""
    running = own.begin(order, "SELECT pg_sleep(600)")
    own.ask(order._replace(caller="carol", owner="carol"), "SELECT 1")

    def fail(order: Order) -> bool:
        raise OSError("the disk is gone")

    assert own.do(own.sessions.revoke(fail)) == 2
    assert running().last["type"] == "RevokedError"


def test_revoking_waits_for_no_request(own: Broker, order: Order) -> None:
    """Requests that all wait for the store, more than there are threads for them, do not keep a revocation from being heard."""
    full = threading.Event()
    running = own.begin(order, "SELECT pg_sleep(600)")
    own.loop.call_soon_threadsafe(lambda: [own.loop.run_in_executor(None, full.wait) for _ in range(100)])

    try:
        ended = asyncio.run_coroutine_threadsafe(own.sessions.revoke(_not_bobs), own.loop)
        assert ended.result(20) == 1
    finally:
        full.set()

    assert running().last["type"] == "RevokedError"


def test_a_share_that_may_only_read_now_ends_who_writes(own: Broker, order: Order, postgres: Postgres) -> None:
    """Also while an older statement of the same caller reads, which goes on."""
    reading = own.begin(order, "SELECT pg_sleep(600) AS cut_reads", query_id="reads")
    _until(postgres, " AND query LIKE '%%cut_reads%%'", runs=True)
    writing = own.begin(order._replace(access="write"), "SELECT pg_sleep(600) AS cut_writes", query_id="writes")
    _until(postgres, " AND query LIKE '%%cut_writes%%'", runs=True)

    assert own.do(own.sessions.revoke(lambda one: one.access == "read")) == 1
    assert writing().outcome.state == "revoked"
    assert own.do(own.sessions.cancel("reads", order.caller))
    assert reading().outcome.state == "cancelled"


def test_a_permission_that_ends_before_its_statement_is_known_is_seen(own: Broker, order: Order) -> None:
    """Between the policy's yes and the session's beginning a revocation may come: the statement is not run."""
    own.do(own.sessions.revoke(lambda one: one.grant != order.grant))

    answer = own.ask(order, "SELECT 1")

    assert answer.last["type"] == "RevokedError"
    assert own.sessions.pids() == []
    assert own.ask(order._replace(grant="another"), "SELECT 1 AS a").rows == [{"a": 1}]


def test_back_pressure_reaches_the_database(own: Broker, order: Order, postgres: Postgres) -> None:
    """While a reader sleeps the server waits for it; then all rows arrive, and the front never held more than a few frames."""
    go_on = asyncio.Event()
    statement = "SELECT repeat('cut', 3333) AS text, generate_series(1, 20000)"
    begun: list[bytes] = []
    tracemalloc.start()

    def wait(one: wire.Frame) -> object:
        begun.append(one.kind)
        return go_on.wait()

    running = own.begin(order, statement, on_frame=wait, keep=False)
    for _ in range(200):
        _until(postgres, " AND wait_event = 'ClientWrite'", runs=True)
    assert len(begun) == 1, "the next frame was sent before the reader had taken the first"
    own.loop.call_soon_threadsafe(go_on.set)
    answer = running()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert answer.outcome.rows == 20_000
    assert answer.outcome.bytes > 190_000_000
    assert peak < 16_000_000


def test_a_server_that_goes_is_an_error_at_once() -> None:
    """In the middle of a result, and for the next statement."""
    with running_postgres() as server, running_broker(Limits(connect_s=2)) as broker:
        stopped = []

        def stop(one: wire.Frame) -> None:
            if one.kind == wire.ARROW and not stopped:
                stopped.append(True)
                server.stop()

        answer = broker.begin(order_for(server), _STREAM, on_frame=stop, keep=False)()
        after = broker.ask(order_for(server), "SELECT 1")

        assert answer.last["type"] == "ConnectionFailedError"
        assert after.last["type"] == "ConnectionFailedError"
        assert after.last["message"].startswith("the database cannot be reached")
