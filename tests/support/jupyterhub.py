"""A real JupyterHub with its proxy, its users' servers and their kernels, driven without a browser."""

from __future__ import annotations

import json
import os
import subprocess
import textwrap
import time
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import httpx
import websocket

from tests.support.processes import ended_after, free_port, until, wait_for_port

ROOT = Path(__file__).parent.parent.parent
PROXY = ROOT / "tests" / "e2e" / "node_modules" / ".bin" / "configurable-http-proxy"
SERVICE = "flowfile-secrets"
PREFIX = f"/services/{SERVICE}/"
_START_S = 90

# What `.deploy` has to copy, as it stands there, and after it what a test needs: other ports and tokens, who the callers are.
_CONFIG = """
load_subconfig({deploy!r})
c.JupyterHub.bind_url = {url!r}
c.JupyterHub.hub_port = {hub_port}
c.JupyterHub.db_url = {database!r}
c.JupyterHub.cookie_secret_file = {cookie!r}
c.ConfigurableHTTPProxy.command = {proxy!r}
c.ConfigurableHTTPProxy.api_url = "http://127.0.0.1:{proxy_port}"
c.ConfigurableHTTPProxy.pid_file = {pid_file!r}
c.ConfigurableHTTPProxy.auth_token = {proxy_token!r}
c.ConfigurableHTTPProxy.should_start = {starts_proxy!r}
c.JupyterHub.cleanup_servers = {starts_proxy!r}
c.JupyterHub.authenticator_class = "dummy"
c.Authenticator.allowed_users = {users!r}
c.JupyterHub.spawner_class = {spawner!r}
c.Spawner.cmd = [{singleuser!r}]
c.Spawner.args = {arguments!r}
c.Spawner.http_timeout = 60
c.Spawner.default_url = "/api"
c.Spawner.start_timeout = 60
c.Spawner.environment = {{"FLOWFILE_NB_TEAM": {team!r}}}
c.JupyterHub.load_groups = {groups!r}
service = {{**c.JupyterHub.services[0], "api_token": {broker_token!r}}}
del service["url"]
c.JupyterHub.services = [
    {{**service, **({{"url": {broker!r}}} if {broker!r} else {{}})}},
    {{"name": "driver", "api_token": {driver_token!r}}},
]
callers, reader = c.JupyterHub.load_roles
c.JupyterHub.load_roles = [
    {{**callers, "groups": [], "users": {users!r}}},
    reader,
    {{
        "name": "driver",
        "scopes": ["admin:users", "admin:servers", "tokens", "admin:groups", "access:servers"],
        "services": ["driver"],
    }},
]
"""


class Hub:
    """
    A JupyterHub.

    Args:
        home: A folder for it.
        python: Of the environment in which JupyterHub, ipykernel and flowfile_nb are installed.
        broker: URL of the broker's host and port; empty where kernels reach it by its unix socket alone.
        users: Who may log in.
        groups: Who is in which group.
        spawner: `simple` for servers of this user; `jupyterhub.spawner.LocalProcessSpawner` for each user's own, as root.
        team: What kernels take for the broker's address; the Hub's proxy if not given.
        lasting: Whether proxy and users' servers outlive the Hub, as they do where Hubs are upgraded while people work.
    """

    def __init__(  # noqa: PLR0917 - what a Hub consists of
        self,
        home: Path,
        python: str,
        broker: str,
        users: list[str],
        groups: dict[str, list[str]],
        spawner: str,
        team: str = "",
        *,
        lasting: bool = False,
    ) -> None:
        self.port, self.hub_port, self._proxy_port = free_port(), free_port(), free_port()
        self._proxy_token = uuid.uuid4().hex
        self._users, self._lasting = users, lasting
        self._process: subprocess.Popen[bytes] | None = None
        self.url = f"http://127.0.0.1:{self.port}"
        self.api = f"http://127.0.0.1:{self.hub_port}/hub/api"
        self.broker_token, self.driver_token = uuid.uuid4().hex, uuid.uuid4().hex
        self._home = home
        self._python = python
        self.log = home / "hub.log"
        self._config = home / "jupyterhub_config.py"
        self._config.write_text(
            _CONFIG.format(
                url=self.url,
                hub_port=self.hub_port,
                database=f"sqlite:///{home}/hub.sqlite",
                cookie=str(home / "cookie"),
                proxy=[str(PROXY)],
                proxy_port=self._proxy_port,
                proxy_token=self._proxy_token,
                starts_proxy=not lasting,
                pid_file=str(home / "proxy.pid"),
                users=users,
                spawner=spawner,
                arguments=["--allow-root"] if spawner == "simple" and os.geteuid() == 0 else [],
                singleuser=str(Path(python).parent / "jupyterhub-singleuser"),
                team=team or f"{self.url}{PREFIX}",
                groups={name: {"users": members} for name, members in groups.items()},
                deploy=str(ROOT / ".deploy" / "jupyterhub_config.py"),
                broker=broker.rstrip("/"),
                broker_token=self.broker_token,
                driver_token=self.driver_token,
            )
            + (
                'c.SimpleLocalProcessSpawner.home_dir_template = "' + str(home) + '/{username}"\n'
                if spawner == "simple"
                else ""
            )
        )
        self.http = httpx.Client(
            base_url=self.url, headers={"Authorization": f"token {self.driver_token}"}, trust_env=False, timeout=60
        )

    @contextmanager
    def running(self) -> Iterator[None]:
        """Run the Hub for a block."""
        with self._proxy() if self._lasting else nullcontext():
            self.start()
            try:
                yield
            finally:
                self._end()

    def start(self) -> None:
        """Start the Hub; returns when it answers."""
        with self.log.open("ab") as log:
            command = [self._python, "-m", "jupyterhub", "-f", str(self._config)]
            self._process = subprocess.Popen(command, cwd=self._home, env=self._environ, stdout=log, stderr=log)
        process = self._process
        until(lambda: self._answers(process), _START_S)

    def kill(self) -> None:
        """End the Hub as a crash does: proxy and users' servers stay, if they are lasting."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def _end(self) -> None:
        assert self._process is not None
        with ended_after(self._process):
            if self._lasting and self._process.poll() is None:
                for user in self._users:
                    self.http.delete(f"/hub/api/users/{user}/server")
                    until(lambda user=user: not self.call("GET", f"users/{user}")["server"])  # type: ignore[misc]

    @contextmanager
    def _proxy(self) -> Iterator[None]:
        here = "127.0.0.1"
        command = [str(PROXY), "--ip", here, "--port", str(self.port), "--api-ip", here, "--api-port", str(self._proxy_port)]
        command += ["--default-target", f"http://{here}:{self.hub_port}"]
        environ = {**self._environ, "CONFIGPROXY_AUTH_TOKEN": self._proxy_token}
        log = self._home / "proxy.log"
        with log.open("ab") as file:
            process = subprocess.Popen(command, cwd=self._home, env=environ, stdout=file, stderr=file)
        with ended_after(process):
            wait_for_port(process, self.port, _START_S, log)
            yield

    @property
    def _environ(self) -> dict[str, str]:
        path = f"{Path(self._python).parent}:{os.environ['PATH']}"
        return {"PATH": path, "HOME": str(self._home), "LANG": "C.UTF-8", "FLOWFILE_NB_HUB_TOKEN": self.broker_token}

    def _answers(self, process: subprocess.Popen[bytes]) -> bool:
        assert process.poll() is None, self.log.read_text()[-4000:]
        try:
            return self.http.get("/hub/api/users").status_code == 200
        except httpx.TransportError:
            return False

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """Ask the Hub's API as the driver."""
        answer = self.http.request(method, f"/hub/api/{path}", json=body)
        assert answer.is_success, (answer.status_code, answer.text)
        return answer.json() if answer.content else None

    def token(self, user: str, *scopes: str, lifetime_s: int = 3600) -> str:
        """Make a token of a user's."""
        return str(self.call("POST", f"users/{user}/tokens", {"scopes": list(scopes), "expires_in": lifetime_s})["token"])

    @contextmanager
    def kernel(self, user: str) -> Iterator[Kernel]:
        """Start a user's server, and a kernel in it."""
        started = self.http.post(f"/hub/api/users/{user}/server")
        assert started.status_code in {201, 202, 400}, self.log.read_text()[-4000:]
        until(lambda: bool(self.call("GET", f"users/{user}")["server"]), _START_S)
        answer = self.http.post(f"/user/{user}/api/kernels", json={"name": "python3"})
        assert answer.status_code == 201, answer.text
        number = answer.json()["id"]
        address = f"ws://127.0.0.1:{self.port}/user/{user}/api/kernels/{number}/channels?session_id={uuid.uuid4().hex}"
        headers = [f"Authorization: token {self.driver_token}"]
        with closing(websocket.create_connection(address, header=headers, timeout=120, skip_utf8_validation=True)) as socket:
            yield Kernel(socket)


class Kernel:
    """A kernel at the other end of a websocket."""

    def __init__(self, socket: websocket.WebSocket) -> None:
        self._socket = socket

    def run(self, code: str) -> str:
        """Run a cell, and return all that it shows, errors too."""
        number = self.begin(code)
        return self.finish(number)

    def begin(self, code: str) -> str:
        """Send a cell."""
        number = uuid.uuid4().hex
        header = {"msg_id": number, "msg_type": "execute_request", "username": "", "session": "", "date": "", "version": "5.3"}
        content = {
            "code": textwrap.dedent(code).strip(),
            "silent": False,
            "store_history": False,
            "user_expressions": {},
            "allow_stdin": False,
        }
        message = {"header": header, "parent_header": {}, "metadata": {}, "content": content, "channel": "shell", "buffers": []}
        self._socket.send(json.dumps(message))
        return number

    def finish(self, number: str) -> str:
        """Wait for a cell's end, and return all that it has shown."""
        shown: list[str] = []
        replied = idle = False
        end = time.monotonic() + 120
        while not (replied and idle):
            assert time.monotonic() < end, shown
            message = json.loads(self._socket.recv())
            if message.get("parent_header", {}).get("msg_id") != number:
                continue
            kind, content = message["msg_type"], message["content"]
            replied |= kind == "execute_reply"
            idle |= kind == "status" and content["execution_state"] == "idle"
            if kind == "stream":
                shown.append(content["text"])
            elif kind in {"execute_result", "display_data"}:
                shown.append(content["data"].get("text/plain", ""))
            elif kind == "error":
                shown.append("\n".join(content["traceback"]))
        return "".join(shown)
