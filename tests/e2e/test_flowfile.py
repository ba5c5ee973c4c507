"""The real Flowfile and we, on one home directory. FLOWFILE_NB_FLOWFILE_PYTHON names an interpreter that has it."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

import flowfile_nb as fnb
from flowfile_nb import session

# Read here: each test starts without the variables of the environment that it is run in.
PYTHON = os.environ.get("FLOWFILE_NB_FLOWFILE_PYTHON", "")

pytestmark = [pytest.mark.e2e, pytest.mark.skipif(not PYTHON, reason="FLOWFILE_NB_FLOWFILE_PYTHON is not set")]

VALUE = "p@ss:w/or d?#%\"'\\ü密🔑"

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

for name, value in json.loads(sys.argv[1]).items():
    with get_db_context() as db:
        flowfile_secrets.upsert_secret(db, SecretInput(name=name, value=value), 1)
print("RESULT" + json.dumps({"key": get_master_key(), "values": {name: read(name) for name in json.loads(sys.argv[2])}}))
"""


def flowfile(store: dict[str, str], read: list[str]) -> dict[str, str | None]:
    """Run the real Flowfile: store some secrets with its own API, and return what it reads of others."""
    done = subprocess.run(
        [PYTHON, "-c", _PROGRAM, json.dumps(store), json.dumps(read)],
        env={name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "VIRTUAL_ENV"}},
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout.rpartition("RESULT")[2])["values"]


def test_flowfile_first(home: Path) -> None:
    """What Flowfile stored on a fresh home is readable here, ours is readable there, and both replace each other's."""
    flowfile({"theirs": VALUE, "both": "from Flowfile"}, [])

    assert fnb.secrets["theirs"].get_secret_value() == VALUE
    fnb.secrets["ours"] = VALUE
    fnb.secrets["both"] = "from here"

    assert flowfile({"ours": "replaced there"}, ["ours", "both"]) == {"ours": "replaced there", "both": "from here"}
    assert fnb.secrets["ours"].get_secret_value() == "replaced there"
    assert not (home / ".config/flowfile/flowfile_nb.db").exists() or session.backend().names() == ["theirs", "both", "ours"]


def test_ours_first(home: Path) -> None:
    """A Flowfile that is installed later starts and migrates, uses our master key, and decrypts our secrets."""
    fnb.secrets["ours"] = VALUE
    sealed = (home / ".config/flowfile/flowfile.json.enc").read_bytes()
    assert sealed

    flowfile({"theirs": "added there"}, [])
    assert fnb.secrets["ours"].get_secret_value() == VALUE
    assert fnb.secrets["theirs"].get_secret_value() == "added there"

    assert flowfile({}, ["ours", "theirs", "none"]) == {"ours": VALUE, "theirs": "added there", "none": None}
