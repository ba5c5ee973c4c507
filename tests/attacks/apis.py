"""What bob tries with an HTTP API that alice shares for reading. As in `tried`."""

from __future__ import annotations

import base64
import gzip
import html
import json
import posixpath
import threading
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from flowfile_nb.core import wire
from tests.attacks.tried import attack
from tests.support.dumb_server import answering
from tests.support.front import House
from tests.support.http_server import Answer, Request, running
from tests.support.lent_api import PLAIN_KEY, Got, ask, asked, shared

KEY = 'k"y/4f9c+2e71=b8d0 ü\\4a6f'
_MIB = 1024 * 1024


def read_by_a_server(path: str) -> str:
    """Return a path as one or the other server reads it: decoded twice, without what begins at `;`, with either slash."""
    plain = unquote(unquote(path.partition("?")[0])).replace("\\", "/")
    segments = [segment.partition(";")[0].strip() for segment in plain.split("/")]
    return plain if plain.startswith("//") else posixpath.normpath("/".join(segments))


# Elsewhere at the same server.


PATHS = {
    "another path": "/admin",
    "up": "/v1/../admin",
    "up, escaped": "/v1/%2e%2e/admin",
    "up, half escaped": "/v1/%2E./admin",
    "up, escaped twice": "/v1/%252e%252e/admin",
    "up, with a parameter": "/v1/..;x=1/admin",
    "up, with a blank": "/v1/..%20/admin",
    "an escaped slash": "/v1/..%2fadmin",
    "an escaped slash after a name": "/v1/group%2f..%2f..%2fadmin",
    "an escaped slash after the base": "/v1%2f..%2fadmin",
    "an escaped backslash": "/v1/..%5cadmin",
    "a backslash": "/v1/..\\admin",
    "a longer name": "/v10/users",
    "two slashes": "//admin.example.com/v1/users",
}
for _name, _path in PATHS.items():

    @attack(f"reach another path of a shared API: {_name}", "any_path")
    def _leave(house: House, path: str = _path) -> bool:
        with shared(house) as server:
            ask(house.bob, path)
            return any(f"{read_by_a_server(request.path)}/".startswith("/v1/") is False for request in server.requests)


@attack("reach a path beside those that the owner has named", "any_path")
def _beside(house: House) -> bool:
    with shared(house, 'paths = ["reports"]') as server:
        ask(house.bob, "/v1/reports-of-the-board")
        return bool(server.requests)


# Another server.


JOINED = {
    "an absolute URL": "http://127.0.0.1:{port}/v1/users",
    "a URL without its scheme": "//127.0.0.1:{port}/v1/users",
    "a user before the host": "http://api.example.com@127.0.0.1:{port}/v1/users",
}
for _name, _path in JOINED.items():

    @attack(f"have a shared API's request sent to another server: {_name}", "joins_urls")
    def _elsewhere(house: House, path: str = _path) -> bool:
        with shared(house), running() as other:
            ask(house.bob, path.format(port=other.port))
            return bool(other.requests)


@attack("have the key follow a redirect to another server", "follows_redirects")
def _redirected(house: House) -> bool:
    with shared(house) as server, running() as other:
        server.redirect_to(f"{other.url}/v1/")
        ask(house.bob, "/v1/away")
        return any(PLAIN_KEY in request.headers.get("authorization", "") for request in other.requests)


@attack("have the key follow a redirect to another path", "follows_redirects")
def _redirected_within(house: House) -> bool:
    with shared(house) as server:
        server.answer = lambda request: Answer(302, {"Location": f"{server.url}/admin"}) if "v1" in request.path else Answer()
        ask(house.bob, "/v1/away")
        return any(request.path == "/admin" for request in server.requests)


OAUTH = 'client_id = "me"\nclient_secret = %secret api_key\ntoken_url = "SERVER/token"\n'


@attack("have the client's secret follow a redirect of the token server", "follows_redirects")
def _token_redirected(house: House) -> bool:
    with shared(house, f'{OAUTH}client_auth = "body"') as server, running() as other:
        server.answer = lambda request: Answer(307, {"Location": f"{other.url}/token"})
        ask(house.bob, "/v1/users")
        return any(PLAIN_KEY.encode() in request.body for request in other.requests)


ADDRESSES = {"no address": "0.0.0.0", "a short address": "127.1", "a number": "2130706433"}
for _name, _host in ADDRESSES.items():

    @attack(f"reach the broker's own host by an API of one's own: {_name}", "any_address")
    def _inside(house: House, host: str = _host) -> bool:
        with running() as inside, shared(house, url=f"http://{host}:{inside.port}"):
            ask(house.alice, "/v1/users")
            return bool(inside.requests)


# More than was allowed.


@attack("delete through a share to read", "any_method")
def _delete(house: House) -> bool:
    with shared(house, 'methods = ["GET", "DELETE"]') as server:
        return ask(house.bob, "/v1/users/1", method="DELETE").status == 200 and server.last.method == "DELETE"


@attack("post by a method that the owner has not listed", "any_method")
def _post(house: House) -> bool:
    with shared(house, 'methods = ["GET", "PUT"]', access="write") as server:
        return ask(house.bob, "/v1/users", method="POST", body=b"{}").status == 200 and server.last.method == "POST"


@attack("have the server trace the request", "any_method")
def _trace(house: House) -> bool:
    with shared(house) as server:
        return ask(house.bob, "/v1/users", method="TRACE").status == 200 and server.last.method == "TRACE"


HEADERS = {
    "a key of his own": ("X-Api-Key", "bobs"),
    "an authorization of his own": ("Authorization", "Bearer bobs"),
    "another host behind a proxy": ("X-Forwarded-Host", "evil.example.com"),
    "another address of the caller": ("X-Forwarded-For", "127.0.0.1"),
    "another path behind a proxy": ("X-Original-URL", "/admin"),
    "another method": ("X-HTTP-Method-Override", "DELETE"),
    "a cookie": ("Cookie", "session=bobs"),
    "a header that a proxy takes away": ("Connection", "close, Authorization"),
    "another way to send the body": ("Transfer-Encoding", "chunked"),
    "a word with a proxy": ("Proxy-Authorization", "Basic Ym9iOmJvYg=="),
}
for _name, _pair in HEADERS.items():

    @attack(f"send a header to a shared API: {_name}", "any_header")
    def _say(house: House, pair: tuple[str, str] = _pair) -> bool:
        with shared(house, 'auth = "query"\nparameter = "key"\ntoken = %secret api_key') as server:
            ask(house.bob, "/v1/users", headers=[pair])
            return any(pair[1] in request.headers.get(pair[0].lower(), "") for request in server.requests)


@attack("read an echo of the key in two ranges", "any_header")
def _ranges(house: House) -> bool:
    def answer(request: Request) -> Answer:
        first, last = (int(one) for one in request.headers.get("range", "bytes=0-0").removeprefix("bytes=").split("-"))
        return Answer(206, body=request.headers["authorization"].encode()[first : last + 1])

    with shared(house) as server:
        server.answer = answer
        parts = [ask(house.bob, "/v1/me", headers=[("Range", f"bytes={at}-{at + 9}")]).body for at in range(0, 40, 10)]
        return PLAIN_KEY.encode() in b"".join(parts)


TENANTS = {"by its name": "tenant=8", "as the first of several": "tenant[]=8", "in ASP's own escape": "%u0074enant=8"}
for _name, _query in TENANTS.items():

    @attack(f"ask for another tenant than the one that the owner has fixed: {_name}", "any_query")
    def _tenant(house: House, query: str = _query) -> bool:
        with shared(house, 'params = { tenant = "7" }') as server:
            ask(house.bob, "/v1/users", query=query)
            return any(query in request.path for request in server.requests)


@attack("delete by a parameter of a request to read", "any_query")
def _method_in_query(house: House) -> bool:
    with shared(house) as server:
        ask(house.bob, "/v1/users/1", query="_method=DELETE")
        return bool(server.requests)


FORMS: dict[str, tuple[str, bytes]] = {
    "a form": ("application/x-www-form-urlencoded", b"a=1&_method=DELETE"),
    "a form, by the name that PHP makes of it": ("application/x-www-form-urlencoded", b"a=1&.method=DELETE"),
    "what Rack takes for a form": ("", b"_method=DELETE"),
    "JSON, as Laravel reads it": ("application/json", b'{"_method": "DELETE"}'),
}
for _name, (_type, _form) in FORMS.items():

    @attack(f"delete by a field of a body: {_name}", "any_body")
    def _method_in_form(house: House, kind: str = _type, form: bytes = _form) -> bool:
        headers = [("Content-Type", kind)] if kind else []
        with shared(house, 'methods = ["POST"]', access="write") as server:
            ask(house.bob, "/v1/users/1", method="POST", headers=headers, body=form)
            return bool(server.requests)


@attack("put a second request into the body of a first", "any_body")
def _smuggled(house: House) -> bool:
    with shared(house) as server:
        ask(house.bob, "/v1/users", body=b"DELETE /admin HTTP/1.1\r\nHost: api\r\n\r\n")
        return any(b"DELETE" in request.body for request in server.requests)


# The key in an answer.


Echo = Callable[[Request, str], Answer]


def _said(request: Request, key: str) -> str:
    return request.headers.get("x-key", key)


ECHOES: dict[str, Echo] = {
    "as it is": lambda request, key: Answer(body=key.encode()),
    "on an error page": lambda request, key: Answer(401, body=f"<p>bad key: {html.escape(key)}</p>".encode()),
    "in JSON": lambda request, key: Answer(body=json.dumps({"headers": {"X-Key": key}}).encode()),
    "in JSON in JSON": lambda request, key: Answer(body=json.dumps(json.dumps({"key": key})).encode()),
    "in a URL": lambda request, key: Answer(body=f"https://api.example.com/?key={quote(key, safe='')}".encode()),
    "in base64": lambda request, key: Answer(body=base64.b64encode(f"me:{key}".encode())),
    "in hexadecimal": lambda request, key: Answer(body=key.encode().hex().encode()),
    "in Python's words": lambda request, key: Answer(body=repr({"key": key}).encode()),
    "in a header": lambda request, key: Answer(200, {"X-Echo": quote(key)}),
    "in the place of a redirect": lambda request, key: Answer(302, {"Location": f"/v1/login?key={quote(key)}"}),
    "compressed": lambda request, key: Answer(200, {"Content-Encoding": "gzip"}, gzip.compress(key.encode())),
    "deflated": lambda request, key: Answer(200, {"Content-Encoding": "deflate"}, zlib.compress(key.encode())),
}


def _forms(key: str) -> list[bytes]:
    raw = key.encode()
    texts = [key, html.escape(key), json.dumps(key)[1:-1], json.dumps(json.dumps(key))[3:-3], repr(key)[1:-1]]
    texts += [quote(key), quote(key, safe=""), raw.hex(), base64.b64encode(b"me:" + raw).decode()]
    return [text.encode() for text in texts]


def _holds(got: Got, key: str) -> bool:
    """Return whether an answer holds a key, also where one has to undo what the server has done to it."""
    seen = [got.body, str(got.headers).encode(), *got.headers.values()]
    for inflate in (gzip.decompress, zlib.decompress):
        try:
            seen.append(inflate(got.body))
        except (OSError, EOFError, zlib.error):
            continue
    every = b"\n".join(one if isinstance(one, bytes) else one.encode() for one in seen)
    return any(form in every for form in _forms(key))


for _name, _echo in ECHOES.items():

    @attack(f"read the key in an echo: {_name}", "hands_on_echoes")
    def _echoed(house: House, echo: Echo = _echo) -> bool:
        # A header takes no letters outside ASCII.
        key = KEY.replace("ü", "u")
        with shared(house, 'auth = "header"\nheader = "X-Key"\ntoken = %secret api_key', key=key) as server:
            server.answer = lambda request: echo(request, _said(request, key))
            return _holds(ask(house.bob, "/v1/me"), key)


@attack("read the key in an echo: as UTF-16", "hands_on_echoes")
def _utf16(house: House) -> bool:
    with shared(house) as server:
        server.answer = lambda request: Answer(body=PLAIN_KEY.encode("utf-16"))
        return PLAIN_KEY.encode("utf-16-le") in ask(house.bob, "/v1/me").body


@attack("read the key in an echo: user and password", "hands_on_echoes")
def _basic(house: House) -> bool:
    with shared(house, 'auth = "basic"\nusername = "me"\npassword = %secret api_key') as server:
        server.answer = lambda request: Answer(body=request.headers["authorization"].encode())
        return base64.b64encode(f"me:{PLAIN_KEY}".encode())[8:24] in ask(house.bob, "/v1/me").body


@attack("read the access token that was bought with the client's secret", "hands_on_echoes")
def _token(house: House) -> bool:
    token = b"tok-4711-bought-with-the-secret"

    def answer(request: Request) -> Answer:
        if request.path == "/token":
            return Answer(body=json.dumps({"access_token": token.decode(), "token_type": "bearer"}).encode())
        return Answer(body=request.headers["authorization"].encode())

    with shared(house, OAUTH) as server:
        server.answer = answer
        return token in ask(house.bob, "/v1/me").body


@attack("read an echo of the key that comes in two pieces", "masks_pieces")
def _in_pieces(house: House) -> bool:
    def answer(request: Request) -> Answer:
        def pieces() -> Iterator[bytes]:
            yield b"key: " + PLAIN_KEY[:9].encode()
            # The first has been read when the second comes.
            arrived.wait(1)
            yield PLAIN_KEY[9:].encode()

        return Answer(body=pieces())

    arrived = threading.Event()
    with shared(house) as server:
        server.answer = answer
        return PLAIN_KEY.encode() in ask(house.bob, "/v1/me").body


@attack("find out how the key begins by what of an echo comes late", "holds_prefixes")
def _timed(house: House) -> bool:
    return _arrived_early(house, PLAIN_KEY[:12]) != _arrived_early(house, PLAIN_KEY[:11] + "#")


def _arrived_early(house: House, guess: str) -> int:
    """Return how many bytes of an echo of a guess come before its server goes on."""
    go_on = threading.Event()

    def answer(request: Request) -> Answer:
        def pieces() -> Iterator[bytes]:
            yield b"." * 2000 + unquote(request.path.partition("=")[2]).encode()
            go_on.wait(20)
            yield b"the end"

        return Answer(body=pieces())

    with shared(house) as server:
        server.answer = answer
        with asked(house.bob, "/v1/echo", query=f"q={quote(guess)}") as response:
            decoder, seen = wire.Decoder(), 0
            for data in response.iter_raw():
                frames = decoder.feed(data)
                seen += sum(len(frame.data) for frame in frames if frame.kind == wire.BODY)
                # The next sign of life: until then nothing of the body has come any more.
                if seen and any(frame.kind == wire.HEARTBEAT for frame in frames):
                    break
            go_on.set()
    return seen


@attack("get the session that the API has begun for the key", "hands_on_cookies")
def _cookie(house: House) -> bool:
    with shared(house) as server:
        server.answer = lambda request: Answer(200, {"Set-Cookie": "session=as-good-as-the-key; HttpOnly"})
        return "as-good-as" in str(ask(house.bob, "/v1/me").headers)


@attack("read the key in what is said of an answer that is none", "tells_errors")
def _error(house: House) -> bool:
    def nonsense(connection: Any) -> None:
        request = connection.recv(65536)
        # Somebody else on this machine may have come by.
        key = next((line for line in request.split(b"\r\n") if line.lower().startswith(b"authorization")), b"nobody's")
        connection.sendall(b"HTTP/1.1 200 OK\r\n" + key.replace(b": ", b" ") + b"\r\n\r\n")

    with answering(nonsense) as port, shared(house, url=f"http://127.0.0.1:{port}"):
        return PLAIN_KEY in ask(house.bob, "/v1/me").error


@attack("have a small answer take all memory", "inflates_at_once")
def _bomb(house: House) -> bool:
    bomb = gzip.compress(bytes(200 * _MIB), 1)
    with shared(house) as server:
        server.answer = lambda request: Answer(200, {"Content-Encoding": "gzip"}, bomb)
        with asked(house.bob, "/v1/big") as response:
            decoder = wire.Decoder()
            # Its body has begun, or failed.
            next(data for data in response.iter_raw() if any(one.kind in {wire.BODY, wire.ERROR} for one in decoder.feed(data)))
            return any(_peak_mib(pid) > 250 for pid in _children(house))


def _children(house: House) -> Sequence[int]:
    assert house.front.process is not None
    pid = house.front.process.pid
    return [int(one) for task in Path(f"/proc/{pid}/task").iterdir() for one in (task / "children").read_text().split()]


def _peak_mib(pid: int) -> float:
    [line] = [line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) / 1024


# A shared key in a description of one's own.


DESCRIPTIONS = {
    "more methods": ("token = %secret api_key", 'token = %secret api_key\nmethods = ["GET", "DELETE"]'),
    "another path": ("/v1", "/admin"),
    "another way to send it": ("token =", 'auth = "query"\nparameter = "q"\ntoken ='),
    "another token server": (
        "token = %secret api_key",
        'client_id = "me"\nclient_secret = %secret api_key\ntoken_url = "OTHER"',
    ),
}
for _name, _change in DESCRIPTIONS.items():

    @attack(f"use a shared key by another description: {_name}", "any_target")
    def _described(house: House, change: tuple[str, str] = _change) -> bool:
        with shared(house) as server, running() as other:
            house.alice.put("shares", {"what": "secret", "name": "api_key", "group": "analysts"})
            body = f'type = "http"\nurl = "{server.url}/v1"\ntoken = %secret api_key'.replace(*change)
            path = "/admin" if "/admin" in body else "/v1/users"
            ask(house.bob, path, description=body.replace("OTHER", f"{other.url}/token"))
            return bool(server.requests or other.requests)
