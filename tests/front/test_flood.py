"""Many worthless tokens at once: the Hub is asked about each, and nobody who has a good one waits behind them."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import islice
from selectors import EVENT_READ, DefaultSelector
from typing import NamedTuple

import httpx
import pytest

from flowfile_nb.broker.identities.questions import AT_ONCE, FORGIVEN, PER_SUSPECT
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
        transport = httpx.HTTPTransport(local_address=source, verify=False)
        with httpx.Client(transport=transport, base_url=self.house.front.url, headers=headers, timeout=60) as client:
            return client.get("api/me")

    def begin(self, token: str) -> socket.socket:
        """Send the same question, and do not wait for its answer."""
        connection = socket.create_connection(("127.0.0.1", self.house.front.port), timeout=60)
        request = f"GET /api/me HTTP/1.1\r\nHost: broker\r\nX-Flowfile-Nb-Wire: 1\r\nAuthorization: token {token}\r\n\r\n"
        connection.sendall(request.encode())
        return connection


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
        assert flooded.ask(f"worthless-{number}").status_code == 401
    hub.goes_on.clear()
    hub.thought_about.clear()

    with ExitStack() as stack, DefaultSelector() as waiting:
        for number in range(_FLOOD):
            waiting.register(stack.enter_context(flooded.begin(f"worthless-{number}")), EVENT_READ)
        turned_away = list(islice(_answers(waiting), _FLOOD - PER_SUSPECT - _ASKED_AT_ONCE))
        known = flooded.ask("of-bob")
        new = flooded.ask("of-carol", "127.0.0.2")
        thought_about = list(hub.thought_about)

    assert known.json()["name"] == "bob"
    assert new.json()["name"] == "carol"
    assert len(thought_about) < AT_ONCE
    assert all(one.startswith(b"HTTP/1.1 429 ") and b"Retry-After: 2\r\n" in one for one in turned_away)
    assert all(b"wait to be recognised" in one for one in turned_away)


def _answers(waiting: DefaultSelector) -> Iterator[bytes]:
    """Return what comes on connections, as it comes."""
    while waiting.get_map():
        for key, _ in waiting.select(60):
            waiting.unregister(key.fileobj)
            assert isinstance(key.fileobj, socket.socket)
            with key.fileobj.makefile("rb") as answer:
                # The broker closes it.
                yield answer.read()
