"""
What another user of the host could do: a real JupyterHub with real users, each user's kernels under his own user id.

Needs root, to make users. Where it is not root, it says so and does not pass for having run.
"""

from __future__ import annotations

import pwd
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import pytest

from flowfile_nb.core.crypto import generate_master_key
from notebooks.throwaway import Postgres
from tests.attacks.trying import prepare
from tests.support.front import Front
from tests.support.host_users import PYTHON, SPAWNER, home_with, marks, program_as, users_of_host
from tests.support.jupyterhub import Hub

USERS = ["ffalice", "ffbob"]
BROKER = "ffbroker"
pytestmark = marks("ISOLATION SUITE", *USERS, BROKER)


class Place(NamedTuple):
    """A Hub, the broker at its unix socket, and the database that is shared."""

    hub: Hub
    front: Front
    server: Postgres
    key: str


@pytest.fixture(scope="module")
def users() -> Iterator[None]:
    """Two users who log in, and the broker's; none of them is left."""
    with users_of_host(*USERS, BROKER):
        yield


@pytest.fixture(scope="module")
def place(users: None, postgres: Postgres) -> Iterator[Place]:
    """Ffalice shares `warehouse` with the Hub's group `analysts`, in which ffbob is. All come by the unix socket."""
    server = prepare(postgres)
    # The socket's folder is passed through by everybody, as its operator makes it.
    with home_with(BROKER, {"state": 0o700, "run": 0o711}) as home:
        path = home / "run" / "broker.sock"
        key = generate_master_key().decode()
        options = ["--admin", "ffalice"]
        front = Front(home / "state" / "broker", key, options=options, program=program_as(BROKER), socket_path=path)
        hub = Hub(home, PYTHON, "", USERS, {}, SPAWNER, team=f"unix:{path}")
        with closing(front), closing(hub.http):
            front.start()
            with hub.running():
                yield Place(hub, front, server, key)


@pytest.fixture(scope="module")
def bob(place: Place) -> Iterator[object]:
    """Ffbob's kernel, after ffalice has shared from hers."""
    server = place.server
    with place.hub.kernel("ffalice") as hers:
        shown = hers.run(
            f"""
            import httpx
            team = httpx.Client(transport=httpx.HTTPTransport(uds={str(place.front.socket_path)!r}), base_url="http://broker/api/",
                                headers={{"X-Flowfile-Nb-Wire": "1"}}, timeout=60)
            body = "postgresql://reporting:%secret prod_pw@{server.host}:{server.port}/{server.database}"
            for method, path, what in (
                ("PUT", "secrets", {{"name": "prod_pw", "value": {server.password!r}}}),
                ("PUT", "connections", {{"name": "warehouse", "body": body}}),
                ("POST", "groups", {{"name": "analysts"}}),
                ("PUT", "groups/members", {{"group": "analysts", "user": "ffbob", "role": "member"}}),
                ("PUT", "shares", {{"what": "connection", "name": "warehouse", "group": "analysts"}}),
            ):
                print(team.request(method, path, json=what).status_code)
            """
        )
        assert shown.split() == ["200"] * 5, shown
    with place.hub.kernel("ffbob") as his:
        yield his


def test_a_member_uses_it_under_his_own_user(place: Place, bob: object) -> None:
    """ffbob, known by his user id alone, reads rows with pandas; no token of the broker's is in his kernel."""
    run = bob.run  # type: ignore[attr-defined]
    run("%load_ext flowfile_nb")
    run("%connect warehouse")
    rows = run("import pandas as pd, os; print(os.getuid(), pd.read_sql('SELECT sum(day) AS days FROM takings', warehouse))")

    assert "55" in rows, rows
    assert rows.split()[0] == str(pwd.getpwnam("ffbob").pw_uid)


TRIES = {
    "its environment": "open(f'/proc/{pid}/environ', 'rb').read()",
    "its memory": "open(f'/proc/{pid}/mem', 'rb').read(1)",
    "its memory's map": "open(f'/proc/{pid}/maps').read()",
    "its open files": "os.listdir(f'/proc/{pid}/fd')",
    "its working directory": "os.readlink(f'/proc/{pid}/cwd')",
    "its root": "os.readlink(f'/proc/{pid}/root')",
    "killing it": "os.kill(pid, 9)",
    "tracing it": "ctypes.CDLL(None, use_errno=True).ptrace(16, pid, 0, 0) == 0 or 1/0",
    "its folder": "os.listdir(state)",
    "its store": "open(state + '/team.db', 'rb').read(1)",
    "its audit": "open(state + '/audit.jsonl').read(1)",
    "writing to its code": "open(code, 'a')",
    "removing its socket": "os.unlink(sock)",
    "renaming its socket": "os.rename(sock, sock + '.old')",
    "binding beside its socket": "socket.socket(socket.AF_UNIX).bind(sock + '.new')",
    "a key in its folder": "open(state + '/master_key', 'w')",
}


@pytest.mark.parametrize("tried", TRIES)
def test_another_user_gets_nothing(place: Place, bob: object, tried: str) -> None:
    """Ffbob's kernel, with all of Python, is refused by the host what is the broker's; root, for comparison, is not."""
    code = Path(PYTHON).parent.parent
    [module] = code.glob("lib/python3*/site-packages/flowfile_nb/broker/team.py")
    assert place.front.process is not None
    setup = (
        f"import os, socket, ctypes; pid = {place.front.process.pid}; state = {str(place.front.directory)!r}; "
        f"sock = {str(place.front.socket_path)!r}; code = {str(module)!r}\n"
    )
    attempt = (
        f"try:\n    {TRIES[tried]}\n"
        "except (PermissionError, ZeroDivisionError) as error:\n    print('refused', type(error).__name__)\n"
        "else:\n    print('SUCCEEDED')"
    )
    shown = bob.run(setup + attempt)  # type: ignore[attr-defined]

    assert shown.startswith("refused"), shown
    assert place.front.process.poll() is None


def test_the_values_are_nowhere_that_another_user_reads(place: Place, bob: object) -> None:
    """The command lines of all processes, which every user sees, hold neither value nor key."""
    cell = "import glob, os\nfor path in glob.glob('/proc/[0-9]*/cmdline'):\n    print(open(path, 'rb').read())"
    shown = bob.run(cell)  # type: ignore[attr-defined]

    assert "flowfile_nb" in shown
    assert place.server.password not in shown
    assert place.key not in shown
