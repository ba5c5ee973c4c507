"""
What a Trino coordinator says to a client that runs one statement, with a login and TLS: no real one can be had for these tests.

It speaks the client protocol of trino.io/docs/current/develop/client-protocol.html, as far as the real client needs it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import trustme

from tests.support.http_server import Answer, Request, Server, running


@contextmanager
def running_trino(authority: trustme.CA, lets_in: Callable[[str], bool]) -> Iterator[Server]:
    """Start a coordinator that answers 1 to whom *lets_in* accepts, by the header `Authorization`; stop it at the end."""

    def answer(request: Request) -> Answer:
        if not lets_in(request.headers.get("authorization", "")):
            return Answer(401, {"Content-Type": "text/plain", "WWW-Authenticate": "Basic"}, b"Unauthorized")
        said = {
            "id": "20260101_000000_00001_aaaaa",
            "infoUri": f"{server.url}/ui",
            "stats": {"state": "FINISHED", "queued": False, "scheduled": True},
        }
        if request.method == "POST":
            said["nextUri"] = f"{server.url}/v1/statement/executing/1"
        elif request.method == "GET":
            said["columns"] = [{"name": "x", "type": "integer", "typeSignature": {"rawType": "integer", "arguments": []}}]
            said["data"] = [[1]]
        return Answer(200, {"Content-Type": "application/json"}, json.dumps(said).encode())

    with running(authority) as server:
        server.answer = answer
        yield server
