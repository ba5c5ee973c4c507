"""A broker for tests of the kernel's side: the API's table, a store in memory, tokens that are names. It runs no statement."""

from __future__ import annotations

import json
import socketserver
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from flowfile_nb.connections.definition import Definition
from flowfile_nb.core.references import renamed_in
from flowfile_nb.errors import (
    BindingError,
    FlowfileNbError,
    GroupError,
    NoSuchConnectionError,
    NoSuchGroupError,
    NoSuchSecretError,
    NotAllowedError,
    SecretExistsError,
    SharedSecretError,
    WriteShareError,
)

_STATUS = {
    NotAllowedError: 403,
    NoSuchSecretError: 404,
    NoSuchConnectionError: 404,
    NoSuchGroupError: 404,
    SecretExistsError: 409,
}
Body = Mapping[str, Any]
Owned = tuple[str, str]
"""The owner and the name."""


def token_of(user: str) -> str:
    """Return the token that a user has."""
    return f"token-of-{user}"


@dataclass
class Double:
    """What the broker keeps; the caller is whoever the token names, and `root` is an admin."""

    secrets: dict[Owned, tuple[str, int]] = field(default_factory=dict)
    bodies: dict[Owned, str] = field(default_factory=dict)
    groups: dict[str, dict[str, str]] = field(default_factory=dict)
    descriptions: dict[str, str] = field(default_factory=dict)
    shares: dict[tuple[str, str, str, str], dict[str, str]] = field(default_factory=dict)
    """By what, owner, name and group."""
    checked: list[Body] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    log: list[dict[str, Any]] = field(default_factory=list)
    unfixed: dict[Owned, str] = field(default_factory=dict)
    """By connection, the secret that its owner has to enter again."""
    socket: str = ""

    def answer(self, method: str, path: str, caller: str, body: Body) -> Body:
        """Return what the broker answers; errors are raised."""
        self.asked.append(f"{method} {path}")
        if not caller:
            raise NotAllowedError("the token is not known")
        handler: Callable[[str, Body], Body | None] | None = _ROUTES.get((method, path.strip("/"))).__get__(self)
        assert handler is not None, path
        return handler(caller, body) or {}

    def me(self, caller: str, body: Body) -> Body:
        groups = [name for name, members in self.groups.items() if caller in members]
        return {"name": caller, "groups": groups, "is_admin": caller == "root", "vouched_by": "token", "wire": 1}

    def list_secrets(self, caller: str, body: Body) -> Body:
        found = []
        for number, ((owner, name), (_, at)) in enumerate(self.secrets.items()):
            groups = [group for what, of, named, group in self.shares if (what, of, named) == ("secret", owner, name)]
            mine = owner == caller
            groups = groups if mine else [group for group in groups if caller in self.groups.get(group, {})]
            writers = [group for group in groups if self.shares["secret", owner, name, group]["access"] == "write"]
            if mine or groups:
                found.append(
                    {
                        "id": number,
                        "name": name,
                        "owner": owner,
                        "shared_by": "" if mine else owner,
                        "groups": groups,
                        "mode": "in this kernel" if mine else "brokered",
                        "updated_at": at,
                        "used_at": None,
                        "targets": self.targets(owner, name),
                        "writers": writers,
                        "promises": [["read", "postgresql", "it changes nothing"]] if groups else [],
                    }
                )
        return {"secrets": found}

    def targets(self, owner: str, name: str) -> list[str]:
        known = [Definition("", body).outline for (of, _), body in self.bodies.items() if of == owner]
        return [outline.target for outline in known if name in outline.secrets]

    def put_secret(self, caller: str, body: Body) -> Body:
        key = caller, body["name"]
        if key in self.secrets and not body["replace"]:
            raise SecretExistsError(f"there is already a secret named {body['name']!r}", hint="--replace")
        replaced = key in self.secrets
        self.secrets[key] = body["value"], int(time.time())
        return {"replaced": replaced}

    def reveal(self, caller: str, body: Body) -> Body:
        name = body["name"]
        if (caller, name) in self.secrets:
            self.log.append({"at": 1_764_000_000.5, "caller": caller, "action": "reveal", "name": name, "rows": 0})
            return {"value": self.secrets[caller, name][0]}
        if any(one["name"] == name for one in self.list_secrets(caller, {})["secrets"]):
            raise SharedSecretError("its value is not shown")
        raise NoSuchSecretError(f"no secret named {name!r}")

    def own(self, caller: str, name: str) -> Owned:
        if (caller, name) not in self.secrets:
            raise NoSuchSecretError(f"no secret named {name!r}")
        return caller, name

    def rename(self, caller: str, body: Body) -> Body:
        old = self.own(caller, body["old"])
        if (caller, body["new"]) in self.secrets:
            raise SecretExistsError(f"there is already a secret named {body['new']!r}", hint="another name")
        self.secrets = {(caller, body["new"]) if key == old else key: item for key, item in self.secrets.items()}
        own = {key: text for key, text in self.bodies.items() if key[0] == caller}
        followed = renamed_in(own, body["old"], body["new"])
        self.bodies |= followed
        return {"connections": [name for _, name in followed]}

    def delete_secret(self, caller: str, body: Body) -> None:
        del self.secrets[self.own(caller, body["name"])]
        self.shares = {key: item for key, item in self.shares.items() if key[:3] != ("secret", caller, body["name"])}

    def list_connections(self, caller: str, body: Body) -> Body:
        found = []
        for (owner, name), text in self.bodies.items():
            shares = {key[3]: item for key, item in self.shares.items() if key[:3] == ("connection", owner, name)}
            mine = owner == caller
            groups = [group for group in shares if mine or caller in self.groups.get(group, {})]
            if mine or groups:
                outline = Definition("", text).outline
                share = {"permission": "", "access": ""} if mine else shares[groups[0]]
                found.append(
                    {
                        "name": name,
                        "owner": owner,
                        "shared_by": "" if mine else owner,
                        "groups": groups,
                        "kind": outline.kind,
                        "target": outline.target,
                        "secrets": list(outline.secrets),
                        "unfixed": self.unfixed.get((owner, name), ""),
                        "writers": [group for group in groups if mine and shares[group]["access"] == "write"],
                        **share,
                    }
                )
        return {"connections": found}

    def put_connection(self, caller: str, body: Body) -> None:
        self.bodies[caller, body["name"]] = body["body"]

    def delete_connection(self, caller: str, body: Body) -> None:
        if self.bodies.pop((caller, body["name"]), None) is None:
            raise NotAllowedError(f"{body['name']} is not yours to delete")

    def connection_body(self, caller: str, body: Body) -> Body:
        if (caller, body["name"]) not in self.bodies:
            raise NotAllowedError(f"{body['name']} may be used by you, and not be read")
        return {"body": self.bodies[caller, body["name"]]}

    def list_shares(self, caller: str, body: Body) -> Body:
        key = body["what"], caller, body["name"]
        found = [{"group": of[3], **item, "granted_by": caller} for of, item in self.shares.items() if of[:3] == key]
        return {"shares": found}

    def share(self, caller: str, body: Body) -> None:
        usable = {"secret": self.list_secrets, "connection": self.list_connections}[body["what"]](caller, {})
        if any(one["name"] == body["name"] and one["owner"] != caller for one in usable[f"{body['what']}s"]):
            raise NotAllowedError(f"{body['name']!r} is another's: only its owner shares it", hint="ask its owner")
        if body["what"] == "secret":
            self.own(caller, body["name"])
            if not self.targets(caller, body["name"]):
                raise BindingError(f"no saved connection uses {body['name']!r}", hint="%%connect NAME --save")
        elif (caller, body["name"]) not in self.bodies:
            raise NoSuchConnectionError(f"no connection named {body['name']!r}")
        if body["group"] not in self.groups:
            raise NoSuchGroupError(f"no group named {body['group']!r}")
        if body["access"] == "write" and not body["confirmed"]:
            raise WriteShareError("who may write may change the password of the login itself")
        self.shares[body["what"], caller, body["name"], body["group"]] = {key: body[key] for key in ("permission", "access")}

    def unshare(self, caller: str, body: Body) -> None:
        if self.shares.pop((body["what"], caller, body["name"], body["group"]), None) is None:
            raise NotAllowedError(f"{body['name']} is not shared with {body['group']}")

    def list_groups(self, caller: str, body: Body) -> Body:
        return {
            "groups": [
                {
                    "name": name,
                    "description": self.descriptions.get(name, ""),
                    "role": members.get(caller, ""),
                    "members": [{"name": user, "role": role} for user, role in members.items()],
                }
                for name, members in self.groups.items()
                if caller in members or caller == "root"
            ]
        }

    def create_group(self, caller: str, body: Body) -> None:
        if caller != "root":
            raise NotAllowedError("only an admin creates groups")
        self.groups[body["name"]] = {caller: "owner"}
        self.descriptions[body["name"]] = body["description"]

    def group(self, caller: str, name: str) -> dict[str, str]:
        if caller not in self.groups.get(name, {}) and caller != "root":
            raise NoSuchGroupError(f"no group named {name!r}")
        return self.groups[name]

    def delete_group(self, caller: str, body: Body) -> None:
        self.group(caller, body["name"])
        del self.groups[body["name"]]

    def leave(self, caller: str, body: Body) -> None:
        if self.group(caller, body["name"]).get(caller) == "owner":
            raise GroupError("the last owner stays")
        del self.groups[body["name"]][caller]

    def set_member(self, caller: str, body: Body) -> None:
        self.group(caller, body["group"])[body["user"]] = body["role"]

    def remove_member(self, caller: str, body: Body) -> None:
        self.group(caller, body["group"]).pop(body["user"], None)

    def check(self, caller: str, body: Body) -> Body:
        self.checked.append(body)
        return {"ok": True, "server": "PostgreSQL 18"}

    def read_log(self, caller: str, body: Body) -> Body:
        return {"entries": [one for one in self.log if body.get("name") in {None, one["name"]}]}


_ROUTES: dict[tuple[str, str], Any] = {
    ("GET", "api/me"): Double.me,
    ("GET", "api/secrets"): Double.list_secrets,
    ("PUT", "api/secrets"): Double.put_secret,
    ("POST", "api/secrets/reveal"): Double.reveal,
    ("POST", "api/secrets/rename"): Double.rename,
    ("POST", "api/secrets/delete"): Double.delete_secret,
    ("GET", "api/connections"): Double.list_connections,
    ("PUT", "api/connections"): Double.put_connection,
    ("POST", "api/connections/delete"): Double.delete_connection,
    ("POST", "api/connections/body"): Double.connection_body,
    ("GET", "api/shares"): Double.list_shares,
    ("PUT", "api/shares"): Double.share,
    ("POST", "api/shares/delete"): Double.unshare,
    ("GET", "api/groups"): Double.list_groups,
    ("POST", "api/groups"): Double.create_group,
    ("POST", "api/groups/delete"): Double.delete_group,
    ("POST", "api/groups/leave"): Double.leave,
    ("PUT", "api/groups/members"): Double.set_member,
    ("POST", "api/groups/members/delete"): Double.remove_member,
    ("POST", "api/check"): Double.check,
    ("GET", "api/log"): Double.read_log,
}


@contextmanager
def running_double(folder: Path) -> Iterator[Double]:
    """Start it on a unix socket in *folder*, and stop it at the end."""
    double = Double(socket=str(folder / "broker.sock"))

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def respond(self) -> None:
            data = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            parts = urlsplit(self.path)
            body = json.loads(data) if data else dict(parse_qsl(parts.query))
            caller = self.headers.get("Authorization", "").removeprefix(f"Bearer {token_of('')}")
            status, answer = 200, {}
            try:
                answer = dict(double.answer(self.command, parts.path, caller, body))
            except FlowfileNbError as error:
                status = 401 if not caller else next((_STATUS[kind] for kind in type(error).__mro__ if kind in _STATUS), 400)
                answer = {"error": {"type": type(error).__name__, "message": error.message, "hint": error.hint}}
            text = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        do_GET = do_PUT = do_POST = respond  # noqa: N815 - the library's names

        def log_message(self, *args: Any) -> None:
            pass

        def address_string(self) -> str:
            return "unix"

    class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
        daemon_threads = True
        block_on_close = False

    server = Server(double.socket, Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield double
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
