"""Files over SSH, against a real SFTP server."""

from __future__ import annotations

import os
import pickle
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pyarrow.parquet as pq
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

import flowfile_nb as fnb
from flowfile_nb.errors import (
    ConnectionFailedError,
    ConnectionSpecError,
    FlowfileNbError,
    LiteralPasswordError,
    MissingDriverError,
    NoSuchSecretError,
)
from tests.support.dumb_server import answering, silent
from tests.support.sftp import SftpServer, running_sftp
from tests.support.shell import Shell

TESTS = str(Path(__file__).parent)
PASSWORD = "hunter2 canary/@:?#&=ü\"'%41"


@pytest.fixture
def sftp(tmp_path: Path, home: Path) -> Iterator[SftpServer]:
    """A server whose key is in `~/.ssh/known_hosts`, and no agent."""
    with pytest.MonkeyPatch.context() as patch, running_sftp(tmp_path / "root", PASSWORD) as server:
        patch.delenv("SSH_AUTH_SOCK", raising=False)
        (home / ".ssh").mkdir()
        (home / ".ssh" / "known_hosts").write_text(server.known_hosts)
        yield server


def url(sftp: SftpServer, path: str = "/sales") -> str:
    return f"sftp://{sftp.user}:%secret files_pw@127.0.0.1:{sftp.port}{path}"


def frames(error: BaseException) -> str:
    """Return every frame of an error with its local variables, and of what led to it."""
    found = "".join(traceback.format_exception(error))
    for one in (error, error.__cause__):
        if one is not None:
            stack = traceback.StackSummary.extract(traceback.walk_tb(one.__traceback__), capture_locals=True)
            found += repr([frame.locals for frame in stack if not frame.filename.startswith(TESTS)])
    return found


def test_opens_with_a_hard_password(shell: Shell, sftp: SftpServer) -> None:
    """`%%connect` binds a filesystem that pandas, Polars and PyArrow take; no output holds the password."""
    fnb.secrets["files_pw"] = PASSWORD

    opened = shell.run(f"%%connect files --save\n{url(sftp)}")
    files = shell.real.user_ns["files"]
    table = pd.DataFrame({"answer": [42]})
    with files.open("/sales/answer.parquet", "wb") as file:
        table.to_parquet(file)

    assert f"Connected: files = sftp://app@127.0.0.1:{sftp.port}/sales" in opened
    assert files.ls("/sales") == ["/sales/answer.csv", "/sales/answer.parquet"]
    assert pd.read_csv(files.open("/sales/answer.csv"))["answer"][0] == 42
    assert pd.read_parquet("/sales/answer.parquet", filesystem=files)["answer"][0] == 42
    assert pl.read_parquet(files.open("/sales/answer.parquet"))["answer"][0] == 42
    assert pq.read_table("sftp://127.0.0.1/sales/answer.parquet", filesystem=files)["answer"][0].as_py() == 42
    assert PASSWORD not in shell.run("vars(files), files.storage_options, files") + shell.displayed
    assert "sftp" in shell.run("%connect")
    assert "Closed" in shell.run("%connect -x files")
    assert "Connected" in shell.run("%connect files")


def test_a_replaced_password_is_used_and_a_deleted_one_stops(sftp: SftpServer) -> None:
    """Without a restart; what was open with the former one is closed. A server that hung up is asked again."""
    fnb.secrets["files_pw"] = PASSWORD
    files: Any = fnb.connect(url(sftp))
    assert files.cat("/sales/answer.csv") == b"answer\n42\n"
    assert sftp.logins == ["password yes"]

    transport = files.ftp.get_channel().get_transport()
    sftp.drop()
    transport.join(10)
    assert files.exists("/sales/answer.csv")
    assert sftp.logins == ["password yes"] * 2

    fnb.secrets["files_pw"] = "another canary"
    with pytest.raises(ConnectionFailedError, match="refused the user or the password"):
        files.cat("/sales/answer.csv")
    sftp.passwords.append("another canary")
    assert files.cat("/sales/answer.csv") == b"answer\n42\n"
    del fnb.secrets["files_pw"]
    with pytest.raises(NoSuchSecretError):
        files.ls("/sales")
    assert sftp.logins[-1] == "password yes"


def test_large_files_are_read_in_blocks(sftp: SftpServer) -> None:
    """Whole, in pieces and from the middle, the same bytes; an open one is pickled with its filesystem."""
    data = os.urandom(1 << 20) * 12 + b"end"
    (sftp.root / "large").write_bytes(data)
    fnb.secrets["files_pw"] = PASSWORD
    files: Any = fnb.connect(url(sftp))

    with files.open("/large") as file:
        pieces = [file.read(100_000) for _ in range(3)]
        file.seek(7_000_001)
        middle = file.read(6_000_000)
        there = pickle.loads(pickle.dumps(file))

    assert b"".join(pieces) == data[:300_000]
    assert middle == data[7_000_001:13_000_001]
    there.seek(len(data) - 3)
    assert there.read() == b"end"
    assert files.cat("/large") == data
    assert files.cat_file("/large", start=5, end=50) == data[5:50]
    assert not files.exists("/larger")
    with pytest.raises(FileNotFoundError):
        files.open("/larger")


def test_nothing_keeps_the_password(sftp: SftpServer) -> None:
    """Neither fsspec, nor paramiko's objects while the connection is open, nor a pickle, which opens where it is loaded."""
    fnb.secrets["files_pw"] = PASSWORD
    files: Any = fnb.connect(url(sftp))

    transport = files.ftp.get_channel().get_transport()
    kept = repr([vars(files), vars(transport), vars(transport.auth_handler), files.storage_options, type(files)._cache])
    data = pickle.dumps(files, protocol=0)

    assert "canary" not in kept
    assert b"canary" not in data
    assert b"${secret:files_pw}" in data
    assert pickle.loads(data).cat("/sales/answer.csv") == b"answer\n42\n"
    with pytest.raises(TypeError):
        files.to_json()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_opens_a_connection_of_its_own(sftp: SftpServer) -> None:
    """And leaves its parent's alone."""
    fnb.secrets["files_pw"] = PASSWORD
    files: Any = fnb.connect(url(sftp))
    reading, writing = os.pipe()

    if os.fork() == 0:
        os.write(writing, files.cat("/sales/answer.csv"))
        files.ftp.close()
        os._exit(0)
    answer = os.read(reading, 100)
    os.wait()

    assert answer == b"answer\n42\n"
    assert files.cat("/sales/answer.csv") == b"answer\n42\n"
    assert len(sftp.logins) == 2
    for end in (reading, writing):
        os.close(end)


@pytest.mark.parametrize("form", ["openssh", "openssh with passphrase", "pem", "pkcs8", "file"])
def test_private_keys(sftp: SftpServer, tmp_path: Path, form: str) -> None:
    """In the forms that people have, as a secret or as a file that is there already."""
    key = serialization.load_ssh_private_key(sftp.private_key.encode(), None)
    described = {"type": "sftp", "host": "127.0.0.1", "port": sftp.port, "username": sftp.user}
    lock: Any = serialization.NoEncryption()
    if form == "openssh with passphrase":
        lock, described["passphrase"] = serialization.BestAvailableEncryption(PASSWORD.encode()), "%secret phrase"
    kind = serialization.PrivateFormat.PKCS8 if form in {"pem", "pkcs8"} else serialization.PrivateFormat.OpenSSH
    text = key.private_bytes(serialization.Encoding.PEM, kind, lock).decode()
    fnb.secrets["phrase"], fnb.secrets["ssh_key"] = PASSWORD, text.strip()
    if form == "file":
        (tmp_path / "id").write_text(text)
        described["key_file"] = str(tmp_path / "id")
    else:
        described["private_key"] = "%secret ssh_key"

    files: Any = fnb.connect(described)

    assert files.cat("/sales/answer.csv") == b"answer\n42\n"
    assert set(sftp.logins) == {"key yes"}
    handler = files.ftp.get_channel().get_transport().auth_handler
    assert (handler.private_key, handler.password) == (None, None)
    files.clear_instance_cache()


@pytest.mark.parametrize("kind", ["rsa", "ec"])
def test_other_kinds_of_key_are_offered(sftp: SftpServer, kind: str) -> None:
    """They are understood, and refused by a server that does not know them."""
    key = rsa.generate_private_key(65537, 2048) if kind == "rsa" else ec.generate_private_key(ec.SECP256R1())
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption())
    fnb.secrets["ssh_key"] = key.private_bytes(*form).decode()

    with pytest.raises(ConnectionFailedError, match=r"refused the user or the password|another kind of login") as refused:
        fnb.connect(f"sftp://{sftp.user}@127.0.0.1:{sftp.port}?private_key=%secret ssh_key")

    assert "key no" in sftp.logins
    assert "PRIVATE" not in frames(refused.value)


@pytest.mark.parametrize(("passphrase", "text"), [("not it", None), (None, None), (None, "no key at all canary")])
def test_a_key_that_cannot_be_read(sftp: SftpServer, passphrase: str | None, text: str | None) -> None:
    """Wrong passphrase, none, no key: one error, without a word of it."""
    key = serialization.load_ssh_private_key(sftp.private_key.encode(), None)
    lock = serialization.BestAvailableEncryption(b"the right one")
    encrypted = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, lock).decode()
    fnb.secrets["ssh_key"] = text or encrypted
    extra = {}
    if passphrase:
        fnb.secrets["phrase"] = passphrase
        extra = {"passphrase": "%secret phrase"}

    with pytest.raises(ConnectionFailedError, match="the private key in secret 'ssh_key' is none that is known") as refused:
        fnb.connect(type="sftp", host="127.0.0.1", port=sftp.port, username="app", private_key="%secret ssh_key", **extra)

    assert "canary" not in str(refused.value)
    assert sftp.logins == []


def test_a_server_that_is_not_known_gets_nothing(sftp: SftpServer, home: Path) -> None:
    """Its fingerprint is shown, with the command that makes it known; no password was sent."""
    fnb.secrets["files_pw"] = PASSWORD
    (home / ".ssh" / "known_hosts").unlink()

    with pytest.raises(ConnectionFailedError, match="host key is not known here") as refused:
        fnb.connect(url(sftp))

    assert sftp.logins == []
    assert "SHA256:" in refused.value.message
    assert f"ssh-keyscan -p {sftp.port} 127.0.0.1 >> ~/.ssh/known_hosts" in refused.value.hint
    assert "canary" not in frames(refused.value)


def test_a_server_with_another_key_gets_nothing(sftp: SftpServer, home: Path) -> None:
    """As when somebody stands in between."""
    fnb.secrets["files_pw"] = PASSWORD
    other = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBc0C1a8rH3yxgmkSYDcCdSxE0d5GlqPvG3wU8ZzKbyF"
    (home / ".ssh" / "known_hosts").write_text(f"[127.0.0.1]:{sftp.port} {other}\n")

    with pytest.raises(ConnectionFailedError, match="another host key"):
        fnb.connect(url(sftp))

    assert sftp.logins == []


def test_a_key_in_the_description_makes_a_server_known(sftp: SftpServer, home: Path, tmp_path: Path) -> None:
    """Or a file of the description's own: both can stand in a repository."""
    fnb.secrets["files_pw"] = PASSWORD
    (home / ".ssh" / "known_hosts").unlink()
    (tmp_path / "hosts").write_text(sftp.known_hosts)
    parts = {"type": "sftp", "url": url(sftp)}

    for known in ({"host_key": f"{sftp.host_key} comment"}, {"known_hosts": str(tmp_path / "hosts")}):
        files: Any = fnb.connect({**parts, **known})
        assert files.cat("/sales/answer.csv") == b"answer\n42\n"
    with pytest.raises(ConnectionSpecError, match="known_hosts cannot be read"):
        fnb.connect({**parts, "known_hosts": str(tmp_path / "none")})
    with pytest.raises(ConnectionSpecError, match="host_key is no public key"):
        fnb.connect({**parts, "host_key": "SHA256:abc"})


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("password", "the server refused the user or the password"),
        ("path", "there is nothing at sftp://"),
        ("port", "nothing listens on that host and port"),
        ("host", "there is no host of that name"),
    ],
)
def test_what_is_wrong_is_said_in_two_lines(sftp: SftpServer, change: str, says: str) -> None:
    """Which target, which secret and its age, what to do; no frame holds the password."""
    fnb.secrets["files_pw"] = "wrong canary" if change == "password" else PASSWORD
    described = url(sftp, "/nowhere" if change == "path" else "/sales")
    described = described.replace(str(sftp.port), "1") if change == "port" else described
    described = described.replace("127.0.0.1", "nobody.invalid") if change == "host" else described

    with pytest.raises(ConnectionFailedError) as failed:
        fnb.connect(described)

    assert says in failed.value.message
    assert len(str(failed.value).split("\n")) == 2
    if change != "path":
        assert "with secret 'files_pw' (stored" in failed.value.message
    if change == "password":
        assert "%secret set files_pw --replace" in failed.value.hint
    assert "canary" not in frames(failed.value)


def test_a_server_that_says_nothing(shell: Shell) -> None:
    """`--timeout` ends the waiting; `--debug` shows paramiko's words, too."""
    fnb.secrets["files_pw"] = PASSWORD
    with answering(silent) as port:
        shell.run(f"%%connect files --timeout 0.3 --debug\nsftp://app:%secret files_pw@127.0.0.1:{port}/")

    assert "did not answer in time" in str(shell.error)
    assert "driver: " in str(shell.error)


@pytest.mark.parametrize(
    "described",
    [
        "sftp://app:hunter2@h/",
        "sftp://app@h/?password=hunter2",
        {"type": "sftp", "host": "h", "password": "hunter2"},
        {"type": "sftp", "host": "h", "private_key": "-----BEGIN OPENSSH PRIVATE KEY-----\nhunter2"},
        {"type": "sftp", "host": "h", "private_key": "%secret k", "passphrase": "hunter2"},
        {"type": "sftp", "url": "sftp://app:hunter2@h/"},
    ],
)
def test_a_credential_in_clear_is_refused(described: Any) -> None:
    """In each place where one may stand."""
    with pytest.raises(LiteralPasswordError) as refused:
        fnb.connect(described)

    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize(
    ("described", "says"),
    [
        ({"host": "h", "pasword": "%secret pw"}, "has no key 'pasword'"),
        ({"host": "h", "port": "22"}, "the value of 'port' is of the wrong kind"),
        ({"host": "h", "port": True}, "the value of 'port' is of the wrong kind"),
        ({"host": "%secret pw"}, "a reference stands in 'host'"),
        ({"path": "/x"}, "says no host"),
        ({"host": "h", "password": "%secret pw", "private_key": "%secret pw"}, "different ways to log in"),
        ({"host": "h", "passphrase": "%secret pw"}, "and no key"),
        ({"host": "h", "url": "sftp://h/"}, "'host' is said twice"),
        ({"url": "s3://h/"}, "the url is not one of type 'sftp'"),
        ({"host": "h", "options": {"a": "%secret pw"}}, "a reference stands in 'options'"),
        ({"host": "h", "key_file": "/nowhere/id"}, "the key_file cannot be read"),
    ],
)
def test_a_description_that_makes_no_sense(described: dict[str, Any], says: str) -> None:
    """Each mistake by name, before anything is opened."""
    fnb.secrets["pw"] = PASSWORD

    with pytest.raises(ConnectionSpecError) as refused:
        fnb.connect({"type": "sftp", **described})

    assert says in refused.value.message
    assert "canary" not in str(refused.value)


def test_without_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    """The exact command."""
    monkeypatch.setitem(__import__("sys").modules, "paramiko", None)

    with pytest.raises(MissingDriverError) as missing:
        fnb.connect("sftp://h/")

    assert "pip install 'flowfile-nb[sftp]'" in missing.value.hint


def test_everything_raised_is_ours(sftp: SftpServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """An interrupt while it logs in has no frame with the password."""
    fnb.secrets["files_pw"] = PASSWORD

    def interrupt(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("paramiko.Transport.start_client", interrupt)
    with pytest.raises(KeyboardInterrupt) as interrupted:
        fnb.connect(url(sftp))

    assert "canary" not in frames(interrupted.value)
    assert not isinstance(interrupted.value, FlowfileNbError)
