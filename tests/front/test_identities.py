"""Who calls: JupyterHub's word, asked anew each time; the kernel of the host; nothing else."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tornado.httputil import HTTPHeaders

from flowfile_nb.broker.identities import bearer, identify
from flowfile_nb.broker.identities.hub import HubIdentity
from flowfile_nb.broker.identities.peer import PeerIdentity, credentials_of, system_name
from flowfile_nb.broker.model import Caller, PeerCredentials
from flowfile_nb.broker.running import Running, SilentError
from flowfile_nb.errors import BrokerError, NotAllowedError
from tests.support.http_server import Answer, Server, running

BOB = {
    "kind": "user",
    "name": "bob",
    "admin": False,
    "groups": ["analysts"],
    "scopes": ["access:services!service=flowfile-secrets", "read:users:name!user=bob"],
}


class FakeHub:
    """What a Hub answers, and what it was asked with; the real one is in `tests/e2e/test_jupyterhub.py`."""

    def __init__(self, server: Server) -> None:
        self.status = 200
        self.said: Any = dict(BOB)
        self.server = server
        server.answer = lambda _: Answer(self.status, {"Location": "/elsewhere"}, json.dumps(self.said).encode())

    @property
    def asked(self) -> list[tuple[str, str]]:
        """Paths and tokens."""
        return [(one.path, one.headers["authorization"]) for one in self.server.requests]


@contextmanager
def hub() -> Iterator[tuple[FakeHub, str]]:
    """Serve a Hub's API."""
    with running(None) as server:
        yield FakeHub(server), server.url


def ask(identity: HubIdentity, token: str = "t0ken") -> Caller | None:
    """Return who calls with a token, as the Hub says."""
    return asyncio.run(identity.caller({"Authorization": f"token {token}"}, None, "use"))


def test_the_hub_is_asked_each_time() -> None:
    """A token that the Hub has forgotten is refused with the next request: nothing that it said is kept."""
    with hub() as (fake, url):
        identity = HubIdentity(f"{url}/hub/api", "flowfile-secrets")
        assert ask(identity) == Caller("bob", frozenset({"analysts"}), False, "hub")
        fake.status = 403

        with pytest.raises(NotAllowedError):
            ask(identity)

    assert fake.asked == [("/hub/api/user", "token t0ken")] * 2


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "service"},
        {"kind": None},
        {"scopes": []},
        {"scopes": None},
        {"scopes": ["access:services!service=other", "access:servers!user=bob"]},
        {"scopes": ["access:services!service=flowfile-secrets2"]},
        {"scopes": "access:services"},
    ],
)
def test_tokens_that_are_not_for_the_broker(change: dict[str, Any]) -> None:
    """Another service's token, or one without the scope for this service, is refused."""
    with hub() as (fake, url):
        fake.said = BOB | change

        with pytest.raises(NotAllowedError):
            ask(HubIdentity(f"{url}/hub/api", "flowfile-secrets"))


@pytest.mark.parametrize(
    ("status", "said"),
    [(500, {}), (302, {}), (200, []), (200, BOB | {"name": ""}), (200, BOB | {"groups": [1]}), (200, BOB | {"name": 7})],
)
def test_what_is_no_answer_of_a_hub(status: int, said: Any) -> None:
    """A Hub that fails, leads elsewhere or says something else: refused, as one that is down."""
    with hub() as (fake, url):
        fake.status, fake.said = status, said

        with pytest.raises(BrokerError):
            ask(HubIdentity(f"{url}/hub/api", "flowfile-secrets"))

    assert len(fake.asked) == 1


def test_a_hub_that_is_down_refuses_what_is_new_and_lets_run_for_a_while_what_runs() -> None:
    """A request is refused at once; for what runs, silence counts as no only after the grace."""
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/hub/api"
    patient = HubIdentity(url, "flowfile-secrets", "own", grace_s=3600)
    impatient = HubIdentity(url, "flowfile-secrets", "own", grace_s=-1)

    with pytest.raises(BrokerError) as refused:
        ask(patient, "secret-token")
    with pytest.raises(SilentError):
        asyncio.run(patient.now("bob"))
    with pytest.raises(BrokerError):
        asyncio.run(impatient.now("bob"))

    assert "secret-token" not in str(refused.value)


def test_a_silence_that_is_over_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """A Hub that was away, has vouched for somebody since and is away again gets the whole grace again."""
    now = [1000.0]
    monkeypatch.setattr("flowfile_nb.broker.identities.hub.time", SimpleNamespace(monotonic=lambda: now[0]))
    with hub() as (fake, url):
        identity = HubIdentity(f"{url}/hub/api", "flowfile-secrets", "own", grace_s=15)
        for _ in range(2):
            fake.status = 503
            with pytest.raises(SilentError):
                asyncio.run(identity.now("bob"))
            fake.status = 200
            assert ask(identity) is not None
            now[0] += 3600


def test_who_is_still_there_is_asked_with_the_brokers_own_token() -> None:
    """Of somebody whose statement runs the Hub is asked by name; one that it does not have any more is nobody."""
    with hub() as (fake, url):
        identity = HubIdentity(f"{url}/hub/api", "flowfile-secrets", "own")
        fake.said = {"kind": "user", "name": "b/ob", "groups": [], "admin": False}
        assert asyncio.run(identity.now("b/ob")) == Caller("b/ob", frozenset(), False, "hub")
        fake.status = 404
        assert asyncio.run(identity.now("b/ob")) is None

    assert fake.asked[0] == ("/hub/api/users/b%2Fob", "token own")


def test_the_hub_is_asked_of_those_who_run_something_and_of_nobody_else() -> None:
    """What the Hub says of a caller is handed to the policy while his statement runs; silence is handed on as nothing."""
    seen: list[tuple[str, str, Caller | None]] = []
    answers: dict[str, Any] = {"bob": Caller("bob", vouched_by="hub"), "eve": BrokerError("gone"), "sue": SilentError()}

    class Policy:
        def subscribe(self, callback: Any) -> None:
            pass

        def permitted(self, order: Any) -> bool:
            return True

        vouched_for = permitted

        def has_ended(self, caller: Caller) -> bool:
            return False

        def observe(self, name: str, vouched_by: str, caller: Caller | None) -> None:
            seen.append((name, vouched_by, caller))

    class Hub:
        async def now(self, name: str) -> Caller | None:
            if isinstance(answers[name], Exception):
                raise answers[name]
            return answers[name]  # type: ignore[no-any-return]

    async def run() -> None:
        watch = Running(Policy(), None, Hub(), every_s=0)  # type: ignore[arg-type]
        watch.start()
        with ExitStack() as uses:
            for name in ("bob", "eve", "sue"):
                uses.enter_context(watch.by(Caller(name, vouched_by="hub")))
            uses.enter_context(watch.by(Caller("carol", vouched_by="peer")))
            while len(seen) < 4:
                await asyncio.sleep(0)
        await watch.stop()

    asyncio.run(run())

    assert set(seen) == {("bob", "hub", Caller("bob", vouched_by="hub")), ("eve", "hub", None)}


class Unforeseen:
    """A policy, its sessions and a Hub in one, of which one call fails in a way that nobody has thought of."""

    def __init__(self, fails: str) -> None:
        self.fails = fails
        self.permitted_anything: list[bool] = []

    def _fail_once(self, where: str) -> None:
        if self.fails == where:
            self.fails = ""
            raise ValueError("what nobody has foreseen")

    def subscribe(self, callback: Any) -> None:
        self.changed = callback

    def permitted(self, order: Any) -> bool:
        return True

    vouched_for = permitted

    def has_ended(self, caller: Caller) -> bool:
        return False

    def observe(self, name: str, vouched_by: str, caller: Caller | None) -> None:
        self._fail_once("observe")

    async def revoke(self, permitted: Any) -> int:
        self._fail_once("revoke")
        self.permitted_anything.append(permitted(None))
        return 0

    async def now(self, name: str) -> Caller | None:
        return Caller(name, vouched_by="hub")


@pytest.mark.parametrize("fails", ["observe", "revoke"])
def test_a_watch_that_fails_ends_what_runs_and_goes_on(fails: str) -> None:
    """What cannot be followed might have been taken back; and the next revocation is heard all the same."""
    all_in_one: Any = Unforeseen(fails)

    async def run() -> None:
        watch = Running(all_in_one, all_in_one, all_in_one, every_s=0)
        watch.start()
        with watch.by(Caller("bob", vouched_by="hub")):
            for expected in (False, True):
                all_in_one.permitted_anything.clear()
                if not all_in_one.fails or fails == "revoke":
                    all_in_one.changed()
                while expected not in all_in_one.permitted_anything:
                    await asyncio.sleep(0)
        await watch.stop()

    asyncio.run(run())


def test_callers_with_tokens_of_any_kind_do_not_delay_what_is_asked_of_who_runs_something() -> None:
    """The Hub is asked of them beside the queue, even where that is full of requests that are not answered."""
    answered = threading.Event()
    with hub() as (fake, url):
        reply = fake.server.answer

        def slow(request: Any) -> Answer:
            if request.path.endswith("/user"):
                answered.wait(60)
            return reply(request)

        fake.server.answer = slow
        identity = HubIdentity(f"{url}/hub/api", "flowfile-secrets", "own")

        async def run() -> Caller | None:
            crowd = [
                asyncio.ensure_future(identity.caller({"Authorization": f"token {number}"}, None, "use"))
                for number in range(40)
            ]
            await asyncio.sleep(0)
            now = await identity.now("bob")
            assert not any(one.done() for one in crowd)
            answered.set()
            await asyncio.gather(*crowd, return_exceptions=True)
            return now

        assert asyncio.run(run()) == Caller("bob", frozenset({"analysts"}), False, "hub")


def test_the_kernel_of_the_host_says_who_connects(tmp_path: Any) -> None:
    """Over a unix socket the other process's user is known; over TCP he is not."""
    ours, theirs = socket.socketpair(socket.AF_UNIX)
    with closing(ours), closing(theirs), closing(socket.socket()) as tcp:
        peer = credentials_of(ours)
        assert peer == PeerCredentials(os.getpid(), os.getuid(), os.getgid())
        assert credentials_of(tcp) is None

    identity = PeerIdentity({1001: "bob"}.get)
    assert asyncio.run(identity.caller({}, PeerCredentials(1, 1001, 1), "use")) == Caller("bob", vouched_by="peer")
    assert asyncio.run(identity.caller({}, None, "use")) is None
    with pytest.raises(NotAllowedError):
        asyncio.run(identity.caller({}, PeerCredentials(1, 1003, 1), "use"))


def test_a_token_that_nobody_knows_is_not_passed_over() -> None:
    """Who sends a token over a unix socket is not taken for the socket's user when the token is no good."""
    headers = {"Authorization": "Bearer nobodys"}

    with pytest.raises(NotAllowedError):
        asyncio.run(identify([PeerIdentity()], headers, PeerCredentials(1, os.getuid(), 1), "use"))


@pytest.mark.parametrize("text", ["", "Bearer", "Bearer ", "Basic abc", "Bearer a b", "Bearer a,b", "Bearer ä", "token\tabc"])
def test_headers_that_are_no_tokens(text: str) -> None:
    """Only `Bearer TOKEN` and `token TOKEN` are tokens; anything else is refused."""
    with pytest.raises(NotAllowedError):
        bearer({"Authorization": text})


def test_headers_that_are_tokens() -> None:
    """Both spellings are understood, in any case."""
    assert [bearer({"Authorization": text}) for text in ("Bearer abc", "token abc", "BEARER abc")] == ["abc"] * 3
    assert bearer({}) is None


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has such an id")
def test_the_id_of_all_who_have_none_is_nobodys() -> None:
    """In a container each user of the host that is not mapped into it comes with this one."""
    overflow = int(Path("/proc/sys/kernel/overflowuid").read_text(encoding="ascii"))

    assert system_name(overflow) is None
    assert system_name(0) == "root"


@pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded", "Via", "X-Real-IP"])
def test_a_proxy_is_not_who_sends_its_requests(header: str) -> None:
    """On a unix socket the kernel names the proxy's user: nobody is let in as that."""
    identity = PeerIdentity(name_of={1001: "www-data"}.get)

    with pytest.raises(NotAllowedError, match="proxy"):
        asyncio.run(identity.caller(HTTPHeaders({header: "203.0.113.7"}), PeerCredentials(1, 1001, 1), "use"))
    assert asyncio.run(identity.caller(HTTPHeaders(), PeerCredentials(1, 1001, 1), "use")) == Caller(
        "www-data", vouched_by="peer"
    )
