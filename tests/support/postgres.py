"""A real PostgreSQL that asks for a password, for one test session; and its stops and starts."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from notebooks.throwaway import Postgres, start_postgres

HARD_PASSWORD = "p@ss:w/or d?#%\"'\\ü&=+${x}"
"""Every character that has a meaning in a URL, a DSN, TOML, a shell or SQL."""
_NOBODY = 65534


@contextmanager
def running_postgres(password: str = HARD_PASSWORD) -> Iterator[Postgres]:
    """Start a server whose login has *password*, and stop it at the end."""
    server = start_postgres(password)
    try:
        yield server
    finally:
        server.stop()


@contextmanager
def stopped(server: Postgres) -> Iterator[None]:
    """Have a server crash, and start it again after the block: at the same port, with what was committed."""
    with server.admin() as admin:
        [(directory, backend)] = admin.execute("SELECT current_setting('data_directory'), pg_backend_pid()").fetchall()
        programs = Path(psutil.Process(backend).exe()).parent
    _pg_ctl(programs, directory, "stop", "-m", "immediate")
    try:
        yield
    finally:
        # With the options that it had.
        _pg_ctl(programs, directory, "restart", "-w")


def _pg_ctl(programs: Path, directory: str, *arguments: str) -> None:
    is_root = hasattr(os, "geteuid") and os.geteuid() == 0
    as_nobody: dict[str, Any] = {"user": _NOBODY, "group": _NOBODY, "extra_groups": []} if is_root else {}
    quiet: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    subprocess.run([programs / "pg_ctl", *arguments, "-D", directory], check=True, cwd="/", **quiet, **as_nobody)
