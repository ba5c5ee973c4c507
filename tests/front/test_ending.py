"""What ends a query before its time: a share that is taken back, a member who is removed, a token, a reader, a broker."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import closing

import httpx
import pytest

from tests.support.front import Front, House, Result
from tests.support.processes import until

LONG = {
    "sleeping": "SELECT pg_sleep(60)",
    "computing": "SELECT count(*) FROM generate_series(1, 100000) a, generate_series(1, 100000) b",
    "streaming": "SELECT repeat('x', 1000) AS x, i FROM generate_series(1, 20000000) AS i",
}

ENDS: dict[str, Callable[[House], object]] = {
    "unshared": House.unshare,
    "removed from the group": lambda house: house.alice.post("groups/members/delete", {"group": "analysts", "user": "bob"}),
    "left the group": lambda house: house.bob.post("groups/leave", {"name": "analysts"}),
    "connection deleted": lambda house: house.alice.post("connections/delete", {"name": "warehouse"}),
    "secret deleted": lambda house: house.alice.post("secrets/delete", {"name": "prod_pw"}),
    "group deleted": lambda house: house.alice.post("groups/delete", {"name": "analysts"}),
    "shut out": lambda house: house.team.shut_out("bob"),
    "token revoked": lambda house: [house.team.revoke_token(one.id) for one in house.team.tokens("bob")],
}


@pytest.fixture
def renewed(house: House) -> House:
    """The team as it was, whatever a test before has taken away."""
    house.renew()
    return house


def running_at(house: House) -> int:
    """Return how many statements of the shared login the database runs."""
    with house.server._replace(user="app").admin() as admin:
        query = "SELECT count(*) FROM pg_stat_activity WHERE usename = %s AND state = 'active'"
        [(count,)] = admin.execute(query, [house.server.user]).fetchall()
    return int(count)


@pytest.mark.parametrize("work", LONG)
def test_a_share_that_is_taken_back_ends_what_runs(renewed: House, work: str) -> None:
    """The reader is told, and the database runs nothing any more. How soon is measured among the benchmarks."""
    with renewed.bob.running(LONG[work]) as answer:
        until(lambda: running_at(renewed) == 1)
        renewed.unshare()
        result = Result(answer.read())

    assert result.failed == "RevokedError"
    until(lambda: running_at(renewed) == 0)


@pytest.mark.parametrize("end", ENDS)
def test_whatever_takes_a_permission_away_ends_what_runs_by_it(renewed: House, end: str) -> None:
    """Each way of losing a permission ends the statement that runs, and the next one is refused."""
    with renewed.bob.running(LONG["sleeping"]) as answer:
        until(lambda: running_at(renewed) == 1)
        ENDS[end](renewed)
        result = Result(answer.read())

    assert result.failed == "RevokedError"
    refused = renewed.bob.query("SELECT 1")
    assert isinstance(refused, httpx.Response)
    assert refused.status_code in {401, 403, 404}


def test_a_token_that_runs_out_ends_what_runs_by_it(renewed: House) -> None:
    """In the middle of a statement, which is told why; what the same user runs by another token goes on."""
    with renewed.bob.running(LONG["sleeping"]) as other:
        until(lambda: running_at(renewed) == 1)
        # Long enough for the statement to begin on a slow machine: it is what ends there, not a call that is refused.
        short = renewed.member(renewed.team.issue_token("bob", lifetime_s=8))
        with short.running(LONG["sleeping"]) as answer:
            result = Result(answer.read())
        until(lambda: running_at(renewed) == 1)
        renewed.unshare()
        assert Result(other.read()).failed == "RevokedError"

    assert result.failed == "RevokedError"
    assert "has run out" in result.end["message"]
    refused = short.query("SELECT 1")
    assert isinstance(refused, httpx.Response)
    assert refused.status_code == 401


def test_what_others_run_goes_on(renewed: House) -> None:
    """Taking back one member's permission ends his statements alone."""
    with renewed.server._replace(user="app").admin() as admin:
        # Hers waits for this lock, however slow the machine is.
        admin.execute("SELECT pg_advisory_lock(7)")
        hers_waits = "SELECT 7 AS x, pg_advisory_xact_lock(7)"
        with renewed.alice.running(hers_waits) as hers, renewed.bob.running(LONG["sleeping"]) as his:
            until(lambda: running_at(renewed) == 2)
            ENDS["removed from the group"](renewed)
            assert Result(his.read()).failed == "RevokedError"
            admin.execute("SELECT pg_advisory_unlock(7)")
            assert Result(hers.read()).rows[0]["x"] == 7


def test_a_reader_that_hangs_up_ends_its_statement(renewed: House) -> None:
    """A kernel that is gone leaves nothing running at the database."""
    with renewed.bob.running(LONG["computing"]):
        until(lambda: running_at(renewed) == 1)

    until(lambda: running_at(renewed) == 0)


def test_a_broker_that_is_stopped_says_so(renewed: House) -> None:
    """A statement that runs while the broker is stopped ends with an error; who calls meanwhile waits for the next broker."""
    with renewed.bob.running(LONG["sleeping"]) as answer:
        until(lambda: running_at(renewed) == 1)
        assert renewed.front.stop() == 0
        result = Result(answer.read())
    renewed.front.start()

    assert result.failed == "BrokerError"
    assert renewed.bob.rows("SELECT 1 AS x") == [{"x": 1}]
    until(lambda: running_at(renewed) == 0)


def test_a_broker_that_is_killed_is_no_result(renewed: House) -> None:
    """A statement that runs while the broker is killed breaks off at once, and nothing of it counts; workers end, too."""
    with renewed.bob.running(LONG["sleeping"]) as answer:
        until(lambda: running_at(renewed) == 1)
        renewed.front.stop(signal.SIGKILL)
        with pytest.raises(httpx.RemoteProtocolError):
            answer.read()
    renewed.front.start()

    assert renewed.bob.rows("SELECT 1 AS x") == [{"x": 1}]
    until(lambda: running_at(renewed) == 0)


def log_of(house: House) -> list[tuple[str, str]]:
    """Return what is recorded of the uses of alice's connection: statement and outcome, oldest first."""
    entries = house.alice.get("log", name="warehouse").json()["entries"]
    return [(entry["statement"], entry["state"]) for entry in entries if entry["action"] == "use"]


def test_a_use_that_a_killed_broker_began_has_an_end(renewed: House) -> None:
    """The next broker writes that it was interrupted, once; what ran to its end keeps its own."""
    renewed.bob.rows("SELECT 1 AS x")
    with renewed.bob.running(LONG["sleeping"]) as answer:
        until(lambda: running_at(renewed) == 1)
        renewed.front.stop(signal.SIGKILL)
        with pytest.raises(httpx.RemoteProtocolError):
            answer.read()
    renewed.front.start()
    told = log_of(renewed)
    renewed.front.stop()
    renewed.front.start()

    assert told[-4:] == [("SELECT 1 AS x", "started"), ("", "complete"), (LONG["sleeping"], "started"), ("", "interrupted")]
    assert log_of(renewed) == told
    lines = (renewed.front.directory / "audit.jsonl").read_text("utf-8").splitlines()
    assert sum('"interrupted"' in line for line in lines) == told.count(("", "interrupted"))
    assert "1 uses were interrupted" in renewed.front.log.read_text()


def test_what_another_broker_of_the_same_store_runs_is_not_interrupted(renewed: House) -> None:
    """A second one that starts beside it lets it be."""
    before = log_of(renewed).count(("", "interrupted"))
    second = Front(renewed.front.directory, renewed.front.key)
    with renewed.bob.running(LONG["sleeping"]) as answer, closing(second):
        until(lambda: running_at(renewed) == 1)
        second.start()
        assert renewed.member(renewed.tokens["alice"], second.url).get("me").status_code == 200
        renewed.unshare()
        assert Result(answer.read()).failed == "RevokedError"

    assert log_of(renewed)[-1] == ("", "revoked")
    assert log_of(renewed).count(("", "interrupted")) == before


def test_a_broker_that_is_stopped_ends_its_answers_first(renewed: House) -> None:
    """The answer is whole, and its end written down, if the store is busy, too: some proxies let one of half of it wait."""
    with (
        renewed.bob.running(LONG["sleeping"]) as answer,
        closing(sqlite3.connect(renewed.front.directory / "team.db", isolation_level=None)) as busy,
    ):
        until(lambda: running_at(renewed) == 1)
        busy.execute("BEGIN IMMEDIATE")
        assert renewed.front.process is not None
        renewed.front.process.send_signal(signal.SIGTERM)
        until(lambda: running_at(renewed) == 0)
        with pytest.raises(subprocess.TimeoutExpired):
            renewed.front.process.wait(1)
        busy.execute("ROLLBACK")
        result = Result(answer.read())
    assert renewed.front.process.wait(20) == 0
    renewed.front.start()

    assert result.failed == "BrokerError"
    assert log_of(renewed)[-1] == ("", "failed")
