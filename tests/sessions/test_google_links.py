"""Google's storage in a session of the broker's: its real library, against a server that answers as Google does."""

from __future__ import annotations

import hashlib
import json
from base64 import b64encode
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from flowfile_nb.broker.model import Access, Order, Target
from tests.support.broker import Broker
from tests.support.http_server import Answer, Request, Server, running

WHEN = "2026-11-29T12:00:00.000Z"
OBJECTS = ["data/2026/b.csv", "data/2026/c d+ü%2F#?.csv", "data/a.csv"]


@pytest.fixture(scope="module")
def account() -> rsa.RSAPrivateKey:
    """The key of a service account."""
    return rsa.generate_private_key(65537, 2048)


@pytest.fixture
def google() -> Iterator[Server]:
    """A server with three objects, a page of which has one name."""
    with running() as server:
        server.answer = answer
        yield server


def answer(request: Request) -> Answer:
    """Answer as Google does: a token, a page of a list, what is known of one object."""
    url = urlsplit(request.path)
    asked = dict(parse_qsl(url.query))
    if url.path == "/token":
        return reply({"access_token": "ya29.canary", "expires_in": 3600, "token_type": "Bearer"})
    if request.headers.get("authorization") != "Bearer ya29.canary":
        return reply({"error": {"code": 401, "message": "Invalid Credentials"}}, 401)
    if url.path == "/storage/v1/b/sales/o":
        return reply(page(asked.get("prefix", ""), asked.get("delimiter", ""), int(asked.get("pageToken", 0))))
    name = url.path.removeprefix("/storage/v1/b/sales/o/")
    found = [one for one in OBJECTS if quote(one, safe="") == name]
    return reply(known(found[0])) if found else reply({"error": {"code": 404, "message": "No such object"}}, 404)


def page(prefix: str, delimiter: str, first: int) -> dict[str, Any]:
    """Return one name of a list, or one folder, and where it goes on."""
    below = [one for one in OBJECTS if one.startswith(prefix)]
    folders = {one[: one.index("/", len(prefix)) + 1] for one in below if delimiter and "/" in one[len(prefix) :]}
    names = sorted({*folders, *(one for one in below if not any(one.startswith(folder) for folder in folders))})
    here = names[first : first + 1]
    more = {"nextPageToken": str(first + 1)} if first + 1 < len(names) else {}
    return {"items": [known(one) for one in here if one in below], "prefixes": [one for one in here if one in folders], **more}


def known(name: str) -> dict[str, Any]:
    """Return what Google tells of an object."""
    md5 = b64encode(hashlib.md5(name.encode()).digest()).decode()
    return {"name": name, "bucket": "sales", "size": str(len(name.encode())), "updated": WHEN, "md5Hash": md5, "etag": "CJ=="}


def reply(body: dict[str, Any], status: int = 200) -> Answer:
    return Answer(status, {"Content-Type": "application/json"}, json.dumps(body).encode())


def order(google: Server, account: rsa.RSAPrivateKey, access: Access = "read") -> Order:
    """Return what bob may do with alice's key."""
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    key = {
        "type": "service_account",
        "client_email": "reader@project.iam.gserviceaccount.com",
        "private_key": account.private_bytes(*form).decode(),
        "private_key_id": "1",
        "token_uri": f"{google.url}/token",
    }
    target = Target("gs", "127.0.0.1", google.port, "sales/data", "", "", {})
    return Order("bob", "alice", "lake", "grant 1", target, json.dumps(key), access)


def signed(account: rsa.RSAPrivateKey, method: str, link: str) -> bool:
    """Return whether a link is signed, as Google's documentation of its signatures of version 4 has it."""
    url = urlsplit(link)
    query, _, signature = url.query.rpartition("&X-Goog-Signature=")
    asked = dict(parse_qsl(query))
    canonical = "\n".join([method, url.path, query, f"host:{url.netloc}", "", "host", "UNSIGNED-PAYLOAD"])
    scope = asked["X-Goog-Credential"].partition("/")[2]
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    text = "\n".join([asked["X-Goog-Algorithm"], asked["X-Goog-Date"], scope, digest])
    try:
        account.public_key().verify(bytes.fromhex(signature), text.encode(), padding.PKCS1v15(), hashes.SHA256())
    except InvalidSignature:
        return False
    return (asked["X-Goog-Algorithm"], asked["X-Goog-Expires"]) == ("GOOG4-RSA-SHA256", "60")


def test_lists(broker: Broker, google: Server, account: rsa.RSAPrivateKey) -> None:
    """Page by page: what stands below a folder, all objects below it, one of them, and what is not there."""
    permitted = order(google, account)

    rows = broker.ask(permitted, "LIST sales/data").rows
    assert [(row["name"], row["type"], row["size"]) for row in rows] == [
        ("sales/data/2026", "directory", 0),
        ("sales/data/a.csv", "file", len("data/a.csv")),
    ]
    assert [row["name"] for row in broker.ask(permitted, "FIND sales/data").rows] == [f"sales/{one}" for one in OBJECTS]
    [row] = broker.ask(permitted, "INFO sales/data/2026/c d+ü%2F#?.csv").rows
    # As the answer to a link has it, so that what is replaced while it is read is seen.
    assert row["etag"] == f'"{hashlib.md5(OBJECTS[1].encode()).hexdigest()}"'
    assert broker.ask(permitted, "INFO sales/data/2026").rows[0]["type"] == "directory"
    assert broker.ask(permitted, "INFO sales/data/none").last["code"] == "NoSuchKey"


@pytest.mark.parametrize("name", OBJECTS)
def test_links(broker: Broker, google: Server, account: rsa.RSAPrivateKey, name: str) -> None:
    """Of one object, one method and one minute, signed with the account's key; nothing is asked for them."""
    permitted = order(google, account, "write")
    broker.ask(permitted, f"SIGN GET sales/{name}")
    count = len(google.requests)

    for method in ("GET", "HEAD", "PUT", "DELETE"):
        [row] = broker.ask(permitted, f"SIGN {method} sales/{name}").rows
        assert row["url"].startswith(f"{google.url}/sales/{quote(name, safe='/~')}?")
        assert signed(account, method, row["url"])
        assert not signed(account, "POST", row["url"])
        assert not signed(account, method, row["url"].replace("/data/", "/other/"))
    assert len(google.requests) == count


def test_a_share_for_reading_gets_no_link_to_write(broker: Broker, google: Server, account: rsa.RSAPrivateKey) -> None:
    """As of any storage."""
    answer = broker.ask(order(google, account), "SIGN PUT sales/data/a.csv")

    assert "nothing is written" in answer.last["message"]


@pytest.mark.parametrize(
    ("status", "says"),
    [
        (0, "is not a service account's key"),
        (400, "the storage refused the key"),
        (404, "there is no bucket of that name"),
    ],
)
def test_what_is_wrong_is_said(broker: Broker, google: Server, account: rsa.RSAPrivateKey, status: int, says: str) -> None:
    """A value that is no key, a key that was deleted, a bucket that is not there; the key is in no text."""

    def refuse(request: Request) -> Answer:
        if status == 400:
            return reply({"error": "invalid_grant", "error_description": "Invalid JWT Signature."}, 400)
        return answer(request) if request.path.startswith("/token") else reply({"error": {"code": 404, "message": "None"}}, 404)

    google.answer = refuse
    permitted = order(google, account)
    failed = broker.ask(permitted if status else permitted._replace(value="not a key"), "LIST sales/data").last

    assert says in failed["message"]
    assert "PRIVATE" not in str(failed)


@pytest.mark.parametrize(
    ("url", "tls"),
    [
        ("https://169.254.169.254/token", ""),
        ("https://[fd20:ce::254]/token", ""),
        ("http://login.example.com/token", "verify-full"),
        ("https://127.0.0.1/token", "verify-full"),
        ("file:///etc/passwd", ""),
        ("", ""),
    ],
)
def test_a_key_names_no_server_of_the_brokers_own(
    broker: Broker, google: Server, account: rsa.RSAPrivateKey, url: str, tls: str
) -> None:
    """Who owns a key could have the broker ask whatever it reaches and he does not."""
    permitted = order(google, account)
    key = json.loads(permitted.value) | {"token_uri": url}
    host = "storage.example.com" if tls else "127.0.0.1"
    elsewhere = permitted._replace(value=json.dumps(key), target=permitted.target._replace(tls=tls, host=host))

    told = broker.ask(elsewhere, "LIST sales/data").last["message"]

    assert "the key names a server for its tokens that the broker does not ask" in told
