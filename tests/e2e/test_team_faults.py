"""
What breaks between a member and his data: processes, servers, the network. Over HTTP, by the package's own client.

After each fault the reader has an error of two lines and no result, the next statement works, and the store has lost nothing.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple

import httpx
import psutil
import pytest

from flowfile_nb.errors import BrokerError, ConnectionFailedError, FlowfileNbError
from flowfile_nb.team import dbapi
from tests.attacks.trying import prepare
from tests.support.front import House, Result, running_house
from tests.support.kernel_side import connected, join, require_two_lines
from tests.support.network import Link, link_to
from tests.support.postgres import running_postgres, stopped
from tests.support.processes import until

pytestmark = [pytest.mark.e2e, pytest.mark.alone]

COUNT = 30_000
# 300 MB: more than lies anywhere on the way while nobody reads.
ROWS = f"SELECT repeat('x', 10000) AS text, generate_series(1, {COUNT}) AS number"
# "At once", on a machine that does much else; silence alone takes longer to be known for what it is.
AT_ONCE_S = 15
SILENCE_S = 60


class Place(NamedTuple):
    """A broker, and the two stretches of network that a fault may come from."""

    house: House
    to_broker: Link
    to_database: Link

    @property
    def url(self) -> str:
        """Where bob's kernel finds the broker."""
        return f"http://127.0.0.1:{self.to_broker.port}/"


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    """A database of these tests' own, which they stop; members and workers come by links that are cut."""
    with ExitStack() as stack:
        server = prepare(stack.enter_context(running_postgres()))
        to_database = stack.enter_context(link_to(server.port))
        house = stack.enter_context(running_house(server))
        house.body = house.body.replace(f":{server.port}/", f":{to_database.port}/")
        house.renew()
        yield Place(house, stack.enter_context(link_to(house.front.port)), to_database)


@pytest.fixture
def bob(place: Place) -> Iterator[dbapi.Connection]:
    """Bob's kernel."""
    with connected(place.url, place.house.tokens["bob"]) as connection:
        yield connection


def kill_worker(place: Place) -> None:
    """Kill every session's process."""
    assert place.house.front.process is not None
    workers = psutil.Process(place.house.front.process.pid).children()
    assert workers
    for worker in workers:
        worker.kill()


def kill_front(place: Place) -> None:
    """Kill the front, and start another one."""
    place.house.front.stop(signal.SIGKILL)
    place.house.front.start()


def stop_front(place: Place) -> None:
    """Stop the front as its operator does, and start another one."""
    assert place.house.front.stop() == 0
    place.house.front.start()


def restart_database(place: Place) -> None:
    """Have the database crash and come back."""
    with stopped(place.house.server._replace(user="app")):
        pass


def kill_backend(place: Place) -> None:
    """End the database's own process for the session."""
    with place.house.server._replace(user="app").admin() as admin:
        admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'reporting'")


FAULTS: dict[str, tuple[Callable[[Place], None], type[FlowfileNbError]]] = {
    "killed worker": (kill_worker, BrokerError),
    "killed front": (kill_front, BrokerError),
    "stopped front": (stop_front, BrokerError),
    "restarted database": (restart_database, ConnectionFailedError),
    "killed backend": (kill_backend, ConnectionFailedError),
    "cut from the broker": (lambda place: place.to_broker.cut(), BrokerError),
    "cut from the database": (lambda place: place.to_database.cut(), ConnectionFailedError),
}
WAYS: dict[str, Callable[[dbapi.Cursor], Any]] = {
    "rows": lambda cursor: cursor.fetchall(),
    "Arrow": lambda cursor: cursor.fetch_arrow_table(),
    "pandas": lambda cursor: cursor.fetch_df(),
    "batches": lambda cursor: sum(batch.num_rows for batch in cursor.fetch_record_batch()),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_while_rows_are_read(place: Place, bob: dbapi.Connection, fault: str) -> None:
    """However the rows are fetched there is an error at once in the place of a part of them; the next statement works."""
    break_it, kind = FAULTS[fault]
    cursors = {way: bob.execute(ROWS) for way in WAYS}

    break_it(place)

    for way, cursor in cursors.items():
        with pytest.raises(kind) as failed:
            _within(AT_ONCE_S, lambda cursor=cursor, way=way: WAYS[way](cursor))
        require_two_lines(failed.value, place.house.server.password, place.house.tokens["bob"])
    assert bob.execute(ROWS).fetch_arrow_table().num_rows == COUNT
    _require_nothing_lost(place)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_while_a_statement_is_silent(place: Place, bob: dbapi.Connection, fault: str) -> None:
    """A statement that has sent nothing yet ends with an error at once, too, and is over in the database."""
    break_it, kind = FAULTS[fault]

    with _while_it_runs(place, bob, "SELECT pg_sleep(600)") as waiting:
        break_it(place)
        with pytest.raises(kind) as failed:
            waiting(AT_ONCE_S)

    require_two_lines(failed.value, place.house.server.password, place.house.tokens["bob"])
    assert bob.execute("SELECT 1").fetchall() == [(1,)]
    until(lambda: _running(place) == 0)


def test_a_network_that_falls_silent(place: Place, bob: dbapi.Connection) -> None:
    """What says nothing any more is known by that the broker always gives signs of life; reading ends with an error."""
    cursor = bob.execute(ROWS)
    place.to_broker.fall_silent()

    try:
        with pytest.raises(BrokerError, match="has said nothing for") as failed:
            _within(SILENCE_S, cursor.fetch_arrow_table)
    finally:
        place.to_broker.carry_on()

    require_two_lines(failed.value, place.house.tokens["bob"])
    place.to_broker.cut()
    assert bob.execute("SELECT 1").fetchall() == [(1,)]
    until(lambda: _running(place) == 0)


def test_who_stops_waiting_for_a_silent_network_is_let_go(place: Place, bob: dbapi.Connection) -> None:
    """Closing what cannot be reached waits for nobody: an interrupted cell ends, too."""
    cursor = bob.execute(ROWS)
    place.to_broker.fall_silent()

    try:
        _within(AT_ONCE_S, cursor.close)
    finally:
        place.to_broker.carry_on()
        place.to_broker.cut()

    until(lambda: _running(place) == 0)


def test_a_database_that_falls_silent(place: Place, bob: dbapi.Connection) -> None:
    """A statement that hears nothing of its database can be cancelled at once; connecting to it is given up by a clock."""
    house = place.house
    with house.bob.running("SELECT pg_sleep(600)", id="unheard") as answer:
        until(lambda: _running(place) == 1)
        place.to_database.fall_silent()
        try:
            beside = house.member(house.tokens["bob"])
            assert beside.done("POST", "query/cancel", {"id": "unheard"}) == {"cancelled": True}
            assert _within(AT_ONCE_S, lambda: Result(answer.read())).failed == "CancelledError"
            # She has no session yet: hers would have to be opened now.
            [token] = join(place.house, "newcomer").values()
            with connected(place.url, token) as newcomer, pytest.raises(ConnectionFailedError, match="reached") as failed:
                _within(SILENCE_S, lambda: newcomer.execute("SELECT 1"))
        finally:
            place.to_database.carry_on()
            place.to_database.cut()

    require_two_lines(failed.value, place.house.server.password)
    assert bob.execute("SELECT 1").fetchall() == [(1,)]


def test_what_was_acknowledged_survives_a_front_that_is_killed(place: Place) -> None:
    """Of secrets that are stored while the front is killed, each that was acknowledged is there, with its value."""
    house = place.house
    kept: list[str] = []

    def store_until_it_fails(round_: int) -> None:
        for number in range(1_000_000):
            name = f"kept-{round_}-{number}"
            try:
                answer = house.alice.put("secrets", {"name": name, "value": f"value of {name}"})
            except httpx.TransportError:
                return
            assert answer.status_code == 200, answer.text
            kept.append(name)

    for round_ in range(3):
        already = len(kept)
        with ThreadPoolExecutor(1) as pool:
            storing = pool.submit(store_until_it_fails, round_)
            until(lambda already=already: len(kept) >= already + 5)  # type: ignore[misc]
            house.front.stop(signal.SIGKILL)
            storing.result(AT_ONCE_S)
        house.front.start()

    assert len(kept) >= 15
    for name in kept:
        assert house.alice.done("POST", "secrets/reveal", {"name": name}) == {"value": f"value of {name}"}
    _require_nothing_lost(place)


def _within(seconds: float, act: Callable[[], Any]) -> Any:
    """Do something that may not take longer than that."""
    start = time.monotonic()
    try:
        return act()
    finally:
        assert time.monotonic() - start < seconds


@contextmanager
def _while_it_runs(place: Place, bob: dbapi.Connection, statement: str) -> Iterator[Callable[[float], Any]]:
    """Have a statement run for a block; what is given waits for its end, so many seconds at most."""
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(bob.execute, statement)
        until(lambda: _running(place) == 1)
        yield running.result


def _running(place: Place) -> int:
    with place.house.server._replace(user="app").admin() as admin:
        query = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'reporting' AND state = 'active'"
        [(count,)] = admin.execute(query).fetchall()
    return int(count)


def _require_nothing_lost(place: Place) -> None:
    """Hold the store to what it had: the value, the group, the share."""
    house = place.house
    assert house.alice.done("POST", "secrets/reveal", {"name": "prod_pw"}) == {"value": house.server.password}
    assert house.bob.get("me").json()["groups"] == ["analysts"]
    shares = house.alice.get("shares", what="connection", name="warehouse").json()["shares"]
    assert [(one["group"], one["access"]) for one in shares] == [("analysts", "read")]
