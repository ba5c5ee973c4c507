"""Stored secrets, a folder to scan, and the command as a person runs it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import flowfile_nb as fnb
from flowfile_nb.core.encodings import patterns_of
from tests.scan.made import OTHER, VALUE, Scanned

ROOT = Path(fnb.__file__).parent.parent


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder, and two stored secrets: `prod_pw` and `other_pw`."""
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    fnb.secrets.update({"prod_pw": VALUE, "other_pw": OTHER})
    return folder


@pytest.fixture
def scan(folder: Path) -> Callable[..., Scanned]:
    """`python -m flowfile_nb scan …` in the folder; no output of it may hold a value in any form."""

    def run(*arguments: str, cwd: Path = folder) -> Scanned:
        command = [sys.executable, "-m", "flowfile_nb", "scan", *arguments]
        done = subprocess.run(command, cwd=cwd, env=dict(os.environ), capture_output=True, check=False, timeout=120)
        shown = done.stdout + done.stderr
        assert not [form for value in (VALUE, OTHER) for form in patterns_of(value) if form in shown]
        assert b"Traceback" not in shown, shown.decode()
        return Scanned(done.returncode, done.stdout.decode(), done.stderr.decode())

    return run


@pytest.fixture
def git(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Git in the folder, which is a repository."""
    for name in ("GIT_AUTHOR_NAME", "GIT_COMMITTER_NAME"):
        monkeypatch.setenv(name, "Somebody")
    for name in ("GIT_AUTHOR_EMAIL", "GIT_COMMITTER_EMAIL"):
        monkeypatch.setenv(name, "somebody@example.com")
    for name in ("GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM"):
        monkeypatch.setenv(name, os.devnull)

    def run(*arguments: str, cwd: Path = folder) -> str:
        done = subprocess.run(["git", *arguments], cwd=cwd, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    run("init", "-q", "-b", "main")
    return run
