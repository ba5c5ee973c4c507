"""A member's client of an HTTP API: the broker in a process of its own sends its requests, to a real server."""

from __future__ import annotations

import contextlib
import json
import pickle
import signal
import socket
import sys
import threading
from collections.abc import Iterator

import httpx
import pytest

from flowfile_nb import session
from flowfile_nb.errors import BindingError, LimitError, NoSuchConnectionError, NotAllowedError, UsageError
from flowfile_nb.team.entries import Offer
from flowfile_nb.team.opening import open_named
from tests.support.dumb_server import answering
from tests.support.http_server import Answer, Request, Server, running
from tests.support.interrupts import interruptible
from tests.support.real_broker import RealBroker, running_real_broker
from tests.support.shell import Shell

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the practice broker listens on a unix socket")

KEY = "sk-live-4f9c2e71b8d04a6f"


@pytest.fixture(scope="module")
def broker() -> Iterator[RealBroker]:
    """A broker in a process of its own, on a unix socket."""
    with running_real_broker() as started:
        yield started


@pytest.fixture
def api() -> Iterator[Server]:
    """An API that answers with what it was asked."""
    with running() as server:
        server.answer = lambda request: Answer(
            headers={"Content-Type": "application/json"}, body=json.dumps([request.method, request.path]).encode()
        )
        yield server


class Users:
    """The owner, who shares the connection `api` with the member through a group of both."""

    def __init__(self, broker: RealBroker, monkeypatch: pytest.MonkeyPatch) -> None:
        self.broker, self._monkeypatch = broker, monkeypatch
        self.owner, self.member = broker.somebody(), broker.somebody()
        self.group = f"of-{self.owner}"
        sharing = broker.be(f"admin-of-{self.owner}", monkeypatch, admin=True).sharing
        sharing.create(self.group)
        for user, role in ((self.owner, "owner"), (self.member, "member")):
            sharing.set_member(self.group, user, role)

    def share(self, body: str, access: str = "read") -> None:
        """Save `api` as the owner, share it, and be the member from now on."""
        backend = self.broker.be(self.owner, self._monkeypatch)
        backend.set("api_key", KEY, replace=False)
        backend.save_connection("api", body)
        backend.sharing.share(Offer("connection", "api", self.group, access=access), confirmed=access == "write")
        self.be(self.member)

    def be(self, user: str) -> None:
        """Be one of them."""
        self.broker.be(user, self._monkeypatch)


@pytest.fixture
def users(broker: RealBroker, monkeypatch: pytest.MonkeyPatch) -> Users:
    """A team of two."""
    return Users(broker, monkeypatch)


def described(api: Server, more: str = "") -> str:
    """Return the description of an API, as its owner writes it."""
    return f'type = "http"\nurl = "{api.url}/v1"\ntoken = %secret api_key\n{more}'


def test_a_member_asks_an_api_and_has_no_key(users: Users, api: Server, shell: Shell) -> None:
    """`%connect` binds an httpx.Client; the server gets the key, the answer comes, and nothing here holds the key."""
    users.share(described(api))

    shown = shell.run("%connect api --no-test")
    shell.run("answer = api.get('users', params={'page': 2})")
    shell.run("answer.json()")

    assert shell.result == ["GET", "/v1/users?page=2"]
    assert api.last.headers["authorization"] == f"Bearer {KEY}"
    assert isinstance(session.opened["api"].native, httpx.Client)
    assert f"{users.owner}'s, shared with {users.group}: it takes GET and HEAD only" in shown
    assert "Through it: GET and HEAD to the host and paths that its owner fixed" in shown
    answer = shell.real.user_ns["answer"]
    assert KEY not in f"{answer.request.headers} {answer.headers} {answer.request.url}"
    assert "authorization" not in answer.request.headers


def test_a_name_with_a_slash_arrives_as_it_was_written(users: Users, api: Server, shell: Shell) -> None:
    """As GitLab has its projects: through a share of this one, and of nothing that is read as another."""
    users.share(described(api, 'paths = ["projects/group%2Fname"]'))
    shell.run("%connect api --no-test")

    shell.run("api.get('projects/group%2Fname/issues').json()")
    found = shell.result
    shell.run("api.get('projects/group%2F..%2Fname')")

    assert found == ["GET", "/v1/projects/group%2Fname/issues"]
    assert isinstance(shell.error, NotAllowedError)
    assert len(api.requests) == 1


def test_what_its_owner_calls_himself_is_shown_and_not_obeyed(users: Users, api: Server, shell: Shell) -> None:
    """A login's name is any text: a terminal that obeyed it would show another place than the one that is opened."""
    users.share(f'type = "http"\nurl = "{api.url}/v1"\nusername = "me\\u001b[2K"\npassword = %secret api_key')

    shown = shell.run("%connect api --no-test")

    assert r"me\x1b[2K@127.0.0.1" in shown
    assert "\x1b" not in shown


def test_it_is_tried_when_it_is_opened(users: Users, api: Server, shell: Shell) -> None:
    """The broker asks for the owner's test path; a key that the API refuses is said, and nothing is bound."""
    users.share(described(api, 'test_path = "me"'))

    shell.run("%connect api")
    assert api.last.path == "/v1/me"
    api.answer = lambda request: Answer(401)
    shell.run("%connect api --replace")

    assert "the API refused the credential: it answered 401 to /v1/me" in str(shell.error)


def test_without_a_test_path_nothing_is_asked(users: Users, api: Server, shell: Shell) -> None:
    """Trying a connection has no effect on the other side: it is set up as far as TLS, and that is said."""
    users.share(described(api))

    shown = shell.run("%connect api")

    assert "Reached: api = " in shown
    assert "(no test_path: the key was not tried)" in shown
    assert api.requests == []


def test_the_key_is_taken_out_of_answers(users: Users, api: Server, shell: Shell) -> None:
    """An API that repeats its request, as error pages do, shows no key: neither in the body nor in a header."""
    users.share(described(api))
    api.answer = lambda request: Answer(
        400, {"X-Asked": request.headers["authorization"]}, f"bad {request.headers['authorization']}.".encode()
    )

    shell.run("%connect api --no-test")
    shell.run("answer = api.get('x'); print(answer.status_code, answer.text, answer.headers['x-asked'])")

    assert shell.shown == "400 bad Bearer [secret:credential]. Bearer [secret:credential]\n"


def test_headers_come_byte_for_byte(users: Users, api: Server, shell: Shell) -> None:
    """Also those outside ASCII, in whatever encoding the server has them."""
    users.share(described(api))
    api.answer = lambda request: Answer(200, {"X-Name": "café", "X-Other": "caf\xc3\xa9", "Link": "</v1/x?page=2>; rel=next"})

    shell.run("%connect api --no-test")
    shell.run(
        "answer = api.get('x'); raw = dict(answer.headers.raw); raw[b'X-Name'], raw[b'X-Other'], answer.links['next']['url']"
    )

    assert shell.result == (b"caf\xe9", b"caf\xc3\xa9", "/v1/x?page=2")


def test_writing_needs_both_a_method_and_a_share_to_write(users: Users, api: Server, shell: Shell) -> None:
    """POST is refused by a share to read; where the owner lists it and shares to write, it is sent with its body."""
    users.share(described(api, 'methods = ["GET", "POST"]'))
    shell.run("%connect api --no-test")
    shell.run("api.post('users', json={'name': 'new'})")
    assert isinstance(shell.error, NotAllowedError)
    assert "POST is not allowed through this share; allowed: GET" in str(shell.error)
    assert api.requests == []

    users.be(users.owner)
    session.team().sharing.share(Offer("connection", "api", users.group, access="write"), confirmed=True)
    users.be(users.member)
    shell.run("api.post('users', json={'name': 'new'}).json()")

    assert shell.result == ["POST", "/v1/users"]
    assert json.loads(api.last.body) == {"name": "new"}
    assert api.last.headers["content-type"] == "application/json"


def test_a_redirect_is_followed_within_what_is_fixed_only(users: Users, api: Server, shell: Shell) -> None:
    """It is an answer; a client that follows it asks the broker anew, which sends nothing elsewhere."""
    users.share(described(api))
    shell.run("%connect api --no-test")
    with running() as other:

        def answer(request: Request) -> Answer:
            places = {"/v1/old": "/v1/new", "/v1/out": "/v2/secret", "/v1/away": f"{other.url}/v1/"}
            place = places.get(request.path)
            return Answer(302, {"Location": place}) if place else Answer(body=b'"here"')

        api.answer = answer
        shell.run("api.get('old').headers['location'], api.get('old', follow_redirects=True).json()")
        assert shell.result == ("/v1/new", "here")
        for path, said in (("out", "this path is not one that its owner has fixed"), ("away", "nowhere else")):
            shell.run(f"api.get('{path}', follow_redirects=True)")
            assert isinstance(shell.error, NotAllowedError)
            assert said in str(shell.error)

        assert other.requests == []
    assert "/v2/secret" not in [request.path for request in api.requests]


def test_what_fails_at_the_api_is_an_error_of_httpx(users: Users, api: Server, shell: Shell) -> None:
    """Who retries those of another client retries these; they say nothing of the key."""
    users.share(described(api))
    shell.run("%connect api --no-test")
    waiting = threading.Event()

    def answer(request: Request) -> Answer:
        waiting.wait(20)
        return Answer()

    api.answer = answer

    shell.run("api.get('slow', timeout=0.3)")
    assert isinstance(shell.error, httpx.ReadTimeout)
    waiting.set()
    with running() as short:
        users.be(users.owner)
        session.team().save_connection("gone", described(short))
        session.team().sharing.share(Offer("connection", "gone", users.group))
        users.be(users.member)
        shell.run("%connect gone --no-test")
    shell.run("gone.get('x')")
    assert isinstance(shell.error, httpx.ConnectError)


def test_an_interrupt_ends_the_request_at_the_api(users: Users, shell: Shell) -> None:
    """Ctrl-C returns at once, and the API's connection is closed."""
    closed, asked, main = threading.Event(), threading.Event(), threading.main_thread().ident
    assert main is not None

    def wait(connection: socket.socket) -> None:
        connection.recv(65536)
        asked.set()
        with contextlib.closing(connection), contextlib.suppress(ConnectionError):
            # Nothing but its end comes.
            connection.recv(1)
        closed.set()

    def interrupt() -> None:
        asked.wait(20)
        # As a terminal and Jupyter do it: what the main thread waits in is interrupted, too.
        signal.pthread_kill(main, signal.SIGINT)

    with answering(wait) as port:
        users.share(f'type = "http"\nurl = "http://127.0.0.1:{port}/"\ntoken = %secret api_key')
        shell.run("%connect api --no-test")
        with interruptible():
            threading.Thread(target=interrupt).start()
            shell.run("api.get('slow')")

        assert isinstance(shell.error, KeyboardInterrupt)
        assert closed.wait(10)


def test_a_shared_key_in_an_own_description(users: Users, api: Server, shell: Shell) -> None:
    """It goes to the API that the owner fixed, in the way that he fixed, and nowhere else."""
    users.share(described(api))
    users.be(users.owner)
    session.team().sharing.share(Offer("secret", "api_key", users.group))
    users.be(users.member)

    shell.run(f"%%connect mine --no-test\n{described(api)}")
    shell.run("mine.get('x').json()")
    assert shell.result == ["GET", "/v1/x"]
    with running() as other:
        for body in (described(other), described(api, 'methods = ["GET", "DELETE"]'), described(api).replace("/v1", "/")):
            shell.run(f"%%connect other\n{body}")
            assert isinstance(shell.error, BindingError), body
        assert other.requests == []


def test_an_end_of_sharing_counts_at_once(users: Users, api: Server, shell: Shell) -> None:
    """The next request of a client that is bound already is refused, in the words of one that was never shared."""
    users.share(described(api))
    shell.run("%connect api --no-test")
    users.be(users.owner)
    session.team().sharing.unshare("connection", "api", users.group)

    shell.run("api.get('x')")

    assert isinstance(shell.error, NoSuchConnectionError)


def test_the_owner_sees_what_was_asked(users: Users, api: Server, shell: Shell) -> None:
    """Method, path, names of parameters, status and size of the answer; no value of a parameter."""
    users.share(described(api))
    shell.run("%connect api --no-test")
    shell.run("api.get('users', params={'name': 'Lovelace'})")
    shell.run("api.delete('users/1')")
    users.be(users.owner)

    shell.run("%secret log api")

    assert shell.result.header[5] == "statement"
    rows = [row for row in shell.result.rows if row[5]]
    assert [(row[1], row[2], row[5], row[7]) for row in rows] == [
        (users.member, "refused", "DELETE /v1/users/1", "NotAllowedError"),
        (users.member, "use", "GET /v1/users?name", "complete status 200, 34 bytes"),
    ]
    assert "Lovelace" not in repr(shell.result)


def test_a_client_goes_to_another_process_as_its_name(users: Users, api: Server, shell: Shell) -> None:
    """What is pickled says which connection; whoever loads it asks the broker as himself."""
    users.share(described(api))
    shell.run("%connect api --no-test")

    data = pickle.dumps(session.opened["api"].native)
    with pickle.loads(data) as again:
        answer = again.get("x").json()

    assert KEY.encode() not in data
    assert answer == ["GET", "/v1/x"]


def test_closing_it_leaves_others_open(users: Users, api: Server, shell: Shell) -> None:
    """Connections share the way to the broker: an answer of another one that is being read goes on."""
    users.share(described(api))
    api.answer = lambda request: Answer(body=(b"x" * 65536 for _ in range(100)))
    shell.run("%connect api --no-test")
    first = session.opened["api"]
    again = open_named(session.team(), "api", test=False, as_=None, timeout_s=None)

    with again.native.stream("GET", "large") as response:
        pieces = response.iter_bytes()
        size = len(next(pieces))
        first.close()
        size += sum(map(len, pieces))

    assert size == 100 * 65536
    again.close()


def test_bodies_have_a_length_and_other_forms_need_the_value(users: Users, api: Server, shell: Shell) -> None:
    """A body of more than a megabyte is refused here; `--as` is, too."""
    users.share(described(api, 'methods = ["POST"]'), access="write")
    shell.run("%connect api --no-test")

    shell.run("api.post('x', content=b'x' * (1024 * 1024 + 1))")
    assert isinstance(shell.error, LimitError)
    shell.run("%connect api --as uri --replace")
    assert isinstance(shell.error, UsageError)
    assert "needs the credential" in str(shell.error)
