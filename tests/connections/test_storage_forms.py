"""`--as polars`, `--as duckdb` of places for files: the real libraries, Google's and Azure's protocol, a real SFTP server."""

from __future__ import annotations

import io
import json
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

import flowfile_nb as fnb
from flowfile_nb import connecting
from flowfile_nb.errors import ConnectionFailedError, ConnectionSpecError
from tests.support.http_server import Server
from tests.support.object_service import BUCKET, NAME, running_object_service
from tests.support.sftp import SftpServer, running_sftp
from tests.support.shell import Shell

KEY = "Y2FuYXJ5MQ=="
CANARIES = (KEY, "canary", "PRIVATE KEY")
PATHS = {"gs": f"gs://{BUCKET}/{NAME}", "abfs": f"abfs://{BUCKET}/{NAME}"}


@pytest.fixture(scope="module")
def parquet() -> bytes:
    """A file with one number."""
    buffer = io.BytesIO()
    pl.DataFrame({"answer": [42]}).write_parquet(buffer)
    return buffer.getvalue()


@pytest.fixture
def service(parquet: bytes) -> Iterator[Server]:
    with running_object_service(parquet) as server:
        yield server


@pytest.fixture(scope="module")
def google_key() -> dict[str, str]:
    """What Google gives for a service account."""
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    key = rsa.generate_private_key(65537, 2048).private_bytes(*form).decode()
    return {"type": "service_account", "client_email": "me@project.iam", "private_key": key, "private_key_id": "1"}


@pytest.fixture
def sftp(tmp_path: Path, parquet: bytes) -> Iterator[SftpServer]:
    with running_sftp(tmp_path / "root", "right") as server:
        (server.root / "sales" / "answer.parquet").write_bytes(parquet)
        yield server


def google(service: Server, key: dict[str, str], number: str = "1") -> dict[str, str]:
    """Return the description of the bucket at Google's, with a stored key."""
    fnb.secrets["lake_key"] = json.dumps({**key, "token_uri": f"{service.url}/token", "private_key_id": number})
    return {"type": "gs", "bucket": BUCKET, "endpoint_url": service.url, "service_account_key": "%secret lake_key"}


def azure(service: Server, **login: str) -> dict[str, str]:
    """Return the description of the container at Azure's."""
    return {"type": "abfs", "account": "account", "container": BUCKET, "endpoint_url": service.url, **login}


def files(sftp: SftpServer) -> dict[str, Any]:
    """Return the description of the SFTP server, with a stored password."""
    fnb.secrets["lake_key"] = "right"
    place = {"type": "sftp", "host": "127.0.0.1", "port": sftp.port, "username": sftp.user, "host_key": sftp.host_key}
    return {**place, "password": "%secret lake_key"}


def signed(service: Server) -> str:
    """Return what the last request was let in with."""
    return service.last.headers.get("authorization", service.last.path)


def shown(*things: Any) -> str:
    """Return what can be seen of them."""
    return repr([[thing, dict(thing), vars(thing)] for thing in things])


def test_polars_reads_google(service: Server, google_key: dict[str, str]) -> None:
    """With a token bought with the stored key, once as long as that is the same; nothing is left without it."""
    lake = fnb.connect(google(service, google_key), as_="polars")

    for _ in range(2):
        assert pl.scan_parquet(PATHS["gs"], **lake).collect()["answer"].to_list() == [42]

    assert service.last.headers["authorization"] == "Bearer ya29.canary1"
    google(service, google_key, "2")
    assert pl.scan_parquet(PATHS["gs"], **lake).collect()["answer"].to_list() == [42]
    assert service.last.headers["authorization"] == "Bearer ya29.canary2"
    assert not any(canary in shown(lake) for canary in CANARIES)
    del fnb.secrets["lake_key"]
    with pytest.raises(Exception, match="no secret named 'lake_key'"):
        pl.scan_parquet(PATHS["gs"], **lake).collect()


@pytest.mark.parametrize(
    ("stored", "login", "sent"),
    [
        (KEY, "account_key", "SharedKey account:"),
        (f"AccountName=account;AccountKey={KEY}", "connection_string", "SharedKey account:"),
        ("?sv=2024&sig=canary%2B1", "sas_token", "sig=canary%2B1"),
    ],
)
def test_polars_reads_azure(service: Server, stored: str, login: str, sent: str) -> None:
    """Each login that Polars takes; the next scan has what is stored then, and without it there is none."""
    fnb.secrets["lake_key"] = stored
    lake = fnb.connect(azure(service, **{login: "%secret lake_key"}), as_="polars")

    assert pl.scan_parquet(PATHS["abfs"], **lake).collect()["answer"].to_list() == [42]

    assert sent in signed(service)
    assert not any(canary in shown(lake) for canary in CANARIES)
    first, fnb.secrets["lake_key"] = signed(service), stored.replace(KEY, "b3RoZXI=").replace("canary%2B1", "other")
    pl.scan_parquet(PATHS["abfs"], **lake).collect()
    assert signed(service) != first
    del fnb.secrets["lake_key"]
    with pytest.raises(Exception, match="no secret named 'lake_key'"):
        pl.scan_parquet(PATHS["abfs"], **lake).collect()


def test_polars_reads_what_is_public(service: Server) -> None:
    """Nobody's login, and no search for the machine's own."""
    for parts in ({"type": "gs", "bucket": BUCKET, "endpoint_url": service.url, "anonymous": True}, azure(service)):
        lake = fnb.connect({**parts, "anonymous": True}, as_="polars")
        assert pl.scan_parquet(PATHS[parts["type"]], **lake).collect()["answer"].to_list() == [42]
        assert "authorization" not in service.last.headers


def test_the_magic_says_how_to_use_it(shell: Shell, service: Server) -> None:
    """A line to copy, with the scheme of the place."""
    fnb.secrets["lake_key"] = KEY
    body = "\n".join(f'{key} = "{item}"' for key, item in azure(service, account_key="%secret lake_key").items())

    said = shell.run(f"%%connect lake --as polars\n{body}")

    assert f"Bound: lake = abfs://{BUCKET}@account at {service.url} (Polars asks the server when it scans)" in said
    assert f'pl.scan_parquet("abfs://{BUCKET}/path.parquet", **lake)' in said


def test_duckdb_reads_google_and_azure(service: Server, google_key: dict[str, str]) -> None:
    """Through our filesystem, which signs each request with what is stored at that moment."""
    for parts in (google(service, google_key), azure(service, account_key="%secret lake_key")):
        if parts["type"] == "abfs":
            fnb.secrets["lake_key"] = KEY
        opened = connecting.open_connection(parts, as_="duckdb")
        connection = opened.native
        assert isinstance(connection, duckdb.DuckDBPyConnection)
        assert connection.sql(f"SELECT answer FROM read_parquet('{PATHS[parts['type']]}')").fetchall() == [(42,)]
        assert "authorization" in service.last.headers
        kept = repr(connection.sql("FROM duckdb_secrets()").fetchall())
        assert not any(canary in kept for canary in CANARIES)

        del fnb.secrets["lake_key"]
        # DuckDB puts an error of its own round it.
        with pytest.raises(duckdb.Error, match="NoSuchSecretError: no secret named 'lake_key'"):
            connection.sql(f"SELECT answer FROM read_parquet('{PATHS[parts['type']]}')").fetchall()
        opened.close()


def test_duckdb_reads_sftp(sftp: SftpServer) -> None:
    """CSV, Parquet and a pattern of names; a replaced password opens a new connection, a deleted one ends it."""
    opened = connecting.open_connection(files(sftp), as_="duckdb")
    connection = opened.native

    assert connection.sql("SELECT answer FROM 'sftp:///sales/answer.csv'").fetchall() == [(42,)]
    assert connection.sql("SELECT answer FROM read_parquet('sftp:///sales/*.parquet')").fetchall() == [(42,)]
    assert opened.target == f"sftp://app@127.0.0.1:{sftp.port}"
    sftp.passwords[:] = ["second"]
    fnb.secrets["lake_key"] = "second"
    assert connection.sql("SELECT answer FROM 'sftp:///sales/answer.csv'").fetchall() == [(42,)]
    assert sftp.logins == ["password yes"] * 2
    del fnb.secrets["lake_key"]
    with pytest.raises(duckdb.Error, match="NoSuchSecretError: no secret named 'lake_key'"):
        connection.sql("SELECT answer FROM 'sftp:///sales/answer.csv'").fetchall()
    opened.close()


def test_duckdb_says_at_once_what_is_wrong(sftp: SftpServer) -> None:
    """As the filesystem does: the login is tried when the connection is opened."""
    parts = files(sftp)
    fnb.secrets["lake_key"] = "canary-wrong"

    with pytest.raises(ConnectionFailedError, match="with secret 'lake_key'") as caught:
        fnb.connect(parts, as_="duckdb")

    frames = traceback.StackSummary.extract(traceback.walk_tb(caught.value.__traceback__), capture_locals=True)
    assert "canary" not in repr([frame.locals for frame in frames])


def test_polars_of_sftp(sftp: SftpServer) -> None:
    """Polars does not read it by itself: what is said instead works, as does pyarrow."""
    with pytest.raises(ConnectionSpecError) as refused:
        fnb.connect(files(sftp), as_="polars")
    assert "pl.scan_pyarrow_dataset(pyarrow.dataset.dataset(path, filesystem=NAME))" in refused.value.hint

    lake = fnb.connect(files(sftp))

    found = pl.scan_pyarrow_dataset(ds.dataset("/sales/answer.parquet", filesystem=lake)).collect()
    assert found["answer"].to_list() == [42]


@pytest.mark.parametrize("kind", ["gs", "abfs", "sftp"])
def test_pyarrow_takes_the_filesystem(kind: str, service: Server, google_key: dict[str, str], sftp: SftpServer) -> None:
    """As it is: what reads Parquet with Arrow reads it through each of them."""
    if kind == "sftp":
        parts, path = files(sftp), "/sales/answer.parquet"
    elif kind == "gs":
        parts, path = google(service, google_key), f"{BUCKET}/{NAME}"
    else:
        fnb.secrets["lake_key"] = KEY
        parts, path = azure(service, account_key="%secret lake_key"), f"{BUCKET}/{NAME}"

    table = pq.read_table(path, filesystem=fnb.connect(parts))

    assert table.to_pydict() == {"answer": [42]}
