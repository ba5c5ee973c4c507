"""An API's session without the web front: what it sends, where it does not go, and how it ends."""

from __future__ import annotations

import gzip
import json
import queue
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
import trustme

from flowfile_nb.broker.engines import ExchangeError
from flowfile_nb.broker.engines.http_api import _Watched
from flowfile_nb.broker.limits import MIB, Limits
from flowfile_nb.broker.model import Order, Outcome, Target
from flowfile_nb.core import wire
from tests.support.broker import Broker, running_broker
from tests.support.dumb_server import answering
from tests.support.http_server import Answer, Request, Server, running

KEY = "sk-live-4f9c2e71b8d04a6f"


@pytest.fixture
def api() -> Iterator[Server]:
    """An API."""
    with running() as server:
        yield server


def order_to(api: Server, value: str = KEY, **options: Any) -> Order:
    """Return what the policy hands on when bob uses alice's API."""
    fixed = {"auth": "bearer", "methods": "GET POST", "paths": ["/v1"], **options}
    target = Target(api.scheme, "127.0.0.1", api.port, "/v1", "me" if fixed["auth"] == "basic" else "", "disable", fixed)
    return Order("bob", "alice", "api", "grant 1", target, value, "write")


class Exchange:
    """One request, and what its reader and the audit got."""

    def __init__(self, broker: Broker, order: Order, query_id: str = "a", **asked: Any) -> None:
        request = {"method": "GET", "path": "/v1/x", "query": "", "headers": [], "body": "", "timeout_s": None, **asked}
        self.frames: list[wire.Frame] = []
        decoder = wire.Decoder()

        async def take(data: bytes) -> None:
            self.frames += decoder.feed(data)

        self.outcome: Outcome = broker.do(broker.sessions.request(query_id, order, request, take))

    @property
    def head(self) -> dict[str, Any]:
        """Status and headers of the answer."""
        return next(frame.facts() for frame in self.frames if frame.kind == wire.STATUS)

    @property
    def body(self) -> bytes:
        """Of the answer."""
        assert self.frames[-1].kind == wire.END, self.frames[-1].facts()
        return b"".join(frame.data for frame in self.frames if frame.kind == wire.BODY)

    @property
    def error(self) -> dict[str, Any]:
        """What the last frame says, of a failure."""
        assert self.frames[-1].kind == wire.ERROR
        return self.frames[-1].facts()


WAYS: dict[str, tuple[dict[str, Any], str, str]] = {
    "bearer": ({"auth": "bearer"}, "authorization", f"Bearer {KEY}"),
    "basic": ({"auth": "basic"}, "authorization", "Basic bWU6c2stbGl2ZS00ZjljMmU3MWI4ZDA0YTZm"),
    "header": ({"auth": "header", "header": "X-Key"}, "x-key", KEY),
}


@pytest.mark.parametrize(("options", "header", "value"), WAYS.values(), ids=WAYS)
def test_the_key_goes_on_in_the_way_that_is_fixed(
    broker: Broker, api: Server, options: dict[str, Any], header: str, value: str
) -> None:
    """With the headers and parameters that the owner has written down, and those of the member."""
    order = order_to(api, **options, headers={"Accept-Version": "2"}, params={"tenant": "7 & 8"})

    Exchange(broker, order, headers=[["Accept", "text/csv"]], query="a=b%20c&d[]=%5B")

    assert api.last.path == "/v1/x?a=b%20c&d[]=%5B&tenant=7%20%26%208"
    assert {key: api.last.headers.get(key) for key in (header, "accept-version", "accept", "accept-encoding", "host")} == {
        header: value,
        "accept-version": "2",
        "accept": "text/csv",
        "accept-encoding": "identity",
        "host": f"127.0.0.1:{api.port}",
    }


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br"])
def test_an_answer_without_a_body_is_whole(broker: Broker, api: Server, encoding: str) -> None:
    """Whatever it says of how its body would be encoded: a HEAD has none, nor has what nothing has changed."""
    for status, method in ((200, "HEAD"), (304, "GET")):
        api.answer = lambda request, status=status: Answer(status, {"Content-Encoding": encoding})

        exchange = Exchange(broker, order_to(api), method=method)

        assert (exchange.head["status"], exchange.body) == (status, b"")


def test_a_key_in_the_query(broker: Broker, api: Server) -> None:
    """It stands behind what the member asks, escaped, and in no record of the broker's."""
    outcome = Exchange(broker, order_to(api, "a b&c=d", auth="query", parameter="key"), query="page=2").outcome

    assert api.last.path == "/v1/x?page=2&key=a%20b%26c%3Dd"
    assert (outcome.state, outcome.rows, outcome.bytes, outcome.detail) == ("complete", 0, 2, "status 200, 2 bytes")


def test_an_access_token_is_bought_once_and_anew_when_it_is_refused(broker: Broker, api: Server) -> None:
    """One session keeps it; the API's 401 buys another."""
    bought: list[str] = []

    def answer(request: Request) -> Answer:
        if request.path == "/token":
            bought.append(f"token-number-{len(bought)}")
            return Answer(body=json.dumps({"access_token": bought[-1]}).encode())
        good = request.headers["authorization"] == f"Bearer {bought[-1]}"
        return Answer(200 if good else 401)

    api.answer = answer
    order = order_to(api, auth="oauth2_client_credentials", client_id="me", token_url=f"{api.url}/token")
    assert [Exchange(broker, order).head["status"] for _ in range(2)] == [200, 200]
    assert bought == ["token-number-0"]
    bought.append("token-that-nobody-has")

    assert Exchange(broker, order).head["status"] == 200
    assert bought[-1] == "token-number-2"


def test_a_token_server_that_refuses(broker: Broker, api: Server) -> None:
    """Nothing is sent to the API, and what the server said is for the operator."""
    api.answer = lambda request: Answer(401, body=request.headers["authorization"].encode())
    order = order_to(api, auth="oauth2_client_credentials", client_id="me", token_url=f"{api.url}/token")

    error = Exchange(broker, order).error

    assert error["type"] == "ConnectionFailedError"
    assert "its owner has to check it" in error["message"]
    assert [request.path for request in api.requests] == ["/token"]


def test_what_the_operator_reads_of_a_failure_holds_no_key(
    broker: Broker, api: Server, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither the one that the owner has stored nor the token that was bought with it, however the server repeats them."""
    token = "token-that-was-bought"

    def nonsense(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(f"HTTP/1.1 200 OK\r\n{KEY} {token}\r\n\r\n".encode())

    api.answer = lambda request: Answer(body=json.dumps({"access_token": token}).encode())
    with answering(nonsense) as port:
        order = order_to(api, auth="oauth2_client_credentials", client_id="me", token_url=f"{api.url}/token")
        error = Exchange(broker, order._replace(target=order.target._replace(port=port))).error

    assert (error["code"], "is not HTTP" in error["message"]) == ("RemoteProtocolError", True)
    assert error["reference"] in caplog.text
    assert "illegal header line" in caplog.text
    assert KEY not in caplog.text + str(error)
    assert token not in caplog.text + str(error)


def test_what_is_compressed_is_handed_on_as_it_was_before(broker: Broker, api: Server) -> None:
    """A server that compresses without being asked to is understood, and the headers say what is true."""
    api.answer = lambda request: Answer(200, {"Content-Encoding": "gzip"}, gzip.compress(b"text " * 50_000) * 2)

    exchange = Exchange(broker, order_to(api))

    assert exchange.body == b"text " * 100_000
    names = {name.lower() for name, _ in exchange.head["headers"]}
    assert not names & {"content-encoding", "content-length", "transfer-encoding", "set-cookie"}


NONSENSE = {
    "an encoding that cannot be looked into": Answer(200, {"Content-Encoding": "br"}, b"x"),
    "two encodings": Answer(200, {"Content-Encoding": "gzip, gzip"}, b"x"),
    "half of a gzip": Answer(200, {"Content-Encoding": "gzip"}, gzip.compress(bytes(range(256)) * 99)[:200]),
    "no gzip": Answer(200, {"Content-Encoding": "gzip"}, b"not compressed"),
    "less than it says": Answer(200, {"Content-Length": "100"}, b"short"),
}


@pytest.mark.parametrize("answer", NONSENSE.values(), ids=NONSENSE)
def test_answers_that_are_none_end_in_an_error(broker: Broker, api: Server, answer: Answer) -> None:
    """Nothing of them is taken for the whole."""
    # Or who waits for what is missing would wait long.
    api.answer = lambda request: answer._replace(headers={**answer.headers, "Connection": "close"})

    exchange = Exchange(broker, order_to(api))

    assert exchange.error["type"] == "ConnectionFailedError"
    assert exchange.outcome.state == "failed"


def test_a_key_that_is_too_short_to_be_found_is_not_used(broker: Broker, api: Server) -> None:
    """Its echo could not be taken out of an answer."""
    assert "too short" in Exchange(broker, order_to(api, "abc")).error["message"]
    assert api.requests == []


def test_a_certificate_of_nobody_known(broker: Broker) -> None:
    """No key is sent to a server that cannot prove its name."""
    with running(trustme.CA()) as server:
        order = order_to(server)
        error = Exchange(broker, order._replace(target=order.target._replace(kind="https"))).error

        assert (error["code"], "can be trusted" in error["message"]) == ("ConnectError", True)
        assert server.requests == []


def test_a_name_that_leads_to_the_brokers_own_host(api: Server) -> None:
    """What a name server says is looked at when the connection stands, before anything is sent."""
    with _Watched(ssl.create_default_context(), "api.example.com") as transport:
        with pytest.raises(ExchangeError, match="own host"):
            transport.handle_request(httpx.Request("GET", api.url))
        assert api.requests == []
    with _Watched(ssl.create_default_context(), "127.0.0.1") as transport:
        assert transport.handle_request(httpx.Request("GET", api.url)).read() == b"{}"


def test_no_proxy_of_the_environment_gets_a_request(api: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever variables the broker was started with."""
    with running() as proxy:
        for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        with running_broker() as broker:
            Exchange(broker, order_to(api))

        assert [request.path for request in api.requests] == ["/v1/x"]
        assert proxy.requests == []


def test_limits_hold_for_answers_too(api: Server) -> None:
    """An answer that is too long, or takes too long, is ended and said to be."""

    def endless() -> Iterator[bytes]:
        while True:
            yield bytes(MIB)

    api.answer = lambda request: Answer(body=endless())
    with running_broker(Limits(result_bytes=4 * MIB)) as broker:
        exchange = Exchange(broker, order_to(api))
        assert (exchange.error["type"], exchange.outcome.state) == ("LimitError", "limit")
    with running_broker(Limits(query_s=1)) as broker:
        began = time.monotonic()
        assert Exchange(broker, order_to(api)).error["type"] == "LimitError"
        assert time.monotonic() - began < 10


def test_a_cancelled_request_ends_at_the_api(api: Server) -> None:
    """Its connection is shut at once, not when the session would be killed for it; and the session goes on."""
    asked, closed = threading.Event(), threading.Event()

    def wait(connection: socket.socket) -> None:
        connection.recv(65536)
        asked.set()
        # Nothing but its end comes.
        connection.recv(1)
        closed.set()

    found: list[Exchange] = []
    with running_broker(Limits(cancel_s=60)) as broker, answering(wait) as port:
        order = order_to(api)
        slow = order._replace(target=order.target._replace(port=port))
        thread = threading.Thread(target=lambda: found.append(Exchange(broker, slow, "slow")))
        thread.start()
        asked.wait(20)
        assert broker.do(broker.sessions.cancel("slow", "bob"))
        thread.join()

        assert closed.wait(20)
        assert found[0].error["type"] == "CancelledError"
        assert Exchange(broker, order).body == b"{}"


def test_a_server_that_nobody_reads_from_hears_of_the_end(api: Server) -> None:
    """It is told by a reset: a server that waits until it may send more does not see that the connection is shut."""
    sent: queue.Queue[int] = queue.Queue()
    closed = threading.Event()

    def endless() -> Iterator[bytes]:
        try:
            while True:
                yield bytes(MIB)
                sent.put(MIB)
        finally:
            closed.set()

    api.answer = lambda request: Answer(body=endless())
    with _Watched(httpx.create_ssl_context(), "127.0.0.1") as transport:
        response = transport.handle_request(httpx.Request("GET", f"{api.url}/v1"))
        # Until the server has to wait.
        with suppress(queue.Empty):
            while sent.get(timeout=1):
                pass
        transport.cut()
        with pytest.raises(httpx.TransportError):
            list(response.iter_raw())
        response.close()

        assert closed.wait(20)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="another process's memory is read by Linux's /proc")
def test_a_large_answer_takes_little_memory(broker: Broker, api: Server) -> None:
    """In the session's process, while it is looked through for the key."""
    api.answer = lambda request: Answer(body=(b"x" * MIB for _ in range(300)))

    exchange = Exchange(broker, order_to(api)._replace(caller="carol"))

    assert len(exchange.body) == 300 * MIB
    peaks = [
        int(line.split()[1]) / 1024
        for pid in broker.sessions.pids()
        for line in Path(f"/proc/{pid}/status").read_text().splitlines()
        if line.startswith("VmHWM")
    ]
    assert max(peaks) < 250
