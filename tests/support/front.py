"""A whole broker in a process of its own, its operator, and members who call it by HTTP, as a kernel does."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pyarrow as pa

from flowfile_nb.broker.model import Caller
from flowfile_nb.broker.team import Team, open_team
from flowfile_nb.core import wire
from flowfile_nb.core.crypto import generate_master_key
from notebooks.throwaway import Postgres
from tests.support.processes import wait_for_port

ROOT = Path(__file__).parent.parent.parent
_NUMBERS = itertools.count(1)


class Result:
    """What a query answered: a table, or an error."""

    def __init__(self, data: bytes) -> None:
        decoder = wire.Decoder()
        self.frames = list(decoder.feed(data))
        decoder.finish()
        self.end = self.frames[-1].facts()

    @property
    def failed(self) -> str:
        """The kind of error; empty of a whole result."""
        return str(self.end["type"]) if self.frames[-1].kind == wire.ERROR else ""

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The rows of a whole result."""
        assert not self.failed, self.end
        return list(
            pa.ipc.open_stream(b"".join(frame.data for frame in self.frames if frame.kind == wire.ARROW)).read_all().to_pylist()
        )


class Member:
    """
    Somebody who calls the broker.

    Args:
        url: The broker's.
        token: His.
        uds: The broker's unix socket, if it has one.
    """

    def __init__(self, url: str, token: str = "", uds: str | None = None) -> None:
        headers = {"X-Flowfile-Nb-Wire": "1"} | ({"Authorization": f"Bearer {token}"} if token else {})
        self.token = token
        self.http = httpx.Client(
            base_url=url, headers=headers, transport=httpx.HTTPTransport(uds=uds), trust_env=False, timeout=60
        )

    def get(self, path: str, **query: str) -> httpx.Response:
        """Ask."""
        return self.http.get(f"api/{path}", params=query)

    def put(self, path: str, body: Any) -> httpx.Response:
        """Store or change."""
        return self.http.put(f"api/{path}", json=body)

    def post(self, path: str, body: Any) -> httpx.Response:
        """Do."""
        return self.http.post(f"api/{path}", json=body)

    def done(self, method: str, path: str, body: Any) -> dict[str, Any]:
        """Do something that has to be allowed."""
        answer = self.http.request(method, f"api/{path}", json=body)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def query(self, statement: str, connection: str | None = "warehouse", **more: Any) -> Result | httpx.Response:
        """Run a statement: its result, or the answer that refuses it."""
        with self.running(statement, connection, **more) as answer:
            data = answer.read()
        return Result(data) if answer.status_code == 200 else answer

    def rows(self, statement: str, connection: str | None = "warehouse", **more: Any) -> list[dict[str, Any]]:
        """Run a statement that has to be allowed, and return its rows."""
        result = self.query(statement, connection, **more)
        assert isinstance(result, Result), result.text
        return result.rows

    @contextmanager
    def running(self, statement: str, connection: str | None = "warehouse", **more: Any) -> Iterator[httpx.Response]:
        """Begin a statement; its answer is not read."""
        body = {"id": f"q{next(_NUMBERS)}", "statement": statement, **more}
        if connection is not None:
            body["connection"] = connection
        with self.http.stream("POST", "api/query", json=body) as answer:
            yield answer


class Front:
    """
    A broker's process.

    Args:
        directory: Its own folder.
        key: Its master key; none, if empty.
        options: More of `serve`.
        program: What is run in the place of `python -m flowfile_nb`.
        environ: More of its environment.
        own_port: Whether it binds a port by itself, in the place of a socket that is held for it.
        socket_path: Of a unix socket that it makes, in the place of both.
    """

    def __init__(  # noqa: PLR0917 - what a process consists of
        self,
        directory: Path,
        key: str,
        options: Sequence[str] = (),
        program: Sequence[str] = (sys.executable, "-m", "flowfile_nb"),
        environ: dict[str, str] | None = None,
        own_port: bool = False,
        socket_path: Path | None = None,
    ) -> None:
        self.directory = directory
        self.key = key
        self.options = options
        self.program = program
        self.environ = environ or {}
        # Held here, as systemd does: it stays when the process ends.
        self.held = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.held.getsockname()[1]}/"
        self.port = self.held.getsockname()[1]
        self.socket_path = socket_path
        self._own_port = own_port
        if own_port:
            self.held.close()
        self.log = directory.parent / f"{directory.name}.log"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it; whoever calls meanwhile waits at the held socket."""
        environ = {"PATH": os.environ["PATH"], "HOME": str(self.directory.parent), "PYTHONPATH": str(ROOT), **self.environ}
        if self.key:
            environ["FLOWFILE_MASTER_KEY"] = self.key
        held = [] if self._own_port or self.socket_path else [self.held.fileno()]
        where = ["--port", str(self.port)] if self._own_port else ["--fd", *map(str, held)]
        if self.socket_path:
            where = ["--socket", str(self.socket_path)]
        command = [*self.program, "serve", "--directory", str(self.directory), *where, *self.options]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(command, pass_fds=held, env=environ, cwd=ROOT, stdout=log, stderr=log)
        if self._own_port:
            wait_for_port(self.process, self.port, 30, self.log)

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Stop the process, and return its status."""
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(20)

    def close(self) -> None:
        """Stop all."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.held.close()


class House:
    """
    A broker and a team: alice owns `prod_pw` and the connection `warehouse`, bob is in the group `analysts`, carol is in none.

    Args:
        front: The broker.
        team: Its store, as its operator opens it.
        server: The database to which `warehouse` leads.
    """

    def __init__(self, front: Front, team: Team, server: Postgres) -> None:
        self.front = front
        self.team = team
        self.server = server
        team.set_admin("alice", True)
        self.tokens = {name: team.issue_token(name) for name in ("alice", "bob", "carol")}
        self._members: list[Member] = []
        self.alice, self.bob, self.carol = (self.member(token) for token in self.tokens.values())
        self.body = f"postgresql://{server.user}:%secret prod_pw@{server.host}:{server.port}/{server.database}"
        self.alice.done("PUT", "secrets", {"name": "prod_pw", "value": server.password})
        self.alice.done("PUT", "connections", {"name": "warehouse", "body": self.body})
        self.alice.done("POST", "groups", {"name": "analysts"})
        self.alice.done("PUT", "groups/members", {"group": "analysts", "user": "bob", "role": "member"})

    def renew(self) -> None:
        """Make the team as it was, whatever was taken away, and share `warehouse` for reading."""
        self.team.shut_out("bob", False)
        self.team.set_admin("bob", False)
        for name in ("alice", "bob", "carol"):
            self.tokens[name] = self.team.issue_token(name)
        self.alice, self.bob, self.carol = (self.member(self.tokens[name]) for name in ("alice", "bob", "carol"))
        # A connection that is saved with a secret which is shared already gets it only when it is entered again.
        self.unshare("secret", "prod_pw")
        self.alice.post("connections/delete", {"name": "warehouse"})
        self.alice.put("secrets", {"name": "prod_pw", "value": self.server.password, "replace": True})
        self.alice.put("connections", {"name": "warehouse", "body": self.body})
        self.alice.post("groups", {"name": "analysts"})
        self.alice.post("groups/members/delete", {"group": "analysts", "user": "carol"})
        self.alice.put("groups/members", {"group": "analysts", "user": "bob", "role": "member"})
        self.share()

    def member(self, token: str = "", url: str = "", uds: str | None = None) -> Member:
        """Return somebody who calls with a token, by HTTP or over a unix socket."""
        self._members.append(Member(url or self.front.url, token, uds))
        return self._members[-1]

    def close(self) -> None:
        """Close everybody's connections."""
        for member in self._members:
            member.http.close()

    def share(self, access: str = "read", what: str = "connection", name: str = "warehouse") -> None:
        """Share with the analysts."""
        body = {"what": what, "name": name, "group": "analysts", "access": access, "confirmed": access == "write"}
        self.alice.done("PUT", "shares", body)

    def unshare(self, what: str = "connection", name: str = "warehouse") -> None:
        """Share no longer."""
        self.alice.post("shares/delete", {"what": what, "name": name, "group": "analysts"})

    def as_alice(self) -> Caller:
        """Alice, as the policy knows her."""
        return Caller("alice", is_admin=True)


@contextmanager
def running_house(server: Postgres, **options: Any) -> Iterator[House]:
    """Start a broker with a team, and stop it at the end."""
    home = Path(tempfile.mkdtemp(prefix="ffb_"))
    try:
        front = Front(home / "broker", generate_master_key().decode(), **options)
        team = open_team("sqlite", str(front.directory), {"FLOWFILE_MASTER_KEY": front.key})
        with closing(front), closing(team):
            front.start()
            with closing(House(front, team, server)) as house:
                yield house
    finally:
        shutil.rmtree(home, ignore_errors=True)


def text_of(answer: httpx.Response | Result) -> str:
    """Return all that an answer says, to be searched."""
    return answer.text if isinstance(answer, httpx.Response) else json.dumps(answer.end)
