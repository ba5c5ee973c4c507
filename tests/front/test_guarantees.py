"""What is promised of a share is said to both sides of it; where nothing can be promised for reading, nothing is shared."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.front import House
from tests.support.http_server import Server, running


@pytest.fixture
def elsewhere() -> Iterator[Server]:
    """Where a credential would go if it were tried."""
    with running() as server:
        yield server


def test_both_sides_are_told_what_a_share_to_read_holds_in(house: House) -> None:
    """The owner in the answer to sharing, the member in what he may use; of their own nothing is said."""
    body = {"what": "connection", "name": "warehouse", "group": "analysts", "access": "read"}
    said = house.alice.done("PUT", "shares", body)["guarantees"]
    (own,) = house.alice.get("connections").json()["connections"]
    (shared,) = house.bob.get("connections").json()["connections"]
    house.unshare()

    assert len(said) == 1
    assert said[0].startswith("one statement in a read-only transaction, rolled back after it")
    assert (own["guarantee"], shared["guarantee"]) == ("", said[0])


def test_both_sides_are_told_what_is_not_promised_of_a_share_to_write(house: House) -> None:
    """It is another text."""
    body = {"what": "connection", "name": "warehouse", "group": "analysts", "access": "write", "confirmed": True}
    (said,) = house.alice.done("PUT", "shares", body)["guarantees"]
    (shared,) = house.bob.get("connections").json()["connections"]
    house.unshare()

    assert "is not promised" in said
    assert shared["guarantee"] == said


@pytest.mark.parametrize(
    ("scheme", "options", "hint"),
    [
        ("mssql", "", "--write"),
        ("oracle", "service_name=sales", "--write"),
        ("trino", "", "--write"),
        ("clickhouse", "", "clickhouse+native://"),
    ],
)
def test_nothing_is_shared_to_read_where_nothing_would_hold_it_in(
    house: House, elsewhere: Server, scheme: str, options: str, hint: str
) -> None:
    """It is said why and what to do, and the credential is sent nowhere to find that out."""
    house.alice.done("PUT", "secrets", {"name": "other_pw", "value": "canary-7531", "replace": True})
    body = f"{scheme}://app:%secret other_pw@127.0.0.1:{elsewhere.port}/sales?{options}"
    house.alice.done("PUT", "connections", {"name": "other", "body": body})

    for what, name in (("connection", "other"), ("secret", "other_pw")):
        answer = house.alice.put("shares", {"what": what, "name": name, "group": "analysts", "access": "read"})
        error = answer.json()["error"]
        assert (answer.status_code, error["type"]) == (403, "NotAllowedError")
        assert "no read-only transaction that a broker could rely on" in error["message"]
        assert hint in error["hint"]

    assert elsewhere.requests == []
    house.alice.post("connections/delete", {"name": "other"})


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("sqlite:////etc/passwd?x=%secret prod_pw", "no credential in it to protect"),
        ("duckdb:////srv/sales.db?x=%secret prod_pw", "no credential in it to protect"),
        ("bigquery://project/sales?credentials_base64=%secret prod_pw", "no connections of type 'bigquery'"),
    ],
)
def test_what_a_broker_has_no_connections_to(house: House, body: str, reason: str) -> None:
    """The reason comes when it is shared."""
    house.alice.put("connections", {"name": "odd", "body": body})

    said = house.alice.put("shares", {"what": "connection", "name": "odd", "group": "analysts", "access": "read"}).text
    house.alice.post("connections/delete", {"name": "odd"})

    assert reason in said
