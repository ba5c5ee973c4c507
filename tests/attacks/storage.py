"""What bob tries with a share of `sales/data`, a part of a bucket: with the key he could have all of it, and another bucket."""

from __future__ import annotations

import atexit
import http.client
from collections.abc import Callable
from contextlib import ExitStack, closing, suppress
from functools import cache
from typing import Any
from urllib.parse import urlsplit

import httpx

from tests.attacks.tried import Rogue, attack, succeeded
from tests.support.front import House, Result
from tests.support.s3_links import Gate, fill, running_gate

ROOT = "sales/data"


@cache
def the_gate() -> Gate:
    """Return the one storage of all attacks; it reads a name as a careless server does, after it was decoded and resolved."""
    stack = ExitStack()
    gate = stack.enter_context(running_gate())
    atexit.register(stack.close)
    gate.careless = True
    gate.admin().put_bucket_versioning(Bucket="sales", VersioningConfiguration={"Status": "Enabled"})
    return gate


def lake(house: House, access: str = "read", what: str = "connection") -> Gate:
    """Let alice share the connection `lake`, or its key alone, with the analysts; return where it leads."""
    gate = the_gate()
    gate.later_s = 0
    fill(gate)
    for kind, name in (("connection", "lake"), ("secret", "lake_key")):
        house.unshare(kind, name)
    house.alice.post("connections/delete", {"name": "lake"})
    house.alice.done("PUT", "secrets", {"name": "lake_key", "value": gate.key, "replace": True})
    house.alice.done("PUT", "connections", {"name": "lake", "body": gate.body(ROOT)})
    house.share(access, what, "lake" if what == "connection" else "lake_key")
    return gate


def asked(house: House, statement: str, **more: Any) -> list[dict[str, Any]]:
    """Return what bob is answered; nothing, where he is refused."""
    answer = house.bob.query(statement, **{"connection": "lake", **more})
    return answer.rows if isinstance(answer, Result) and not answer.failed else []


def used(house: House, statement: str, body: bytes = b"", **more: Any) -> bytes:
    """Return what a link brings that bob asks for: sent as it stands, where a library would tidy it up."""
    return b"".join(sent(row["url"], statement.split()[1], body) for row in asked(house, statement, **more))


def sent(link: str, method: str = "GET", body: bytes = b"") -> bytes:
    """Use a link; return nothing where the storage refuses."""
    url = urlsplit(link)
    with closing(http.client.HTTPConnection(url.netloc, timeout=30)) as connection:
        connection.putrequest(method, f"{url.path}?{url.query}", skip_accept_encoding=True)
        connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body)
        answer = connection.getresponse()
        data = answer.read()
    return data or b"done" if answer.status < 300 else b""


# What is not below the prefix.


OTHERS = {
    "another bucket": ("any_object", "SIGN GET payroll/all.csv", b"payroll"),
    "another prefix": ("any_object", "SIGN GET sales/other.csv", b"other.csv"),
    "a prefix that begins alike": ("any_beginning", "SIGN GET sales/database/secret.csv", b"secret"),
    "the folder above": ("undecoded", "SIGN GET sales/data/../database/secret.csv", b"secret"),
    "the folder above, encoded": ("undecoded", "SIGN GET sales/data/%2e%2e/database/secret.csv", b"secret"),
    "the folder above, its slash encoded": ("undecoded", "SIGN GET sales/data/..%2fdatabase%2fsecret.csv", b"secret"),
    "the folder above, encoded twice": ("undecoded", "SIGN GET sales/data/%252e%252e%252fdatabase/secret.csv", b"secret"),
    "the folder above, with a backslash": ("undecoded", "SIGN GET sales/data/..\\database\\secret.csv", b"secret"),
}
for _name, (_weakness, _statement, _got) in OTHERS.items():

    @attack(f"read an object of a shared bucket's key: {_name}", _weakness)
    def _other(house: House, statement: str = _statement, got: bytes = _got) -> bool:
        lake(house)
        return got in used(house, statement)


LISTS = {
    "the whole bucket": ("any_object", "FIND sales", "sales/database/secret.csv"),
    "the folder above": ("any_object", "LIST sales", "sales/other.csv"),
    "another bucket": ("any_object", "LIST payroll", "payroll/all.csv"),
    "whether an object is there": ("any_object", "INFO sales/other.csv", "sales/other.csv"),
    "a prefix that begins alike": ("any_beginning", "LIST sales/database", "sales/database/secret.csv"),
}
for _name, (_weakness, _statement, _found) in LISTS.items():

    @attack(f"list what is not shared of a bucket: {_name}", _weakness)
    def _list(house: House, statement: str = _statement, found: str = _found) -> bool:
        lake(house)
        return found in [row["name"] for row in asked(house, statement)]


# More than reading.


@attack("write an object with a share for reading", "signs_writing")
def _put(house: House) -> bool:
    gate = lake(house)
    used(house, "SIGN PUT sales/data/a.csv", b"bob's")
    return bool(gate.admin().get_object(Bucket="sales", Key="data/a.csv")["Body"].read() == b"bob's")


@attack("delete an object with a share for reading", "signs_writing")
def _delete(house: House) -> bool:
    gate = lake(house)
    used(house, "SIGN DELETE sales/data/a.csv")
    return gate.admin().list_objects_v2(Bucket="sales", Prefix="data/a.csv")["KeyCount"] == 0


def former(gate: Gate) -> str:
    """Return the version of an object that was withdrawn since."""
    admin = gate.admin()
    version = admin.put_object(Bucket="sales", Key="data/a.csv", Body=b"withdrawn")["VersionId"]
    admin.put_object(Bucket="sales", Key="data/a.csv", Body=b"key\n")
    return str(version)


QUERIES: dict[str, tuple[str, Callable[[Gate], str], bytes]] = {
    "who may do what with an object": ("SIGN GET sales/data/a.csv?acl", lambda gate: "", b"AccessControlPolicy"),
    "a version that was replaced": ("SIGN GET sales/data/a.csv?versionId=", former, b"withdrawn"),
    "a page of bob's on the storage's own host": (
        *("SIGN GET sales/data/a.csv?response-content-type=text/html", lambda gate: "", b"key"),
    ),
}
for _name, (_statement, _more, _got) in QUERIES.items():

    @attack(f"add to a link what was not asked for: {_name}", "links_of_text")
    def _query(house: House, statement: str = _statement, more: Callable[[Gate], str] = _more, got: bytes = _got) -> bool:
        gate = lake(house)
        return got in used(house, statement + more(gate))


# Longer than it may be.


@attack("ask for a link that is good for a week", "lasting_links")
def _week(house: House) -> bool:
    gate = lake(house)
    links = [row["url"] for row in asked(house, "SIGN GET sales/data/a.csv", parameters={"seconds": 604800})]
    gate.later_s = 3600
    return any(sent(link) for link in links)


@attack("use a link a minute after the share has ended", "lasting_links")
def _later(house: House) -> bool:
    gate = lake(house)
    links = [row["url"] for row in asked(house, "SIGN GET sales/data/a.csv")]
    assert all(sent(link) for link in links)
    house.unshare("connection", "lake")
    gate.later_s = 61
    return any(sent(link) for link in links)


@attack("ask for a link after the share has ended", "remembers_orders")
def _after(house: House) -> bool:
    lake(house)
    assert used(house, "SIGN GET sales/data/a.csv")
    house.unshare("connection", "lake")
    return bool(used(house, "SIGN GET sales/data/2026/b.csv"))


# The key sent elsewhere, and links that lie about.


@attack("have the key of a shared bucket used at an endpoint of bob's", "any_target")
def _endpoint(house: House) -> bool:
    gate = lake(house, what="secret")
    with closing(Rogue()) as rogue:
        house.bob.http.timeout = 5
        with suppress(httpx.TimeoutException):
            body = gate.body(ROOT).replace(gate.url, f"http://127.0.0.1:{rogue.port}")
            house.bob.query("LIST sales/data", None, description=body)
        return rogue.visited()


@attack("have the key of a shared bucket used for another bucket", "any_target")
def _bucket(house: House) -> bool:
    gate = lake(house, what="secret")
    answer = house.bob.query("LIST payroll", None, description=gate.body("payroll"))
    return succeeded(answer)


@attack("find a link in the broker's log or audit", "talkative")
def _log(house: House) -> bool:
    lake(house)
    asked(house, "SIGN GET sales/data/a.csv")
    files = [house.front.log, *house.front.directory.glob("audit.jsonl*"), *house.front.directory.glob("team.db*")]
    return any(b"X-Amz-Signature" in file.read_bytes() for file in files)
