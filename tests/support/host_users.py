"""Users of this host, whose kernels JupyterHub starts, for tests of what one can do to another. Only root can make them."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

# The Python in which JupyterHub and this package are installed, where every user can read it: .ci/run makes it.
PYTHON = os.environ.get("FLOWFILE_NB_HUB_PYTHON", "")
SPAWNER = "jupyterhub.spawner.LocalProcessSpawner"
"""Starts each user's server under his own user id."""


def marks(suite: str, *users: str) -> list[pytest.MarkDecorator]:
    """Return the marks of a file that needs users: where it is not root, it says so and does not pass for having run."""
    reason = f"THE {suite} WAS NOT RUN: only root can make the users {', '.join(users[:-1])} and {users[-1]} that it needs"
    return [pytest.mark.e2e, pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason=reason)]


@contextmanager
def users_of_host(*names: str) -> Iterator[None]:
    """Make users for a block; those that it has made are removed with their homes."""
    made = []
    for name in names:
        try:
            pwd.getpwnam(name)
        except KeyError:
            subprocess.run(["useradd", "-m", "-s", "/bin/bash", name], check=True, capture_output=True)
            made.append(name)
    try:
        yield
    finally:
        for name in made:
            subprocess.run(["userdel", "-r", name], check=False, capture_output=True)


@contextmanager
def home_with(owner: str, folders: Mapping[str, int]) -> Iterator[Path]:
    """Make a folder that everybody may pass through, with *folders* of a user's own, by name and mode, for a block."""
    home = Path(tempfile.mkdtemp(prefix="ffusers_"))
    home.chmod(0o755)
    user = pwd.getpwnam(owner)
    try:
        for folder, mode in folders.items():
            (home / folder).mkdir()
            # The umask may have taken something away.
            (home / folder).chmod(mode)
            os.chown(home / folder, user.pw_uid, user.pw_gid)
        yield home
    finally:
        shutil.rmtree(home, ignore_errors=True)


def program_as(user: str) -> tuple[str, ...]:
    """Return the command line that runs this package under another user, from where every user can read it."""
    assert PYTHON, "FLOWFILE_NB_HUB_PYTHON is not set: see .ci/run"
    return ("setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", PYTHON, "-I", "-m", "flowfile_nb")
