"""The broker's API, as a whole process answers it: who may do what is `tests/broker`'s, here is that it is asked."""

from __future__ import annotations

import http.client
import json
import socket
from contextlib import closing
from typing import Any

import httpx
import pytest

from tests.support.dumb_server import answering
from tests.support.front import House, Result


def test_a_member_uses_what_is_shared_and_sees_no_value(shared: House) -> None:
    """A member reads rows with a credential that no answer shows him."""
    rows = shared.bob.rows("SELECT day, amount FROM takings WHERE day < %s ORDER BY day", parameters=[3])

    assert [row["day"] for row in rows] == [1, 2]
    seen = [shared.bob.get("secrets").text, shared.bob.get("connections").text]
    assert not any(shared.server.password in text for text in seen)


def test_owners_read_their_own_value_and_nobody_elses(shared: House) -> None:
    """Only its owner is told a value; for others it is not there."""
    assert shared.alice.done("POST", "secrets/reveal", {"name": "prod_pw"}) == {"value": shared.server.password}

    for other in (shared.bob, shared.carol):
        refused = other.post("secrets/reveal", {"name": "prod_pw"})
        assert refused.status_code in {403, 404}
        assert shared.server.password not in refused.text


def test_what_is_not_yours_and_what_is_not_there_have_one_answer(shared: House) -> None:
    """A stranger cannot tell a connection that he may not use from one that does not exist."""
    there = shared.carol.query("SELECT 1", "warehouse")
    not_there = shared.carol.query("SELECT 1", "nowhere99")

    assert isinstance(there, httpx.Response)
    assert isinstance(not_there, httpx.Response)
    assert (there.status_code, there.text) == (404, not_there.text.replace("nowhere99", "warehouse"))


def test_the_way_of_a_share(house: House) -> None:
    """Shared it works, and the owner sees with whom and who used it; taken back it does not."""
    house.share()
    assert [row["x"] for row in house.bob.rows("SELECT 1 AS x")] == [1]
    shares = house.alice.get("shares", what="connection", name="warehouse").json()["shares"]
    assert [(one["group"], one["access"]) for one in shares] == [("analysts", "read")]

    house.unshare()

    refused = house.bob.query("SELECT 1")
    assert isinstance(refused, httpx.Response)
    assert refused.status_code == 404
    entries = house.alice.get("log", name="warehouse").json()["entries"]
    assert {"bob"} <= {entry["caller"] for entry in entries if entry["state"] == "complete"}


def test_me(house: House) -> None:
    """The broker says for whom it takes its caller."""
    assert house.bob.get("me").json() == {
        "name": "bob",
        "groups": ["analysts"],
        "is_admin": False,
        "vouched_by": house.bob.get("me").json()["vouched_by"],
        "wire": 1,
    }


def test_write_shares_need_a_yes_that_was_read(house: House) -> None:
    """A share for writing is refused until it is confirmed, and the refusal says what is not promised any more."""
    body = {"what": "connection", "name": "warehouse", "group": "analysts", "access": "write"}

    refused = house.alice.put("shares", body)
    confirmed = house.alice.put("shares", {**body, "confirmed": True})

    assert (refused.status_code, refused.json()["error"]["type"]) == (403, "WriteShareError")
    assert confirmed.status_code == 200
    assert isinstance(house.bob.query("INSERT INTO takings VALUES (99, 1)"), Result)
    house.unshare()


def test_superusers_are_not_shared(house: House) -> None:
    """A login that may read the server's own files is refused when it is to be shared."""
    body = house.body.replace("reporting", "app")
    house.alice.done("PUT", "connections", {"name": "root", "body": body})

    refused = house.alice.put("shares", {"what": "connection", "name": "root", "group": "analysts"})
    secret = house.alice.put("shares", {"what": "secret", "name": "prod_pw", "group": "analysts"})

    for answer in (refused, secret):
        assert answer.status_code == 403
        assert "superuser" in answer.json()["error"]["message"]
    house.alice.done("POST", "connections/delete", {"name": "root"})


def test_check_tells_the_server(shared: House) -> None:
    """A connection can be tried; a secret's target can be tried by its description, too."""
    assert shared.bob.done("POST", "check", {"connection": "warehouse"})["server"].startswith("PostgreSQL")


def test_a_connection_that_is_tried_is_a_use_that_is_written_down(shared: House) -> None:
    """Its owner sees who tried it, and how that ended: the credential was used."""

    def uses() -> list[dict[str, Any]]:
        return [one for one in shared.alice.get("log", name="warehouse").json()["entries"] if one.get("query_id")]

    before = len(uses())
    shared.bob.done("POST", "check", {"connection": "warehouse"})

    begun, ended = uses()[before:]
    assert (begun["caller"], begun["statement"]) == ("bob", "(the connection was tried)")
    assert ended["state"] == "complete"


def test_a_description_is_of_a_bounded_length(shared: House) -> None:
    """To understand it takes time that grows with the square of that, and everybody waits."""
    answers = [
        shared.bob.post("check", {"description": f"{shared.body}?application_name={'a' * length}"}) for length in (100, 9_000)
    ]
    saved = shared.alice.put("connections", {"name": "long", "body": f"{shared.body}?application_name={'a' * 9_000}"})

    # The first is understood: it needs a secret that is not shared by itself.
    assert [one.json()["error"]["type"] for one in answers] == ["NoSuchConnectionError", "UsageError"]
    assert saved.status_code == 400


def test_cancel(shared: House) -> None:
    """Only who runs a statement cancels it, and is told that it was."""
    with shared.bob.running("SELECT pg_sleep(60)", id="mine") as answer:
        assert shared.carol.done("POST", "query/cancel", {"id": "mine"}) == {"cancelled": False}
        assert shared.bob.done("POST", "query/cancel", {"id": "mine"}) == {"cancelled": True}
        assert Result(answer.read()).failed == "CancelledError"


NOT_UNDERSTOOD: list[tuple[str, str, Any]] = [
    ("PUT", "secrets", {"name": "n", "value": "v", "owner": "alice"}),
    ("PUT", "secrets", {"name": "n"}),
    ("PUT", "secrets", {"name": 1, "value": "v"}),
    ("PUT", "secrets", {"name": "n", "value": "v", "replace": 1}),
    ("PUT", "secrets", {"name": "n\ud800", "value": "v"}),
    ("PUT", "secrets", []),
    ("PUT", "secrets", None),
    ("POST", "query", {"id": "a", "connection": "warehouse", "description": "postgresql://", "statement": "SELECT 1"}),
    ("POST", "query", {"id": "a", "statement": "SELECT 1"}),
    ("POST", "query", {"id": "a/../b", "connection": "warehouse", "statement": "SELECT 1"}),
    ("POST", "query", {"id": "", "connection": "warehouse", "statement": "SELECT 1"}),
    ("POST", "query", {"id": "a", "connection": "warehouse", "statement": "SELECT 1", "host": "evil.example.com"}),
    ("POST", "query", {"id": "a", "connection": ["warehouse"], "statement": "SELECT 1"}),
    ("POST", "query", {"id": "a", "connection": "warehouse", "statement": "SELECT 1", "parameters": "text"}),
    ("POST", "query", {"id": "a", "connection": "warehouse", "statement": "SELECT 1", "parameters": [{"$": "eval"}]}),
    ("PUT", "shares", {"what": "everything", "name": "prod_pw", "group": "analysts"}),
    ("PUT", "groups/members", {"group": "analysts", "user": "carol", "role": "root"}),
]


@pytest.mark.parametrize(("method", "path", "body"), NOT_UNDERSTOOD)
def test_what_a_request_may_not_hold(shared: House, method: str, path: str, body: Any) -> None:
    """A field too many, too few, of another type or out of its list: refused, and nothing of it quoted."""
    # Not as httpx writes it: that cannot write half of a surrogate pair.
    content = json.dumps(body).encode()
    answer = shared.bob.http.request(method, f"api/{path}", content=content, headers={"Content-Type": "application/json"})

    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["type"] == "UsageError"
    assert "evil" not in answer.text


RAW: list[tuple[bytes, dict[str, str]]] = [
    (b'{"name": "a", "name": "b"}', {}),
    (b'{"name": NaN}', {}),
    (b"\xff\xfe", {}),
    (b"[" * 100_000, {}),
    (b'{"name": "a"}', {"Content-Type": "text/plain"}),
    (b'{"name": "a"}', {"X-Flowfile-Nb-Wire": "2"}),
]


@pytest.mark.parametrize(("body", "headers"), RAW, ids=range(len(RAW)))
def test_bodies_that_are_no_requests(shared: House, body: bytes, headers: dict[str, str]) -> None:
    """What is no JSON object, or is sent as something else, or in another version, is refused."""
    answer = shared.bob.http.post("api/secrets/reveal", content=body, headers={"Content-Type": "application/json", **headers})

    assert answer.status_code == 400, answer.text


def test_bodies_that_are_too_large(shared: House) -> None:
    """More than two megabytes are refused by name, declared or not, and the broker goes on."""
    declared = shared.bob.post("secrets/reveal", {"name": "x" * 3_000_000})
    undeclared = shared.bob.http.post(
        "api/secrets/reveal", content=iter([b"x" * 1_000_000] * 3), headers={"Content-Type": "application/json"}
    )

    assert [declared.status_code, undeclared.status_code] == [413, 413]
    assert shared.bob.rows("SELECT 1 AS x") == [{"x": 1}]


@pytest.mark.parametrize(
    "path", ["api/../api/secrets", "api/secrets/", "api/secrets%2freveal", "//api/secrets", "api/SECRETS", ""]
)
def test_paths_that_are_not_there(shared: House, path: str) -> None:
    """Only the paths of the table are answered."""
    # Not by httpx, which tidies paths up.
    address = shared.bob.http.base_url
    with closing(http.client.HTTPConnection(address.host, address.port or 0)) as connection:
        connection.request("GET", f"/{path}", headers=dict(shared.bob.http.headers))
        assert connection.getresponse().status == 404


def test_who_calls_is_said_by_the_token_in_its_header_alone(shared: House) -> None:
    """No token, a wrong one, one in the URL or in a cookie, and a name in a header: nobody is known by these."""
    token = shared.tokens["alice"]
    tries: list[dict[str, Any]] = [
        {},
        {"headers": {"Authorization": "Bearer fnbt_nothing"}},
        {"headers": {"Authorization": f"Basic {token}"}},
        {"headers": {"Authorization": f"Bearer {token}, Bearer x"}},
        {"params": {"token": token}},
        {"headers": {"Cookie": f"token={token}; jupyterhub-services={token}"}},
        {"headers": {"X-Forwarded-User": "alice", "X-Real-Ip": "127.0.0.1", "Remote-User": "alice"}},
    ]
    with httpx.Client(base_url=shared.front.url, headers={"X-Flowfile-Nb-Wire": "1"}, trust_env=False) as nobody:
        answers = [nobody.get("api/me", **one) for one in tries]

    assert [answer.status_code for answer in answers] == [401] * len(tries)


def test_tokens_that_are_for_use_alone(shared: House) -> None:
    """A token that was made for use runs statements and changes nothing."""
    member = shared.member(shared.team.issue_token("bob", scopes=["use"]))

    assert member.rows("SELECT 1 AS x") == [{"x": 1}]
    assert member.put("secrets", {"name": "n", "value": "v"}).status_code == 401


def test_a_request_holds_so_many_brackets_and_no_more(house: House) -> None:
    """It would be understood while nobody else is answered."""
    body = b'{"id": "a", "connection": "warehouse", "statement": "SELECT 1", "parameters": [' + b"[]," * 300_000 + b"1]}"

    answer = house.bob.http.post("api/query", content=body, headers={"Content-Type": "application/json"})

    assert answer.status_code == 400
    assert "300,000 brackets at most" in answer.json()["error"]["message"]


def test_nobody_writes_a_line_of_his_own_into_the_log(house: House) -> None:
    """A server that somebody has the broker connect to chooses the words of its refusal; they stay one line of the log."""

    def refuse(connection: socket.socket) -> None:
        if connection.recv(8)[4:] == b"\x04\xd2\x16\x2f":
            # It asks for TLS first.
            connection.sendall(b"N")
        connection.recv(65536)
        said = b"SFATAL\0VFATAL\0C28000\0Mnot now\n2026-11-29 WARNING forged by bob\x1b[2K\0\0"
        connection.sendall(b"E" + (len(said) + 4).to_bytes(4, "big") + said)

    with answering(refuse) as port:
        house.bob.put("secrets", {"name": "bobs", "value": "bobs-own-value", "replace": True})
        body = f"postgresql://bob:%secret bobs@127.0.0.1:{port}/sales?sslmode=disable"
        house.bob.done("PUT", "connections", {"name": "mine", "body": body})
        house.bob.query("SELECT 1", "mine")

    [line] = [line for line in house.front.log.read_text().splitlines() if "forged by bob" in line]
    assert "session failed, reference" in line
    assert "\x1b" not in line


def test_the_log_holds_no_value_no_token_and_no_statement(shared: House) -> None:
    """What the broker writes to its log is methods, paths, states and names."""
    shared.bob.query("SELECT 'a statement'")
    shared.alice.put("secrets", {"name": "n", "value": "hunter2-hunter2", "replace": True})
    shared.bob.http.get("api/secrets", params={"secret-in-url": "hunter3-hunter3"})

    log = shared.front.log.read_text()

    assert "PUT /api/secrets 200 'alice'" in log
    for text in (shared.server.password, "hunter2", "hunter3", "a statement", *shared.tokens.values(), shared.front.key):
        assert text not in log
