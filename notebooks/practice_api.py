"""
What http_api.ipynb and the team's notebooks stand on: an API with real data, in this kernel, which goes away with it.

Nothing here is needed to use flowfile_nb. It answers as `api.example.com` and a few others, being the proxy that the
environment names: so the notebook's URLs look like yours, and nothing leaves this machine. A team's broker uses no proxy, and
asks it by its own address.
"""

from __future__ import annotations

import base64
import csv
import json
import os
import secrets
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from typing import Any
from urllib.parse import SplitResult, parse_qsl, quote_plus, urlsplit


class _Api(ThreadingHTTPServer):
    """The server, what it knows and who may ask."""

    daemon_threads = True

    def __init__(self, key: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        text = files("palmerpenguins").joinpath("data/penguins.csv").read_text(encoding="utf-8")
        self.penguins = [dict(row) for row in csv.DictReader(text.splitlines())]
        self.key = key
        self.tokens = {key}


_started: list[_Api] = []


def start_practice_api() -> None:
    """
    Start an API about 344 penguins measured near Palmer Station, Antarctica (Horst, Hill and Gorman 2020, CC0).

    Its key is random, full of special characters, and handed over as a company might: in the environment variable
    `PRACTICE_PASSWORD`.
    """
    while _started:
        # All cells are run again.
        _started.pop().shutdown()
    key = f"p@ss:w/or d?#{secrets.token_urlsafe(8)}"
    os.environ.update(PRACTICE_PASSWORD=key, http_proxy=f"http://127.0.0.1:{start_api(key)}", no_proxy="")
    print("http://api.example.com/v1 is answered by this notebook's kernel.")


def start_api(key: str) -> int:
    """Start the API with a key that it takes, and return its port."""
    api = _Api(key)
    threading.Thread(target=api.serve_forever, daemon=True).start()
    _started.append(api)
    return int(api.server_port)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Api

    def answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        url = urlsplit(self.path)
        if url.hostname == "login.example.com":
            self.give_token()
        elif url.hostname not in {"api.example.com", None}:
            self.say({"host": url.hostname, "authorization": self.headers.get("Authorization"), "query": url.query})
        elif not self.is_known(url):
            self.say({"error": "who are you?"}, 401)
        elif url.path == "/v1/moved":
            self.say({}, 302, Location="http://elsewhere.example.com/")
        elif url.path == "/v1/echo":
            self.say({"authorization": self.headers.get("Authorization") or self.headers.get("X-Api-Key")})
        elif url.path == "/v1/penguins":
            wanted = {name: item for name, item in parse_qsl(url.query) if name in self.server.penguins[0]}
            self.say([row for row in self.server.penguins if wanted.items() <= row.items()])
        else:
            self.say({"error": "no such page"}, 404)

    do_GET = do_POST = answer  # noqa: N815 - the library's names

    def give_token(self) -> None:
        # A client of OAuth encodes its id and secret before (RFC 6749, section 2.3.1).
        if self.headers.get("Authorization") != _basic("notebook", quote_plus(self.server.key)):
            self.say({"error": "invalid_client"}, 401)
            return
        token = secrets.token_urlsafe(16)
        self.server.tokens.add(token)
        self.say({"access_token": token, "token_type": "bearer", "expires_in": 3600})

    def is_known(self, url: SplitResult) -> bool:
        said, key = self.headers.get("Authorization", ""), self.server.key
        return (
            said.removeprefix("Bearer ") in self.server.tokens
            or said == _basic("app", key)
            or self.headers.get("X-Api-Key") == key
            or ("api_key", key) in parse_qsl(url.query)
        )

    def say(self, answer: object, status: int = 200, **headers: str) -> None:
        body = json.dumps(answer).encode()
        self.send_response(status)
        for name, item in {"Content-Type": "application/json", "Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, item)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        pass


def _basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
