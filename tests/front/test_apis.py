"""Requests to a shared API, as a whole process answers them: who may ask what, what is written down, and what ends them."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from flowfile_nb.core import wire
from tests.support.front import House
from tests.support.http_server import Answer, Request
from tests.support.lent_api import PLAIN_KEY, ask, asked, shared


@pytest.fixture
def renewed(house: House) -> House:
    """The team as it was, whatever a test before has taken away."""
    house.renew()
    return house


def test_a_member_asks_with_a_key_that_no_answer_shows(renewed: House) -> None:
    """The server gets it; the member gets the answer, and nowhere the key."""
    with shared(renewed) as server:
        got = ask(renewed.bob, "/v1/users", query="page=2")

        assert (got.status, got.body) == (200, b"{}")
        assert server.last.headers["authorization"] == f"Bearer {PLAIN_KEY}"
        texts = [renewed.bob.get("connections").text, renewed.bob.get("secrets").text, str(got)]
        assert not any(PLAIN_KEY in text for text in texts)


def test_a_stranger_cannot_tell_an_api_from_nothing(renewed: House) -> None:
    """What is not his and what is not there have one answer."""
    with shared(renewed) as server:
        there = ask(renewed.carol, "/v1/users")
        nowhere = ask(renewed.carol, "/v1/users", connection="apx")

        assert there.error == nowhere.error.replace("apx", "api")
        assert "NoSuchConnectionError" in there.error
        assert server.requests == []


def test_an_api_takes_requests_and_a_database_statements(renewed: House) -> None:
    """The wrong one of both is told what the right one is."""
    with shared(renewed):
        statement = renewed.bob.query("SELECT 1", "api")
    request = ask(renewed.bob, "/v1", connection="warehouse")

    assert isinstance(statement, httpx.Response)
    assert (statement.status_code, "HTTP API" in statement.text) == (400, True)
    assert "leads to a database" in request.error


WRONG: dict[str, dict[str, Any]] = {
    "another field": {"url": "http://evil.example.com"},
    "a host": {"host": "evil.example.com"},
    "headers that are no list": {"headers": {"Accept": "x"}},
    "a pair of three": {"headers": [["Accept", "x", "y"]]},
    "a name that is a number": {"headers": [[1, "x"]]},
    "a long method": {"method": "G" * 17},
    "a body that is no base64": {"body": "~~~"},
    "an id that is none": {"id": "a b"},
    "a description beside the name": {"connection": "api", "description": "x"},
    "time as text": {"timeout_s": "1"},
}


@pytest.mark.parametrize("fields", WRONG.values(), ids=WRONG)
def test_requests_that_are_none(renewed: House, fields: dict[str, Any]) -> None:
    """Nothing is sent, and nothing is quoted."""
    body = {"id": "a", "connection": "api", "method": "GET", "path": "/v1/users", **fields}
    with shared(renewed) as server:
        answer = renewed.bob.post("request", body)

        assert answer.status_code in {400, 403}
        assert "evil" not in answer.text
        assert server.requests == []


def test_what_is_asked_is_written_down(renewed: House) -> None:
    """Method, path, names of parameters, status, bytes; also what was refused. No value, no key, in table and file."""
    with shared(renewed) as server:
        server.answer = lambda request: Answer(404, body=request.headers["authorization"].encode())
        ask(renewed.bob, "/v1/users", query="name=Lovelace&page=2")
        ask(renewed.bob, "/v1/users/7", method="DELETE")
        entries = renewed.alice.get("log", name="api").json()["entries"]

    used = [(one["caller"], one["statement"], one["state"], one["detail"]) for one in entries if one["action"] == "use"]
    # Other tests have asked for an API of that name.
    begun, ended = used[-2:]
    assert begun[:3] == ("bob", "GET /v1/users?name&page", "started")
    assert ended == ("bob", "", "complete", "status 404, 26 bytes")
    refused = [(one["statement"], one["detail"]) for one in entries if one["action"] == "refused"]
    assert refused[-1:] == [("DELETE /v1/users/7", "NotAllowedError")]
    file = (renewed.front.directory / "audit.jsonl").read_text()
    assert "GET /v1/users?name&page" in file
    assert "Lovelace" not in file + json.dumps(entries)
    assert PLAIN_KEY not in file


def test_a_share_that_is_taken_back_cuts_an_answer(renewed: House) -> None:
    """The reader is told in the middle of it, and the server's connection is closed."""
    begun, closed = threading.Event(), threading.Event()

    def endless() -> Iterator[bytes]:
        try:
            while True:
                begun.set()
                yield bytes(64 * 1024)
        finally:
            closed.set()

    with shared(renewed) as server:
        server.answer = lambda request: Answer(body=endless())
        with asked(renewed.bob, "/v1/all") as response:
            begun.wait(20)
            renewed.unshare("connection", "api")
            frames, decoder = [], wire.Decoder()
            for data in response.iter_raw():
                frames += decoder.feed(data)
        assert frames[-1].facts()["type"] == "RevokedError"
        assert closed.wait(20)
        assert "NoSuchConnectionError" in ask(renewed.bob, "/v1/all").error


def test_what_a_share_to_write_means_is_said_before(renewed: House) -> None:
    """In words of an API; without a yes nothing is shared."""
    with shared(renewed, 'methods = ["POST"]') as server:
        offer = {"what": "connection", "name": "api", "group": "analysts", "access": "write"}
        refused = renewed.alice.put("shares", offer)

        assert (refused.status_code, "make or change keys" in refused.text) == (403, True)
        assert ask(renewed.bob, "/v1/users", method="POST").status == 0
        promised = renewed.alice.put("shares", {**offer, "confirmed": True}).json()["guarantees"]
        assert "all that the API's key may do at the paths that he fixed" in promised[0]
        assert ask(renewed.bob, "/v1/users", method="POST", body=b"{}").status == 200
        assert (server.last.method, server.last.body) == ("POST", b"{}")


def test_a_target_that_was_changed_needs_the_key_again(renewed: House) -> None:
    """More methods or other paths are another target: what is lent does not follow by itself."""
    with shared(renewed) as server:
        body = f'type = "http"\nurl = "{server.url}/v1"\ntoken = %secret api_key\nmethods = ["GET", "DELETE"]'
        renewed.alice.done("PUT", "connections", {"name": "api", "body": body})
        assert "BindingError" in ask(renewed.bob, "/v1/users").error

        renewed.alice.done("PUT", "secrets", {"name": "api_key", "value": PLAIN_KEY, "replace": True})

        assert ask(renewed.bob, "/v1/users").status == 200


def test_many_ask_at_once(renewed: House) -> None:
    """Each gets his own answer, whole."""

    def answer(request: Request) -> Answer:
        return Answer(body=request.path.encode() * 1000)

    got: dict[int, bytes] = {}

    def one(number: int) -> None:
        got[number] = ask(renewed.bob, f"/v1/{number}", id=f"n{number}").body

    with shared(renewed) as server:
        server.answer = answer
        threads = [threading.Thread(target=one, args=(number,)) for number in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert got == {number: f"/v1/{number}".encode() * 1000 for number in range(2)}
