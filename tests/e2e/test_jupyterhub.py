"""
The team's broker beside a real JupyterHub: its users' kernels, its tokens and its groups.

Without root: all servers run as one user. What another user of the host could do is `test_isolation.py`.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import pytest

from flowfile_nb.core.crypto import generate_master_key
from notebooks.throwaway import Postgres
from tests.attacks.trying import prepare
from tests.support.front import Front, Member, Result
from tests.support.jupyterhub import PREFIX, SERVICE, Hub
from tests.support.processes import until

pytestmark = pytest.mark.e2e
# The Python in which JupyterHub and this package are installed: .ci/run makes it.
PYTHON = os.environ.get("FLOWFILE_NB_HUB_PYTHON", "")


class Place(NamedTuple):
    """A Hub, the broker beside it, and the database that is shared."""

    hub: Hub
    front: Front
    server: Postgres

    def member(self, user: str, *scopes: str) -> Member:
        """Somebody who calls through the Hub's proxy with a token of his."""
        token = self.hub.token(user, *(scopes or (f"access:services!service={SERVICE}",)))
        return Member(f"{self.hub.url}{PREFIX}", token)


@pytest.fixture(scope="module")
def place(postgres: Postgres) -> Iterator[Place]:
    """Alice shares `warehouse` with the Hub's group `analysts`, in which bob is and carol is not."""
    assert PYTHON, "FLOWFILE_NB_HUB_PYTHON is not set: see .ci/run"
    server = prepare(postgres)
    home = Path(tempfile.mkdtemp(prefix="ffhub_"))
    front = Front(home / "broker", generate_master_key().decode(), program=(PYTHON, "-m", "flowfile_nb"))
    groups = {"analysts": ["alice", "bob"]}
    hub = Hub(home, PYTHON, front.url, ["alice", "bob", "carol"], groups, "simple")
    front.options = ["--hub", hub.api, "--service", SERVICE, "--prefix", PREFIX]
    front.environ = {"JUPYTERHUB_API_TOKEN": hub.broker_token}
    try:
        with closing(front), closing(hub.http):
            front.start()
            with hub.running():
                place = Place(hub, front, server)
                body = f"postgresql://reporting:%secret prod_pw@{server.host}:{server.port}/{server.database}"
                with closing(place.member("alice").http) as http:
                    for path, what in (
                        ("secrets", {"name": "prod_pw", "value": server.password}),
                        ("connections", {"name": "warehouse", "body": body}),
                        ("shares", {"what": "connection", "name": "warehouse", "group": "analysts"}),
                    ):
                        answer = http.put(f"api/{path}", json=what)
                        assert answer.status_code == 200, answer.text
                yield place
    finally:
        shutil.rmtree(home, ignore_errors=True)


def test_a_member_in_a_kernel_of_the_hub(place: Place) -> None:
    """Bob reads rows with pandas through the connection that alice shares, and is told why there is no value to see."""
    with place.hub.kernel("bob") as kernel:
        kernel.run("%load_ext flowfile_nb")
        kernel.run("%connect warehouse")
        rows = kernel.run("import pandas as pd; print(pd.read_sql('SELECT sum(day) AS days FROM takings', warehouse))")
        listed = kernel.run("%connect")
        everything = kernel.run("import os, sys; print(dict(os.environ), dict(globals()), vars(warehouse))")

    assert "55" in rows, rows
    assert "alice" in listed
    assert place.server.password not in rows + listed + everything


def test_who_is_not_in_the_group(place: Place) -> None:
    """Carol is told what she would be told of a connection that does not exist."""
    with place.hub.kernel("carol") as kernel:
        kernel.run("%load_ext flowfile_nb")
        there, nowhere = kernel.run("%connect warehouse"), kernel.run("%connect nowhere99")

    assert "UsageError: no connection named 'warehouse' is saved by you, or shared with you" in there
    assert there == nowhere.replace("nowhere99", "warehouse")


def test_tokens_are_asked_of_the_hub(place: Place) -> None:
    """A token without the scope, a service's, and one that was deleted a moment ago are refused."""
    with closing(place.member("bob").http) as good, closing(place.member("bob", "users:activity!user").http) as narrow:
        with closing(Member(f"{place.hub.url}{PREFIX}", place.hub.driver_token).http) as service:
            assert good.get("api/me").json()["groups"] == ["analysts"]
            assert narrow.get("api/me").status_code == 401
            assert service.get("api/me").status_code == 401
        for one in place.hub.call("GET", "users/bob/tokens")["api_tokens"]:
            place.hub.call("DELETE", f"users/bob/tokens/{one['id']}")
        assert good.get("api/me").status_code == 401


def test_leaving_a_group_of_the_hub_ends_what_runs(place: Place) -> None:
    """Who is removed from the Hub's group loses the statement that runs, through the Hub's proxy, too."""
    member = place.member("bob")
    with closing(member.http):
        assert member.rows("SELECT 1 AS x") == [{"x": 1}]
        with member.running("SELECT pg_sleep(60)") as answer:
            until(lambda: _running(place.server) == 1)
            place.hub.call("DELETE", "groups/analysts/users", {"users": ["bob"]})
            result = Result(answer.read())
        refused = member.query("SELECT 1")
        place.hub.call("POST", "groups/analysts/users", {"users": ["bob"]})

    assert result.failed == "RevokedError"
    assert not isinstance(refused, Result)


def test_a_broken_broker_is_no_result_through_the_hubs_proxy(place: Place) -> None:
    """A broker that is killed in the middle ends a reader's waiting through the proxy; the next one answers at its socket."""
    member = place.member("bob")
    with closing(member.http):
        with member.running("SELECT pg_sleep(60)") as answer:
            until(lambda: _running(place.server) == 1)
            place.front.stop()
            result = Result(answer.read())
        place.front.start()
        assert result.failed == "BrokerError"
        assert member.rows("SELECT 1 AS x") == [{"x": 1}]


def _running(server: Postgres) -> int:
    with server._replace(user="app").admin() as admin:
        query = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'reporting' AND state = 'active'"
        [(count,)] = admin.execute(query).fetchall()
    return int(count)
