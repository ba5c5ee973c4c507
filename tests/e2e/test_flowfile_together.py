"""The real Flowfile and we at the same time, in either order, and one without the other."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

import flowfile_nb as fnb
from flowfile_nb import session
from flowfile_nb.storage.master_key import create_master_key, read_master_key
from flowfile_nb.storage.paths import find_paths
from tests.support.flowfile import PYTHON, running_flowfile, running_service
from tests.support.shell import Shell

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(not PYTHON, reason="FLOWFILE_NB_FLOWFILE_PYTHON is not set"),
    pytest.mark.timeout(300),
]

SECONDS = 20
ROUNDS = 20
BURST = 30

# A process of ours that writes as fast as it can, and says what it has been told is stored.
_WRITER = """
import json, sys, time
import flowfile_nb as fnb
end, done, name = time.monotonic() + float(sys.argv[1]), 0, sys.argv[2]
while time.monotonic() < end:
    fnb.secrets[f"{name}{done % 50}"] = f"{name}-{done}"
    done += 1
print(done)
"""


def started_by(done: int, prefix: str) -> dict[str, str]:
    """Return what a loop of *done* writes over 50 names leaves: the last value of each."""
    return {f"{prefix}{number % 50}": f"{prefix}-{number}" for number in range(done)}


def in_thread(call: Any, results: list[Any]) -> threading.Thread:
    thread = threading.Thread(target=lambda: results.append(call()))
    thread.start()
    return thread


def test_a_writer_on_each_side(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """For 20 seconds Flowfile and two processes of ours write, while others read: no error, and nothing is lost."""
    theirs: list[int] = []
    with running_service(home) as service, running_flowfile(home) as flowfile:
        flowfile("settings")
        writers = [
            subprocess.Popen(
                [sys.executable, "-c", _WRITER, str(SECONDS), name], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
            )
            for name in ("ours", "also_ours")
        ]
        thread = in_thread(lambda: flowfile("write_for", seconds=SECONDS, prefix="theirs"), theirs)
        listed = 0
        while thread.is_alive():
            # Readers on both sides meanwhile: the service's list, and this process's.
            assert isinstance(service.ask("GET", "/secrets/secrets"), list)
            assert all(secret.get_secret_value() for secret in fnb.secrets.values())
            listed += 1
        thread.join()
        said = [writer.communicate(timeout=120) for writer in writers]

        assert [error for _, error in said] == ["", ""]
        ours, also_ours = (int(done) for done, _ in said)
        expected = {
            **started_by(theirs[0], "theirs"),
            **started_by(ours, "ours"),
            **started_by(also_ours, "also_ours"),
        }
        assert {name: secret.get_secret_value() for name, secret in fnb.secrets.items()} == expected
        assert {name: flowfile("read", name=name) for name in expected} == expected
        assert set(service.names()) == set(expected)
    assert min(theirs[0], ours, also_ours) >= 50
    with capsys.disabled():
        print(f"\n{SECONDS} s: {theirs[0]} writes by Flowfile, {ours} and {also_ours} by ours, {listed} lists on both sides")


def test_ours_first_then_flowfile(home: Path) -> None:
    """Started after us on a fresh home its service migrates without complaint, and our secrets are in it with our key."""
    fnb.secrets["ours"] = "hunter2"
    key = read_master_key(session.vault().paths, os.environ)
    assert key is not None

    with running_service(home) as service:
        assert fnb.secrets["ours"].get_secret_value() == "hunter2"
        assert set(service.names()) == {"ours"}
        service.ask("POST", "/secrets/secrets", {"name": "theirs", "value": "x"})
        assert fnb.secrets["theirs"].get_secret_value() == "x"
    with running_flowfile(home) as flowfile:
        assert flowfile("settings")["key"] == key.decode()
        assert flowfile("read", name="ours") == "hunter2"

    log = (home / "service.log").read_text(encoding="utf-8")
    assert "035" in log or "migrat" in log.lower(), "the migration is not in the log, so this would prove nothing"
    assert [line for line in log.splitlines() if "ERROR" in line or "CRITICAL" in line] == []


def test_flowfile_first_then_ours(home: Path) -> None:
    """Its key is used, no second one is made, and its file keeps what it has in it."""
    with running_service(home):
        pass
    with running_flowfile(home) as flowfile:
        token = flowfile("entry", name="internal_token")
        fnb.secrets["ours"] = "hunter2"

        assert flowfile("read", name="ours") == "hunter2"
        assert flowfile("entry", name="internal_token") == token
        assert token


def test_removed_while_its_catalog_stays(home: Path) -> None:
    """Without the program its catalog goes on as the store, ours and theirs."""
    with running_flowfile(home) as flowfile:
        flowfile("store", name="theirs", value="x")
    session.use_backend(None)
    fnb.secrets["ours"] = "hunter2"
    fnb.secrets["theirs"] = "y"

    assert {name: secret.get_secret_value() for name, secret in fnb.secrets.items()} == {"theirs": "y", "ours": "hunter2"}
    with running_flowfile(home) as flowfile:
        assert flowfile("read", name="theirs") == "y"


def test_removed_with_all_its_files(home: Path, shell: Shell) -> None:
    """Ours still work, as doctor says; a Flowfile that is installed again has them again."""
    fnb.secrets["before"] = "hunter2"
    with running_flowfile(home) as flowfile:
        flowfile("settings")
        assert list(fnb.secrets) == ["before"]
        flowfile("upsert", name="before", value="replaced there")
        flowfile("store", name="theirs", value="x")
        fnb.secrets["while"] = "hunter3"
    shell.run("%secret doctor")
    assert "should Flowfile be removed" in repr(shell.result)
    # A kernel that starts later sees what was replaced there.
    session.use_backend(None)
    assert len(fnb.secrets) == 3

    shutil.rmtree(home / ".flowfile")

    left = {"before": "replaced there", "while": "hunter3"}
    assert {name: secret.get_secret_value() for name, secret in fnb.secrets.items()} == left
    shell.run("%secret doctor")
    assert "2 were in Flowfile's catalog, which is gone" in repr(shell.result)
    with running_flowfile(home) as flowfile:
        flowfile("settings")
        assert {name: secret.get_secret_value() for name, secret in fnb.secrets.items()} == left
        assert {name: flowfile("read", name=name) for name in left} == left


def test_the_key_file_keeps_what_flowfile_writes_at_the_same_time(home: Path) -> None:
    """While Flowfile writes entry after entry, our key is added: every entry is there, and the key is."""
    paths = find_paths(os.environ)
    with running_flowfile(home) as flowfile:
        flowfile("settings")
        for _ in range(ROUNDS):
            os.unlink(paths.key_store)
            thread = in_thread(lambda: flowfile("entries", count=BURST), [])
            key = create_master_key(paths, os.environ)
            thread.join()

            assert [number for number in range(BURST) if flowfile("entry", name=f"entry{number}") is None] == []
            assert flowfile("settings")["key"] == key.decode()
