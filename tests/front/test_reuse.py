"""What a kernel keeps open at the broker between its statements."""

from __future__ import annotations

import psutil

from tests.support.front import House
from tests.support.kernel_side import connected


def connections_at(house: House) -> int:
    """Return how many connections of HTTP the broker has open."""
    assert house.front.process is not None
    known = psutil.Process(house.front.process.pid).net_connections("tcp")
    return sum(one.status == psutil.CONN_ESTABLISHED and one.laddr.port == house.front.port for one in known)


def test_one_connection_serves_statement_after_statement(shared: House) -> None:
    """Whether cursors are closed or not: what was read to its end leaves its connection to the next one."""
    before = connections_at(shared)

    with connected(shared.front.url, shared.tokens["bob"]) as connection:
        cursors = [connection.execute("SELECT 1 AS x") for _ in range(3)]
        rows = [cursor.fetchall() for cursor in cursors]
        at_once = connections_at(shared) - before
        rows += [connection.execute("SELECT 1 AS x").fetchall() for _ in range(20)]
        cursors += [connection.execute("SELECT 1 AS x") for _ in range(3)]
        tables = [cursor.fetch_arrow_table().num_rows for cursor in cursors[3:]]

        assert connections_at(shared) - before == at_once <= 3

    assert rows == [[(1,)]] * 23
    assert tables == [1] * 3


def test_a_statement_that_nobody_reads_any_more_is_let_go(shared: House) -> None:
    """A cursor that is forgotten in the middle of its rows hangs up, and its connection is not kept for it."""
    before = connections_at(shared)

    with connected(shared.front.url, shared.tokens["bob"]) as connection:
        for _ in range(20):
            # More than the eight statements that one caller may run at once.
            connection.execute("SELECT repeat('x', 10000) AS text, generate_series(1, 100000) AS number").fetchone()
            assert connections_at(shared) - before <= 2
