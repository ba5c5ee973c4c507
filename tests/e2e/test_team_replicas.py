"""
Two replicas on one store in PostgreSQL: what is taken back at one ends what runs at the other, and they outlive their store.

How soon is counted from the owner's asking for it to the moment at which the database runs nothing for the member any more.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import httpx
import pytest

from notebooks.throwaway import Postgres
from tests.attacks.trying import prepare
from tests.support.front import House, Member, Result
from tests.support.postgres import running_postgres, stopped
from tests.support.processes import until
from tests.support.replicas import Replicas, running_replicas

pytestmark = [pytest.mark.e2e, pytest.mark.alone]

WORK = {
    "sleeping": "SELECT pg_sleep(600)",
    "computing": "SELECT count(*) FROM generate_series(1, 100000) a, generate_series(1, 100000) b",
    # 20 GB, if anybody waited for them.
    "streaming": "SELECT repeat('x', 1000) AS x, generate_series(1, 20000000) AS number",
}
ENDS: dict[str, Callable[[House], object]] = {
    "unshared": House.unshare,
    "removed from the group": lambda house: house.alice.post("groups/members/delete", {"group": "analysts", "user": "bob"}),
    "left the group": lambda house: house.bob.post("groups/leave", {"name": "analysts"}),
    "connection deleted": lambda house: house.alice.post("connections/delete", {"name": "warehouse"}),
    "shut out": lambda house: house.team.shut_out("bob"),
    "token revoked": lambda house: [house.team.revoke_token(one.id) for one in house.team.tokens("bob")],
}
# The promise. One of several times may meet a busy machine.
CUT_WITHIN_S, AT_MOST_S = 0.5, 2
TIMES = 3


@pytest.fixture(scope="module")
def replicas(postgres: Postgres) -> Iterator[Replicas]:
    """Two brokers, whose store is a server of its own, as it should be."""
    with ExitStack() as stack:
        store = stack.enter_context(running_postgres())
        yield stack.enter_context(running_replicas(store, prepare(postgres)))


@pytest.fixture
def bob(replicas: Replicas) -> Member:
    """Bob, who calls the other replica; the team is as it was."""
    replicas.house.renew()
    return replicas.house.member(replicas.house.tokens["bob"], replicas.other.url)


@pytest.mark.parametrize("work", WORK)
def test_a_share_that_is_taken_back_at_the_other_replica(replicas: Replicas, bob: Member, work: str) -> None:
    """The reader is told, whole frames and no end; the database is free within half a second."""
    took = []
    for _ in range(TIMES):
        replicas.house.share()
        with bob.running(WORK[work]) as answer:
            _until_running(replicas, 1)
            start = time.monotonic()
            replicas.house.unshare()
            _until_running(replicas, 0)
            took.append(time.monotonic() - start)
            assert Result(answer.read()).failed == "RevokedError"

    assert statistics.median(took) < CUT_WITHIN_S, took
    assert max(took) < AT_MOST_S, took


@pytest.mark.parametrize("end", ENDS)
def test_each_way_of_losing_a_permission_is_heard_by_the_other_replica(replicas: Replicas, bob: Member, end: str) -> None:
    """What runs there ends, and the next statement is refused there."""
    with bob.running(WORK["sleeping"]) as answer:
        _until_running(replicas, 1)
        ENDS[end](replicas.house)
        result = Result(answer.read())

    assert result.failed == "RevokedError"
    refused = bob.query("SELECT 1")
    assert isinstance(refused, httpx.Response)
    assert refused.status_code in {401, 403, 404}
    _until_running(replicas, 0)


def test_what_is_stored_at_one_replica_is_used_at_the_other(replicas: Replicas, bob: Member) -> None:
    """A credential that its owner replaces at one counts at the other with the next statement."""
    assert bob.rows("SELECT 1 AS x") == [{"x": 1}]
    replicas.house.alice.done("PUT", "secrets", {"name": "prod_pw", "value": "no longer right", "replace": True})
    wrong = bob.query("SELECT 1 AS x")
    replicas.house.alice.done("PUT", "secrets", {"name": "prod_pw", "value": replicas.house.server.password, "replace": True})

    assert isinstance(wrong, Result)
    assert wrong.failed == "ConnectionFailedError"
    assert bob.rows("SELECT 1 AS x") == [{"x": 1}]


def test_a_store_that_crashes(replicas: Replicas, bob: Member) -> None:
    """While it is away nothing is begun; when it is back both replicas answer, have lost nothing, hear what is taken back."""
    with stopped(replicas.store):
        away = bob.query("SELECT 1")
        assert isinstance(away, httpx.Response)
        assert (away.status_code, away.json()["error"]["type"]) == (503, "BrokerError")
        assert away.json()["error"]["hint"]
        # It has tried to come back, and found nothing.
        until(lambda: replicas.other.log.read_text().count("cannot be heard of") >= 2)

    assert bob.rows("SELECT 1 AS x") == [{"x": 1}]
    assert replicas.house.alice.done("POST", "secrets/reveal", {"name": "prod_pw"}) == {"value": replicas.house.server.password}
    with bob.running(WORK["sleeping"]) as answer:
        _until_running(replicas, 1)
        replicas.house.unshare()
        assert Result(answer.read()).failed == "RevokedError"


def _until_running(replicas: Replicas, count: int) -> None:
    """Return as soon as the database runs so many statements for the member."""
    query = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'reporting' AND state = 'active'"
    with replicas.house.server._replace(user="app").admin() as admin:
        until(lambda: admin.execute(query).fetchall() == [(count,)])
