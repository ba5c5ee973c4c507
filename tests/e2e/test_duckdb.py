"""
DuckDB with the extensions that attach PostgreSQL and SQLite and read S3.

DuckDB downloads them; as Python packages there are some for one of its versions. So `.ci/run` gives this file an environment
of its own.
"""

from __future__ import annotations

import sqlite3
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest

import flowfile_nb as fnb
from flowfile_nb.errors import ConnectionFailedError, ConnectionSpecError
from notebooks.throwaway import Postgres
from tests.support.http_server import Answer, Server, running

pytestmark = pytest.mark.e2e
CANARY = "hunter2 canary';/@"


@pytest.fixture(autouse=True)
def extensions(home: Path) -> None:
    """Put the extensions that pip brought where DuckDB looks for them."""
    found = next(path for path in sys.path if (Path(path) / "duckdb_ext" / "extensions").is_dir())
    (home / ".duckdb").mkdir()
    (home / ".duckdb" / "extensions").symlink_to(Path(found) / "duckdb_ext" / "extensions")


@pytest.fixture
def url(postgres: Postgres) -> str:
    fnb.secrets["pg"] = postgres.password
    with postgres.admin() as admin:
        admin.execute("CREATE TABLE IF NOT EXISTS numbers AS SELECT generate_series(1, 10) AS x")
    return (
        f"postgresql://{postgres.user}:%secret pg@{postgres.host}:{postgres.port}/{postgres.database}?application_name=it's nb"
    )


def test_postgresql_is_attached(url: str, postgres: Postgres) -> None:
    """Its tables have their bare names; nothing that DuckDB tells of itself has the hard password."""
    connection = fnb.connect(url, as_="duckdb")

    assert connection.sql("SELECT sum(x) FROM numbers").fetchone() == (55,)
    assert pl.from_arrow(connection.sql("SELECT x FROM sales.numbers ORDER BY x").arrow())["x"].to_list()[-1] == 10
    told = "".join(
        repr(connection.sql(f"SELECT * FROM {table}()").fetchall())
        for table in ("duckdb_secrets", "duckdb_databases", "duckdb_settings", "duckdb_logs")
    )
    assert "redacted" in told
    assert postgres.password not in told
    assert fnb.secrets["pg"].get_secret_value() == postgres.password
    connection.close()


def test_a_wrong_password_shows_no_value(url: str) -> None:
    """Two lines, and no frame with the value."""
    fnb.secrets["pg"] = CANARY

    with pytest.raises(ConnectionFailedError, match="with secret 'pg'") as caught:
        fnb.connect(url, as_="duckdb")

    frames = traceback.StackSummary.extract(traceback.walk_tb(caught.value.__traceback__), capture_locals=True)
    assert "hunter2" not in "".join(traceback.format_exception(caught.value)) + repr([frame.locals for frame in frames])
    assert len(str(caught.value).split("\n")) == 2


def test_a_reference_in_an_option(url: str) -> None:
    """DuckDB would show it, so it is refused."""
    with pytest.raises(ConnectionSpecError, match="DuckDB would show"):
        fnb.connect(f"{url}&options=%secret pg", as_="duckdb")


def test_sqlite_is_attached(tmp_path: Path) -> None:
    """A file whose path needs quoting, as a secret."""
    path = tmp_path / "it's a file.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE t (x INTEGER)")
        connection.execute("INSERT INTO t VALUES (41)")
    connection.close()
    fnb.secrets["path"] = str(path)

    attached = fnb.connect("sqlite:///%secret path", as_="duckdb")

    assert attached.sql("SELECT x FROM t").fetchone() == (41,)
    attached.close()


@pytest.fixture
def s3() -> Iterator[Server]:
    with running() as server:
        server.answer = lambda request: Answer(404)
        yield server


def test_s3_requests_are_signed(s3: Server) -> None:
    """DuckDB reads from the endpoint with the key; its own table of secrets has neither value."""
    fnb.secrets["key"] = CANARY
    parts: dict[str, Any] = {
        "type": "s3",
        "endpoint_url": s3.url,
        "aws_region": "eu-west-1",
        "aws_access_key_id": "AKIAEXAMPLE",
        "aws_secret_access_key": "%secret key",
        "aws_session_token": "%secret key",
    }

    connection = fnb.connect(parts, as_="duckdb")
    with pytest.raises(duckdb.Error) as caught:
        connection.sql("SELECT * FROM 's3://bucket/data.parquet'")

    assert s3.last.path == "/bucket/data.parquet"
    assert "Credential=AKIAEXAMPLE/" in s3.last.headers["authorization"]
    assert s3.last.headers["x-amz-security-token"] == CANARY
    assert "hunter2" not in str(caught.value) + repr(connection.sql("SELECT * FROM duckdb_secrets()").fetchall())
    connection.close()


def test_a_key_is_for_the_place_that_is_described(s3: Server) -> None:
    """Below the bucket's prefix requests are signed; a request for another bucket is sent without the key."""
    fnb.secrets["key"] = CANARY
    parts = {"type": "s3", "endpoint_url": s3.url, "access_key_id": "AKIAEXAMPLE", "secret_access_key": "%secret key"}

    connection = fnb.connect({**parts, "bucket": "bucket", "prefix": "2026"}, as_="duckdb")
    with pytest.raises(duckdb.Error):
        connection.sql("SELECT * FROM 's3://bucket/2026/data.parquet'")
    signed = "Credential=AKIAEXAMPLE/" in s3.last.headers["authorization"]
    asked = len(s3.requests)
    with pytest.raises(duckdb.Error):
        connection.sql("SELECT * FROM 's3://other/data.parquet'")

    assert signed
    assert not any("authorization" in request.headers for request in s3.requests[asked:])
    connection.close()


@pytest.mark.parametrize(
    "parts", [{"type": "s3", "bucket": "b", "profile": "p"}, {"type": "s3", "bucket": "b", "verify": False}]
)
def test_what_duckdb_takes_no_credentials_of(parts: dict[str, Any]) -> None:
    """It says what works instead."""
    with pytest.raises(ConnectionSpecError) as refused:
        fnb.connect(parts, as_="duckdb")

    assert "duckdb.register_filesystem(lake)" in refused.value.hint
