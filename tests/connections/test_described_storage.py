"""Places for files from a description: S3 on a real server; Azure and Google by their real libraries, on one that answers."""

from __future__ import annotations

import json
import multiprocessing
import pickle
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import polars as pl
import pyarrow.fs
import pyarrow.parquet as pq
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

import flowfile_nb as fnb
from flowfile_nb import connecting
from flowfile_nb.errors import (
    ConnectionFailedError,
    ConnectionSpecError,
    LiteralPasswordError,
    MissingDriverError,
    NoSuchSecretError,
    UnknownSchemeError,
)
from tests.support.dumb_server import answering, silent
from tests.support.http_server import Answer, Server, running
from tests.support.s3 import REGION, S3Server, running_s3
from tests.support.shell import Shell

TESTS = str(Path(__file__).parent)
CANARY = "canary/k3y+with=special&characters"
PARQUET = "sales/2026/answer.parquet"


@pytest.fixture(scope="module")
def s3() -> Iterator[S3Server]:
    """A server that checks who asks, with a Parquet file in the bucket."""
    with running_s3() as server:
        buffer = pd.DataFrame({"answer": [42]}).to_parquet()
        server.admin().put_object(Bucket="sales", Key="2026/answer.parquet", Body=buffer)
        yield server


@pytest.fixture(autouse=True)
def no_login(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of this machine's own login is found."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AZURE_STORAGE_CONNECTION_STRING"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


def toml(s3: S3Server, **changes: str) -> str:
    """Return the body of a cell for the bucket."""
    parts = {
        "type": '"s3"',
        "bucket": '"sales"',
        "prefix": '"2026"',
        "region": f'"{REGION}"',
        "endpoint_url": f'"{s3.url}"',
        "access_key_id": f'"{s3.key_id}"',
        "secret_access_key": "%secret lake_key",
        **changes,
    }
    return "\n".join(f"{key} = {item}" for key, item in parts.items() if item)


def url(s3: S3Server, path: str = "sales/2026") -> str:
    return f"s3://{s3.key_id}:%secret lake_key@{path}?region={REGION}&endpoint_url={s3.url}"


def frames(error: BaseException) -> str:
    """Return an error with every frame's local variables but the tests' own."""
    stack = traceback.StackSummary.extract(traceback.walk_tb(error.__traceback__), capture_locals=True)
    return "".join(traceback.format_exception(error)) + repr(
        [frame.locals for frame in stack if not frame.filename.startswith(TESTS)]
    )


# S3


def test_s3_from_a_cell(shell: Shell, s3: S3Server) -> None:
    """A description becomes a filesystem that pandas, Polars, PyArrow and DuckDB take; saved, listed, edited, exported."""
    fnb.secrets["lake_key"] = s3.key

    opened = shell.run(f"%%connect lake --save\n{toml(s3)}")
    lake = shell.real.user_ns["lake"]

    assert f"Connected: lake = s3://sales/2026 at {s3.url}" in opened
    assert lake.ls("sales") == ["sales/2026", "sales/answer.csv"]
    assert pd.read_parquet(f"s3://{PARQUET}", filesystem=lake)["answer"][0] == 42
    assert pd.read_csv(lake.open("sales/answer.csv"))["answer"][0] == 42
    assert pl.read_parquet(lake.open(PARQUET))["answer"][0] == 42
    assert pq.read_table(PARQUET, filesystem=lake)["answer"][0].as_py() == 42
    handler = pyarrow.fs.PyFileSystem(pyarrow.fs.FSSpecHandler(lake))
    assert pq.read_table(PARQUET, filesystem=handler)["answer"][0].as_py() == 42
    with duckdb.connect() as database:
        database.register_filesystem(lake)
        assert database.sql(f"SELECT answer FROM 's3://{PARQUET}'").fetchall() == [(42,)]
    shell.run("%connect")
    row = next(row for row in shell.result.rows if row[0] == "lake")
    assert row[1:5] == ("open", "s3", f"s3://sales/2026 at {s3.url}", "lake_key")
    assert s3.key not in shell.displayed + opened + shell.run("vars(lake), lake.storage_options") + shell.displayed
    shell.run("%connect -x lake")
    assert "Connected: lake" in shell.run("%connect lake")


def test_s3_in_a_project(shell: Shell, s3: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exported it holds the reference; what is asked before its first use says where the key's signature goes."""
    monkeypatch.chdir(tmp_path)
    fnb.secrets["lake_key"] = s3.key
    shell.run(f"%%connect lake --save\n{toml(s3)}")
    shell.run("%connect lake --export")
    shell.run("%connect lake --delete --yes")
    text = (tmp_path / "connections.toml").read_text()
    (tmp_path / "connections.toml").write_text(text.replace("[lake]", "[theirs]"))

    asked = shell.run("%connect theirs")
    trusted = shell.run("%connect theirs --trust")

    assert "${secret:lake_key}" in text
    assert s3.key not in text
    assert f"It leads to  s3://sales/2026 at {s3.url}  and gives it your secret lake_key." in asked
    assert "Connected: theirs" in trusted


def test_interrupting(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the server is waited for: the question is dropped, and no frame holds the key."""
    fnb.secrets["lake_key"] = s3.key
    dropped: list[Any] = []

    def interrupted(future: Any, timeout: float | None = None) -> None:
        dropped.append(future)
        raise KeyboardInterrupt

    with answering(silent) as port:
        monkeypatch.setattr("concurrent.futures.Future.result", interrupted)
        with pytest.raises(KeyboardInterrupt) as caught:
            fnb.connect(url(s3).replace(s3.url, f"http://127.0.0.1:{port}"))
        monkeypatch.undo()

    assert dropped[0].cancelled()
    assert s3.key not in frames(caught.value)


def test_s3_in_one_line(s3: S3Server) -> None:
    """A URL has key id and key before the `@`, and the rest behind the `?`."""
    fnb.secrets["lake_key"] = s3.key

    lake: Any = fnb.connect(url(s3))

    assert lake.cat("sales/answer.csv") == b"answer\n42\n"


@pytest.mark.parametrize(
    "names",
    [("key", "secret", "endpoint_url"), ("access_key", "secret_key", "endpoint"), ("aws_access_key_id", "secret", "endpoint")],
)
def test_s3_in_others_words(s3: S3Server, names: tuple[str, str, str]) -> None:
    """As s3fs, MinIO's client and Amazon's call the keys."""
    fnb.secrets["lake_key"], fnb.secrets["lake_id"] = s3.key, s3.key_id
    key, secret, endpoint = names

    lake = fnb.connect(type="s3", **{key: fnb.secrets["lake_id"], secret: fnb.secrets["lake_key"], endpoint: s3.url})

    assert lake.cat("sales/answer.csv") == b"answer\n42\n"


def test_the_key_is_read_when_a_request_is_signed(s3: S3Server) -> None:
    """A replaced key is used by the next request; a deleted one stops; the key's id may be a secret, too."""
    fnb.secrets["lake_key"], fnb.secrets["lake_id"] = s3.key, s3.key_id
    lake: Any = fnb.connect(toml(s3, access_key_id="%secret lake_id", prefix=""))

    fnb.secrets["lake_key"] = "not the key"
    with pytest.raises(PermissionError):
        lake.cat("sales/answer.csv")
    fnb.secrets["lake_key"] = s3.key
    assert lake.cat("sales/answer.csv") == b"answer\n42\n"
    del fnb.secrets["lake_id"]
    with pytest.raises(NoSuchSecretError):
        lake.cat("sales/answer.csv")


@pytest.mark.filterwarnings("ignore:.*use of fork.*:DeprecationWarning")
def test_a_worker_gets_the_description(s3: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pickled it holds the reference, an open file, too; another process reads the key from its own store, or says so."""
    fnb.secrets["lake_key"] = s3.key
    lake: Any = fnb.connect(url(s3))
    data = pickle.dumps((lake, lake.open("sales/answer.csv")), protocol=0)

    assert s3.key.encode() not in data
    assert b"${secret:lake_key}" in data
    same, file = pickle.loads(data)
    assert file.read() == same.cat("sales/answer.csv") == b"answer\n42\n"
    for method in [method for method in ("fork", "spawn") if method in multiprocessing.get_all_start_methods()]:
        with multiprocessing.get_context(method).Pool(1) as pool:
            assert pool.apply(pd.read_parquet, (PARQUET,), {"filesystem": lake})["answer"][0] == 42
            pool.close()
            pool.join()
    assert lake.cat("sales/answer.csv") == b"answer\n42\n"
    monkeypatch.setenv("FLOWFILE_SECURE_STORAGE_PATH", str(tmp_path / "another"))
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        with pytest.raises(NoSuchSecretError, match="needs the secret 'lake_key'"):
            pool.apply(pd.read_parquet, (PARQUET,), {"filesystem": lake})
        pool.close()
        pool.join()


def test_nothing_keeps_the_key(s3: S3Server) -> None:
    """Neither fsspec's arguments, caches and lists, nor botocore's objects, nor the frames of an error."""
    fnb.secrets["lake_key"] = s3.key
    lake: Any = fnb.connect(url(s3))
    lake.cat("sales/answer.csv")

    client = lake._s3
    kept = repr([vars(lake), lake.storage_options, lake._fs_token, type(lake)._cache, lake, vars(lake.session)])
    kept += repr([vars(client), vars(client._request_signer), vars(lake.session._credentials)])
    assert s3.key not in kept
    with pytest.raises(TypeError, match="not written as JSON"):
        lake.to_json()
    fnb.secrets["lake_key"] = CANARY
    for ask in (lambda: lake.cat("sales/answer.csv"), lambda: lake.ls("nowhere"), lambda: lake.pipe("sales/x", b"x")):
        with pytest.raises(OSError, match=r".") as failed:
            ask()
        assert CANARY not in frames(failed.value)


@pytest.mark.parametrize(
    ("changes", "says", "hint"),
    [
        ({"key": CANARY}, "the service refused the key", "%secret set lake_key --replace"),
        ({"access_key_id": '"AKIAUNKNOWN"'}, "the service refused the key", "%secret set lake_key --replace"),
        ({"bucket": '"nowhere"'}, "there is no bucket, or container, of that name", "check its spelling"),
        ({"prefix": '"1999"'}, "there is nothing at s3://sales/1999", "--no-test"),
        ({"prefix": '"2"'}, "there is nothing at s3://sales/2", "--no-test"),
        ({"endpoint_url": '"http://127.0.0.1:1"'}, "nothing listens on that host and port", "check host and port"),
        ({"endpoint_url": '"http://nobody.invalid"'}, "there is no host of that name", "check the host"),
        ({"access_key_id": "", "secret_access_key": ""}, "no login was found on this machine", "anonymous = true"),
    ],
)
def test_what_is_wrong_is_said_at_once(s3: S3Server, changes: dict[str, str], says: str, hint: str) -> None:
    """Which target, which secret with its age, what to do: two lines, and no frame with the key."""
    fnb.secrets["lake_key"] = changes.pop("key", s3.key)

    with pytest.raises(ConnectionFailedError) as failed:
        fnb.connect(toml(s3, **changes))

    assert says in failed.value.message
    assert hint in failed.value.hint
    assert len(str(failed.value).split("\n")) == 2
    assert not {s3.key, CANARY} & set(frames(failed.value).split("'"))
    if "nothing at" not in says and "no login" not in says:
        assert "with secret 'lake_key' (stored" in failed.value.message


def test_one_file_is_a_place_too(s3: S3Server) -> None:
    """A URL may name an object."""
    fnb.secrets["lake_key"] = s3.key

    assert fnb.connect(url(s3, "sales/answer.csv")).exists("sales/answer.csv")  # type: ignore[attr-defined]


def test_a_server_that_says_nothing(shell: Shell) -> None:
    """`--timeout` ends the waiting, whatever the library would try again; `--debug` shows its words."""
    fnb.secrets["lake_key"] = CANARY
    with answering(silent) as port:
        body = f"s3://AKIA:%secret lake_key@sales?endpoint_url=http://127.0.0.1:{port}"
        shell.run(f"%%connect lake --timeout 0.5 --debug\n{body}")

    assert "did not answer in time" in str(shell.error)
    assert "driver: TimeoutError" in str(shell.error)


def test_a_key_that_may_not_list(s3: S3Server) -> None:
    """It opens, and the note says so; nothing else would be known of it before it is used."""
    iam = s3.admin("iam")
    iam.create_user(UserName="reader")
    statement = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    iam.put_user_policy(UserName="reader", PolicyName="read", PolicyDocument=policy)
    key = iam.create_access_key(UserName="reader")["AccessKey"]
    fnb.secrets["lake_key"] = key["SecretAccessKey"]

    opened = connecting.open_connection(toml(s3, access_key_id=f'"{key["AccessKeyId"]}"'))

    assert opened.note == "The key is known, and may not list sales."
    assert opened.native.cat("sales/answer.csv") == b"answer\n42\n"


def test_a_role_is_assumed_with_a_stored_key(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its short-lived key is masked, and got anew when the stored key is another; a deleted one stops it at once."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", s3.url)
    fnb.secrets["lake_key"] = s3.key
    lake: Any = fnb.connect(toml(s3, role_arn=f'"{s3.role}"'))
    assert lake.cat("sales/answer.csv") == b"answer\n42\n"

    fnb.secrets["lake_key"] = "not the key"
    with pytest.raises(Exception, match=r"signature") as refused:
        lake.cat("sales/answer.csv")
    fnb.secrets["lake_key"] = s3.key
    assert lake.cat("sales/answer.csv") == b"answer\n42\n"
    del fnb.secrets["lake_key"]
    with pytest.raises(NoSuchSecretError):
        lake.cat("sales/answer.csv")

    assert s3.key not in frames(refused.value)


def test_a_profile_and_nobody(s3: S3Server, home: Path) -> None:
    """A login of this machine's by its name, and public data without one."""
    (home / ".aws").mkdir()
    login = f"[analysts]\naws_access_key_id = {s3.key_id}\naws_secret_access_key = {s3.key}\n"
    (home / ".aws/credentials").write_text(login, encoding="utf-8")
    none = {"access_key_id": "", "secret_access_key": ""}

    lake: Any = fnb.connect(toml(s3, profile='"analysts"', **none))
    nobody: Any = fnb.connect(toml(s3, anonymous="true", **none), test=False)

    assert lake.cat("sales/answer.csv") == b"answer\n42\n"
    assert nobody.anon is True


# Polars and DuckDB, natively


def test_polars_reads_by_itself(shell: Shell, s3: S3Server) -> None:
    """`--as polars` binds what `scan_parquet` takes: a provider that reads the key when Polars asks for it."""
    fnb.secrets["lake_key"] = s3.key

    bound = shell.run(f"%%connect lake --as polars\n{toml(s3)}")
    shell.run(f"import polars as pl\npl.scan_parquet('s3://{PARQUET}', **lake).collect()['answer'][0]")

    assert shell.result == 42
    assert "Bound: lake" in bound
    lake = shell.real.user_ns["lake"]
    assert s3.key not in repr([lake, dict(lake), vars(lake)])
    fnb.secrets["lake_key"] = "not the key"
    with pytest.raises(Exception, match=r"(?i)signature|forbidden|403") as refused:
        pl.scan_parquet(f"s3://{PARQUET}", **lake).collect()
    assert s3.key not in frames(refused.value)
    fnb.secrets["lake_key"] = s3.key
    assert pl.scan_parquet(f"s3://{PARQUET}", **lake).collect()["answer"][0] == 42
    del fnb.secrets["lake_key"]
    with pytest.raises(Exception, match="no secret named 'lake_key'"):
        pl.scan_parquet(f"s3://{PARQUET}", **lake).collect()


def test_polars_form_of_others() -> None:
    """It says what Polars takes instead."""
    with pytest.raises(ConnectionSpecError, match="--as polars is for places for files") as refused:
        fnb.connect("postgresql://h/sales", as_="polars")

    assert "pl.read_database(" in refused.value.hint


# Azure and Google, by their real libraries


@pytest.fixture
def service() -> Iterator[Server]:
    """A server on this machine that a test answers for."""
    with running() as server:
        yield server


def reply(body: str, kind: str = "application/json", status: int = 200) -> Answer:
    return Answer(status, {"Content-Type": kind}, body.encode())


BLOBS = """<?xml version="1.0" encoding="utf-8"?><EnumerationResults><Blobs><Blob><Name>2026/a.csv</Name><Properties>
<Content-Length>3</Content-Length><BlobType>BlockBlob</BlobType></Properties></Blob></Blobs>
<NextMarker /></EnumerationResults>"""


REFUSAL = '<?xml version="1.0" encoding="utf-8"?><Error><Code>{}</Code><Message>As it says.</Message></Error>'


def azure_toml(service: Server, **changes: str) -> str:
    parts = {
        "type": '"abfs"',
        "account": '"account"',
        "container": '"sales"',
        "endpoint_url": f'"{service.url}"',
        "account_key": "%secret lake_key",
        **changes,
    }
    return "\n".join(f"{key} = {item}" for key, item in parts.items() if item)


def test_azure_signs_each_request(service: Server) -> None:
    """With the account key as it is stored at that moment; asked is for one name, whatever there is."""
    service.answer = lambda request: reply(BLOBS, "application/xml")
    fnb.secrets["lake_key"] = "Y2FuYXJ5MQ=="

    lake: Any = fnb.connect(azure_toml(service, prefix='"2026"'))
    first = service.last
    fnb.secrets["lake_key"] = "Y2FuYXJ5Mg=="
    lake.ls("sales/2026", refresh=True)
    del fnb.secrets["lake_key"]
    with pytest.raises(NoSuchSecretError):
        lake.ls("sales/2026", refresh=True)

    assert first.headers["authorization"].startswith("SharedKey account:")
    assert "maxresults=1" in first.path
    assert "prefix=2026/" in first.path
    assert b"Y2FuYXJ5" not in pickle.dumps(lake, protocol=0)


@pytest.mark.parametrize(
    ("stored", "keys"),
    [
        ("DefaultEndpointsProtocol=https;AccountName=account;AccountKey=Y2FuYXJ5MQ==", "connection_string"),
        ("?sv=2024&sig=canary%2B1", "sas_token"),
    ],
)
def test_azure_other_ways(service: Server, stored: str, keys: str) -> None:
    """A connection string, of which only the key counts; a shared access signature."""
    service.answer = lambda request: reply(BLOBS, "application/xml")
    fnb.secrets["lake_key"] = stored

    lake: Any = fnb.connect(azure_toml(service, account_key="", **{keys: "%secret lake_key"}))

    asked = service.last
    assert ("sig=canary%2B1" in asked.path) is (keys == "sas_token")
    assert ("authorization" in asked.headers) is (keys == "connection_string")
    assert "anary" not in repr([vars(lake), lake.storage_options, vars(lake.service_client)])


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (reply(REFUSAL.format("ContainerNotFound"), "application/xml", 404), "there is no bucket, or container, of that name"),
        (reply(REFUSAL.format("AuthenticationFailed"), "application/xml", 403), "the service refused the key"),
    ],
)
def test_azure_says_what_is_wrong(service: Server, answer: Answer, says: str) -> None:
    """As the service does, with the secret's name and age."""
    service.answer = lambda request: answer
    fnb.secrets["lake_key"] = "Y2FuYXJ5MQ=="

    with pytest.raises(ConnectionFailedError) as failed:
        fnb.connect(azure_toml(service))

    assert says in failed.value.message
    assert "with secret 'lake_key' (stored" in failed.value.message
    assert "Y2Fu" not in frames(failed.value)


@pytest.mark.parametrize(
    ("stored", "keys"),
    [
        ("no base64", "account_key"),
        ("AccountName=other;AccountKey=Y2E=", "connection_string"),
        ("nonsense", "connection_string"),
    ],
)
def test_azure_a_key_that_is_none(service: Server, stored: str, keys: str) -> None:
    """It is said before anything is sent."""
    fnb.secrets["lake_key"] = stored

    with pytest.raises((ConnectionFailedError, ConnectionSpecError), match="stored") as refused:
        fnb.connect(azure_toml(service, **{"account_key": "", keys: "%secret lake_key"}))

    assert stored not in frames(refused.value)


@pytest.mark.parametrize(
    ("described", "target"),
    [
        ("abfs://sales@account.dfs.core.windows.net/2026?account_key=%secret k", "abfs://sales@account/2026"),
        ("abfss://sales@account.blob.core.windows.net/", "abfs://sales@account"),
        ("az://sales/2026?account_name=account", "abfs://sales@account/2026"),
        (
            "abfs://sales@account.dfs.core.usgovcloudapi.net/",
            "abfs://sales@account at https://account.blob.core.usgovcloudapi.net",
        ),
    ],
)
def test_azure_urls(described: str, target: str) -> None:
    """As they are written for Hadoop, Spark and adlfs; another cloud's, too."""
    fnb.secrets["k"] = "a2V5"
    opened = connecting.open_connection(described, test=False)

    assert opened.target == target
    assert opened.native.account_name == "account"


@pytest.fixture(scope="module")
def google_key() -> dict[str, str]:
    """What Google gives for a service account."""
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    key = rsa.generate_private_key(65537, 2048).private_bytes(*form).decode()
    return {"type": "service_account", "client_email": "me@project.iam", "private_key": key, "private_key_id": "1"}


def google(service: Server, key: dict[str, str]) -> str:
    fnb.secrets["lake_key"] = json.dumps({**key, "token_uri": f"{service.url}/token"})
    return f"gs://sales/2026?endpoint_url={service.url}&service_account_key=%secret lake_key"


def test_google_buys_a_token_with_the_stored_key(service: Server, google_key: dict[str, str]) -> None:
    """Once, as long as the key is the same; another key buys another; without one it stops. The token is masked."""
    bought: list[str] = []

    def answer(request: Any) -> Answer:
        if request.path.startswith("/token"):
            bought.append(request.path)
            token = {"access_token": f"ya29.canary{len(bought)}", "expires_in": 3600, "token_type": "Bearer"}
            return reply(json.dumps(token))
        page = {"items": [{"name": "2026/a.csv", "bucket": "sales", "size": "3"}]}
        return reply(json.dumps(page))

    service.answer = answer
    lake: Any = fnb.connect(google(service, google_key))
    lake.ls("sales/2026", refresh=True)
    assert service.last.headers["authorization"] == "Bearer ya29.canary1"
    fnb.secrets["lake_key"] = json.dumps({**google_key, "token_uri": f"{service.url}/token", "private_key_id": "2"})
    lake.ls("sales/2026", refresh=True)
    assert service.last.headers["authorization"] == "Bearer ya29.canary2"
    del fnb.secrets["lake_key"]
    with pytest.raises(NoSuchSecretError):
        lake.ls("sales/2026", refresh=True)

    assert b"PRIVATE" not in pickle.dumps(lake, protocol=0)


@pytest.mark.parametrize(
    ("status", "body", "says"),
    [
        (404, {"error": {"code": 404, "message": "The specified bucket does not exist."}}, "there is no bucket"),
        (401, {"error": {"code": 401, "message": "Invalid Credentials"}}, "the service refused the key"),
    ],
)
def test_google_says_what_is_wrong(
    service: Server, google_key: dict[str, str], status: int, body: dict[str, Any], says: str
) -> None:
    """As the service does."""
    token = {"access_token": "ya29.canary", "expires_in": 3600, "token_type": "Bearer"}
    service.answer = lambda request: (
        reply(json.dumps(token)) if request.path.startswith("/token") else reply(json.dumps(body), status=status)
    )

    with pytest.raises(ConnectionFailedError) as failed:
        fnb.connect({"type": "gs", "url": google(service, google_key)})

    assert says in failed.value.message
    assert "PRIVATE" not in frames(failed.value)


def test_google_refuses_the_account(service: Server, google_key: dict[str, str]) -> None:
    """The server of tokens says no: the key was deleted there."""
    body = json.dumps({"error": "invalid_grant", "error_description": "Invalid JWT Signature."})
    service.answer = lambda request: reply(body, status=400)

    with pytest.raises(ConnectionFailedError, match="the service refused the key") as failed:
        fnb.connect(google(service, google_key))

    assert "PRIVATE" not in frames(failed.value)


# All


@pytest.mark.parametrize(
    "described",
    [
        "s3://AKIA:hunter2@sales/",
        "s3://sales/?secret_access_key=hunter2&access_key_id=AKIA",
        {"type": "s3", "bucket": "sales", "access_key_id": "AKIA", "secret_access_key": "hunter2"},
        {"type": "s3", "bucket": "sales", "session_token": "hunter2"},
        {"type": "s3", "bucket": "sales", "options": {"secret": "hunter2"}},
        {"type": "s3", "url": "s3://AKIA:hunter2@sales/"},
        "abfs://sales@account.dfs.core.windows.net/?account_key=hunter2",
        "abfs://sales@account.dfs.core.windows.net/?sv=2024&sig=hunter2",
        {"type": "abfs", "account": "a", "sas_token": "?sv=2024&sig=hunter2"},
        {"type": "abfs", "account": "a", "client_secret": "hunter2"},
        {"type": "abfs", "account": "a", "connection_string": "AccountName=a;AccountKey=hunter2=="},
        {"type": "abfs", "account": "a", "options": {"connection": "AccountName=a;AccountKey=hunter2=="}},
        {"type": "gs", "bucket": "sales", "service_account_key": '{"private_key": "hunter2"}'},
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
        ({"type": "s3", "buckett": "sales"}, "no key 'buckett'"),
        ({"type": "s3", "bucket": "sales", "access_key_id": "AKIA"}, "there is access_key_id, and no secret_access_key"),
        ({"type": "s3", "prefix": "2026"}, "no bucket"),
        ({"type": "s3", "bucket": "b", "addressing_style": "dns"}, "addressing_style is one of two"),
        ({"type": "s3", "session_token": "%secret k"}, "no key"),
        ({"type": "s3", "profile": "a", "anonymous": True}, "different ways to log in"),
        ({"type": "s3", "role_arn": "arn:aws:iam::1:role/r", "anonymous": True}, "different ways to log in"),
        ({"type": "s3", "bucket": "%secret k"}, "a reference stands in 'bucket'"),
        ({"type": "s3", "endpoint_url": "https://%secret k/"}, "a reference stands in 'endpoint_url'"),
        ({"type": "s3", "bucket": "a", "url": "s3://b"}, "'bucket' is said twice"),
        ({"type": "s3", "url": 3}, "no key 'url'"),
        ({"type": "s3", "anonymous": "yes"}, "the value of 'anonymous' is of the wrong kind"),
        ({"type": "gs", "prefix": "x"}, "no bucket"),
        ({"type": "abfs", "container": "sales"}, "says no account"),
        ({"type": "abfs", "account": "a", "prefix": "x"}, "no container"),
        ({"type": "abfs", "account": "a", "client_secret": "%secret k"}, "no tenant_id, client_id"),
        ("abfs://sales@elsewhere.example.com/", "the host of the URL is not an account's"),
        ("s3://[sales", "this is not a URL"),
        ("s3://sales?anonymous=maybe", "the value of 'anonymous' is of the wrong kind"),
    ],
)
def test_a_description_that_makes_no_sense(described: Any, says: str) -> None:
    """Each mistake by name, before anything is opened; the message quotes nothing else."""
    fnb.secrets["k"] = CANARY

    with pytest.raises(ConnectionSpecError) as refused:
        fnb.connect(described)

    assert says in refused.value.message
    assert CANARY not in str(refused.value)


@pytest.mark.parametrize(
    ("described", "library", "extra"),
    [("s3://b", "s3fs", "s3"), ("az://c?account=a", "adlfs", "azure"), ("gs://b?anonymous=true", "gcsfs", "gcs")],
)
def test_without_the_library(described: str, library: str, extra: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The exact command."""
    monkeypatch.setitem(__import__("sys").modules, library, None)

    with pytest.raises(MissingDriverError) as missing:
        fnb.connect(described)

    assert f"pip install 'flowfile-nb[{extra}]'" in missing.value.hint


def test_options() -> None:
    """`[options]` are the library's own, and go to it; those that the description sets are refused; what goes wrong is said."""
    lake: Any = fnb.connect({"type": "s3", "bucket": "b", "options": {"requester_pays": True}}, test=False)
    assert lake.req_kw == {"RequestPayer": "requester"}
    for taken in ("session", "client_kwargs", "endpoint_url"):
        with pytest.raises(ConnectionSpecError, match=f"'{taken}' in options"):
            fnb.connect({"type": "s3", "bucket": "b", "options": {taken: "x"}}, test=False)
    with pytest.raises(ConnectionFailedError, match="the driver raised"):
        fnb.connect({"type": "gs", "bucket": "b", "anonymous": True, "options": {"access": "all"}}, test=False)
    with pytest.raises(UnknownSchemeError):
        fnb.connect("s4://bucket")


def test_completion(shell: Shell) -> None:
    """Kinds, their keys, and a reference in the place of a key."""
    fnb.secrets["lake_key"] = CANARY

    kinds = shell.complete('%%connect lake\ntype = "')
    keys = shell.complete('%%connect lake\ntype = "s3"\n')
    references = shell.complete('%%connect lake\ntype = "s3"\nsecret_access_key = %')

    assert {'"s3"', '"gs"', '"abfs"', '"sftp"'} <= set(kinds)
    assert {"bucket = ", "secret_access_key = ", "endpoint_url = "} <= set(keys)
    assert references == ["%secret lake_key"]
    assert "known_hosts = " in shell.complete('%%connect files\ntype = "sftp"\n')
    assert "sas_token = " in shell.complete('%%connect lake\ntype = "az"\n')
