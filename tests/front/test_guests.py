"""Connections to the broker that are open and say nothing, and those of one caller: nobody takes all there are."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from flowfile_nb.broker.schemas import MAX_BODY_BYTES
from notebooks.throwaway import Postgres
from tests.support.front import House, Member, running_house
from tests.support.processes import until
from tests.support.unfinished import begun, resident_mib

_HEALTH = b"GET /api/health HTTP/1.1\r\nHost: x\r\n\r\n"
_OPTIONS = ("--connections-per-caller", "5", "--silent-connections", "8", "--silent-seconds", "2", "--connections", "40")


@pytest.fixture(scope="module")
def narrow(reader: Postgres) -> Iterator[House]:
    """A broker that takes few connections."""
    with running_house(reader, options=_OPTIONS) as house:
        yield house


def said(connection: socket.socket) -> tuple[int, dict[str, Any]]:
    """Return what the broker says on a connection on which nothing was asked: the status and the error."""
    data = b""
    connection.settimeout(30)
    while piece := connection.recv(4096):
        data += piece
    head, _, body = data.partition(b"\r\n\r\n")
    return int(head.split()[1]), dict(json.loads(body)["error"])


def knock(house: House) -> socket.socket:
    """Connect, and say nothing."""
    return socket.create_connection(("127.0.0.1", house.front.port))


def descriptors(house: House) -> int:
    """Return how many connections of callers the broker's process has open."""
    assert house.front.process is not None
    port = f":{house.front.port:04X}"
    rows = [line.split() for line in Path(f"/proc/{house.front.process.pid}/net/tcp").read_text("ascii").splitlines()]
    return sum(row[1].endswith(port) and row[3] == "01" for row in rows[1:])


@pytest.mark.parametrize("beginning", [b"", b"GET /api/me HTTP/1.1\r\nHost: x\r\n", _HEALTH * 2])
def test_a_connection_on_which_nobody_says_who_calls_is_closed(narrow: House, beginning: bytes) -> None:
    """Whether it says nothing, half of a request, or asks only what anybody may ask."""
    with knock(narrow) as stranger:
        stranger.settimeout(30)
        stranger.sendall(beginning)
        data = b""
        while piece := stranger.recv(4096):
            data += piece

    assert b"HTTP/1.1 403 Refused" in data
    assert b"nobody has said within 2 s who calls" in data


def test_silent_connections_give_way_to_new_ones(narrow: House) -> None:
    """Who opens many and says nothing loses the oldest of them, and is told; who has something to say gets in."""
    with ExitStack() as stack:
        silent = [stack.enter_context(knock(narrow)) for _ in range(30)]

        assert narrow.bob.get("me").status_code == 200
        status, error = said(silent[0])

    assert status in {403, 429}
    assert error["hint"]


def test_a_callers_large_requests_are_read_one_after_the_other(reader: Postgres) -> None:
    """Forty that nobody finishes take no memory of forty, and nobody's time; his small ones do not wait for them."""
    with running_house(reader) as house, ExitStack() as stack:
        before = resident_mib(house)
        for _ in range(40):
            stack.enter_context(begun(house, house.tokens["bob"], MAX_BODY_BYTES))

        assert resident_mib(house) - before < 40
        assert house.alice.put("secrets", {"name": "large", "value": "x" * 100_000}).status_code == 200
        assert house.bob.get("secrets").status_code == 200

        stack.close()
        assert house.bob.put("secrets", {"name": "large", "value": "x" * 100_000}).status_code == 200
        assert resident_mib(house) - before < 40


def test_a_caller_has_so_many_connections_and_no_more(narrow: House) -> None:
    """One too many is refused by name; another caller's are not counted with them, and a closed one counts no more."""
    members = [narrow.member(narrow.tokens["carol"]) for _ in range(6)]
    for one in members[:5]:
        assert one.get("me").status_code == 200

    refused = members[5].get("me")

    assert refused.status_code == 429
    assert refused.json()["error"]["type"] == "LimitError"
    assert refused.json()["error"]["message"] == "you have 5 connections to the broker; there may be 5"
    assert narrow.bob.get("me").status_code == 200
    members[0].http.close()
    until(lambda: members[5].get("me").status_code == 200)


def test_a_full_broker_says_so(narrow: House) -> None:
    """More than it takes of all are refused with the reason, and it answers again when there is room."""
    with ExitStack() as stack:
        stack.callback(lambda: until(lambda: narrow.bob.get("me").status_code == 200))
        # Each within the second in which none is sent away.
        silent = [stack.enter_context(knock(narrow)) for _ in range(60)]
        status, error = said(silent[-1])

    assert status == 429
    assert error["message"] == "the broker has as many connections as it may"


def test_a_member_of_a_crowd_gets_in(narrow: House) -> None:
    """Connections that come all at once from one address, as a proxy's do, are all answered where each says who calls."""
    members: list[Member] = [narrow.member(narrow.team.issue_token(f"user-{number}")) for number in range(30)]
    with ExitStack() as stack:
        head = "GET /api/me HTTP/1.1\r\nHost: x\r\nX-Flowfile-Nb-Wire: 1\r\nAuthorization: Bearer {}\r\n\r\n"
        crowd = [stack.enter_context(knock(narrow)) for _ in members]
        for connection, member in zip(crowd, members, strict=True):
            connection.settimeout(30)
            connection.sendall(head.format(member.token).encode())
        answers = [connection.recv(4096) for connection in crowd]

    assert [answer.split()[1] for answer in answers] == [b"200"] * 30
    until(lambda: descriptors(narrow) < 20)
