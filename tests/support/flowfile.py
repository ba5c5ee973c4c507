"""The real Flowfile, in processes of its own: its Python interface, and its service over HTTP on loopback."""

from __future__ import annotations

import json
import os
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support.processes import ended_after, free_port, wait_for_port

# Read here: each test starts without the variables of the environment that it is run in.
PYTHON = os.environ.get("FLOWFILE_NB_FLOWFILE_PYTHON", "")

_PROGRAM = """
import json, os, sys
answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
os.dup2(2, 1)
import flowfile
from flowfile_core.database.connection import get_database_path, get_db_context
from flowfile_core.database.init_db import init_db
init_db()
from flowfile_core.auth import sharing
from flowfile_core.auth.models import SecretInput
from flowfile_core.auth.secrets import get_master_key, get_password, set_password
from flowfile_core.database import models
from flowfile_core.flowfile.database_connection_manager import db_connections
from flowfile_core.schemas.cloud_storage_schemas import FullCloudStorageConnection
from flowfile_core.schemas.input_schema import FullDatabaseConnection
from flowfile_core.secret_manager import secret_manager

def read(name, user=1):
    token = secret_manager.get_encrypted_secret(user, name)
    return None if token is None else secret_manager.decrypt_secret(token, user).get_secret_value()

def store(name, value, user=1):
    with get_db_context() as db:
        return secret_manager.store_secret(db, SecretInput(name=name, value=value), user).id

def upsert(name, value, user=1):
    with get_db_context() as db:
        return secret_manager.upsert_secret(db, SecretInput(name=name, value=value), user).id

def delete(name, user=1):
    with get_db_context() as db:
        secret_manager.delete_secret(db, name, user)

def save_database(**fields):
    with get_db_context() as db:
        db_connections.store_database_connection(db, FullDatabaseConnection(**fields), 1)

def save_cloud(**fields):
    with get_db_context() as db:
        db_connections.store_cloud_connection(db, FullCloudStorageConnection(**fields), 1)

def grants():
    with get_db_context() as db:
        return [[g.resource_type, g.resource_id, g.group_id] for g in db.query(models.ResourceGrant)]

def add_user(name):
    with get_db_context() as db:
        user = models.User(username=name, email=f"{name}@example.com", hashed_password="x")
        db.add(user)
        db.commit()
        return user.id

def share_secret(name, owner, group, members):
    with get_db_context() as db:
        row = models.UserGroup(name=group, created_by=owner)
        db.add(row)
        db.flush()
        roles = {owner: "owner", **dict.fromkeys(members, "member")}
        db.add_all(models.UserGroupMembership(group_id=row.id, user_id=user, role=role) for user, role in roles.items())
        secret = db.query(models.Secret).filter_by(name=name, user_id=owner).one()
        db.add(models.ResourceGrant(resource_type="secret", resource_id=secret.id, group_id=row.id, granted_by=owner))
        db.commit()

def settings():
    return {"key": get_master_key(), "database": str(get_database_path())}

def entry(name, value=None):
    if value is not None:
        set_password("flowfile", name, value)
    return get_password("flowfile", name)

def entries(count):
    for number in range(count):
        set_password("flowfile", f"entry{number}", str(number))

def write_for(seconds, prefix):
    import time
    end, done = time.monotonic() + seconds, 0
    while time.monotonic() < end:
        upsert(f"{prefix}{done % 50}", f"{prefix}-{done}")
        done += 1
    return done

for line in sys.stdin:
    call, arguments = json.loads(line)
    try:
        answer = {"result": globals()[call](**arguments)}
    except Exception as error:
        answer = {"error": f"{type(error).__name__}: {error}"}
    print(json.dumps(answer), file=answers, flush=True)
"""


class Flowfile:
    """Flowfile's own Python interface, one call at a time."""

    def __init__(self, process: subprocess.Popen[str], log: Path) -> None:
        self._process = process
        self._log = log

    def __call__(self, call: str, **arguments: Any) -> Any:
        """
        Call one of the functions of the program above.

        Raises:
            RuntimeError: If Flowfile raises, or has ended.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps([call, arguments]) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"Flowfile has ended:\n{self._log.read_text(encoding='utf-8')[-3000:]}")
        answer = json.loads(line)
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return answer["result"]


class Service:
    """Flowfile's service, logged in as the local user."""

    def __init__(self, port: int) -> None:
        self._url = f"http://127.0.0.1:{port}"
        self._token = ""
        self._token = self.ask("POST", "/auth/token")["access_token"]

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """Send one request; return what it answers, or the status where that is an error."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {self._token}"}
        request = urllib.request.Request(f"{self._url}{path}", data, headers, method=method)
        try:
            with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=60) as answer:
                content = answer.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code
        return json.loads(content) if content else None

    def names(self) -> dict[str, int]:
        """Return the id of each secret by its name."""
        return {secret["name"]: secret["id"] for secret in self.ask("GET", "/secrets/secrets")}

    def secret(self, method: str, name: str) -> Any:
        """Ask about one secret by its name."""
        return self.ask(method, f"/secrets/secrets/{urllib.parse.quote(name, safe='')}")


def _environment(**more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "VIRTUAL_ENV"}}
    # Whatever it would fetch, nothing leaves this machine.
    nowhere = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), "http://127.0.0.1:9")
    return {**kept, **nowhere, "NO_PROXY": "127.0.0.1,localhost", "no_proxy": "127.0.0.1,localhost", **more}


@contextmanager
def running_flowfile(folder: Path) -> Iterator[Flowfile]:
    """Start Flowfile's Python interface in this environment: it makes or migrates its catalog, and is ended at the end."""
    log = folder / "flowfile.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [PYTHON, "-c", _PROGRAM],
            cwd=folder,
            env=_environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=output,
            text=True,
            encoding="utf-8",
        )
    with ended_after(process), process:  # type: ignore[arg-type]
        yield Flowfile(process, log)
        assert process.stdin is not None
        process.stdin.close()
        process.wait(60)


@contextmanager
def running_service(folder: Path) -> Iterator[Service]:
    """Start Flowfile's service in its desktop mode on a free port of this machine alone, and stop it at the end."""
    port, log = free_port(), folder / "service.log"
    command = [PYTHON, "-m", "flowfile_core.main", "--host", "127.0.0.1", "--port", str(port)]
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=folder, env=_environment(FLOWFILE_MODE="electron"), stdout=output, stderr=subprocess.STDOUT
        )
    with ended_after(process):
        wait_for_port(process, port, 180, log)
        yield Service(port)
