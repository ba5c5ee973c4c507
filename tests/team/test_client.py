"""What the client makes of a broker's answers: errors by name, clear words for one that is gone, and no token elsewhere."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from flowfile_nb import errors
from flowfile_nb.errors import BrokerError, FlowfileNbError, NoSuchSecretError, NotAllowedError
from flowfile_nb.team.address import Address
from flowfile_nb.team.client import Client
from tests.support.dumb_server import answering
from tests.support.http_server import Answer, Request, Server, running

TOKEN = "t0ken-of-alice"


@pytest.fixture
def server() -> Iterator[Server]:
    """Somebody who answers as a test says."""
    with running() as running_server:
        yield running_server


@pytest.fixture
def client(server: Server) -> Iterator[Client]:
    """A client of that, with a token."""
    made = Client(Address(f"{server.url}/services/fnb/", "", TOKEN, "FLOWFILE_NB_TEAM_TOKEN"))
    yield made
    made.close()


@contextlib.contextmanager
def closing(address: Address) -> Iterator[Client]:
    """A client without a token."""
    made = Client(address)
    try:
        yield made
    finally:
        made.close()


def says(status: int, body: object) -> Callable[[Request], Answer]:
    """Answer the same to everything."""
    return lambda request: Answer(status, body=body if isinstance(body, bytes) else json.dumps(body).encode())


def test_a_request_has_its_token_in_the_header_alone(server: Server, client: Client) -> None:
    """The path stands behind the prefix; the token is in no URL and no body, and the language's version is said."""
    server.answer = says(200, {"replaced": False})

    client.put("api/secrets", {"name": "ä \ud800", "value": "v"})

    assert (server.last.method, server.last.path) == ("PUT", "/services/fnb/api/secrets")
    assert server.last.headers["authorization"] == f"Bearer {TOKEN}"
    assert server.last.headers["x-flowfile-nb-wire"] == "1"
    assert json.loads(server.last.body) == {"name": "ä \ud800", "value": "v"}
    assert TOKEN.encode() not in server.last.body + server.last.path.encode()
    assert TOKEN not in repr(client)


@pytest.mark.parametrize("kind", ["NoSuchSecretError", "SecretExistsError", "NotAllowedError", "BindingError", "LimitError"])
def test_an_error_comes_as_its_class(server: Server, client: Client, kind: str) -> None:
    """What the broker raises is raised here, with its message and hint."""
    server.answer = says(403, {"error": {"type": kind, "message": "what happened", "hint": "what to do"}})

    with pytest.raises(FlowfileNbError) as error:
        client.get("api/secrets")

    assert type(error.value) is getattr(errors, kind)
    assert (error.value.message, error.value.hint) == ("what happened", "what to do")


@pytest.mark.parametrize("kind", ["SystemExit", "annotations", "os.system", "__builtins__", "", None, 7, ["x"]])
def test_an_answer_does_not_choose_what_is_run(server: Server, client: Client, kind: object) -> None:
    """A class that is not on the list is a BrokerError."""
    server.answer = says(500, {"error": {"type": kind, "message": "what happened"}})

    with pytest.raises(BrokerError):
        client.get("api/secrets")


@pytest.mark.parametrize(
    ("status", "body"),
    [(200, b"<html>"), (200, [1]), (200, b"\xff"), (500, b"oops"), (404, b""), (502, {"error": "x"}), (403, {"error": {}})],
)
def test_an_answer_that_is_none(server: Server, client: Client, status: int, body: object) -> None:
    """Somebody else's page, a proxy's error and half an answer are all said to be no answer, without their text."""
    server.answer = says(status, body)

    with pytest.raises(BrokerError, match=r"not understood|no broker"):
        client.get("api/secrets")


def test_a_token_that_is_not_good(server: Server, client: Client) -> None:
    """A refused token is said to be one, with where it is from."""
    server.answer = says(401, {"error": {"type": "NotAllowedError", "message": "the token is not known"}})

    with pytest.raises(NotAllowedError, match="not known") as error:
        client.get("api/me")

    assert "FLOWFILE_NB_TEAM_TOKEN" in error.value.hint


def test_a_redirect_is_not_followed(server: Server, client: Client) -> None:
    """Nobody else gets the token by an answer that points there."""
    with running() as elsewhere:
        server.redirect_to(elsewhere.url)

        with pytest.raises(BrokerError):
            client.get("api/secrets")

        assert elsewhere.requests == []


def test_a_proxy_of_the_environment_is_not_used(server: Server, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable that sends a kernel's requests elsewhere does not send the token there."""
    with running() as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        monkeypatch.setenv("http_proxy", proxy.url)
        monkeypatch.setenv("ALL_PROXY", proxy.url)

        client.get("api/secrets")

        assert proxy.requests == []
    assert len(server.requests) == 1


def test_nobody_is_there(tmp_path: Path) -> None:
    """A socket that does not exist is said in two lines, with the address and without a library's words."""
    address = Address("http://broker/", str(tmp_path / "none.sock"))

    with closing(address) as client, pytest.raises(BrokerError, match=r"none\.sock cannot be reached: No such file") as error:
        client.get("api/secrets")

    assert "doctor" in error.value.hint
    assert error.value.__cause__ is None
    assert error.value.__suppress_context__


def test_a_broker_that_hangs_up() -> None:
    """One that dies before it has answered is said to have hung up."""

    def hang_up(connection: socket.socket) -> None:
        connection.recv(65_536)
        connection.shutdown(socket.SHUT_RDWR)

    with (
        answering(hang_up) as port,
        closing(Address(f"http://127.0.0.1:{port}/")) as client,
        pytest.raises(BrokerError, match="has hung up"),
    ):
        client.get("api/secrets")


def test_frames_come_as_they_are_sent() -> None:
    """The first piece can be read while the rest is not there yet; closing hangs up."""
    go_on, hung_up = threading.Event(), threading.Event()

    def answer(connection: socket.socket) -> None:
        connection.recv(65_536)
        connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n")
        go_on.wait(60)
        connection.sendall(b"6\r\nsecond\r\n")
        while connection.recv(65_536):
            pass
        hung_up.set()

    with answering(answer) as port, closing(Address(f"http://127.0.0.1:{port}/")) as client:
        frames = client.open({"id": "1", "connection": "w", "statement": "select 1", "parameters": None})
        first = next(frames)
        go_on.set()
        second = next(frames)
        frames.close()

        assert (first, second) == (b"first", b"second")
        assert hung_up.wait(60)


def test_frames_that_are_cut_off() -> None:
    """A stream that ends in its middle is an error, and never a shorter result."""

    def answer(connection: socket.socket) -> None:
        connection.recv(65_536)
        connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n")
        connection.shutdown(socket.SHUT_RDWR)

    with answering(answer) as port, closing(Address(f"http://127.0.0.1:{port}/")) as client:
        frames = client.open({"id": "1"})

        with pytest.raises(BrokerError, match="has hung up"):
            list(frames)


def test_a_query_that_is_refused(server: Server, client: Client) -> None:
    """What the broker refuses before it begins is raised by the call, not by the first frame."""
    server.answer = says(404, {"error": {"type": "NoSuchConnectionError", "message": "no connection named 'x'"}})

    with pytest.raises(errors.NoSuchConnectionError):
        client.open({"id": "1", "connection": "x", "statement": "select 1", "parameters": None})


def test_cancelling(server: Server, client: Client) -> None:
    """The answer says whether there was anything to cancel."""
    server.answer = says(200, {"cancelled": True})

    assert client.cancel("abc") is True
    assert (server.last.path, json.loads(server.last.body)) == ("/services/fnb/api/query/cancel", {"id": "abc"})


FORK = """
import os, sys
from flowfile_nb.team.address import Address
from flowfile_nb.team.client import Client

client = Client(Address(sys.argv[1]))
client.get("before")
child = os.fork()
paths = [client.get(f"{child > 0}{number}")["path"] for number in range(20)]
good = all(path.endswith(f"/{child > 0}{number}") for number, path in enumerate(paths))
if not child:
    os._exit(0 if good else 1)
print(good and os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are not forked on this system")
def test_a_forked_child_has_connections_of_its_own(server: Server) -> None:
    """Parent and child ask at the same time without hearing each other's answers."""
    server.answer = lambda request: Answer(body=json.dumps({"path": request.path}).encode())

    out = subprocess.run([sys.executable, "-c", FORK, f"{server.url}/"], capture_output=True, text=True, check=False).stdout

    assert out == "True\n"


def test_an_unknown_name_is_a_key_error(server: Server, client: Client) -> None:
    """What asks a mapping for a name gets what a mapping raises."""
    server.answer = says(404, {"error": {"type": "NoSuchSecretError", "message": "no secret named 'x'", "hint": ""}})

    with pytest.raises(KeyError) as error:
        client.post("api/secrets/reveal", {"name": "x"})

    assert isinstance(error.value, NoSuchSecretError)
