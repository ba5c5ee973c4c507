"""An HTTP API that alice shares with bob through a whole broker, and requests as a kernel sends them."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import httpx

from flowfile_nb.core import wire
from tests.support.front import House, Member
from tests.support.http_server import Server, running

PLAIN_KEY = "sk-live-4f9c2e71b8d04a6f"


class Got(NamedTuple):
    """What a member got of an answer."""

    status: int
    headers: dict[str, str]
    body: bytes
    error: str


@contextmanager
def asked(member: Member, path: str, **fields: Any) -> Iterator[httpx.Response]:
    """Begin a request; its answer is not read."""
    body = {"id": "a", "connection": "api", "method": "GET", "path": path, **fields}
    if isinstance(body.get("body"), bytes):
        body["body"] = base64.b64encode(body["body"]).decode()
    if "description" in body:
        del body["connection"]
    with member.http.stream("POST", "api/request", json=body) as answer:
        yield answer


def ask(member: Member, path: str, **fields: Any) -> Got:
    """Send a request, and return what came of it; status 0 where it was refused."""
    with asked(member, path, **fields) as answer:
        data = answer.read()
    if answer.status_code != 200:
        return Got(0, {}, b"", answer.text)
    frames = wire.Decoder().feed(data)
    head = next((frame.facts() for frame in frames if frame.kind == wire.STATUS), {"status": 0, "headers": []})
    error = str(frames[-1].facts()) if frames[-1].kind == wire.ERROR else ""
    body = b"".join(frame.data for frame in frames if frame.kind == wire.BODY)
    return Got(head["status"], {name.lower(): value for name, value in head["headers"]}, body, error)


@contextmanager
def shared(house: House, more: str = "", *, access: str = "read", key: str = PLAIN_KEY, url: str = "") -> Iterator[Server]:
    """Let alice share the API `api`, whose server answers with its requests."""
    way = "" if "auth" in more or "token_url" in more else "token = %secret api_key\n"
    with running() as server:
        body = f'type = "http"\nurl = "{url or server.url}/v1"\n{way}{more.replace("SERVER", server.url)}'
        house.alice.put("secrets", {"name": "api_key", "value": key, "replace": True})
        house.alice.done("PUT", "connections", {"name": "api", "body": body})
        share = {"what": "connection", "name": "api", "group": "analysts", "access": access, "confirmed": access == "write"}
        house.alice.put("shares", share)
        try:
            yield server
        finally:
            house.alice.post("connections/delete", {"name": "api"})
            house.alice.post("secrets/delete", {"name": "api_key"})
