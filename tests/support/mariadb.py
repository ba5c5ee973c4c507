"""A real MariaDB that asks for a password, for one test session."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pymysql

from tests.support.postgres import HARD_PASSWORD
from tests.support.processes import ended_after, free_port, wait_for_port

_NOBODY = 65534
# Debian puts servers where only root's PATH looks.
_PATH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/local/sbin", "/usr/sbin", "/sbin"])


class MariaDb(NamedTuple):
    """A running server, and the login of its one database."""

    host: str
    port: int
    user: str
    password: str
    database: str
    socket: Path

    def admin(self) -> pymysql.Connection[Any]:
        """Connect as root through the socket, which lies in a folder of this user alone."""
        return pymysql.connect(unix_socket=str(self.socket), user="root", autocommit=True)


def is_installed() -> bool:
    """Return whether the programs of a MariaDB server are on this machine."""
    return all(shutil.which(program, path=_PATH) for program in ("mariadb-install-db", "mariadbd"))


@contextmanager
def running_mariadb(password: str = HARD_PASSWORD) -> Iterator[MariaDb]:
    """Start a server whose login has *password*, on a free port of this machine alone, and stop it at the end."""
    with tempfile.TemporaryDirectory(prefix="flowfile_nb_my_") as folder:
        server = MariaDb("127.0.0.1", free_port(), "app", password, "sales", Path(folder) / "mariadb.sock")
        log = Path(folder) / "server.log"
        with _started(server, Path(folder), log) as process, ended_after(process):
            wait_for_port(process, server.port, 60, log)
            with closing(server.admin()) as connection, connection.cursor() as cursor:
                cursor.execute(f"CREATE DATABASE {server.database} CHARACTER SET utf8mb4")
                cursor.execute("CREATE USER %s@'127.0.0.1' IDENTIFIED BY %s", (server.user, password))
                cursor.execute(f"GRANT ALL ON {server.database}.* TO %s@'127.0.0.1'", (server.user,))
            yield server


def _started(server: MariaDb, folder: Path, log: Path) -> subprocess.Popen[bytes]:
    data = folder / "data"
    as_nobody: dict[str, Any] = {}
    if os.geteuid() == 0:
        # MariaDB refuses to run as root.
        os.chown(folder, _NOBODY, _NOBODY)
        as_nobody = {"user": _NOBODY, "group": _NOBODY, "extra_groups": []}
    here: dict[str, Any] = {"cwd": folder, "env": {"PATH": _PATH, "TMPDIR": str(folder)}, "stdin": subprocess.DEVNULL}
    install = [
        "mariadb-install-db",
        "--no-defaults",
        f"--datadir={data}",
        # Root has no password and no other login exists: the socket's folder is what keeps others out.
        "--auth-root-authentication-method=normal",
        "--skip-test-db",
        "--skip-name-resolve",
    ]
    serve = [
        "mariadbd",
        "--no-defaults",
        f"--datadir={data}",
        f"--socket={server.socket}",
        f"--port={server.port}",
        f"--bind-address={server.host}",
        f"--pid-file={folder / 'mariadbd.pid'}",
        "--skip-name-resolve",
        # What is in it need not survive: it is deleted at the end.
        "--innodb-flush-log-at-trx-commit=0",
        "--innodb-buffer-pool-size=32M",
    ]
    with log.open("wb") as output:
        subprocess.run(install, check=True, stdout=output, stderr=output, **here, **as_nobody)
        return subprocess.Popen(serve, stdout=output, stderr=output, **here, **as_nobody)
