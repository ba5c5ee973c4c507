"""Statements in sessions of their own, against a real PostgreSQL."""

from __future__ import annotations

import asyncio
import os
import signal

import psutil
import pytest

from flowfile_nb.broker.limits import Limits
from flowfile_nb.broker.model import Order
from flowfile_nb.core import wire
from notebooks.throwaway import Postgres
from tests.support.broker import Broker, order_for, running_broker

_ACTIVE = "SELECT 1 FROM pg_stat_activity WHERE query LIKE %s AND state = 'active' AND pid <> pg_backend_pid()"
_PIDS = "SELECT pid FROM pg_stat_activity WHERE query LIKE '%10000%' AND state = 'active' AND pid <> pg_backend_pid()"
# In the list of columns the series is a stream; after FROM the server would make all of it first.
_ENDLESS = "SELECT repeat('x', 10000) AS text, generate_series(1, 1000000000)"


def _until_none_runs(postgres: Postgres, text: str) -> None:
    """Return when the server runs no statement with *text*; the test's own timeout is what ends a wait for ever."""
    with postgres.admin() as admin:
        while admin.execute(_ACTIVE, [f"%{text}%"]).fetchone():
            pass


def _until_runs(postgres: Postgres, text: str) -> None:
    """Return when the server runs a statement with *text*."""
    with postgres.admin() as admin:
        while not admin.execute(_ACTIVE, [f"%{text}%"]).fetchone():
            pass


def _ended(pid: int) -> None:
    psutil.wait_procs([psutil.Process(pid)] if psutil.pid_exists(pid) else [], timeout=30)
    assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def test_rows_arrive_as_arrow_with_their_number(broker: Broker, order: Order) -> None:
    """The answer is an Arrow stream, and its end says how many rows and bytes came."""
    answer = broker.ask(order, "SELECT g AS number, 'row ' || g AS text FROM generate_series(1, 3) AS g")

    assert answer.rows == [{"number": 1, "text": "row 1"}, {"number": 2, "text": "row 2"}, {"number": 3, "text": "row 3"}]
    assert answer.outcome.state == "complete"
    assert answer.outcome.rows == answer.last["rows"] == 3
    assert answer.outcome.bytes == answer.last["bytes"] == sum(len(one.data) for one in answer.frames if one.kind == wire.ARROW)


@pytest.mark.parametrize(
    ("statement", "parameters", "value"),
    [
        ("SELECT 1 -- a comment at the end", None, 1),
        ("SELECT 1; -- and one after the end", None, 1),
        ("  (SELECT 1) ;; ", None, 1),
        ("SELECT %s + %s", [1, 2], 3),
        ("SELECT %(a)s || %(b)s || %(a)s || '%%'", {"a": "it's", "b": "\\"}, "it's\\it's%"),
        ("SELECT '%'", None, "%"),
        ("SELECT count(*) FROM generate_series(1, 9) AS g WHERE g = ANY(%s)", [[2, 3, 99]], 2),
        ("VALUES (7)", None, 7),
        ("SHOW transaction_read_only", None, "on"),
    ],
)
def test_statements_as_people_write_them(
    broker: Broker, order: Order, statement: str, parameters: object, value: object
) -> None:
    """Comments, semicolons, brackets, parameters of both styles, and statements that are no query."""
    answer = broker.ask(order, statement, parameters)

    assert list(answer.rows[0].values()) == [value]


def test_a_statement_of_many_comments_is_looked_at_in_no_time(broker: Broker, order: Order) -> None:
    """Of a thousand comments each is one, however they could be taken apart."""
    assert broker.ask(order, "/**/" * 1_000 + "SHOW server_version").outcome.state == "complete"
    assert broker.ask(order, "-- a /*\n/* b */(((/***/ SELECT 1 AS a)))").rows == [{"a": 1}]


def test_an_error_of_the_database_is_told_in_its_words(broker: Broker, order: Order) -> None:
    """With its code, and where in the statement it is; nothing of the driver's."""
    answer = broker.ask(order, "SELECT * FROM nowhere")

    assert answer.last["type"] == "QueryError"
    assert answer.last["message"].startswith('relation "nowhere" does not exist\nLINE 1: SELECT * FROM nowhere')
    assert answer.last["code"] == "42P01"
    assert (answer.outcome.state, answer.outcome.detail) == ("failed", "QueryError 42P01")


def test_an_error_among_the_rows_is_an_error(broker: Broker, order: Order) -> None:
    """A statement that fails after a million rows were sent has no end frame: what came is no result."""
    answer = broker.ask(order, "SELECT 1 / (900000 - g) FROM generate_series(1, 1000000) AS g")

    assert answer.last["type"] == "QueryError"
    assert "division by zero" in answer.last["message"]
    assert any(one.kind == wire.ARROW for one in answer.frames)
    assert wire.END not in {one.kind for one in answer.frames}


@pytest.mark.parametrize(
    ("statement", "parameters", "said"),
    [
        ("", None, "empty"),
        (" ; ", None, "empty"),
        ("SELECT %s", [], "no value was given"),
        ("SELECT %(x)s", {"y": 1}, "no value was given"),
        ("SELECT 1", [1], "more values"),
        ("SELECT 5 % 3", [], "lone %"),
        ("SELECT %s", ["a\0b"], "NUL"),
        ("SELECT 1; SELECT 2", None, "multiple commands"),
    ],
)
def test_what_is_no_statement_is_refused(broker: Broker, order: Order, statement: str, parameters: object, said: str) -> None:
    """It is told by a sentence, and the session goes on."""
    answer = broker.ask(order, statement, parameters)

    assert answer.last["type"] == "QueryError"
    assert said in answer.last["message"]
    assert broker.ask(order, "SELECT 1 AS a").rows == [{"a": 1}]


def test_one_caller_uses_one_process_for_one_connection(broker: Broker, order: Order) -> None:
    """It is kept between statements; another caller, or another connection, never gets into it."""
    pids = [
        broker.ask(order._replace(caller=caller, owner=caller, connection=connection), "SELECT pg_backend_pid() AS pid").rows[
            0
        ]["pid"]
        for caller, connection in [("bob", "a"), ("bob", "a"), ("carol", "a"), ("bob", "b")]
    ]

    assert pids[0] == pids[1]
    assert len(set(pids)) == 3


def test_a_result_that_is_still_being_read_does_not_stop_the_next_statement(broker: Broker, order: Order) -> None:
    """A second statement of the same caller gets a session of its own: nobody waits for himself."""
    go_on = asyncio.Event()

    first = broker.begin(order, "SELECT g FROM generate_series(1, 2000000) AS g", on_frame=lambda one: go_on.wait())
    second = broker.ask(order, "SELECT 1 AS a")
    broker.loop.call_soon_threadsafe(go_on.set)

    assert second.rows == [{"a": 1}]
    assert first().outcome.rows == 2_000_000


def test_a_replaced_value_opens_a_new_session(broker: Broker, order: Order) -> None:
    """The session of the former value is not used again, neither by the next statement nor after it."""
    before = broker.ask(order, "SELECT pg_backend_pid() AS pid").rows

    refused = broker.ask(order._replace(value="another"), "SELECT 1")
    after = broker.ask(order, "SELECT pg_backend_pid() AS pid").rows

    assert refused.last["type"] == "ConnectionFailedError"
    assert before != after


def test_a_failed_login_says_nothing_of_the_drivers(broker: Broker, order: Order, caplog: pytest.LogCaptureFixture) -> None:
    """A text of ours and a reference number; the driver's text is in the operator's log, without the value."""
    answer = broker.ask(order._replace(value="wrong, all of it"), "SELECT 1")

    assert answer.last["message"].startswith("the database refused the login; its owner has to check the secret  (reference ")
    assert answer.last["reference"] in caplog.text
    assert "password authentication failed" in caplog.text
    assert "wrong, all of it" not in caplog.text + str(answer.frames)


def test_cancelling_stops_the_statement_in_the_database(broker: Broker, order: Order, postgres: Postgres) -> None:
    """The caller gets an error at once, and the backend is idle; the session is used again."""
    waiting = broker.begin(order, "SELECT pg_sleep(300)", query_id="sleep")
    _until_runs(postgres, "pg_sleep(300)")

    assert not broker.do(broker.sessions.cancel("sleep", "carol")), "of another caller"
    assert broker.do(broker.sessions.cancel("sleep", "bob"))
    answer = waiting()

    assert answer.last["type"] == "CancelledError"
    assert answer.outcome.state == "cancelled"
    _until_none_runs(postgres, "pg_sleep(300)")
    assert broker.ask(order, "SELECT 1 AS a").rows == [{"a": 1}]
    assert not broker.do(broker.sessions.cancel("sleep", "bob")), "it has ended"


def test_a_killed_session_is_an_error_at_once_and_the_next_statement_gets_another(broker: Broker, order: Order) -> None:
    """Nothing of a cut result is taken for whole."""
    killed = []

    def kill(one: wire.Frame) -> None:
        if not killed:
            killed.extend(broker.sessions.pids())
            for pid in killed:
                os.kill(pid, signal.SIGKILL)

    answer = broker.begin(order, _ENDLESS, on_frame=kill)()

    assert answer.last["type"] == "BrokerError"
    assert answer.outcome.state == "failed"
    assert broker.ask(order, "SELECT 1 AS a").rows == [{"a": 1}]


def test_a_killed_backend_is_an_error_at_once_and_the_next_statement_gets_another(
    broker: Broker, order: Order, postgres: Postgres
) -> None:
    """The same where it is the database's process that ends."""
    with postgres.admin() as admin:

        def terminate(one: wire.Frame) -> None:
            admin.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid IN ({_PIDS})")

        answer = broker.begin(order, _ENDLESS, on_frame=terminate)()

    assert answer.last["type"] == "ConnectionFailedError"
    assert broker.ask(order, "SELECT 1 AS a").rows == [{"a": 1}]


def test_a_session_whose_backend_ended_while_idle_connects_again(broker: Broker, order: Order, postgres: Postgres) -> None:
    """A server that was started anew between two statements is not even noticed."""
    backend = broker.ask(order, "SELECT pg_backend_pid() AS pid").rows[0]["pid"]
    with postgres.admin() as admin:
        admin.execute("SELECT pg_terminate_backend(%s, 10000)", [backend])

    assert broker.ask(order, "SELECT pg_backend_pid() AS pid").rows[0]["pid"] != backend


def test_a_session_that_hangs_while_idle_gives_way_to_another(postgres: Postgres) -> None:
    """The statement that it did not take up is run by another one; meanwhile its caller gets signs of life."""
    with running_broker(Limits(connect_s=2, heartbeat_s=0.2)) as broker:
        broker.ask(order_for(postgres), "SELECT 1")
        [pid] = broker.sessions.pids()
        os.kill(pid, signal.SIGSTOP)

        answer = broker.ask(order_for(postgres), "SELECT 1 AS a")

        assert answer.rows == [{"a": 1}]
        assert [one.kind for one in answer.frames].count(wire.HEARTBEAT) >= 2
        assert pid not in broker.sessions.pids()
        _ended(pid)


def test_a_statement_is_cancelled_before_any_session_has_taken_it_up(postgres: Postgres) -> None:
    """Whoever waits for a session that hangs waits no longer than he likes."""
    with running_broker(Limits(connect_s=600)) as broker:
        broker.ask(order_for(postgres), "SELECT 1")
        [pid] = broker.sessions.pids()
        os.kill(pid, signal.SIGSTOP)
        waiting = broker.begin(order_for(postgres), "SELECT 1", query_id="waits")
        while not broker.do(broker.sessions.cancel("waits", "bob")):
            pass

        assert waiting().outcome.state == "cancelled"
        _ended(pid)


def test_a_huge_value_ends_its_own_session_only(postgres: Postgres) -> None:
    """A value of 250 MB does not fit the memory of a session; another caller's statement, running meanwhile, is whole."""
    with running_broker(Limits(memory_bytes=700 * 1024 * 1024)) as broker:
        other = broker.begin(order_for(postgres, caller="carol"), "SELECT g FROM generate_series(1, 3000000) AS g")

        answer = broker.ask(order_for(postgres), "SELECT repeat('x', 250000000)")

        assert answer.last["type"] == "LimitError"
        assert answer.outcome.state == "limit"
        assert other().outcome.rows == 3_000_000
        assert broker.ask(order_for(postgres), "SELECT 1 AS a").rows == [{"a": 1}]


def test_a_statement_has_a_limited_time_whatever_it_sets(postgres: Postgres) -> None:
    """The clock that counts is the front's."""
    with running_broker(Limits(query_s=1.5)) as broker:
        slow = "SELECT set_config('statement_timeout', '0', false), pg_sleep(g) FROM generate_series(1, 300) AS g"

        answer = broker.ask(order_for(postgres), slow)

        assert answer.last["type"] == "LimitError"
        assert answer.outcome.state == "limit"


def test_a_result_has_a_limited_size(postgres: Postgres) -> None:
    """It is cut, and said to be."""
    with running_broker(Limits(result_bytes=5_000_000)) as broker:
        answer = broker.ask(order_for(postgres), _ENDLESS)

        assert answer.last["type"] == "LimitError"
        assert answer.outcome.state == "limit"
        assert sum(len(one.data) for one in answer.frames) < 5_100_000


def test_a_statement_has_a_limited_length(postgres: Postgres) -> None:
    """It is refused before any process hears of it."""
    with running_broker(Limits(statement_bytes=100)) as broker:
        answer = broker.ask(order_for(postgres), "SELECT 1" + " " * 100)

        assert answer.last["type"] == "LimitError"
        assert broker.sessions.pids() == []


def test_a_caller_has_a_limited_number_of_sessions(postgres: Postgres) -> None:
    """One more is refused while they run; idle ones give way; others are not touched."""
    with running_broker(Limits(sessions_per_caller=2)) as broker:
        for connection in "abc":
            assert broker.ask(order_for(postgres, connection=connection), "SELECT 1 AS a").rows
        waiting = [
            broker.begin(order_for(postgres, connection=name), "SELECT pg_sleep(300)", query_id=name) for name in ("a", "b")
        ]

        refused = broker.ask(order_for(postgres, connection="c"), "SELECT 1")
        other = broker.ask(order_for(postgres, caller="carol"), "SELECT 1 AS a")
        for name in ("a", "b"):
            broker.do(broker.sessions.cancel(name, "bob"))

        assert refused.last["type"] == "LimitError"
        assert other.rows == [{"a": 1}]
        assert [one().outcome.state for one in waiting] == ["cancelled", "cancelled"]


def test_all_callers_together_have_a_limited_number_of_sessions(postgres: Postgres) -> None:
    """Idle ones give way to whoever needs one."""
    with running_broker(Limits(sessions=2)) as broker:
        for caller in ("bob", "carol", "dave"):
            assert broker.ask(order_for(postgres, caller=caller), "SELECT 1 AS a").rows

        assert len(broker.sessions.pids()) == 2


def test_an_idle_session_ends(postgres: Postgres) -> None:
    """Nobody's connection stays open for nobody."""
    with running_broker(Limits(idle_s=0.3)) as broker:
        broker.ask(order_for(postgres), "SELECT 1")
        [pid] = broker.sessions.pids()

        _ended(pid)

        assert broker.sessions.pids() == []


def test_heartbeats_come_while_the_database_is_silent(postgres: Postgres) -> None:
    """What waits can tell a slow statement from a lost connection."""
    with running_broker(Limits(heartbeat_s=0.2)) as broker:
        answer = broker.ask(order_for(postgres), "SELECT pg_sleep(1)")

        assert answer.outcome.state == "complete"
        assert [one.kind for one in answer.frames].count(wire.HEARTBEAT) >= 2


def test_a_reader_that_leaves_ends_its_statement(broker: Broker, order: Order, postgres: Postgres) -> None:
    """Whatever its connection raises; the database does not go on for nobody."""

    async def leave(one: wire.Frame) -> None:
        raise ConnectionResetError

    answer = broker.begin(order, _ENDLESS, on_frame=leave)()

    assert answer.outcome.state == "cancelled"
    _until_none_runs(postgres, "10000")


def test_an_id_in_use_is_refused(broker: Broker, order: Order) -> None:
    """Two statements of one id could not be told apart when one is cancelled; another caller's ids are his own."""
    waiting = broker.begin(order, "SELECT pg_sleep(300)", query_id="one")

    refused = broker.ask(order, "SELECT 1", query_id="one")
    other = broker.ask(order._replace(caller="carol", owner="carol"), "SELECT 1 AS a", query_id="one")
    broker.do(broker.sessions.cancel("one", "bob"))

    assert refused.last["type"] == "UsageError"
    assert other.rows == [{"a": 1}]
    assert waiting().outcome.state == "cancelled"


def test_closing_ends_every_process_and_every_statement(postgres: Postgres) -> None:
    """A statement on its way gets an error, not silence."""
    with running_broker() as broker:
        waiting = broker.begin(order_for(postgres), "SELECT pg_sleep(300)")
        broker.ask(order_for(postgres, caller="carol"), "SELECT 1")
        pids = broker.sessions.pids()

    assert len(pids) == 2
    assert waiting().last["type"] == "BrokerError"
    for pid in pids:
        _ended(pid)


def test_a_parameter_that_cannot_be_sent_is_an_error(broker: Broker, order: Order) -> None:
    """It is told, and nothing is run."""
    assert broker.ask(order, "SELECT %s", [object()]).last["type"] == "UsageError"


def test_the_process_of_a_session_knows_nothing_of_the_front(
    broker: Broker, order: Order, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its environment has neither key nor token nor password; neither has its command line; it leaves no core file."""
    monkeypatch.setenv("FLOWFILE_MASTER_KEY", "the key of keys")
    with running_broker() as own:
        own.ask(order, "SELECT 1")
        [pid] = own.sessions.pids()
        process = psutil.Process(pid)

        assert "FLOWFILE_MASTER_KEY" not in process.environ()
        assert order.value not in " ".join(process.cmdline()) + str(process.environ())
        assert process.rlimit(psutil.RLIMIT_CORE) == (0, 0)
        assert process.rlimit(psutil.RLIMIT_AS)[0] == Limits().memory_bytes
