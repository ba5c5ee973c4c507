"""Cloud connections of Flowfile's as fsspec filesystems: against a real S3 server, and the real libraries of the others."""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import pickle
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from azure.core.credentials import AccessToken

import flowfile_nb as fnb
from flowfile_nb import connecting
from flowfile_nb.errors import ConnectionFailedError, ConnectionSpecError, MissingDriverError, NoSuchSecretError
from tests.support.flowfile_connections import save_cloud
from tests.support.s3 import REGION, S3Server, running_s3
from tests.support.shell import Shell
from tests.support.stores import write_flowfile_store

CANARY = "canary/k3y+with=special&characters"
SECRET = "lake_aws_secret_access_key"
KINDS = [("s3", "s3fs", "s3"), ("adls", "adlfs", "azure"), ("gcs", "gcsfs", "gcs")]


@pytest.fixture(scope="module")
def s3() -> Iterator[S3Server]:
    """A server that checks who asks."""
    with running_s3() as server:
        yield server


@pytest.fixture
def catalog(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Flowfile's frozen store, in place, and no login of this machine's."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AZURE_STORAGE_CONNECTION_STRING"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    return write_flowfile_store(home)


def save_lake(catalog: Path, s3: S3Server, key: str | None = None, **changes: Any) -> None:
    columns = {"aws_region": REGION, "aws_access_key_id": s3.key_id, "endpoint_url": s3.url, "verify_ssl": True, **changes}
    save_cloud(catalog, "lake", "s3", "access_key", {"aws_secret_access_key_id": s3.key if key is None else key}, **columns)


# S3


def test_s3_opens_by_its_name(shell: Shell, catalog: Path, s3: S3Server) -> None:
    """`%connect lake` binds a filesystem that fsspec's friends take; no output holds the key."""
    save_lake(catalog, s3)

    listed = shell.run("%connect") + repr(shell.result)
    opened = shell.run("%connect lake")
    shell.run("import pandas as pd\nwith lake.open('sales/answer.csv') as file: answer = pd.read_csv(file)")
    shell.run("answer['answer'][0]")

    assert shell.result == 42
    assert f"s3 {s3.url}" in listed
    assert f"Connected: lake = s3:// at {s3.url}" in opened
    assert "Closed" in shell.run("%connect -x lake")


def test_nothing_that_fsspec_keeps_or_writes_has_the_value(catalog: Path, s3: S3Server) -> None:
    """Neither repr, nor the kept arguments, nor the list of instances, nor a pickle; JSON is refused."""
    save_lake(catalog, s3)
    lake = connecting.open_flowfiles("lake").native
    assert lake.cat("sales/answer.csv") == b"answer\n42\n"

    kept = repr((lake, vars(lake), lake.storage_args, lake.storage_options, vars(lake.session), type(lake)._cache))
    kept += repr([vars(lake.session._credentials), lake._fs_token, lake.open("sales/answer.csv")])
    for write in (lambda fs: fs.to_json(), lambda fs: fs.to_dict(), json.dumps):
        with pytest.raises(TypeError) as refused:
            write(lake)
        assert s3.key not in str(refused.value)
        assert write is json.dumps or "%connect NAME" in str(refused.value)

    assert s3.key not in kept
    assert s3.key.encode() not in pickle.dumps(lake, protocol=0)


def test_a_worker_opens_it_from_its_own_store(catalog: Path, s3: S3Server) -> None:
    """What is sent to another process is Flowfile's description; there it is opened anew, if that store has the same."""
    save_lake(catalog, s3)
    lake = connecting.open_flowfiles("lake").native

    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply(lake_cat, (lake,)) == b"answer\n42\n"
        pool.close()
        pool.join()
    there = pickle.loads(pickle.dumps(lake))
    with sqlite3.connect(catalog) as connection:
        connection.execute("UPDATE cloud_storage_connections SET endpoint_url = 'http://elsewhere.invalid'")
    connection.close()
    with pytest.raises(ConnectionSpecError, match="was changed in Flowfile"):
        there.cat("sales/answer.csv")


def lake_cat(lake: Any) -> bytes:
    return lake.cat("sales/answer.csv")


def test_the_key_is_read_when_a_request_is_signed(catalog: Path, s3: S3Server) -> None:
    """A replaced key is used by the next request, without a restart; a deleted one stops."""
    save_lake(catalog, s3)
    lake = connecting.open_flowfiles("lake").native

    fnb.secrets[SECRET] = "not the key"
    with pytest.raises(PermissionError):
        lake.cat("sales/answer.csv")
    fnb.secrets[SECRET] = s3.key
    assert lake.cat("sales/answer.csv") == b"answer\n42\n"
    del fnb.secrets[SECRET]
    with pytest.raises(NoSuchSecretError):
        lake.cat("sales/answer.csv")


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"key": "not the key"}, "the service refused the key"),
        ({"aws_access_key_id": "AKIAUNKNOWN"}, "the service refused the key"),
        ({"endpoint_url": "http://127.0.0.1:1"}, "could not open s3:// at http://127.0.0.1:1"),
    ],
)
def test_what_is_wrong_is_said_at_once(catalog: Path, s3: S3Server, changes: dict[str, Any], says: str) -> None:
    """A wrong key, an unknown one, no server: two lines with the remedy, none with the key."""
    save_lake(catalog, s3, **changes)

    with pytest.raises(ConnectionFailedError) as failed:
        connecting.open_flowfiles("lake")

    assert says in str(failed.value)
    assert s3.key not in str(failed.value)
    if "key" in changes:
        assert f"%secret set {SECRET} --replace" in failed.value.hint
    connecting.open_flowfiles("lake", test=False)


def test_a_role_is_assumed(catalog: Path, s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """With `iam_role` the machine's own login assumes the role, and its short-lived key is used."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", s3.key_id)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", s3.key)
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", s3.url)
    save_cloud(catalog, "lake", "s3", "iam_role", {}, aws_region=REGION, aws_role_arn=s3.role, endpoint_url=s3.url)

    assert connecting.open_flowfiles("lake").native.cat("sales/answer.csv") == b"answer\n42\n"


@pytest.mark.parametrize("method", ["env_vars", "aws-cli"])
def test_the_machines_own_login_is_used(catalog: Path, home: Path, s3: S3Server, method: str, monkeypatch: Any) -> None:
    """`env_vars` and `aws-cli` have no secret in the store."""
    if method == "env_vars":
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", s3.key_id)
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", s3.key)
    else:
        (home / ".aws").mkdir()
        login = f"[analysts]\naws_access_key_id = {s3.key_id}\naws_secret_access_key = {s3.key}\n"
        (home / ".aws/credentials").write_text(login, encoding="utf-8")
    save_cloud(catalog, "lake", "s3", method, {}, aws_region=REGION, aws_profile="analysts", endpoint_url=s3.url)

    assert connecting.open_flowfiles("lake").native.cat("sales/answer.csv") == b"answer\n42\n"


def test_a_session_token_goes_along(catalog: Path, s3: S3Server) -> None:
    """What a request is signed with is the key id, the key and the token, as they are stored now; certificates as saved."""
    secrets = {"aws_secret_access_key_id": CANARY, "aws_session_token_id": "token-1"}
    save_cloud(catalog, "lake", "s3", "access_key", secrets, aws_access_key_id="AKIA", verify_ssl=False)
    lake = connecting.open_flowfiles("lake", test=False).native

    fnb.secrets["lake_aws_session_token"] = "token-2"
    signed = asyncio.run(lake.session._credentials.get_frozen_credentials())

    assert (signed.access_key, signed.secret_key, signed.token) == ("AKIA", CANARY, "token-2")
    assert lake.client_kwargs == {"verify": False}


def test_half_a_key_is_an_error(catalog: Path) -> None:
    """An access key without its secret cannot sign."""
    save_cloud(catalog, "lake", "s3", "access_key", {}, aws_access_key_id="AKIA")

    with pytest.raises(ConnectionSpecError):
        connecting.open_flowfiles("lake")


# Azure


def azure(catalog: Path, method: str, secrets: dict[str, str], **columns: Any) -> Any:
    save_cloud(catalog, "lake", "adls", method, secrets, **{"azure_account_name": "account", **columns})
    return connecting.open_flowfiles("lake", test=False).native


def test_azure_signs_with_the_account_key_as_it_is_stored(catalog: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The real library's signing policy reads the key at each request; variables of the environment do not matter."""
    monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", "AccountName=other;AccountKey=b3RoZXI=")
    lake = azure(catalog, "access_key", {"azure_account_key_id": "Y2FuYXJ5MQ=="})
    policy = lake.service_client._credential_policy

    assert policy.account_key == "Y2FuYXJ5MQ=="
    fnb.secrets["lake_azure_account_key"] = "Y2FuYXJ5Mg=="
    assert policy.account_key == "Y2FuYXJ5Mg=="
    assert policy.account_name == "account"
    assert lake.service_client.url == "https://account.blob.core.windows.net/"
    assert connecting.open_flowfiles("lake", test=False).target == "abfs:// account"
    assert "Y2FuYXJ5" not in repr([vars(lake), lake.storage_options, vars(policy), vars(lake.service_client)])
    assert b"Y2FuYXJ5" not in pickle.dumps(lake, protocol=0)


def test_azure_asks_with_the_signature_as_it_is_stored(catalog: Path) -> None:
    """A shared access signature is put into each request's URL."""
    lake = azure(catalog, "sas_token", {"azure_sas_token_id": f"?sv=2024&sig={CANARY}"})
    policy = lake.service_client._credential_policy

    assert policy._credential.signature == f"sv=2024&sig={CANARY}"
    fnb.secrets["lake_azure_sas_token"] = "sig=2"
    assert policy._credential.signature == "sig=2"
    assert CANARY not in repr([vars(lake), vars(policy), vars(policy._credential)])


def test_azure_logs_an_application_in(catalog: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A service principal's secret is read when a token is asked for, and given to the real library's login."""
    given: list[tuple[str, ...]] = []

    class Login:
        def __init__(self, *arguments: str) -> None:
            given.append(arguments)

        async def __aenter__(self) -> Any:
            return self

        async def __aexit__(self, *error: object) -> None:
            """Nothing is open."""

        async def get_token(self, *scopes: str, **options: Any) -> AccessToken:
            return AccessToken(f"token {len(given)} for {scopes}", int(time.time()) + 3600)

    monkeypatch.setattr("azure.identity.aio.ClientSecretCredential", Login)
    columns = {"azure_tenant_id": "tenant", "azure_client_id": "client"}
    lake = azure(catalog, "service_principal", {"azure_client_secret_id": CANARY}, **columns)

    assert given == []
    tokens = [asyncio.run(lake.credential.get_token("scope")).token for _ in range(2)]
    fnb.secrets["lake_azure_client_secret"] = "another"
    tokens.append(asyncio.run(lake.credential.get_token("scope")).token)

    assert tokens == ["token 1 for ('scope',)", "token 1 for ('scope',)", "token 2 for ('scope',)"]
    assert given == [("tenant", "client", CANARY), ("tenant", "client", "another")]
    assert CANARY not in repr([vars(lake), vars(lake.credential)])


def test_azure_takes_the_machines_own_login(catalog: Path) -> None:
    """`managed_identity` has no secret in the store."""
    lake = azure(catalog, "managed_identity", {})

    assert type(lake.credential).__name__ == "DefaultAzureCredential"


def test_azure_emulator(catalog: Path) -> None:
    """An endpoint over http is an emulator's, with the account in the path."""
    lake = azure(
        catalog,
        "access_key",
        {"azure_account_key_id": "a2V5"},
        azure_account_name=None,
        endpoint_url="http://127.0.0.1:10000/",
        verify_ssl=False,
    )

    assert lake.service_client.url.rstrip("/") == "http://127.0.0.1:10000/devstoreaccount1"
    assert lake.account_url == "http://127.0.0.1:10000/devstoreaccount1"


@pytest.mark.parametrize("columns", [{"azure_account_name": None}, {}])
def test_azure_without_account_or_secret_is_an_error(catalog: Path, columns: dict[str, Any]) -> None:
    """It is said before the library is asked."""
    with pytest.raises(ConnectionSpecError):
        azure(catalog, "access_key", {}, **columns)


# Google


def google(catalog: Path, method: str, secrets: dict[str, str], **columns: Any) -> Any:
    save_cloud(catalog, "lake", "gcs", method, secrets, **{"gcs_project_id": "project", **columns})
    return connecting.open_flowfiles("lake", test=False).native


def test_google_reads_the_key_for_each_token(catalog: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The service account's JSON is read when an access token is asked for; nothing of the filesystem holds it."""
    from google.oauth2 import service_account

    asked: list[dict[str, Any]] = []

    class Account:
        token, expiry = "short-lived", None

        def __init__(self, info: dict[str, Any], scopes: list[str]) -> None:
            asked.append(info)

        def refresh(self, request: Any) -> None:
            """Google would be asked here."""

    monkeypatch.setattr(service_account.Credentials, "from_service_account_info", Account)
    lake = google(catalog, "service_account", {"gcs_service_account_key_id": json.dumps({"private_key": CANARY})})
    credentials = lake.credentials.credentials

    assert asked == []
    credentials.refresh(print)
    fnb.secrets["lake_gcs_service_account_key"] = json.dumps({"private_key": "another"})
    credentials.refresh(print)

    assert [info["private_key"] for info in asked] == [CANARY, "another"]
    assert credentials.token == "short-lived"
    assert lake.project == "project"
    assert CANARY not in repr([vars(lake), lake.storage_options, vars(credentials), vars(lake.credentials)])
    assert CANARY.encode() not in pickle.dumps(lake, protocol=0)
    fnb.secrets["lake_gcs_service_account_key"] = "no JSON at all"
    with pytest.raises(ConnectionSpecError) as refused:
        credentials.refresh(print)
    assert "no JSON" not in str(refused.value)


def test_google_emulator(catalog: Path) -> None:
    """An endpoint without a key is an emulator's."""
    lake = google(catalog, "env_vars", {}, endpoint_url="http://127.0.0.1:4443")

    assert lake.credentials.credentials is None
    assert lake.base == "http://127.0.0.1:4443/storage/v1/"


# All


@pytest.mark.parametrize(("kind", "library", "extra"), KINDS)
def test_a_missing_library_is_named(catalog: Path, kind: str, library: str, extra: str, monkeypatch: Any) -> None:
    """With the command that installs it."""
    save_cloud(catalog, "lake", kind, "env_vars", {}, azure_account_name="account")
    monkeypatch.setitem(__import__("sys").modules, library, None)

    with pytest.raises(MissingDriverError) as missing:
        connecting.open_flowfiles("lake")

    assert f"pip install 'flowfile-nb[{extra}]'" in missing.value.hint


def test_an_unknown_kind_is_an_error(catalog: Path) -> None:
    """A later Flowfile may have more kinds."""
    save_cloud(catalog, "lake", "tape", "env_vars", {})

    with pytest.raises(ConnectionSpecError) as unknown:
        connecting.open_flowfiles("lake")

    assert "'tape'" in str(unknown.value)
