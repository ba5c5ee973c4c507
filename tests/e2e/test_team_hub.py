"""
Members who are users of the host, in kernels that JupyterHub has started for them, and the broker behind the Hub's proxy.

Needs root, to make users. Where it is not root, it says so and does not pass for having run.
"""

from __future__ import annotations

import pwd
import time
from collections.abc import Iterator
from contextlib import closing
from typing import NamedTuple

import pytest

from flowfile_nb.core.crypto import generate_master_key
from notebooks.throwaway import Postgres
from tests.attacks.trying import prepare
from tests.support.front import Front, Member
from tests.support.host_users import PYTHON, SPAWNER, home_with, marks, program_as, users_of_host
from tests.support.jupyterhub import PREFIX, SERVICE, Hub, Kernel
from tests.support.processes import until

ALICE, BOB, BROKER = "hubalice", "hubbob", "hubbroker"
pytestmark = [pytest.mark.alone, *marks("MEMBERS' SUITE", ALICE, BOB, BROKER)]
WORK = {
    "sleeping": "SELECT pg_sleep(600)",
    "computing": "SELECT count(*) FROM generate_series(1, 100000) a, generate_series(1, 100000) b",
    # 20 GB, if anybody waited for them.
    "streaming": "SELECT repeat('x', 1000) AS x, generate_series(1, 20000000) AS number",
}
# The promise, for groups that are the Hub's: the broker asks for them.
CUT_WITHIN_S = 2


class Place(NamedTuple):
    """A Hub, the broker beside it, and the database that is shared."""

    hub: Hub
    front: Front
    server: Postgres

    def member(self, user: str) -> Member:
        """Somebody who calls through the Hub's proxy with a token of his."""
        return Member(f"{self.hub.url}{PREFIX}", self.hub.token(user, f"access:services!service={SERVICE}"))

    def serve(self, *, grace_s: int) -> None:
        """Start the broker anew, with another patience for a Hub that is away."""
        self.front.stop()
        self.front.options = [*self.front.options[:-1], str(grace_s)]
        self.front.start()

    def join(self) -> None:
        """Have bob in the group."""
        self.hub.call("POST", "groups/analysts/users", {"users": [BOB]})


@pytest.fixture(scope="module")
def users() -> Iterator[None]:
    """Two users who log in, and the broker's; none of them is left."""
    with users_of_host(ALICE, BOB, BROKER):
        yield


@pytest.fixture(scope="module")
def place(users: None, postgres: Postgres) -> Iterator[Place]:
    """Alice shares `warehouse` with the Hub's group `analysts`, in which bob is."""
    server = prepare(postgres)
    with home_with(BROKER, {"state": 0o700}) as home:
        front = Front(home / "state" / "broker", generate_master_key().decode(), program=program_as(BROKER))
        hub = Hub(home, PYTHON, front.url, [ALICE, BOB], {"analysts": [ALICE, BOB]}, SPAWNER, lasting=True)
        front.options = ["--hub", hub.api, "--service", SERVICE, "--prefix", PREFIX, "--hub-grace-seconds", "90"]
        front.environ = {"JUPYTERHUB_API_TOKEN": hub.broker_token}
        with closing(front), closing(hub.http):
            front.start()
            with hub.running():
                place = Place(hub, front, server)
                body = f"postgresql://reporting:%secret prod_pw@{server.host}:{server.port}/{server.database}"
                with closing(place.member(ALICE).http) as http:
                    for path, what in (
                        ("secrets", {"name": "prod_pw", "value": server.password}),
                        ("connections", {"name": "warehouse", "body": body}),
                        ("shares", {"what": "connection", "name": "warehouse", "group": "analysts"}),
                    ):
                        answer = http.put(f"api/{path}", json=what)
                        assert answer.status_code == 200, answer.text
                yield place


@pytest.fixture(scope="module")
def bob(place: Place) -> Iterator[Kernel]:
    """Bob's notebook, whose first cells are run."""
    with place.hub.kernel(BOB) as kernel:
        assert kernel.run("%load_ext flowfile_nb") == ""
        assert "shared with analysts" in kernel.run("%connect warehouse")
        kernel.run("import pandas as pd")
        yield kernel


def test_a_members_notebook(place: Place, bob: Kernel) -> None:
    """Under his own user he reads rows with pandas; neither the value nor another's token is in his kernel."""
    rows = bob.run("import os; print(os.getuid(), pd.read_sql('SELECT sum(day) AS days FROM takings', warehouse))")
    everything = bob.run("print(dict(os.environ), dict(globals()), vars(warehouse))")

    assert rows.split()[0] == str(pwd.getpwnam(BOB).pw_uid)
    assert "55" in rows
    assert place.server.password not in rows + everything
    assert place.hub.broker_token not in everything


@pytest.mark.parametrize("work", WORK)
def test_who_is_taken_out_of_the_hubs_group_in_the_middle_of_a_cell(place: Place, bob: Kernel, work: str) -> None:
    """The database is free within two seconds, and his cell ends with two lines; put back, he goes on with the same object."""
    read = f"sum(b.num_rows for b in warehouse.raw_connection().cursor().execute({WORK[work]!r}).fetch_record_batch())"
    cell = bob.begin(read)
    until(lambda: _running(place, WORK[work]) == 1)

    place.hub.call("DELETE", "groups/analysts/users", {"users": [BOB]})
    start = time.monotonic()
    until(lambda: _running(place, WORK[work]) == 0)
    took = time.monotonic() - start
    shown = bob.finish(cell)
    refused = bob.run("pd.read_sql('SELECT 1 AS x', warehouse)")
    place.join()

    assert "RevokedError: the permission to use this connection was withdrawn" in shown, shown
    assert len(_lines_of_error(shown)) == 2, shown
    assert "NoSuchConnectionError" in refused
    assert "7" in bob.run("pd.read_sql('SELECT 7 AS x', warehouse)")
    assert took < CUT_WITHIN_S


def test_a_query_that_runs_while_the_hub_is_restarted(place: Place, bob: Kernel) -> None:
    """It goes on and is whole; what is new is refused at once while the Hub is away, and works when it is back."""
    with place.server._replace(user="app").admin() as admin, closing(place.member(BOB).http) as another:
        admin.execute("SELECT pg_advisory_lock(7)")
        cell = bob.begin("pd.read_sql('SELECT 1234 AS x, pg_advisory_xact_lock(7)', warehouse)")
        until(lambda: _running(place, "pg_advisory_xact_lock") == 1)
        place.hub.kill()
        refused = another.post("api/check", json={"connection": "warehouse"})
        place.hub.start()
        assert _running(place, "pg_advisory_xact_lock") == 1
        admin.execute("SELECT pg_advisory_unlock(7)")
        shown = bob.finish(cell)

    assert "1234" in shown, shown
    assert refused.status_code == 503
    assert refused.json()["error"]["message"].startswith("JupyterHub does not answer")
    assert "55" in bob.run("pd.read_sql('SELECT sum(day) AS days FROM takings', warehouse)")


def test_a_hub_that_stays_away(place: Place, bob: Kernel) -> None:
    """Nobody vouches any more: after the grace what runs is ended, in the database too, and the cell says so in two lines."""
    place.serve(grace_s=1)
    cell = bob.begin("pd.read_sql('SELECT pg_sleep(600)', warehouse)")
    until(lambda: _running(place, "pg_sleep") == 1)

    place.hub.kill()
    until(lambda: _running(place, "pg_sleep") == 0)
    shown = bob.finish(cell)
    place.hub.start()
    place.serve(grace_s=90)

    assert "RevokedError" in shown, shown
    assert len(_lines_of_error(shown)) == 2, shown
    assert "55" in bob.run("pd.read_sql('SELECT sum(day) AS days FROM takings', warehouse)")


def test_who_has_left_stays_out_when_the_hub_is_restarted(place: Place, bob: Kernel) -> None:
    """Leaving ends what he runs; the Hub's configuration puts him back at each start, and at the broker he stays out."""
    cell = bob.begin("pd.read_sql('SELECT pg_sleep(600)', warehouse)")
    until(lambda: _running(place, "pg_sleep") == 1)
    with closing(place.member(BOB).http) as himself:
        left = himself.post("api/groups/leave", json={"name": "analysts"})
        assert left.status_code == 200, left.text
    shown = bob.finish(cell)
    place.hub.kill()
    place.hub.start()

    assert "RevokedError" in shown
    assert "NoSuchConnectionError" in bob.run("pd.read_sql('SELECT 1 AS x', warehouse)")


def _lines_of_error(shown: str) -> list[str]:
    return [line for line in shown.splitlines() if line.startswith(("RevokedError", "hint"))]


def _running(place: Place, statement: str) -> int:
    """Return how often the database runs that for a member; pandas and SQLAlchemy ask questions of their own before."""
    with place.server._replace(user="app").admin() as admin:
        query = (
            "SELECT count(*) FROM pg_stat_activity WHERE usename = 'reporting' AND state = 'active' AND strpos(query, %s) > 0"
        )
        [(count,)] = admin.execute(query, [statement]).fetchall()
    return int(count)
