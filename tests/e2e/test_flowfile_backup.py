"""A store of the real Flowfile backed up, and restored where it runs. FLOWFILE_NB_FLOWFILE_PYTHON is an interpreter with it."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from flowfile_nb.lifecycle.backup import write_backup
from flowfile_nb.lifecycle.restore import apply, preview, read_backup
from flowfile_nb.vault import Vault

# Read here: each test starts without the variables of the environment that it is run in.
PYTHON = os.environ.get("FLOWFILE_NB_FLOWFILE_PYTHON", "")

pytestmark = [pytest.mark.e2e, pytest.mark.skipif(not PYTHON, reason="FLOWFILE_NB_FLOWFILE_PYTHON is not set")]

VALUE = "p@ss:w/or d?#%\"'\\ü密🔑"
PASSPHRASE = "correct horse battery"
TIMEOUT_S = 180

# Each line that it is given is a JSON object: secrets to store, names to read. It answers each with the values it reads.
_PROGRAM = """
import json, sys
import flowfile  # sets the desktop mode, and migrates the catalog
from flowfile_core.database.connection import get_db_context
from flowfile_core.database.init_db import init_db
init_db()
from flowfile_core.auth.models import SecretInput
from flowfile_core.auth.secrets import get_master_key
from flowfile_core.secret_manager import secret_manager as flowfile_secrets

def read(name):
    token = flowfile_secrets.get_encrypted_secret(1, name)
    return None if token is None else flowfile_secrets.decrypt_secret(token, 1).get_secret_value()

for line in sys.stdin:
    asked = json.loads(line)
    for name, value in asked["store"].items():
        with get_db_context() as db:
            flowfile_secrets.upsert_secret(db, SecretInput(name=name, value=value), 1)
    get_master_key()
    print("RESULT" + json.dumps({name: read(name) for name in asked["read"]}), flush=True)
"""


class Flowfile:
    """The real Flowfile, running."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def ask(self, store: dict[str, str], read: list[str]) -> dict[str, str | None]:
        """Store some secrets with its own API, and return what it reads of others."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"store": store, "read": read}) + "\n")
        self._process.stdin.flush()
        said = []
        for line in self._process.stdout:
            if line.startswith("RESULT"):
                return json.loads(line.removeprefix("RESULT"))
            said.append(line)
        raise AssertionError("Flowfile ended:\n" + "".join(said))


@contextmanager
def flowfile(home: Path) -> Iterator[Flowfile]:
    """Run the real Flowfile on a home directory."""
    environment = {name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "VIRTUAL_ENV"}}
    with subprocess.Popen(
        [PYTHON, "-c", _PROGRAM],
        env={**environment, "HOME": str(home)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        yield Flowfile(process)
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(TIMEOUT_S) == 0


@pytest.fixture
def new_home(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Path]:
    """Return a function that moves to another, empty home directory."""

    def move() -> Path:
        other = tmp_path / "another home"
        other.mkdir()
        monkeypatch.setenv("HOME", str(other))
        return other

    return move


def backup(home: Path) -> Any:
    """Back the store of the present home up, and return what the file holds."""
    path = str(home / "b.backup")
    write_backup(Vault({}), path, PASSPHRASE)
    return read_backup(path, PASSPHRASE)


def test_flowfiles_store_on_a_home_where_flowfile_comes_later(home: Path, new_home: Callable[[], Path]) -> None:
    """Its secrets are readable here without it; and when it starts, it decrypts all of them, and migrates without complaint."""
    with flowfile(home) as running:
        running.ask({"theirs": VALUE, "my name": "x", "empty": ""}, [])
        Vault({}).set("ours", VALUE, replace=False)
        saved = backup(home)
    other = new_home()

    vault = Vault({})
    done = apply(vault, preview(vault, saved), replace=False)

    assert done.added == 4
    assert {name: vault.reveal(name) for name in vault.names()} == {
        "theirs": VALUE,
        "my name": "x",
        "empty": "",
        "ours": VALUE,
    }
    assert vault.store.location == vault.paths.database
    with flowfile(other) as later:
        # It makes its catalog; our rows move there when we look.
        later.ask({"later": "stored later"}, [])
        assert set(vault.names()) == {"theirs", "my name", "empty", "ours", "later"}
        assert vault.store.location == vault.paths.catalog
        assert later.ask({}, ["theirs", "my name", "empty", "ours"]) == {
            "theirs": VALUE,
            "my name": "x",
            "empty": "",
            "ours": VALUE,
        }
    assert vault.reveal("later") == "stored later"


def test_into_the_home_of_a_flowfile_that_runs(home: Path, new_home: Callable[[], Path]) -> None:
    """It has a key and secrets of its own, which stay; what comes in is readable there at once, and so is what is undone."""
    with flowfile(home) as running:
        running.ask({"theirs": VALUE, "both": "from the backup", "same": "same"}, [])
        saved = backup(home)
    other = new_home()

    with flowfile(other) as running:
        running.ask({"both": "from there", "same": "same", "only there": "stays"}, [])
        vault = Vault({})
        key = vault.key.keychain().key_id
        assert vault.store.location == str(other / ".flowfile/database/flowfile_catalog.db")
        names = ["theirs", "both", "same", "only there"]

        apply(vault, preview(vault, saved), replace=False)
        expected = {"theirs": VALUE, "both": "from there", "same": "same", "only there": "stays"}
        assert running.ask({}, names) == expected
        apply(vault, preview(vault, saved), replace=True)
        assert running.ask({}, names) == {**expected, "both": "from the backup"}
        vault.undo("both")
        assert running.ask({}, names) == expected
        assert vault.key.keychain().key_id == key

        # A value that Flowfile replaces with its own API is not undone by us.
        vault.set("theirs", "replaced here", replace=True)
        running.ask({"theirs": "replaced there"}, [])
        with pytest.raises(Exception, match="no previous value"):
            vault.undo("theirs")
        assert running.ask({}, ["theirs"]) == {"theirs": "replaced there"}
