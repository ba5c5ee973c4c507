"""What a statement leaves in its session: nothing, whether the share is to read or to write."""

from __future__ import annotations

import pytest

from flowfile_nb.broker.model import Access, Order
from notebooks.throwaway import Postgres
from tests.support.broker import Broker, order_for

# What a statement does, and a question whose answer is 0 if nothing is left of it.
READING = {
    "an advisory lock": ("SELECT pg_advisory_lock(77)", "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"),
    "a prepared statement": ("PREPARE mine AS SELECT 1", "SELECT count(*) FROM pg_prepared_statements WHERE name = 'mine'"),
    "a setting": (
        "SELECT set_config('search_path', 'elsewhere', false)",
        "SELECT (current_setting('search_path') = 'elsewhere')::int",
    ),
    "a channel": ("LISTEN mine", "SELECT count(*) FROM pg_listening_channels()"),
}
WRITING = READING | {
    "a temporary table": ("CREATE TEMP TABLE mine AS SELECT 1 AS a", "SELECT count(*) FROM pg_class WHERE relname = 'mine'"),
    "a setting of the session": ("SET search_path = elsewhere", "SELECT (current_setting('search_path') = 'elsewhere')::int"),
    "no limit of time": ("SET statement_timeout = 0", "SELECT (current_setting('statement_timeout') = '0')::int"),
    "a cursor": ("DECLARE mine CURSOR WITH HOLD FOR SELECT 1", "SELECT count(*) FROM pg_cursors WHERE name = 'mine'"),
}


@pytest.mark.parametrize(("access", "what"), [*(("read", what) for what in READING), *(("write", what) for what in WRITING)])
def test_a_statement_leaves_nothing_behind(broker: Broker, postgres: Postgres, access: Access, what: str) -> None:
    """The next statement, in the same session, finds it as a new one; others wait for no lock of it."""
    order = order_for(postgres, access=access)
    before = broker.ask(order, "SELECT pg_backend_pid() AS pid").rows
    statement, question = WRITING[what]

    broker.ask(order, statement)

    assert [list(row.values()) for row in broker.ask(order, question).rows] == [[0]]
    assert broker.ask(order, "SELECT pg_backend_pid() AS pid").rows == before


def test_an_error_leaves_nothing_behind_either(broker: Broker, order: Order, postgres: Postgres) -> None:
    """A lock that was taken before the statement failed is free."""
    broker.ask(order, "SELECT pg_advisory_lock(78), 1 / (random() - random())::int")
    broker.ask(order, "SELECT pg_advisory_lock(78), x / 0 FROM generate_series(1, 2) AS x")

    with postgres.admin() as admin:
        assert admin.execute("SELECT pg_try_advisory_lock(78)").fetchone() == (True,)


def test_a_result_that_was_cancelled_leaves_nothing_behind(broker: Broker, order: Order, postgres: Postgres) -> None:
    """Also of a statement that never came to its end."""
    running = broker.begin(order, "SELECT pg_advisory_lock(79), pg_sleep(600)", query_id="cut")
    with postgres.admin() as admin:
        while admin.execute("SELECT pg_try_advisory_lock(79)").fetchone() == (True,):
            admin.execute("SELECT pg_advisory_unlock(79)")
        broker.do(broker.sessions.cancel("cut", order.caller))
        assert running().outcome.state == "cancelled"
        admin.execute("SET statement_timeout = '20s'")
        admin.execute("SELECT pg_advisory_lock(79)")
