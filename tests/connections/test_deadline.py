"""Opening what waits in C: a limit, a way out, and nothing left open."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Callable

import pytest

import flowfile_nb as fnb
from flowfile_nb import connecting
from flowfile_nb.connections.deadline import within
from flowfile_nb.errors import ConnectionFailedError
from tests.support.dumb_server import answering, hanging_up, silent
from tests.support.interrupts import interruptible

PATIENCE_S = 30
URLS = {
    "adbc": "postgresql://app:%secret pw@{}/x",
    "clickhouse": "clickhouse://app:%secret pw@{}/x",
    "mssql": "mssql://app:%secret pw@{}/x",
    "oracle": "oracle://app:%secret pw@{}?service_name=x",
}


class Thing:
    """Something that can be closed."""

    def __init__(self) -> None:
        self.closed = threading.Event()

    def close(self) -> None:
        self.closed.set()


def test_what_was_opened_is_returned() -> None:
    """And stays open."""
    thing = within(PATIENCE_S, Thing, Thing.close)

    assert not thing.closed.is_set()


def test_what_it_raises_is_raised() -> None:
    """As it is."""

    def fail() -> Thing:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        within(PATIENCE_S, fail, Thing.close)


def test_what_is_opened_too_late_is_closed() -> None:
    """Nobody waits for it any more."""
    go_on, thing = threading.Event(), Thing()

    def open_() -> Thing:
        go_on.wait(PATIENCE_S)
        return thing

    with pytest.raises(TimeoutError):
        within(-0.5, open_, Thing.close)
    assert not thing.closed.is_set()
    go_on.set()

    assert thing.closed.wait(PATIENCE_S)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no signals between processes")
def test_an_interrupt_is_heard_at_once() -> None:
    """While it waits; what is opened afterwards is closed."""
    begun, go_on, thing = threading.Event(), threading.Event(), Thing()
    main = threading.main_thread().ident
    assert main is not None

    def open_() -> Thing:
        begun.set()
        go_on.wait(PATIENCE_S)
        return thing

    def interrupt() -> None:
        begun.wait(PATIENCE_S)
        signal.pthread_kill(main, signal.SIGINT)

    with interruptible():
        threading.Thread(target=interrupt).start()
        with pytest.raises(KeyboardInterrupt):
            within(PATIENCE_S, open_, Thing.close)
    go_on.set()

    assert thing.closed.wait(PATIENCE_S)


def failure(kind: str, place: str) -> ConnectionFailedError:
    """Return the error of opening *kind*, which has two lines."""
    fnb.secrets["pw"] = "canary-value"
    with pytest.raises(ConnectionFailedError) as caught:
        connecting.open_connection(URLS[kind].replace("{}", place), timeout_s=0.2, as_="adbc" if kind == "adbc" else None)
    assert "canary-value" not in repr(caught.value)
    assert len(str(caught.value).split("\n")) == 2
    return caught.value


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize("kind", URLS)
def test_a_server_that_never_answers(kind: str) -> None:
    """It accepts and says nothing; drivers whose own limit is for the TCP connection alone would wait for ever."""
    with answering(silent) as port:
        assert "the server did not answer in time" in failure(kind, f"127.0.0.1:{port}").message


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize("kind", URLS)
@pytest.mark.parametrize(
    ("answer", "words"),
    [(None, "nothing listens on that host and port"), (hanging_up, "closed the connection before it was set up")],
)
def test_causes_of_other_drivers(kind: str, answer: Callable[[socket.socket], None] | None, words: str) -> None:
    """A closed port, and a server that hangs up: told apart in what wraps the system's own error, too."""
    if answer is None:
        assert words in failure(kind, "127.0.0.1:1").message
        return
    with answering(answer) as port:
        assert words in failure(kind, f"127.0.0.1:{port}").message


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize("kind", ["adbc", "clickhouse", "oracle"])
def test_a_host_that_nobody_has(kind: str) -> None:
    """The name is wrong, or the VPN is off."""
    assert "there is no host of that name" in failure(kind, "no-such-host.invalid:1234").message
