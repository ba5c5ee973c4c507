"""Many worthless tokens at once: the Hub is asked about each, and nobody who has a good one waits behind them."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from itertools import islice
from typing import NamedTuple

import httpx
import pytest

from flowfile_nb.broker.identities.turns import FORGIVEN, PER_SUSPECT
from notebooks.throwaway import Postgres
from tests.support.front import House, running_house
from tests.support.http_server import Answer, Request, Server, running

_FLOOD = 500
_ASKED_AT_ONCE = 2
"""Of a place from which many were just refused."""


class SlowHub(NamedTuple):
    """A Hub that knows users by tokens of their names, and thinks about any other token for as long as it is held."""

    server: Server
    goes_on: threading.Event
    thought_about: list[str]
    """The tokens that it was asked about and does not know, in their order."""

    def answer(self, request: Request) -> Answer:
        """Answer `GET /user`."""
        token = request.headers["authorization"].removeprefix("token ")
        if token.startswith("of-"):
            said = {"kind": "user", "name": token.removeprefix("of-"), "admin": False, "groups": []}
            return Answer(200, {}, json.dumps({**said, "scopes": ["access:services"]}).encode())
        self.thought_about.append(token)
        self.goes_on.wait(60)
        return Answer(403)


class Flooded(NamedTuple):
    """A broker whose callers JupyterHub knows."""

    house: House
    hub: SlowHub

    def ask(self, token: str, source: str = "127.0.0.1") -> httpx.Response:
        """Ask who one is, from an address."""
        headers = {"Authorization": f"token {token}", "X-Flowfile-Nb-Wire": "1"}
        transport = httpx.HTTPTransport(local_address=source)
        with httpx.Client(transport=transport, base_url=self.house.front.url, headers=headers, timeout=60) as client:
            return client.get("api/me")


@pytest.fixture
def flooded(postgres: Postgres) -> Iterator[Flooded]:
    """A broker that asks the Hub."""
    with running() as server:
        hub = SlowHub(server, threading.Event(), [])
        server.answer = hub.answer
        with running_house(postgres, options=["--hub", f"{server.url}/hub/api"]) as house:
            try:
                yield Flooded(house, hub)
            finally:
                hub.goes_on.set()


def test_who_is_known_does_not_wait_behind_a_flood_of_worthless_tokens(flooded: Flooded) -> None:
    """From the flood's own address too, as behind a proxy; nor does who is new at another. Of the flood, few may wait."""
    hub = flooded.hub
    assert flooded.ask("of-bob").json()["name"] == "bob"
    hub.goes_on.set()
    for number in range(FORGIVEN + 1):
        assert flooded.ask(f"worthless {number}").status_code == 401
    hub.goes_on.clear()
    hub.thought_about.clear()

    with ThreadPoolExecutor(_FLOOD) as crowd:
        answers = [crowd.submit(flooded.ask, f"worthless {number}") for number in range(_FLOOD)]
        turned_away = [one.result() for one in islice(as_completed(answers), _FLOOD - PER_SUSPECT - _ASKED_AT_ONCE)]
        known = flooded.ask("of-bob")
        new = flooded.ask("of-carol", "127.0.0.2")
        thought_about = list(hub.thought_about)
        hub.goes_on.set()
        statuses = {one.result().status_code for one in answers}

    assert known.json()["name"] == "bob"
    assert new.json()["name"] == "carol"
    assert len(thought_about) == _ASKED_AT_ONCE
    assert {(one.status_code, one.headers.get("Retry-After")) for one in turned_away} == {(429, "2")}
    assert all("wait to be recognised" in one.text for one in turned_away)
    assert statuses == {401, 429}
