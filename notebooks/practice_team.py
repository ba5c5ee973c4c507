"""
A team for the notebooks and the tests: a broker of its own on a unix socket, gone with the process.

Nothing here is needed to use flowfile_nb: in a real team the broker runs as another user, and who runs it tells the address.
Here one person plays everybody, so that the example runs anywhere; `be` says who that is at the moment.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from cryptography.fernet import Fernet
from IPython import get_ipython
from psycopg import sql

from flowfile_nb import session
from flowfile_nb.team.entries import Offer

_START_S = 60.0


class Team(NamedTuple):
    """A running broker."""

    socket: str
    directory: Path
    process: subprocess.Popen[bytes]

    def token(self, user: str, *, admin: bool = False) -> str:
        """Return a new token of *user*'s, as whoever runs the broker makes it: `python -m flowfile_nb token add USER`."""
        return _run(self.directory, "token", "add", user, *(["--admin"] if admin else []))

    def be(self, user: str, *, admin: bool = False) -> None:
        """Let this kernel be *user*'s from now on: the two variables that a hub would set."""
        os.environ.update(FLOWFILE_NB_TEAM=f"unix:{self.socket}", FLOWFILE_NB_TEAM_TOKEN=self.token(user, admin=admin))
        session.use_backend(None)
        print(f"You are {user}.")

    def cell(self, line: str, body: str) -> None:
        """Run a `%%connect` cell with the ports of practice, others each time: the database's for 5432, the API's for 8080."""
        shell = get_ipython()
        assert shell is not None
        for port, name in ((5432, "PGPORT"), (8080, "PRACTICE_API_PORT")):
            body = body.replace(f":{port}/", f":{os.environ[name]}/")
        shell.run_cell_magic("connect", line.removeprefix("%%connect "), body)

    def prepare_group(self, group: str, *, owner: str, members: Sequence[str]) -> None:
        """Let there be a group, as an admin makes one."""
        self._quietly("root", admin=True)
        sharing = session.team().sharing
        sharing.create(group)
        for user, role in [(owner, "owner"), *((user, "member") for user in members)]:
            sharing.set_member(group, user, role)

    def prepare_share(self, owner: str, group: str) -> None:
        """Let *owner* share the database's password `penguins_pw` and its connection `penguins`, and the API `penguin_api`."""
        self._quietly(owner)
        secrets, body = session.team(), f"postgresql://reader:${{secret:penguins_pw}}@127.0.0.1:{os.environ['PGPORT']}/palmer"
        url = f"http://127.0.0.1:{os.environ['PRACTICE_API_PORT']}/v1"
        for name in ("penguins_pw", "penguins_key"):
            secrets.set(name, os.environ["PRACTICE_PASSWORD"], replace=True)
        secrets.save_connection("penguins", body)
        secrets.save_connection(
            "penguin_api", f'type = "http"\nurl = "{url}"\nheader = "X-Api-Key"\ntoken = "${{secret:penguins_key}}"'
        )
        for what, name in (("secret", "penguins_pw"), ("connection", "penguins"), ("connection", "penguin_api")):
            secrets.sharing.share(Offer(what, name, group))

    def prepare_files(self, owner: str, group: str) -> None:
        """Let *owner* share a bucket with the table of each year as a file, as the connection `penguin_files`."""
        from practice_s3 import start_bucket

        url, me = f"http://127.0.0.1:{start_bucket()}", os.environ["FLOWFILE_NB_TEAM_TOKEN"]
        self._quietly(owner)
        secrets = session.team()
        secrets.set("penguins_files_key", os.environ["PRACTICE_PASSWORD"], replace=True)
        secrets.save_connection(
            "penguin_files",
            f'type = "s3"\nbucket = "penguins"\nendpoint_url = "{url}"\naccess_key_id = "practice"\n'
            'secret_access_key = "${secret:penguins_files_key}"',
        )
        secrets.sharing.share(Offer("connection", "penguin_files", group))
        os.environ["FLOWFILE_NB_TEAM_TOKEN"] = me
        session.use_backend(None)

    def _quietly(self, user: str, *, admin: bool = False) -> None:
        with contextlib.redirect_stdout(None):
            self.be(user, admin=admin)

    def stop(self) -> None:
        """End it, and delete all that it kept."""
        self.process.terminate()
        self.process.wait()
        shutil.rmtree(self.directory, ignore_errors=True)


def start_broker() -> Team:
    """
    Start a broker with an empty store.

    Raises:
        RuntimeError: If it does not answer within a minute; with what it said.
    """
    # A socket's path must be short.
    directory = Path(tempfile.mkdtemp(prefix="fnb_team_"))
    path = directory / "run" / "broker.sock"
    kept = directory / "kept"
    kept.mkdir(mode=0o700)
    (kept / "master_key").touch(mode=0o600)
    (kept / "master_key").write_bytes(Fernet.generate_key())
    log = directory / "broker.log"
    command = [sys.executable, "-m", "flowfile_nb", "serve", "--directory", kept, "--socket", path]
    with log.open("wb") as said:
        process = subprocess.Popen([str(word) for word in command], stdout=said, stderr=said, env=_environment())
    team = Team(str(path), directory, process)
    atexit.register(team.stop)
    end = time.monotonic() + _START_S
    while not path.is_socket():
        if process.poll() is not None or time.monotonic() > end:
            raise RuntimeError(f"the practice broker did not start:\n{log.read_text(encoding='utf-8')}")
        time.sleep(0.02)
    return team


def start_practice_team() -> Team:
    """
    Start a broker, a PostgreSQL with real data and the login `reader`, which may read the table `penguins`, and an HTTP API.

    The password of both is in `PRACTICE_PASSWORD`, which in real life its owner alone would have. Your own secrets are not
    touched.
    """
    # Found where a notebook is run; the tests, which start a broker alone, are elsewhere.
    from practice_api import start_api
    from throwaway import start_practice_database, use_throwaway_store

    use_throwaway_store()
    server = start_practice_database()
    with server.admin() as connection:
        # A superuser's account is not shared: it could read every password in the server.
        connection.execute(sql.SQL("CREATE ROLE reader LOGIN PASSWORD {}").format(sql.Literal(server.password)))
        connection.execute("GRANT SELECT ON penguins TO reader")
    os.environ["PRACTICE_API_PORT"] = str(start_api(server.password))
    team = start_broker()
    print("A broker is running beside this notebook's kernel, on a unix socket.")
    return team


def _run(directory: Path, *words: str) -> str:
    command = [sys.executable, "-m", "flowfile_nb", *words, "--directory", str(directory / "kept")]
    return subprocess.run(command, check=True, capture_output=True, text=True, env=_environment()).stdout.strip()


def _environment() -> dict[str, str]:
    """Return an environment without this kernel's own settings: the broker has a store and a key of its own."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("FLOWFILE_", "PRACTICE_"))}
