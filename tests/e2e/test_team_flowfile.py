"""A broker that takes over what the real Flowfile has written: people, groups, shares, and secrets that open."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from flowfile_nb.broker.model import Caller
from flowfile_nb.broker.team import open_team
from flowfile_nb.errors import SharedSecretError
from tests.support.flowfile import PYTHON, running_flowfile

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(not PYTHON, reason="FLOWFILE_NB_FLOWFILE_PYTHON is not set"),
    pytest.mark.timeout(300),
]

KEY = Fernet.generate_key().decode()
PASSWORD = "Tänzer-7$x"


def serve(directory: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Run the operator's command to its end."""
    return subprocess.run(
        [sys.executable, "-m", "flowfile_nb", "serve", "--directory", str(directory), *options],
        env={**os.environ, "FLOWFILE_MASTER_KEY": KEY},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_a_flowfile_in_docker_mode_is_taken_over(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a store its catalog is refused; the command that this names copies it, and Flowfile goes on with its own."""
    for name, value in {"FLOWFILE_MODE": "docker", "FLOWFILE_INTERNAL_TOKEN": "t" * 64, "JWT_SECRET_KEY": "j" * 64}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("FLOWFILE_MASTER_KEY", KEY)
    monkeypatch.setenv("FLOWFILE_DB_PATH", str(home / "flowfile_catalog.db"))
    broker = home / "broker"
    with running_flowfile(home) as flowfile:
        alice, bob = flowfile("add_user", name="alice"), flowfile("add_user", name="bob")
        flowfile("store", name="prod_pw", value=PASSWORD, user=alice)
        flowfile("share_secret", name="prod_pw", owner=alice, group="analysts", members=[bob])

        as_store = serve(broker, "--store", str(home / "flowfile_catalog.db"), "--port", "0")
        taken_over = serve(broker, "--import", str(home / "flowfile_catalog.db"))

        assert flowfile("read", name="prod_pw", user=alice) == PASSWORD
        flowfile("store", name="later", value="in Flowfile alone", user=alice)

    assert as_store.returncode == 2
    assert "is Flowfile's own catalog" in as_store.stderr
    assert f"--import '{home / 'flowfile_catalog.db'}'" in as_store.stderr
    assert (taken_over.returncode, taken_over.stderr.count("taken over:")) == (0, 1), taken_over.stderr
    team = open_team(directory=str(broker), environ={"FLOWFILE_MASTER_KEY": KEY})
    assert team.reveal_own(Caller("alice"), "prod_pw") == PASSWORD
    assert [(one.name, one.owner, one.groups) for one in team.secrets(Caller("bob"))] == [("prod_pw", "alice", ["analysts"])]
    with pytest.raises(SharedSecretError):
        team.reveal_own(Caller("bob"), "prod_pw")
    team.close()
