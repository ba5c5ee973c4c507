"""An error of a filesystem or an API in a later cell says which connection it was; it is the exception that it always was."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

import flowfile_nb as fnb
from tests.connections.test_described_storage import toml
from tests.support.http_server import Answer, Server, running
from tests.support.processes import free_port
from tests.support.s3 import S3Server, running_s3
from tests.support.sftp import SftpServer, running_sftp
from tests.support.shell import Shell

CANARY = "wrong-canary-key"
REFUSED = "could not use {place} with secret 'lake_key' (stored just now): "
READ = [
    "lake.cat('sales/answer.csv')",
    "lake.open('sales/answer.csv').read()",
    "pd.read_csv(lake.open('sales/answer.csv'))",
    "pl.read_csv(lake.open('sales/answer.csv'))",
    "pd.read_parquet('s3://sales/a.parquet', filesystem=lake)",
    "pq.read_table('sales/a.parquet', filesystem=lake)",
]
ABSENT = [
    "lake.cat('sales/none.csv')",
    "pd.read_csv(lake.open('sales/none.csv'))",
    "pd.read_parquet('s3://sales/none.parquet', filesystem=lake)",
    "pq.read_table('sales/none.parquet', filesystem=lake)",
]


@pytest.fixture(scope="module")
def s3() -> Iterator[S3Server]:
    with running_s3() as server:
        yield server


@pytest.fixture
def lake(shell: Shell, s3: S3Server) -> Shell:
    """A shell with a bucket connected."""
    fnb.secrets["lake_key"] = s3.key
    shell.run(f"%%connect lake\n{toml(s3, prefix='')}")
    shell.run("import pandas as pd, polars as pl, pyarrow.parquet as pq")
    assert shell.error is None, shell.shown
    return shell


@pytest.fixture
def service() -> Iterator[Server]:
    with running() as server:
        yield server


@pytest.fixture
def api(shell: Shell, service: Server) -> Shell:
    """A shell with an API connected."""
    fnb.secrets["token"] = CANARY
    shell.run(f'%%connect api\ntype = "http"\nurl = "{service.url}/v1"\ntoken = %secret token')
    assert shell.error is None, shell.shown
    return shell


@pytest.fixture
def files(shell: Shell, tmp_path: Path) -> Iterator[tuple[Shell, SftpServer]]:
    """A shell with a server of files connected."""
    fnb.secrets["pw"] = "right"
    with running_sftp(tmp_path / "sftp", "right") as server:
        keys = f'host_key = "{server.host_key}"\nusername = "app"\npassword = %secret pw'
        shell.run(f'%%connect files\ntype = "sftp"\nhost = "127.0.0.1"\nport = {server.port}\n{keys}')
        assert shell.error is None, shell.shown
        yield shell, server


def short(shell: Shell, cell: str, kind: type[BaseException], says: str, hint: str) -> None:
    """Run a cell, and see that its error is told in a few lines and is the library's own."""
    shown = shell.run(f"0\n{cell}")

    assert type(shell.error) is kind
    lines = shown.strip().split("\n")
    assert len(lines) == 3, shown
    assert lines[0].startswith(f"{kind.__name__}: {says}"), shown
    assert re.fullmatch(rf"Cell In\[\d+\], line 2:  {re.escape(cell)}", lines[1]), shown
    assert lines[2] == f"hint: {hint};  %tb  shows the whole traceback"


@pytest.mark.parametrize("cell", READ)
def test_a_key_that_is_refused(lake: Shell, s3: S3Server, cell: str) -> None:
    """Which connection, which secret and how old it is, and what to do; no value in any of it."""
    fnb.secrets["lake_key"] = CANARY

    short(
        lake,
        cell,
        PermissionError,
        REFUSED.format(place=f"s3://sales at {s3.url}"),
        "whoever runs the storage can tell which;  to store another key:  %secret set lake_key --replace",
    )

    assert CANARY not in lake.shown + lake.run("%tb")


def test_a_key_that_the_service_does_not_know(lake: Shell, s3: S3Server) -> None:
    """What a service says is said; `except` catches it as ever, and `%tb` shows all, with what led to it."""
    fnb.secrets["lake_key"] = CANARY

    says = REFUSED.format(place=f"s3://sales at {s3.url}") + "the service refused the key"
    hint = "check the key's id; to store another key:  %secret set lake_key --replace"
    short(lake, "lake.ls('sales')", PermissionError, says, hint)

    whole = lake.run("%tb")
    assert "The above exception was the direct cause" in whole
    assert whole.count("\n") > 40
    cell = "try:\n    lake.ls('sales')\nexcept PermissionError as error:\n    print(type(error.__cause__).__name__)"
    assert lake.run(cell) == "ClientError\n"


def test_a_bucket_that_is_gone(lake: Shell, s3: S3Server) -> None:
    """It is not taken for an object that is not there."""
    s3.admin().create_bucket(Bucket="gone", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    lake.run("lake.ls('gone')")
    assert lake.error is None
    s3.admin().delete_bucket(Bucket="gone")

    for cell in ("lake.ls('gone', refresh=True)", "lake.pipe('gone/a.csv', b'1')"):
        short(
            lake,
            cell,
            FileNotFoundError,
            REFUSED.format(place=f"s3://sales at {s3.url}") + "there is no bucket, or container, of that name",
            "check its spelling, and that it is in this account and behind this endpoint",
        )


@pytest.mark.parametrize("cell", ABSENT)
def test_what_is_not_there(lake: Shell, s3: S3Server, cell: str) -> None:
    """The library's own words, the connection, and how to see what is there."""
    short(lake, cell, FileNotFoundError, "", 'what is there:  lake.ls("sales")')

    assert "sales/none." in lake.shown
    assert f"(in s3://sales at {s3.url})" in lake.shown


def test_a_key_that_may_not_do_that(shell: Shell, s3: S3Server) -> None:
    """The service knows the key: storing another would not help."""
    iam = s3.admin("iam")
    iam.create_user(UserName="reader")
    policy = json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:Get*", "Resource": "*"}]})
    iam.put_user_policy(UserName="reader", PolicyName="read", PolicyDocument=policy)
    key = iam.create_access_key(UserName="reader")["AccessKey"]
    fnb.secrets["lake_key"] = key["SecretAccessKey"]
    access_key_id = f'"{key["AccessKeyId"]}"'
    shell.run(f"%%connect lake\n{toml(s3, prefix='', access_key_id=access_key_id)}")

    says = REFUSED.format(place=f"s3://sales at {s3.url}") + "the key is known, and may not do that"
    short(shell, "lake.pipe('sales/b.csv', b'1')", PermissionError, says, "whoever runs the storage can allow it")


def test_a_path_on_this_machine(lake: Shell, tmp_path: Path) -> None:
    """What cannot be read or written here is not blamed on the connection."""
    lake.run("lake.put('/nowhere.csv', 'sales/b.csv')")
    assert lake.shown.startswith("FileNotFoundError: [Errno 2] No such file or directory: '/nowhere.csv'\nCell In[")
    (tmp_path / "file").write_text("")
    lake.run(f"lake.get('sales/answer.csv', '{tmp_path}/file/answer.csv')")

    assert isinstance(lake.error, OSError)
    assert lake.shown.endswith("hint: that is a path on this machine;  %tb  shows the whole traceback\n"), lake.shown
    assert "lake_key" not in lake.shown
    assert "s3://" not in lake.shown


def test_a_server_that_is_gone(shell: Shell) -> None:
    """Nothing listens any more."""
    with running_s3() as s3:
        fnb.secrets["lake_key"] = s3.key
        shell.run(f"%%connect lake\n{toml(s3, prefix='')}")

    shown = shell.run("lake.ls('sales', refresh=True)")

    assert shown.startswith("EndpointConnectionError: " + REFUSED.format(place=f"s3://sales at {s3.url}") + "nothing listens")
    assert shown.count("\n") == 3


def test_a_deleted_secret_and_other_errors(lake: Shell, s3: S3Server) -> None:
    """Ours has two lines of its own; what is no error of the connection's is shown as ever, and so is all after `--debug`."""
    del fnb.secrets["lake_key"]
    assert lake.run("lake.ls('sales', refresh=True)").startswith("NoSuchSecretError: no secret named 'lake_key'\nhint:")
    fnb.secrets["lake_key"] = CANARY
    assert "Traceback" in lake.run("1 / 0")
    assert "Traceback" in lake.run("fs = filesystem = lake\nopen('/nowhere')")
    assert "Traceback" in lake.run("lake.open('sales/a.csv', 'no such mode')")
    lake.run("try:\n    lake.ls('sales')\nexcept OSError as error:\n    raise LookupError('mine') from error")
    assert "The above exception was the direct cause" in lake.shown
    fnb.secrets["lake_key"] = s3.key
    lake.run(f"%%connect lake --debug\n{toml(s3, prefix='')}")
    assert "Traceback" in lake.run("lake.cat('sales/none.csv')")


def test_files_over_ssh(files: tuple[Shell, SftpServer]) -> None:
    """What is not there, and a login that is refused once the connection was cut."""
    shell, server = files
    short(shell, "files.open('/none')", FileNotFoundError, "[Errno 2] No such file", 'what is there:  files.ls("/")')

    server.passwords[:] = ["another"]
    transport = shell.real.user_ns["files"].ftp.get_channel().get_transport()
    server.drop()
    # The client has heard of it: until then it has a connection, and a use of that ends in the middle.
    transport.join(10)
    shown = shell.run("files.ls('/')")

    assert "with secret 'pw' (stored just now): the server refused the user or the password\nhint: " in shown


@pytest.mark.parametrize(
    ("status", "says", "hint"),
    [
        (
            401,
            "{url}/v1 refused the credential with secret 'token' (stored just now): it answered 401 to GET /v1/me",
            "store another",
        ),
        (
            403,
            "{url}/v1 refused the credential with secret 'token' (stored just now): it answered 403",
            "whoever runs it can allow",
        ),
        (404, "{url}/v1 answered 404 to GET /v1/me", "check the path, and what is sent"),
        (429, "{url}/v1 answered 429 to GET /v1/me", "it takes fewer requests at a time: wait 7 s"),
        (503, "{url}/v1 answered 503 to GET /v1/me", "the server has a problem; try again later"),
    ],
)
def test_an_answer_that_is_an_error(api: Shell, service: Server, status: int, says: str, hint: str) -> None:
    """`raise_for_status` says whose answer it was, and what to do."""
    service.answer = lambda request: Answer(status, {"Retry-After": "7"})

    shown = api.run("api.get('me').raise_for_status()")

    assert type(api.error) is httpx.HTTPStatusError
    assert shown.startswith(f"HTTPStatusError: {says.format(url=service.url)}")
    assert f"hint: {hint}" in shown
    assert shown.count("\n") == 3
    assert CANARY not in shown + api.run("%tb")


def test_an_answer_from_elsewhere(api: Shell, service: Server) -> None:
    """Where a redirect has led, nothing was attached: the secret is not to blame."""
    elsewhere = service.url.replace("127.0.0.1", "localhost")
    service.answer = lambda request: (
        Answer(401) if "elsewhere" in request.path else Answer(302, {"Location": f"{elsewhere}/elsewhere"})
    )

    shown = api.run("api.get('me', follow_redirects=True).raise_for_status()")

    assert shown.startswith("HTTPStatusError: localhost answered 401 to GET /elsewhere, and was not shown the credential\n")


def test_an_api_that_does_not_answer(api: Shell, shell: Shell, service: Server) -> None:
    """Too slow, or not there; a client that is not ours is shown as ever."""
    given_up = threading.Event()
    service.answer = lambda request: Answer(body=(b"" for _ in [given_up.wait()]))
    shown = api.run("api.get('me', timeout=0.1)")
    given_up.set()
    assert shown.startswith(f"ReadTimeout: {service.url}/v1 did not answer within 0.1 s\n")
    assert "hint: to wait longer:  api.get(path, timeout=60),  or  timeout = 60  in its description" in shown

    shell.run(f'%%connect gone --no-test\ntype = "http"\nurl = "http://127.0.0.1:{free_port()}/v1"\ntoken = %secret token')
    shown = shell.run("gone.get('me')")
    assert shown.startswith("ConnectError: could not use http://127.0.0.1:")
    assert "with secret 'token' (stored just now): nothing listens on that host and port\n" in shown
    assert "Traceback" in shell.run(f"import httpx\nhttpx.get('http://127.0.0.1:{free_port()}')")
