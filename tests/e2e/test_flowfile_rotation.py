"""The real Flowfile after the master key was rotated here. FLOWFILE_NB_FLOWFILE_PYTHON names an interpreter that has it."""

from __future__ import annotations

import json
import os
import subprocess
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import flowfile_nb as fnb
from flowfile_nb import session
from flowfile_nb.core.crypto import Keychain
from flowfile_nb.lifecycle.rotation import rotate
from flowfile_nb.storage.master_key import ENTRY, read_entries
from flowfile_nb.vault import Vault

# Read here: each test starts without the variables of the environment that it is run in.
PYTHON = os.environ.get("FLOWFILE_NB_FLOWFILE_PYTHON", "")

pytestmark = [pytest.mark.e2e, pytest.mark.skipif(not PYTHON, reason="FLOWFILE_NB_FLOWFILE_PYTHON is not set")]

VALUE = "p@ss:w/or d?#%\"'\\ü密🔑"
HOOK = "https://hooks.example.com/services/T0/B0/hook"

# One process of Flowfile: it starts, stores what it has columns for, and then answers one line for each line that it is told.
_PROGRAM = """
import json, sys
import flowfile  # sets the desktop mode, and migrates the catalog
from flowfile_core.database import models
from flowfile_core.database.connection import get_db_context
from flowfile_core.database.init_db import init_db
init_db()
from pydantic import SecretStr
from flowfile_core.auth import jwt
from flowfile_core.auth.models import SecretInput
from flowfile_core.auth.secrets import get_password
from flowfile_core.flowfile.database_connection_manager import db_connections
from flowfile_core.schemas.input_schema import FullDatabaseConnection
from flowfile_core.secret_manager import secret_manager
from shared.notifications import crypto
from flowfile_worker.secrets import decrypt_secret as worker_decrypts

def store(name, value):
    with get_db_context() as db:
        secret_manager.upsert_secret(db, SecretInput(name=name, value=value), 1)

def connect(name, password):
    with get_db_context() as db:
        db_connections.store_database_connection(db, FullDatabaseConnection(
            connection_name=name, database_type="postgresql", username="app", password=SecretStr(password),
            host="db.example.com", port=5432, database="sales"), 1)

def hook(url):
    with get_db_context() as db:
        db.add(models.NotificationChannel(
            owner_id=1, name="chat", channel_type="slack", webhook_url_encrypted=crypto.encrypt_secret(url, 1)))
        db.commit()

def read():
    with get_db_context() as db:
        rows = db.query(models.Secret).order_by(models.Secret.id).all()
        names = [row.name for row in rows if row.user_id == 1]
        connections = [row.connection_name for row in db.query(models.DatabaseConnection).all()]
        hooks = [crypto.decrypt_secret(row.webhook_url_encrypted) for row in db.query(models.NotificationChannel).all()]
    tokens = {name: secret_manager.get_encrypted_secret(1, name) for name in names}
    return {
        "core": {name: secret_manager.decrypt_secret(token, 1).get_secret_value() for name, token in tokens.items()},
        "worker": {name: worker_decrypts(token).get_secret_value() for name, token in tokens.items()},
        "connections": connections,
        "hooks": hooks,
        "jwt": jwt.get_jwt_secret(),
        "key": get_password("flowfile", "master_key"),
    }

print("READY", flush=True)
for line in sys.stdin:
    function, arguments = json.loads(line)
    print("RESULT" + json.dumps(globals()[function](*arguments)), flush=True)
"""


class Flowfile:
    """A running Flowfile."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [PYTHON, "-c", _PROGRAM],
            env={name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "VIRTUAL_ENV"}},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._wait_for("READY")

    def close(self) -> None:
        """End it: it has nothing more to read."""
        self.process.communicate(timeout=60)

    def call(self, function: str, *arguments: str) -> Any:
        """Call a function of the program above."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps([function, arguments]) + "\n")
        self.process.stdin.flush()
        return json.loads(self._wait_for("RESULT"))

    def _wait_for(self, mark: str) -> str:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith(mark):
                return line.removeprefix(mark)
        raise AssertionError("Flowfile ended; its error is above")


def turn() -> str:
    return rotate(session.vault(), backup=None, tell=lambda done, total: None).new_key_id


def test_flowfile_opens_everything_after_a_rotation(home: Path) -> None:
    """Secrets of both sides, a connection's password, a webhook; in the Flowfile that is running, its worker, and a new one."""
    with closing(Flowfile()) as running:
        running.call("store", "theirs", VALUE)
        running.call("connect", "warehouse", "a password")
        running.call("hook", HOOK)
        fnb.secrets["ours"] = VALUE
        before = running.call("read")

        new_id = turn()

        after = running.call("read")
        assert after["core"] == after["worker"] == before["core"]
        assert {"theirs": VALUE, "ours": VALUE}.items() <= after["core"].items()
        assert "a password" in after["core"].values()
        assert after["hooks"] == [HOOK]
        assert after["connections"] == ["warehouse"]
        assert after["jwt"] == before["jwt"]
        assert Keychain(after["key"].encode()).key_id == new_id != Keychain(before["key"].encode()).key_id

        running.call("store", "written after", VALUE)
        assert fnb.secrets["written after"].get_secret_value() == VALUE
        assert turn() != new_id
    with closing(Flowfile()) as started:
        everything = started.call("read")
        assert everything["core"]["written after"] == VALUE
        assert everything["hooks"] == [HOOK]


def test_an_interrupted_rotation_is_finished_by_us(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cut short between rows and key file Flowfile reads nothing; the next read here mends it."""
    with closing(Flowfile()) as running:
        running.call("store", "theirs", VALUE)
        before = running.call("read")["core"]
        with monkeypatch.context() as patch:
            patch.setattr("flowfile_nb.storage.key_rotation.KeyRotation._complete", _killed)
            with pytest.raises(KeyboardInterrupt):
                turn()
        assert Keychain(read_entries(session.vault().paths, {})[ENTRY].encode()).key_id == session.vault().store.fact("key_id")

        assert Vault(os.environ).reveal("theirs") == VALUE

        assert running.call("read")["core"] == before


def _killed(*_: object) -> None:
    raise KeyboardInterrupt
