"""HTTP APIs against real servers on this machine: what they receive, and what the client never has."""

from __future__ import annotations

import base64
import json
import logging
import multiprocessing
import os
import pickle
import socket
import ssl
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import cloudpickle
import httpx
import pytest
import trustme
from cryptography.hazmat.primitives import serialization
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import flowfile_nb as fnb
from flowfile_nb import connecting, session
from flowfile_nb.connections import opening
from flowfile_nb.connections.http_transport import origin
from flowfile_nb.errors import (
    ConnectionFailedError,
    ConnectionSpecError,
    FlowfileNbError,
    LiteralPasswordError,
    MissingDriverError,
    NoSuchSecretError,
)
from tests.support.dumb_server import answering, hanging_up, web_server
from tests.support.http_server import Answer, Request, Server, running
from tests.support.shell import Shell

CANARY = "hunter2 canary/@:?#&=ü"
ASCII_CANARY = "hunter2-canary/@:?#&="


@pytest.fixture
def server() -> Iterator[Server]:
    with running() as server:
        yield server


@pytest.fixture
def other() -> Iterator[Server]:
    """Another port, and so another origin."""
    with running() as server:
        yield server


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def secure(authority: trustme.CA) -> Iterator[Server]:
    with running(authority) as server:
        yield server


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


@pytest.mark.parametrize(
    ("parts", "header", "value"),
    [
        ({"token": "%secret key"}, "authorization", f"Bearer {ASCII_CANARY}"),
        ({"auth": "bearer", "token": "%secret key"}, "authorization", f"Bearer {ASCII_CANARY}"),
        ({"auth": "basic", "username": "me", "password": "%secret key"}, "authorization", basic("me", ASCII_CANARY)),
        ({"auth": "header", "header": "X-Api-Key", "token": "%secret key"}, "x-api-key", ASCII_CANARY),
        ({"headers": {"Authorization": "Token %secret key"}}, "authorization", f"Token {ASCII_CANARY}"),
        ({"headers": {"X-Team": "blue"}}, "x-team", "blue"),
        ({"headers": {"Idempotency-Key": "one"}}, "idempotency-key", "one"),
    ],
)
def test_each_way_reaches_the_server(server: Server, parts: dict[str, Any], header: str, value: str) -> None:
    """Bearer, basic, a header of any name: the server receives the value, under the base URL."""
    fnb.secrets["key"] = ASCII_CANARY

    api = fnb.connect({"type": "http", "url": f"{server.url}/v1", **parts})

    assert isinstance(api, httpx.Client)
    assert api.get("/items", params={"page": 2}).status_code == 200
    assert server.last.path == "/v1/items?page=2"
    assert server.last.headers[header] == value
    api.close()


def test_a_query_key(server: Server) -> None:
    """In TOML and in a URL; what the caller asks for stands beside it, as it was written."""
    fnb.secrets["key"] = CANARY
    clients = [
        fnb.connect({"type": "http", "url": server.url, "auth": "query", "parameter": "key", "token": "%secret key"}),
        fnb.connect(f"{server.url}/?key=%secret key"),
        fnb.connect({"type": "http", "url": server.url, "params": {"key": "%secret key"}}),
    ]

    for api in clients:
        api.get("/items?a=1+2&b=%2F&flag")

        assert server.last.path.startswith("/items?a=1+2&b=%2F&flag&key=")
        assert dict(parse_qsl(urlsplit(server.last.path).query))["key"] == CANARY
        api.close()


def test_a_key_that_comes_back(server: Server) -> None:
    """Where the server's redirect brings the key along, it is sent once, and the newest."""
    fnb.secrets["key"] = "newest"
    server.answer = lambda request: (
        Answer(302, {"Location": "/there?key=older"}) if request.path.startswith("/here") else Answer()
    )

    with fnb.connect(f"{server.url}/?key=%secret key") as api:
        api.get("/here", follow_redirects=True)

    assert server.last.path == "/there?key=newest"


def test_a_url_with_a_user(server: Server) -> None:
    """User-info is basic authentication; a query without a reference is sent with each request."""
    fnb.secrets["key"] = CANARY

    with fnb.connect(f"http://my%20self:%secret key@127.0.0.1:{server.port}/v1?format=json") as api:
        api.get("x")

    assert server.last.headers["authorization"] == basic("my self", CANARY)
    assert server.last.path == "/v1/x?format=json"


def test_a_user_that_is_a_secret(server: Server) -> None:
    """A key as the user, and no password, as some APIs want it."""
    fnb.secrets["key"] = CANARY

    with fnb.connect(f"http://%secret key@127.0.0.1:{server.port}") as api:
        api.get("x")

    assert server.last.headers["authorization"] == basic(CANARY, "")


def test_a_secret_in_the_path(server: Server, other: Server) -> None:
    """As chat bots have it: filled in on the way out, encoded, and only at this origin."""
    fnb.secrets["bot"] = CANARY

    with fnb.connect(f"{server.url}/bot%secret bot/v1") as api:
        response = api.get("sendMessage")
        api.get(f"{other.url}/bot$%7Bsecret:bot%7D/v1/x")

    assert unquote(server.last.path) == f"/bot{CANARY}/v1/sendMessage"
    assert server.last.path.count("/") == 3
    assert "hunter2" not in f"{response.url} {api.base_url} {other.last.path}"


@given(value=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1))
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_value_arrives(server: Server, value: str) -> None:
    """As a password, a query key and a part of the path, the server receives exactly the value."""
    url = f"http://me:%secret v@127.0.0.1:{server.port}/-%secret v-/?k=%secret v"

    with opening.open_connection(url, lambda name: None, {"v": value}.__getitem__, test=False).native as api:
        api.get("x")

    sent = urlsplit(server.last.path)
    assert server.last.headers["authorization"] == basic("me", value)
    assert dict(parse_qsl(sent.query, keep_blank_values=True)) == {"k": value}
    assert unquote(sent.path) == f"/-{value}-/x"


@pytest.mark.parametrize("value", ["two\nlines", "trailing\t", "\x7f", "nul\x01"])
def test_a_value_that_no_header_can_hold(server: Server, value: str) -> None:
    """The error names the secret, where the library's own would quote the value."""
    fnb.secrets["key"] = value
    api = fnb.connect({"type": "http", "url": server.url, "token": "%secret key"})

    with pytest.raises(ConnectionFailedError, match="secret 'key' cannot stand in a header") as caught:
        api.get("/")

    assert value not in "".join(traceback.format_exception(caught.value))
    assert server.requests == []


def test_late_binding(server: Server) -> None:
    """A replaced secret is used by the next request; a deleted one stops it."""
    fnb.secrets["key"] = "first"
    api = fnb.connect({"type": "http", "url": server.url, "token": "%secret key"})
    api.get("/")

    fnb.secrets["key"] = "second"
    api.get("/")
    del fnb.secrets["key"]
    with pytest.raises(NoSuchSecretError):
        api.get("/")

    assert [request.headers["authorization"] for request in server.requests] == ["Bearer first", "Bearer second"]
    api.close()


WAYS: list[dict[str, Any]] = [
    {"token": "%secret key"},
    {"auth": "basic", "username": "me", "password": "%secret key"},
    {"auth": "header", "header": "X-Api-Key", "token": "%secret key"},
    {"auth": "query", "parameter": "api_key", "token": "%secret key"},
]


@pytest.mark.parametrize("parts", WAYS)
def test_no_place_has_the_value(
    server: Server, parts: dict[str, Any], caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    """Client, request, response, history, cookies, errors, logs at their loudest: none of them holds it in any usual form."""
    fnb.secrets["key"] = ASCII_CANARY
    caplog.set_level(logging.DEBUG)
    api = fnb.connect({"type": "http", "url": server.url, "follow_redirects": True, **parts})
    server.answer = lambda request: (
        Answer(302, {"Location": "/there", "Set-Cookie": "a=b"}) if request.path.startswith("/here") else Answer(404)
    )

    response = api.get("/here")
    with pytest.raises(httpx.HTTPStatusError) as failed:
        response.raise_for_status()

    sent = f"{server.last.path} {server.last.headers}"
    assert len(server.requests) == 2
    assert "hunter2" in sent or base64.b64encode(f"me:{ASCII_CANARY}".encode()).decode() in sent
    seen = [api, response, response.request, *response.history, *(past.request for past in response.history), api.late_binding]
    shown = "".join(f"{item!r} {item} {vars(item)!r}" for item in seen)
    shown += repr([api.base_url, list(api.headers.raw), dict(api.cookies), api.params, api.auth])
    shown += repr([list(item.headers.raw) for item in (response, response.request)]) + str(response.url)
    shown += "".join(traceback.format_exception(failed.value)) + caplog.text + "".join(capsys.readouterr())
    assert "HTTP Request: GET" in caplog.text
    assert session.redactor() is None or session.mask(shown) == shown
    for form in (ASCII_CANARY, "hunter2", base64.b64encode(f"me:{ASCII_CANARY}".encode()).decode()):
        assert form not in shown
    assert b"hunter2" not in pickle.dumps(response)
    api.close()


@pytest.mark.parametrize("module", [pickle, cloudpickle])
@pytest.mark.parametrize("parts", WAYS)
def test_a_client_is_sent_as_its_description(server: Server, module: Any, parts: dict[str, Any]) -> None:
    """Pickled it holds the reference; where it is loaded, that store's value is used for each request."""
    fnb.secrets["key"] = ASCII_CANARY
    with fnb.connect({"type": "http", "url": server.url, **parts}, test=False) as api:
        data = module.dumps(api)
    fnb.secrets["key"] = "another"

    with pickle.loads(data) as loaded:
        assert str(loaded.base_url) == str(api.base_url)
        assert "hunter2" not in repr(data)
        loaded.get("/")
        assert "hunter2" not in repr(server.requests[-1])


def test_a_client_in_another_process(server: Server) -> None:
    """A worker that is started anew asks its own store."""
    fnb.secrets["key"] = "tok"
    api = fnb.connect({"type": "http", "url": server.url, "token": "%secret key"}, test=False)

    with api, multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply(_status, (api,)) == 200
        pool.close()
        pool.join()

    assert server.requests[-1].headers["authorization"] == "Bearer tok"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*use of fork.*:DeprecationWarning", "ignore:unclosed:ResourceWarning")
def test_a_forked_child_has_connections_of_its_own(secure: Server, authority: trustme.CA, tmp_path: Path) -> None:
    """In its parent's it would read answers that are not its own, and end them for both."""
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    api = fnb.connect({"type": "https", "url": secure.url, "verify": str(tmp_path / "ca.pem")})
    first = _local_port(api.get("/"))
    assert _local_port(api.get("/")) == first
    reader, writer = os.pipe()

    child = os.fork()
    if child == 0:
        try:
            os.write(writer, str(_local_port(api.get("/"))).encode())
            api.close()
        except BaseException as error:
            os.write(writer, repr(error).encode())
        finally:
            os._exit(0)
    os.waitpid(child, 0)

    answer = os.read(reader, 1000).decode()
    assert answer.isdigit(), answer
    assert int(answer) != first
    assert _local_port(api.get("/")) == first
    api.close()
    for end in (reader, writer):
        os.close(end)


def _local_port(response: httpx.Response) -> int:
    return int(response.extensions["network_stream"].get_extra_info("client_addr")[1])


def _status(api: Any) -> int:
    return int(api.get("/").status_code)


@pytest.mark.parametrize("parts", WAYS)
def test_another_origin_gets_nothing(server: Server, other: Server, parts: dict[str, Any]) -> None:
    """Neither by a redirect to another port, nor to another name of the same machine, nor by an absolute URL."""
    fnb.secrets["key"] = ASCII_CANARY
    with fnb.connect({"type": "http", "url": server.url, **parts}) as api:
        for elsewhere in (f"{other.url}/there", f"http://localhost:{other.port}/there"):
            server.redirect_to(elsewhere)
            api.get("/", follow_redirects=True)
            api.get(elsewhere)

    assert [request.path for request in other.requests] == ["/there"] * 4
    assert "authorization" not in repr(other.requests)
    assert "hunter2" not in repr(other.requests)
    assert "x-api-key" not in repr(other.requests)


@pytest.mark.parametrize("parts", WAYS)
def test_a_downgrade_gets_nothing(
    server: Server, secure: Server, authority: trustme.CA, tmp_path: Path, parts: dict[str, Any]
) -> None:
    """A redirect from https to http of the same name carries no value; back at https it does."""
    fnb.secrets["key"] = ASCII_CANARY
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    secure.answer = lambda request: Answer(302, {"Location": f"{server.url}/plain"}) if request.path[:2] == "/a" else Answer()
    server.answer = lambda request: Answer(302, {"Location": f"{secure.url}/back"})

    with fnb.connect({"type": "https", "url": secure.url, "verify": str(tmp_path / "ca.pem"), **parts}) as api:
        api.get("/a", follow_redirects=True)

    assert [request.path.partition("?")[0] for request in secure.requests] == ["/a", "/back"]
    assert "hunter2" not in repr(server.requests)
    assert "authorization" not in repr(server.requests)
    assert all("authorization" in repr(asked).lower() or "hunter2" in repr(asked) for asked in secure.requests)


def test_an_encrypted_key_is_refused(authority: trustme.CA, tmp_path: Path) -> None:
    """A key with a passphrase, for which there is no place here, is refused in our words."""
    mine = authority.issue_cert("me@example.com")
    key = serialization.load_pem_private_key(mine.private_key_pem.bytes(), None)
    kept = serialization.BestAvailableEncryption(b"passphrase")
    (tmp_path / "key.pem").write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, kept))
    mine.cert_chain_pems[0].write_to_path(tmp_path / "me.pem")

    with pytest.raises(ConnectionSpecError, match="cannot be read"):
        fnb.connect(
            {"type": "https", "url": "https://h", "cert": str(tmp_path / "me.pem"), "cert_key": str(tmp_path / "key.pem")}
        )


def test_without_httpx(monkeypatch: pytest.MonkeyPatch) -> None:
    """What to install is said."""
    monkeypatch.setitem(sys.modules, "flowfile_nb.connections.http_transport", None)

    with pytest.raises(MissingDriverError, match=r"flowfile-nb\[http\]"):
        fnb.connect("https://api.example.com")


def test_what_an_origin_is() -> None:
    """Scheme, host and port, where the usual port may be left out."""
    first = origin(httpx.URL("https://api.example.com/v1"))

    assert origin(httpx.URL("https://API.example.com:443/")) == first
    for other in (
        "http://api.example.com/",
        "https://api.example.com:80/",
        "https://example.com/",
        "http://api.example.com:443/",
    ):
        assert origin(httpx.URL(other)) != first


def test_the_callers_own_header_stands(server: Server) -> None:
    """Who gives an Authorization for one request means it."""
    fnb.secrets["key"] = ASCII_CANARY
    with fnb.connect({"type": "http", "url": server.url, "token": "%secret key"}) as api:
        api.get("/", headers={"Authorization": "Bearer of mine"})

    assert server.last.headers["authorization"] == "Bearer of mine"


def test_bodies_and_streams_pass(server: Server) -> None:
    """An upload in pieces and a download in pieces are as httpx does them."""
    fnb.secrets["key"] = ASCII_CANARY
    server.answer = lambda request: Answer(body=b"x" * 100_000)
    with fnb.connect({"type": "http", "url": server.url, "token": "%secret key"}) as api:
        api.post("/", json={"a": 1})
        with api.stream("GET", "/") as response:
            assert sum(map(len, response.iter_bytes())) == 100_000

    assert json.loads(server.requests[0].body) == {"a": 1}


def test_through_a_proxy(server: Server, other: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """The proxy that the environment names stands between, and a check reaches it."""
    fnb.secrets["key"] = ASCII_CANARY
    monkeypatch.setenv("http_proxy", other.url)
    monkeypatch.setenv("no_proxy", "")

    with fnb.connect({"type": "http", "url": "http://api.invalid/v1", "token": "%secret key"}) as api:
        api.get("/x")

    assert other.last.path == "http://api.invalid/v1/x"
    assert other.last.headers["authorization"] == f"Bearer {ASCII_CANARY}"


class Issuer:
    """What a token URL and the API behind it do together."""

    def __init__(self, server: Server, expires_in: Any = 3600) -> None:
        self.given: list[str] = []
        self.expires_in = expires_in
        self.taken: set[str] = set()
        server.answer = self.answer

    def answer(self, request: Request) -> Answer:
        if request.path == "/token":
            self.given.append(f"access-token-{len(self.given)}")
            self.taken = {self.given[-1]}
            return Answer(body=json.dumps({"access_token": self.given[-1], "expires_in": self.expires_in}).encode())
        good = request.headers.get("authorization", "").removeprefix("Bearer ") in self.taken
        return Answer(200 if good else 401)


def oauth(server: Server, **parts: Any) -> dict[str, Any]:
    return {
        "type": "http",
        "url": server.url,
        "auth": "oauth2_client_credentials",
        "token_url": f"{server.url}/token",
        "client_id": "me:x",
        "client_secret": "%secret key",
        **parts,
    }


def test_oauth_buys_one_token(server: Server) -> None:
    """The check fetches a token with the client's secret; requests use it until it expires."""
    fnb.secrets["key"] = CANARY
    issuer = Issuer(server)

    with fnb.connect(oauth(server, scope="read write")) as api:
        assert [api.get("/x").status_code for _ in range(3)] == [200] * 3

    asked = server.requests[0]
    assert len(issuer.given) == 1
    assert dict(parse_qsl(asked.body.decode())) == {"grant_type": "client_credentials", "scope": "read write"}
    user, _, password = base64.b64decode(asked.headers["authorization"].removeprefix("Basic ")).decode().partition(":")
    assert (user, dict(parse_qsl(f"p={password}"))) == ("me%3Ax", {"p": CANARY})


def test_oauth_in_the_body(server: Server) -> None:
    """Some servers want id and secret in the form."""
    fnb.secrets["key"] = CANARY
    Issuer(server)

    fnb.connect(oauth(server, client_auth="body", audience="a")).close()

    form = dict(parse_qsl(server.requests[0].body.decode()))
    assert (form["client_id"], form["client_secret"], form["audience"]) == ("me:x", CANARY, "a")
    assert "authorization" not in server.requests[0].headers


def test_oauth_fetches_anew(server: Server) -> None:
    """A token that has run out, and one that the server no longer takes: another is fetched, once, and the request repeated."""
    fnb.secrets["key"] = CANARY
    issuer = Issuer(server, expires_in=30)
    api = fnb.connect(oauth(server))
    assert api.get("/x").status_code == 200
    assert len(issuer.given) == 2

    issuer.expires_in = 3600
    api.get("/x")
    issuer.taken.clear()
    assert api.post("/x", json={"a": 1}).status_code == 200
    assert [request.body for request in server.requests[-1:]] == [b'{"a":1}']

    issuer.answer = lambda request: Answer(401) if request.path != "/token" else Issuer.answer(issuer, request)  # type: ignore[method-assign]
    server.answer = issuer.answer
    before = len(issuer.given)
    assert api.get("/x").status_code == 401
    assert len(issuer.given) == before + 1
    api.close()


def test_oauth_follows_the_secret(server: Server) -> None:
    """A replaced client secret buys a new token; a deleted one stops the connection though the token is still good."""
    fnb.secrets["key"] = "first"
    issuer = Issuer(server)
    api = fnb.connect(oauth(server))
    fnb.secrets["key"] = "second"
    api.get("/x")
    assert len(issuer.given) == 2

    del fnb.secrets["key"]
    with pytest.raises(NoSuchSecretError):
        api.get("/x")
    api.close()


def test_the_access_token_is_a_secret_too(shell: Shell, server: Server) -> None:
    """It is in none of the client's attributes, and masked where the server echoes it."""
    fnb.secrets["key"] = CANARY
    issuer = Issuer(server)
    shell.run("%%connect api\n" + "\n".join(f'{key} = "{item}"' for key, item in oauth(server).items()))
    assert shell.error is None, shell.shown
    api = shell.real.user_ns["api"]
    answer = issuer.answer
    server.answer = lambda request: answer(request)._replace(body=request.headers["authorization"].encode())

    shown = shell.run("print(api.get('/x').text)")

    assert len(issuer.given) == 1
    assert "Bearer [secret:access token]" in shown
    transport = api.late_binding
    everything = repr([vars(api), vars(transport), vars(transport.attachments.oauth), transport.attachments])
    assert issuer.given[0] not in everything
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(transport.attachments.oauth._kept)
    assert "access-token" not in repr(transport.attachments.oauth._kept)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (Answer(401), "refused the client's id or secret"),
        (Answer(400, {}, b'{"error": "invalid_client"}'), "refused the client's id or secret"),
        (Answer(200, {}, b"<html>"), "without a bearer token"),
        (Answer(200, {}, b"[]"), "without a bearer token"),
        (Answer(200, {}, b'{"access_token": "a b\\n"}'), "without a bearer token"),
        (Answer(302, {"Location": "/login"}), "answered 302"),
        (Answer(503), "answered 503"),
    ],
)
def test_oauth_that_fails(server: Server, answer: Answer, words: str) -> None:
    """Two lines, with the token URL and without a value."""
    fnb.secrets["key"] = CANARY
    server.answer = lambda request: answer

    with pytest.raises(ConnectionFailedError, match=words) as caught:
        fnb.connect(oauth(server))

    assert "hunter2" not in "".join(traceback.format_exception(caught.value))
    assert len(str(caught.value).split("\n")) == 2
    assert len(server.requests) == 1


def test_a_check_sends_nothing(server: Server, secure: Server, authority: trustme.CA, tmp_path: Path) -> None:
    """Without a test path it sets up TCP and TLS and asks for nothing: a test has no effect on the other side."""
    fnb.secrets["key"] = CANARY
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")

    fnb.connect({"type": "http", "url": server.url, "token": "%secret key"}).close()
    fnb.connect({"type": "https", "url": secure.url, "verify": str(tmp_path / "ca.pem")}).close()
    fnb.connect({"type": "https", "url": secure.url, "verify": False}).close()

    assert server.requests == secure.requests == []


def test_a_clients_certificate(authority: trustme.CA, tmp_path: Path) -> None:
    """Where the server asks for one, it is shown; without it the check says that it asks for one."""
    people = trustme.CA()
    mine = people.issue_cert("me@example.com")
    mine.private_key_and_cert_chain_pem.write_to_path(tmp_path / "me.pem")
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")

    with running(authority, clients=people) as server:
        parts = {"type": "https", "url": server.url, "verify": str(tmp_path / "ca.pem"), "test_path": "/"}
        fnb.connect({**parts, "cert": str(tmp_path / "me.pem")}).close()
        assert len(server.requests) == 1
        with pytest.raises(ConnectionFailedError, match="asks for a certificate of yours"):
            fnb.connect(parts)


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (401, "refused the credential with secret 'key'"),
        (403, "answered 403"),
        (404, "answered 404"),
        (500, "try again"),
    ],
)
def test_a_test_path_is_asked_for(server: Server, status: int, words: str) -> None:
    """Its answer says whether the credential is good."""
    fnb.secrets["key"] = "wrong"
    parts = {"type": "http", "url": server.url, "token": "%secret key", "test_path": "/me"}
    fnb.connect(parts).close()
    assert server.last.path == "/me"

    server.answer = lambda request: Answer(status)
    with pytest.raises(ConnectionFailedError) as caught:
        fnb.connect(parts)

    assert words in str(caught.value)
    assert len(str(caught.value).split("\n")) == 2


def test_what_can_be_wrong_is_told_apart(secure: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """No host of that name, nothing listens, a certificate of nobody known, a server that says nothing."""
    monkeypatch.setenv("no_proxy", "*")
    cases = [
        ("https://no-such-host.invalid", "no host of that name"),
        ("http://127.0.0.1:1", "nothing listens"),
        (secure.url, "not signed by an authority"),
    ]

    for url, words in cases:
        for path in ({}, {"test_path": "/"}):
            with pytest.raises(ConnectionFailedError, match=words) as caught:
                fnb.connect({"type": url.partition(":")[0], "url": url, **path})
            assert len(str(caught.value).split("\n")) == 2


def test_a_library_error_keeps_its_class_and_loses_its_frames(server: Server) -> None:
    """A later failure is httpx's own error; no frame of it has the value among its locals."""
    fnb.secrets["key"] = ASCII_CANARY
    api = fnb.connect("http://127.0.0.1:1/?key=%secret key", test=False)

    with pytest.raises(httpx.ConnectError) as caught:
        api.get("/x")

    assert str(caught.value.request.url) == "http://127.0.0.1:1/x"
    frames = traceback.StackSummary.extract(traceback.walk_tb(caught.value.__traceback__), capture_locals=True)
    assert "hunter2" not in repr([frame.locals for frame in frames])
    assert caught.value.__suppress_context__


@pytest.mark.parametrize(
    ("description", "error", "words"),
    [
        ({"url": "https://h", "tokn": "%secret key"}, ConnectionSpecError, "did you mean 'token'"),
        ({"url": "https://h", "bearer": "%secret key"}, ConnectionSpecError, 'auth = "bearer"   token = %secret NAME'),
        ({"url": "https://h", "bearrer": "%secret key"}, ConnectionSpecError, 'auth = "bearer"   token = %secret NAME'),
        ({"url": "https://h", "api_key": "%secret key"}, ConnectionSpecError, 'header = "X-Api-Key"   token = %secret NAME'),
        ({"url": "https://h", "user": "me", "password": "%secret key"}, ConnectionSpecError, "did you mean 'username'"),
        ({"endpoint": "https://h"}, ConnectionSpecError, "did you mean 'url'"),
        ({"url": "https://h", "zzzzzz": "x"}, ConnectionSpecError, "its keys are"),
        ({"url": "https://h", "auth": "bearr", "token": "%secret key"}, ConnectionSpecError, 'auth = "bearer"'),
        ({"url": "https://h", "auth": ["bearer"]}, ConnectionSpecError, "no way to authenticate"),
        ({"url": "https://h", "auth": "zzz"}, ConnectionSpecError, "known are"),
        ({"url": "https://h", "auth": "basic", "username": "me"}, ConnectionSpecError, "needs password"),
        ({"url": "https://h", "auth": "query", "token": "%secret key"}, ConnectionSpecError, "needs parameter"),
        ({"url": "https://h", "base_url": "https://h"}, ConnectionSpecError, "one url"),
        ({}, ConnectionSpecError, "one url"),
        ({"url": "api.example.com"}, ConnectionSpecError, "https://api.example.com/v1"),
        ({"url": "http://h"}, ConnectionSpecError, 'type = "http"'),
        ({"url": "https://h:port"}, ConnectionSpecError, "is no port"),
        ({"url": 5}, ConnectionSpecError, "wrong kind"),
        ({"url": "https://h", "timeout": "10"}, ConnectionSpecError, "wrong kind"),
        ({"url": "https://h", "timeout": True}, ConnectionSpecError, "wrong kind"),
        ({"url": "https://h", "timeout": 0}, ConnectionSpecError, "wrong kind"),
        ({"url": "https://h", "verify": "/no/such.pem"}, ConnectionSpecError, "certificate"),
        ({"url": "https://${secret:key}.example.com"}, ConnectionSpecError, "host of the URL"),
        ({"url": "https://h", "headers": {"Authorization": "Bearer abc"}}, LiteralPasswordError, "headers.Authorization"),
        ({"url": "https://h", "headers": {"X-Api-Key": "abc"}}, LiteralPasswordError, "headers.X-Api-Key"),
        ({"url": "https://h", "headers": {"Ocp-Apim-Subscription-Key": "abc"}}, LiteralPasswordError, "Subscription-Key"),
        ({"url": "https://me:abc@h"}, LiteralPasswordError, "before the @"),
        ({"url": "https://h?api_key=abc"}, LiteralPasswordError, "api_key"),
        ({"url": "https://me:%secret key@h", "token": "%secret key"}, ConnectionSpecError, "another way"),
        ({"url": "https://h", "test_path": "%secret key"}, ConnectionSpecError, "'test_path'"),
        ({"url": "https://h", "header": "%secret key", "token": "%secret key"}, ConnectionSpecError, "'header'"),
        ({"url": "https://h", "token": "abc"}, LiteralPasswordError, "token"),
        (
            {"url": "https://h", "token_url": "login", "client_id": "x", "client_secret": "%secret key"},
            ConnectionSpecError,
            "token_url is not",
        ),
        (
            {
                "url": "https://h",
                "token_url": "https://h",
                "client_id": "x",
                "client_secret": "%secret key",
                "client_auth": "x",
            },
            ConnectionSpecError,
            "one of two ways",
        ),
    ],
)
def test_bad_input_has_two_lines(description: dict[str, Any], error: type[FlowfileNbError], words: str) -> None:
    """Each wrong description is refused before anything is sent, with what to write instead."""
    fnb.secrets["key"] = CANARY

    with pytest.raises(error) as caught:
        fnb.connect({"type": "https", **description})

    assert words in str(caught.value)
    assert len(str(caught.value).split("\n")) == 2


def test_the_magic_binds_a_client(shell: Shell, server: Server) -> None:
    """`%%connect` says where it leads, without user and key; closing closes it."""
    fnb.secrets["key"] = ASCII_CANARY

    shown = shell.run(f"%%connect api\nhttp://me:%secret key@127.0.0.1:{server.port}/v1?api_key=%secret key")

    api = shell.real.user_ns["api"]
    assert shown == f"Reached: api = {server.url}/v1 (no test_path: the key was not tried)\n"
    assert shell.run("api") == f"Out[1]: <httpx.Client {server.url}/v1/>\n" or f"<httpx.Client {server.url}/v1/>" in shell.shown
    shell.run("%connect -x api")
    assert api.is_closed


def test_what_was_tried_is_said(shell: Shell, server: Server, other: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Connected is said where the key was tried; else what was reached, and what not."""
    fnb.secrets["key"] = ASCII_CANARY
    body = f'%%connect api --replace\ntype = "http"\nurl = "{server.url}"\n'
    Issuer(server)

    assert f"Connected: api = {server.url}\n" in shell.run(f'{body}test_path = "/token"\ntoken = %secret key')
    assert f"Reached: api = {server.url} (no test_path: the key was not tried)" in shell.run(f"{body}token = %secret key")
    assert f"Reached: api = {server.url} (no test_path)\n" in shell.run(body)
    bought = f'{body}token_url = "{server.url}/token"\nclient_id = "me"\nclient_secret = %secret key'
    assert "(no test_path: the token was given, and not tried)" in shell.run(bought)
    monkeypatch.setenv("http_proxy", other.url)
    monkeypatch.setenv("no_proxy", "")
    through = '%%connect far\ntype = "http"\nurl = "http://api.invalid"\ntoken = %secret key'
    assert "(no test_path: only the proxy was reached, and the key was not tried)" in shell.run(through)
    for name in ("api", "far"):
        shell.run(f"%connect -x {name}")


def test_tls_and_none_are_told_apart(server: Server, secure: Server, authority: trustme.CA, tmp_path: Path) -> None:
    """`https://` on a port without TLS, `http://` on one with it, whether it hangs up or says 400 as a web server does."""
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    with pytest.raises(ConnectionFailedError, match="that port answers without TLS") as caught:
        fnb.connect({"type": "https", "url": f"https://127.0.0.1:{server.port}"})
    assert "http://…" in caught.value.hint

    for path in ("/", "/me"):
        with pytest.raises(ConnectionFailedError, match="that port begins with TLS") as caught:
            fnb.connect({"type": "http", "url": f"http://127.0.0.1:{secure.port}", "test_path": path})
        assert "https://" in caught.value.hint
    with answering(says_400_or_tls(authority)) as port, pytest.raises(ConnectionFailedError, match="that port begins with TLS"):
        fnb.connect({"type": "http", "url": f"http://127.0.0.1:{port}", "test_path": "/"})
    server.answer = lambda request: Answer(400)
    with pytest.raises(ConnectionFailedError, match="answered 400 to /"):
        fnb.connect({"type": "http", "url": server.url, "test_path": "/"})


def test_a_later_request_to_a_port_with_tls(secure: Server) -> None:
    """Without a test path the first request finds it out: httpx's own error says so, too."""
    fnb.secrets["key"] = ASCII_CANARY
    api = fnb.connect({"type": "http", "url": f"http://127.0.0.1:{secure.port}", "token": "%secret key"})
    with pytest.raises(httpx.TransportError, match="that port begins with TLS") as caught:
        api.get("/")
    assert "hunter2" not in "".join(traceback.format_exception(caught.value))

    with answering(hanging_up) as port:
        other = fnb.connect(f"http://127.0.0.1:{port}")
        with pytest.raises(httpx.TransportError) as hung_up:
            other.get("/")
    assert "TLS" not in str(hung_up.value)
    for client in (api, other):
        client.close()


def says_400_or_tls(authority: trustme.CA) -> Callable[[socket.socket], None]:
    """Return what a web server does on its port for TLS: it tells whom greets it otherwise in plain words."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)

    def answer(connection: socket.socket) -> None:
        if connection.recv(1, socket.MSG_PEEK) == b"\x16":
            context.wrap_socket(connection, server_side=True).close()
        else:
            web_server(connection)

    return answer


def test_the_limit_of_the_line_is_one_of_opening(monkeypatch: pytest.MonkeyPatch) -> None:
    """`--timeout` bounds the connection and what is asked to test it; later requests have the description's time."""
    asked: list[dict[str, float]] = []

    def send(client: httpx.Client, request: httpx.Request, **_: Any) -> httpx.Response:
        asked.append(request.extensions["timeout"])
        raise httpx.ReadTimeout("timed out")

    monkeypatch.setattr(httpx.Client, "send", send)
    parts = {"type": "http", "url": "http://127.0.0.1:1", "timeout": 30, "test_path": "/"}

    with pytest.raises(ConnectionFailedError, match="did not answer in time"):
        connecting.open_connection(parts, timeout_s=3)
    client = connecting.open_connection(parts, timeout_s=3, test=False).native

    assert (asked[0]["connect"], asked[0]["read"]) == (3, 3)
    assert (client.timeout.connect, client.timeout.read) == (3, 30)
    client.close()
