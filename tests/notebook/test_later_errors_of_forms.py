"""Errors that Polars' and DuckDB's compiled code has with a place for files say which connection and which secret it was."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import duckdb
import pytest

import flowfile_nb as fnb
from flowfile_nb.connections import later
from tests.connections.test_described_storage import toml
from tests.connections.test_storage_forms import (
    KEY,
    PATHS,
    azure,
    files,
    google,
    google_key,
    parquet,
    service,
    sftp,
)
from tests.support.http_server import Server
from tests.support.s3 import S3Server, running_s3
from tests.support.sftp import SftpServer
from tests.support.shell import Shell

__all__ = ["google_key", "parquet", "service", "sftp"]

CANARY = "wrong-canary-key"
S3_PATH = "s3://sales/2026/answer.parquet"
POLARS = ["pl.scan_parquet('{path}', **lake).collect()", "pl.read_parquet('{path}', **lake)"]
WRITTEN = "pl.DataFrame({'a': [1]}).write_parquet('{path}', **lake)"
DUCKDB = ["lake.sql(\"FROM '{path}'\").fetchall()", "lake.execute(\"SELECT * FROM read_parquet('{path}')\").df()"]


@pytest.fixture(scope="module")
def s3(parquet: bytes) -> Iterator[S3Server]:
    with running_s3() as server:
        server.admin().put_object(Bucket="sales", Key="2026/answer.parquet", Body=parquet)
        yield server


@pytest.fixture
def lake(shell: Shell, s3: S3Server) -> Shell:
    """A shell with a bucket for Polars."""
    fnb.secrets["lake_key"] = s3.key
    shell.run(f"%%connect lake --as polars\n{toml(s3, prefix='')}")
    shell.run("import polars as pl")
    assert shell.error is None, shell.shown
    return shell


def body(parts: dict[str, object]) -> str:
    """Return a description as the lines of a cell."""
    return "\n".join(f"{key} = {item}" if isinstance(item, int) else f'{key} = "{item}"' for key, item in parts.items())


def short(shell: Shell, cell: str, kind: type[BaseException], says: str, hint: str) -> None:
    """Run a cell, and see that its error is told in three lines and is the library's own."""
    shown = shell.run(f"0\n{cell}")

    assert isinstance(shell.error, kind), shown
    lines = shown.strip().split("\n")
    assert len(lines) == 3, shown
    assert lines[0].startswith(f"{type(shell.error).__name__}: {says}"), shown
    assert re.fullmatch(rf"Cell In\[\d+\], line 2:  {re.escape(cell)}", lines[1]), shown
    assert lines[2] == f"hint: {hint};  %tb  shows the whole traceback"


@pytest.mark.parametrize("cell", [*POLARS, WRITTEN])
def test_polars_with_a_key_that_is_refused(lake: Shell, s3: S3Server, cell: str) -> None:
    """Which connection, which secret and how old it is, and what to do; the value is in none of it, nor in the traceback."""
    fnb.secrets["lake_key"] = CANARY

    says = f"could not use s3://sales at {s3.url} with secret 'lake_key' (stored just now): the service refused the key"
    hint = "check the key's id; to store another key:  %secret set lake_key --replace"
    short(lake, cell.replace("{path}", S3_PATH), PermissionError, says, hint)

    assert CANARY not in lake.shown + lake.run("%tb")


def test_polars_where_the_service_says_no_more(lake: Shell, s3: S3Server) -> None:
    """Of a file of text its size is asked first, and such an answer has no words."""
    fnb.secrets["lake_key"] = CANARY

    says = f"could not use s3://sales at {s3.url} with secret 'lake_key' (stored just now): that is refused"
    another = "whoever runs the storage can tell which;  to store another key:  %secret set lake_key --replace"
    short(lake, f"pl.scan_csv('{S3_PATH}', **lake).collect()", PermissionError, says, another)


def test_polars_with_what_is_not_there(lake: Shell, s3: S3Server) -> None:
    """Polars' words without the request, and how to see what is there; of a bucket, that there is none."""
    says = f"Object at location none.parquet not found   (in s3://sales at {s3.url})"
    listing = 'what is there:  lake.ls("sales")  of what is opened without  --as polars'
    short(lake, "pl.scan_parquet('s3://sales/none.parquet', **lake).collect()", FileNotFoundError, says, listing)

    s3.admin().create_bucket(Bucket="gone", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    lake.run(f"%%connect old --as polars\n{toml(s3, prefix='', bucket=chr(34) + 'gone' + chr(34))}")
    assert lake.error is None, lake.shown
    s3.admin().delete_bucket(Bucket="gone")
    says = f"could not use s3://gone at {s3.url} with secret 'lake_key' (stored just now): there is no bucket, or container"
    hint = "check its spelling, and that it is in this account and behind this endpoint"
    short(lake, "pl.read_parquet('s3://gone/a.parquet', **old)", FileNotFoundError, says, hint)


def test_polars_where_nothing_listens(shell: Shell) -> None:
    """After Polars has tried for some seconds."""
    with running_s3() as s3:
        fnb.secrets["lake_key"] = s3.key
        shell.run(f"%%connect lake --as polars\n{toml(s3, prefix='')}")
    shell.run("import polars as pl")

    says = f"could not use s3://sales at {s3.url} with secret 'lake_key' (stored just now): nothing listens"
    hint = "check host and port, the VPN, and whether the server is up"
    short(shell, POLARS[0].replace("{path}", S3_PATH), ConnectionRefusedError, says, hint)


def test_polars_with_two_connections_to_one_place(lake: Shell, s3: S3Server) -> None:
    """That which Polars has asked last is named."""
    fnb.secrets["other_key"] = CANARY
    lake.run(f"%%connect other --as polars\n{toml(s3, prefix='').replace('lake_key', 'other_key')}")
    lake.run("pl.read_parquet('s3://sales/2026/answer.parquet', **lake)")
    assert lake.error is None, lake.shown

    assert "with secret 'other_key' (" in lake.run(f"pl.read_parquet('{S3_PATH}', **other)")
    fnb.secrets["lake_key"] = CANARY
    assert "with secret 'lake_key' (" in lake.run(f"pl.read_parquet('{S3_PATH}', **lake)")


def test_polars_errors_of_others(lake: Shell, s3: S3Server) -> None:
    """What is no error of such a connection is shown as ever, and so is all after `--debug`."""
    options = f"storage_options={{'aws_endpoint_url': '{s3.url}', 'aws_region': 'eu-central-1', 'allow_http': 'true'}}"
    for cell in (
        "pl.read_parquet('/nowhere.parquet')",
        f"pl.read_parquet('{S3_PATH}', **lake).select('none')",
        f"pl.read_parquet('s3://another/a.parquet', credential_provider=None, {options})",
    ):
        assert "Traceback" in lake.run(cell), cell
    fnb.secrets["lake_key"] = CANARY
    lake.run(f"%%connect lake --as polars --debug\n{toml(s3, prefix='')}")
    assert "Traceback" in lake.run(f"pl.read_parquet('{S3_PATH}', **lake)")


@pytest.fixture
def a_while() -> Iterator[Callable[[], None]]:
    """What lets an hour pass by our clock, which no key of Polars' lasts."""
    with pytest.MonkeyPatch.context() as patch:
        passed = [0.0]
        clock = later.monotonic
        patch.setattr(later, "monotonic", lambda: clock() + passed[0])

        def pass_() -> None:
            passed[0] += 3_600

        yield pass_


def test_polars_with_a_users_own_key_for_the_same_place(lake: Shell, s3: S3Server, a_while: Callable[[], None]) -> None:
    """Its errors are not blamed on the connection's secret; those of the connection's are, also of what was scanned before."""
    key = "'aws_access_key_id': 'AKIAOWN', 'aws_secret_access_key': 'theirs', 'aws_region': 'eu-central-1'"
    own = f"storage_options={{{key}, 'aws_endpoint_url': '{s3.url}', 'allow_http': 'true'}}"
    fnb.secrets["lake_key"] = CANARY
    lake.run(f"theirs = pl.scan_parquet('{S3_PATH}', {own})\nours = pl.scan_parquet('{S3_PATH}', **lake)")

    for cell in (
        f"pl.scan_parquet('{S3_PATH}', {own}).collect()",
        f"pl.read_parquet('{S3_PATH}', {own})",
        f"pl.DataFrame({{'a': [1]}}).write_parquet('{S3_PATH}', {own})",
        "theirs.collect()",
    ):
        a_while()
        shown = lake.run(cell)
        assert "Traceback" in shown, shown
        assert "could not use" not in shown
        assert "could not use s3://sales" in lake.run("ours.collect()")
    # Where Polars' functions stand in the traceback, it needs no time to know.
    assert "Traceback" in lake.run(f"pl.read_parquet('{S3_PATH}', {own})")


def test_polars_without_a_login(shell: Shell, s3: S3Server) -> None:
    """Nothing is asked of a connection then: what stands in the traceback tells whose options they are."""
    place = f'type = "s3"\nbucket = "sales"\nregion = "eu-central-1"\nendpoint_url = "{s3.url}"'
    shell.run(f"%%connect lake --as polars --no-test\n{place}\nanonymous = true\nprefix = '2026'")
    shell.run("import polars as pl")
    own = f"{{'aws_endpoint_url': '{s3.url}', 'aws_region': 'x', 'allow_http': 'true', 'aws_skip_signature': 'true'}}"

    assert "s3://sales/2026 at http" in shell.run("pl.read_parquet('s3://sales/2026/none.parquet', **lake)")
    assert "Traceback" in shell.run(f"pl.read_parquet('s3://sales/2026/none.parquet', storage_options={own})")


@pytest.mark.parametrize("form", ["polars", "duckdb"])
def test_an_azure_key_that_is_none(shell: Shell, service: Server, form: str) -> None:
    """The secret is named where the text in it cannot be a key: by our own error, or DuckDB's with our words."""
    fnb.secrets["lake_key"] = KEY
    shell.run(f"%%connect lake --as {form}\n{body(azure(service, account_key='%secret lake_key'))}")
    shell.run("import polars as pl")
    fnb.secrets["lake_key"] = "canary"

    cell = (POLARS if form == "polars" else DUCKDB)[0].replace("{path}", PATHS["abfs"])
    shown = shell.run(cell)

    assert "Error: the account key in secret 'lake_key' is none: it is not base64" in shown
    assert "and store it:  %secret set lake_key --replace" in shown
    assert shown.count("\n") == (2 if form == "polars" else 3)


@pytest.fixture(params=["gs", "abfs", "sftp"])
def described(
    request: pytest.FixtureRequest, service: Server, google_key: dict[str, str], sftp: SftpServer
) -> tuple[dict[str, object], str, str]:
    """A place's description, with a file in it, and how it is called."""
    if request.param == "gs":
        return {**google(service, google_key)}, PATHS["gs"], f"gs://sales at {service.url}"
    if request.param == "sftp":
        return files(sftp), "sftp:///sales/answer.parquet", f"sftp://app@127.0.0.1:{sftp.port}"
    fnb.secrets["lake_key"] = KEY
    return {**azure(service, account_key="%secret lake_key")}, PATHS["abfs"], f"abfs://sales@account at {service.url}"


@pytest.mark.parametrize("cell", DUCKDB)
def test_duckdb_with_a_secret_that_is_gone(shell: Shell, described: tuple[dict[str, object], str, str], cell: str) -> None:
    """DuckDB's exception, told by our words with the place."""
    parts, path, place = described
    shell.run(f"%%connect lake --as duckdb\n{body(parts)}")
    assert shell.error is None, shell.shown
    shell.run(cell.replace("{path}", path))
    assert shell.error is None, shell.shown
    del fnb.secrets["lake_key"]

    hint = "Add it:  %secret set lake_key   List yours:  %secret list"
    short(shell, cell.replace("{path}", path), duckdb.Error, f"no secret named 'lake_key'   (in {place})", hint)


def test_duckdb_with_a_login_that_is_refused(shell: Shell, sftp: SftpServer) -> None:
    """The password was changed on the server, and the connection cut."""
    shell.run(f"%%connect lake --as duckdb\n{body(files(sftp))}")
    sftp.passwords[:] = ["another"]
    fnb.secrets["lake_key"] = CANARY

    place = f"sftp://app@127.0.0.1:{sftp.port}"
    says = f"could not use {place} with secret 'lake_key' (stored just now): the server refused the user or the password"
    hint = "check the user name; to store another password:  %secret set lake_key --replace"
    short(shell, DUCKDB[0].replace("{path}", "sftp:///sales/answer.parquet"), duckdb.Error, says, hint)

    assert CANARY not in shell.shown + shell.run("%tb")


def test_duckdb_with_what_is_not_there(shell: Shell, sftp: SftpServer) -> None:
    """DuckDB's words, the connection, and how to see what is there."""
    shell.run(f"%%connect lake --as duckdb\n{body(files(sftp))}")

    says = 'No files found that match the pattern "sftp:///sales/none*.csv"   (in sftp://app@'
    listing = "lake.sql(\"FROM glob('sftp:///**')\")"
    short(shell, DUCKDB[0].replace("{path}", "sftp:///sales/none*.csv"), duckdb.Error, says, f"what is there:  {listing}")
    assert "sales/answer.csv" in shell.run(listing)


def test_duckdb_errors_of_others(shell: Shell, sftp: SftpServer) -> None:
    """A statement that is wrong, a file of this machine, another connection: as DuckDB shows them."""
    shell.run(f"%%connect lake --as duckdb\n{body(files(sftp))}")
    del fnb.secrets["lake_key"]
    assert "lake_key" in shell.run(DUCKDB[0].replace("{path}", "sftp:///sales/answer.parquet"))

    for cell in ("lake.sql('SELEC 1')", "lake.sql(\"FROM '/nowhere.csv'\")", "import duckdb\nduckdb.sql('FROM nosuch')"):
        assert "Traceback" in shell.run(cell), cell
        assert "lake_key" not in shell.shown
