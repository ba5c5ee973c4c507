"""What `.deploy` has to copy, read by those who will read it: systemd, and JupyterHub."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

DEPLOY = Path(__file__).parent.parent.parent / ".deploy"
HUB_PYTHON = os.environ.get("FLOWFILE_NB_HUB_PYTHON", "")
# How much of the system a broker's process can reach by systemd's own count, from 0 to 10; without what the unit says, 9.2.
_EXPOSURE = 3.0

pytestmark = pytest.mark.e2e

HUB = """
import sys
from jupyterhub.app import JupyterHub
from jupyterhub.scopes import scope_definitions
from jupyterhub.spawner import Spawner

app = JupyterHub()
app.load_config_file(sys.argv[1])
known = {"JupyterHub": JupyterHub, "Spawner": Spawner}
for section, settings in app.config.items():
    for name in settings:
        assert name in known[section].class_traits(config=True), f"{section}.{name}"
JupyterHub(config=app.config), Spawner(config=app.config)
scopes = {*app.config.Spawner.server_token_scopes, *app.config.Spawner.oauth_client_allowed_scopes}
for role in app.config.JupyterHub.load_roles:
    scopes |= set(role["scopes"])
assert {scope.partition("!")[0] for scope in scopes} <= set(scope_definitions), scopes
print(len(scopes), "scopes")
"""


@pytest.mark.skipif(not HUB_PYTHON, reason="FLOWFILE_NB_HUB_PYTHON is not set")
def test_jupyterhub_knows_every_setting_and_every_scope() -> None:
    """A setting or a scope that is mistyped it would pass over with a warning at most."""
    done = subprocess.run(
        [HUB_PYTHON, "-c", HUB, str(DEPLOY / "jupyterhub_config.py")],
        env={"PATH": os.environ["PATH"], "FLOWFILE_NB_HUB_TOKEN": "t" * 32},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert (done.returncode, done.stdout) == (0, "5 scopes\n"), done.stderr
    assert "not recognized" not in done.stderr


@pytest.fixture
def units(tmp_path: Path) -> list[str]:
    """The units, with a program that is on this machine in the place of the one that will be on theirs."""
    assert shutil.which("systemd-analyze"), "systemd-analyze is not installed"
    for path in (DEPLOY / "systemd").iterdir():
        text = re.sub(r"ExecStart=\S+", f"ExecStart={sys.executable}", path.read_text(encoding="utf-8"))
        (tmp_path / path.name).write_text(text, encoding="utf-8")
    return sorted(str(path) for path in tmp_path.glob("flowfile-nb.*"))


def test_systemd_understands_each_line(units: list[str]) -> None:
    """It says nothing of either unit."""
    done = subprocess.run(["systemd-analyze", "verify", *units], capture_output=True, text=True, timeout=60, check=False)

    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_systemd_counts_the_broker_as_well_shut_in(units: list[str]) -> None:
    """By its own measure of what a service can reach."""
    service = next(unit for unit in units if unit.endswith(".service"))
    limit = str(round(_EXPOSURE * 10))
    measure = ["systemd-analyze", "security", "--offline=true", f"--threshold={limit}", service]

    done = subprocess.run(measure, capture_output=True, text=True, timeout=60, check=False)

    assert done.returncode == 0, done.stdout.splitlines()[-1]
