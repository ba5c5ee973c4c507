"""The broker's command line, where it listens, and what it does without a key."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import httpx
import pytest

from flowfile_nb.broker import sockets
from flowfile_nb.core.crypto import generate_master_key
from flowfile_nb.errors import BrokerError, UsageError
from tests.support.front import ROOT, Front, Member
from tests.support.processes import until


@pytest.fixture
def short() -> Iterator[Path]:
    """A folder with a short name: a unix socket's path has a hundred characters at most."""
    folder = Path(tempfile.mkdtemp(prefix="ffs_"))
    yield folder
    shutil.rmtree(folder)


def run(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run `python -m flowfile_nb`."""
    command = [sys.executable, "-m", "flowfile_nb", *arguments]
    environ = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "PYTHONPATH": str(ROOT), **environ}
    return subprocess.run(command, check=False, env=environ, capture_output=True, text=True, timeout=60)


@contextmanager
def serving(*arguments: str) -> Iterator[list[str]]:
    """Run `python -m flowfile_nb serve` until it answers, and give the lines that it has said."""
    command = [sys.executable, "-m", "flowfile_nb", "serve", *arguments]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=ROOT) as broker:
        assert broker.stderr is not None
        said = [broker.stderr.readline()]
        while said[-1] and "the broker answers" not in said[-1]:
            said.append(broker.stderr.readline())
        try:
            yield said
        finally:
            broker.terminate()
            broker.communicate(timeout=30)


def test_a_broker_without_a_key_says_what_to_do(short: Path) -> None:
    """It runs, says that it is there, and refuses each call with the way to a key."""
    front = Front(short / "broker", "", socket_path=short / "run" / "broker.sock")
    with closing(front):
        front.start()
        until(lambda: _listens(short / "run" / "broker.sock"))
        with closing(Member("http://broker/", uds=str(short / "run" / "broker.sock")).http) as http:
            answers = [http.get("api/secrets"), http.post("api/groups", json={"name": "g"})]

    assert [answer.status_code for answer in answers] == [503, 503]
    assert "new-key" in answers[0].json()["error"]["hint"]
    assert "MasterKeyError" in front.log.read_text()


def _listens(path: Path) -> bool:
    with closing(socket.socket(socket.AF_UNIX)) as knock:
        return knock.connect_ex(str(path)) == 0


def test_tokens_at_the_command_line(short: Path) -> None:
    """A token is shown once, listed without its text, and revoked."""
    key = {"FLOWFILE_MASTER_KEY": generate_master_key().decode()}
    made = run("token", "add", "bob", "--name", "ci", "--days", "1", "--use-only", "--directory", str(short), **key)
    assert f"in the store {short / 'team.db'}: serve has to use the same" in made.stderr
    listed = run("token", "list", "--directory", str(short), **key)
    revoked = run("token", "revoke", "1", "--directory", str(short), **key)
    again = run("token", "revoke", "1", "--directory", str(short), **key)

    token = made.stdout.strip()
    assert token.startswith("fnbt_")
    assert "bob" in listed.stdout
    assert token not in listed.stdout
    assert (revoked.returncode, again.returncode) == (0, 1)


REFUSED: list[tuple[list[str], str]] = [
    ([], "where shall the broker listen"),
    (["--port", "1", "--host", "0.0.0.0"], "needs TLS"),
    (["--socket", "broker.sock"], "whole path"),
    (["--fd", "0"], "is no"),
    (["--port", "1", "--sessions", "0"], "above zero"),
    (["--port", "1", "--secrets-per-user", "-1"], "above zero"),
    (["--port", "1", "--same-users", "everybody"], "names of sources"),
    (["--hub-token-file", "/nowhere", "--port", "1"], "cannot be read"),
]


@pytest.mark.parametrize(("options", "why"), REFUSED)
def test_ways_to_serve_that_are_refused(short: Path, options: list[str], why: str) -> None:
    """Nothing to listen on, or something unsafe: two lines, and no traceback."""
    refused = run("serve", "--directory", str(short / "broker"), *options)

    assert refused.returncode == 2
    assert why in refused.stderr
    assert "Traceback" not in refused.stderr


@pytest.mark.parametrize("arguments", [["serve", "--port", "0"], ["token", "add", "bob"]])
def test_a_library_that_is_not_there(short: Path, arguments: list[str]) -> None:
    """What only the first start needs, too: two lines that say what to install, and no traceback."""
    without = "import sys; sys.modules['alembic'] = None; from flowfile_nb.__main__ import main; sys.exit(main())"

    refused = subprocess.run(
        [sys.executable, "-c", without, *arguments, "--directory", str(short)],
        check=False,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert refused.returncode == 2
    assert refused.stderr.splitlines()[-2:] == [
        "MissingDriverError: the broker needs the library alembic",
        "hint: pip install 'flowfile-nb[team]'  in the broker's environment",
    ]
    assert "Traceback" not in refused.stderr


@pytest.mark.parametrize(
    ("host", "tls", "address"),
    [
        ("127.0.0.1", False, "http://127.0.0.1:{}"),
        ("127.0.0.1", True, "https://127.0.0.1:{}"),
        ("::1", False, "http://[::1]:{}"),
    ],
)
def test_where_a_port_is_reached(host: str, tls: bool, address: str) -> None:
    """As it is written into a kernel's environment."""
    with closing(sockets.bind_port(host, 0)) as listening:
        assert sockets.address_of(listening, tls=tls) == address.format(listening.getsockname()[1])


def test_a_socket_stands_in_a_folder_of_the_brokers_own(short: Path) -> None:
    """It is not bound where others could put one in its place, nor over a living broker's; a dead one's is cleared away."""
    shared = short / "shared"
    shared.mkdir()
    shared.chmod(0o777)
    with pytest.raises(UsageError, match="others can write"):
        sockets.bind_path(str(shared / "broker.sock"))

    path = str(short / "own" / "broker.sock")
    first = sockets.bind_path(path)
    with pytest.raises(BrokerError, match="another broker"):
        sockets.bind_path(path)
    first.close()
    sockets.bind_path(path).close()
    assert (Path(path).parent.stat().st_mode & 0o777, os.stat(path).st_mode & 0o777) == (0o711, 0o666)


def test_a_folder_that_is_there_keeps_its_permissions(short: Path) -> None:
    """Its owner may have meant them; `serve` says where others cannot reach the socket by them."""
    home = short / "home"
    home.mkdir(mode=0o700)

    sockets.bind_path(str(home / "broker.sock")).close()
    assert home.stat().st_mode & 0o777 == 0o700
    (home / "broker.sock").unlink()
    with serving("--directory", str(short / "b"), "--socket", str(home / "s")) as said:
        pass

    assert f"note: other users cannot reach a socket in {home};  chmod 711 '{home}'  lets them knock\n" in said
    assert said[-1].endswith(f" the broker answers at unix:{home / 's'}\n")
    assert home.stat().st_mode & 0o777 == 0o700


def test_the_address_that_is_told_has_the_prefix(tmp_path: Path) -> None:
    """A kernel is given it as it stands; behind nothing else does the broker answer."""
    tmp_path.chmod(0o700)
    where = ["--directory", str(tmp_path / "b"), "--port", "0", "--prefix", "services/flowfile-secrets/"]
    with serving(*where) as said:
        found = re.search(r" the broker answers at (http://127\.0\.0\.1:\d+)(/services/flowfile-secrets)\n$", said[-1])
        assert found is not None, said
        assert [httpx.get(f"{found[1]}{path}/api/health").status_code for path in (found[2], "")] == [200, 404]


def test_what_is_no_socket_stays(short: Path) -> None:
    """A file at the socket's path is somebody's, and is not removed."""
    (short / "file").write_text("mine")
    short.chmod(0o700)

    with pytest.raises(BrokerError, match="something else"):
        sockets.bind_path(str(short / "file"))

    assert (short / "file").read_text() == "mine"


def test_sockets_that_systemd_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sockets of `sd_listen_fds` are taken by the process that they are for, and answer without delay."""
    monkeypatch.setattr(sockets, "_FIRST_FD", 200)
    with closing(socket.create_server(("127.0.0.1", 0))) as held:
        os.dup2(held.fileno(), 200)
        assert sockets.passed_sockets({"LISTEN_PID": "1", "LISTEN_FDS": "1"}) == []
        assert sockets.passed_sockets({}) == []
        [taken] = sockets.passed_sockets({"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1"})
        with closing(taken):
            assert taken.getsockname() == held.getsockname()
            assert taken.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            assert not taken.get_inheritable()


def test_a_port_that_is_taken(short: Path) -> None:
    """A port that somebody else listens on is an error that says so."""
    with closing(socket.create_server(("127.0.0.1", 0))) as taken, pytest.raises(BrokerError, match="somebody else"):
        sockets.bind_port("127.0.0.1", taken.getsockname()[1])
