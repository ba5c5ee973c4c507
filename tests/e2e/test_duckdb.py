"""
DuckDB with the extensions that attach PostgreSQL and SQLite and read S3.

DuckDB downloads them; as Python packages there are some for one of its versions. So `.ci/run` gives this file an environment
of its own.
"""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest
from psycopg import sql

import flowfile_nb as fnb
from flowfile_nb import connecting
from flowfile_nb.connections.held import everyone
from flowfile_nb.errors import ConnectionFailedError, ConnectionSpecError
from notebooks.throwaway import Postgres
from tests.connections.test_database_failures import HOLDS
from tests.connections.test_described_storage import toml
from tests.support.http_server import Answer, Server, running
from tests.support.postgres import running_postgres, stopped
from tests.support.processes import free_port
from tests.support.s3 import running_s3
from tests.support.shell import Shell

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


@pytest.fixture
def attached(shell: Shell, url: str) -> Shell:
    """A shell with the database attached, and a table of one's own beside it."""
    shell.run(f"%%connect warehouse --as duckdb\n{url}")
    shell.run("warehouse.execute('CREATE TABLE memory.main.mine AS SELECT 7 AS y')")
    assert total(shell) == 55, shell.shown
    return shell


def total(shell: Shell) -> Any:
    """Return what a cell reads of the attached database; None where it fails."""
    shell.run("warehouse.sql('SELECT sum(x) FROM numbers').fetchall()[0][0]")
    return shell.result


def test_a_deleted_secret_is_not_used_any_more(attached: Shell, postgres: Postgres) -> None:
    """Before the next cell the database is detached, which is said there; what is in memory stays; stored again, it is back."""
    del fnb.secrets["pg"]

    said = attached.run("1")
    assert "flowfile_nb: warehouse: postgresql://app@" in said
    assert "is cut off: its secret 'pg' is not there any more\nhint: add it:  %secret set pg   and the next cell has" in said
    assert "cut off" not in attached.run("2")
    assert total(attached) is None
    assert isinstance(attached.error, duckdb.Error)
    assert "is cut off" in attached.shown
    warehouse = attached.real.user_ns["warehouse"]
    assert warehouse.sql("SELECT y FROM memory.main.mine").fetchall() == [(7,)]
    with warehouse.cursor() as beside:
        beside.execute("USE memory")
        kept = repr([beside.sql(f"SELECT * FROM {table}()").fetchall() for table in ("duckdb_secrets", "duckdb_databases")])
    assert "flowfile_nb" not in kept
    assert "sales" not in kept

    fnb.secrets["pg"] = postgres.password
    assert total(attached) == 55
    assert "cut off" not in attached.shown


def test_a_replaced_secret_is_used(attached: Shell, postgres: Postgres) -> None:
    """A wrong one is said, by name and age; with the right one the same variable reads on, without a word."""
    fnb.secrets["pg"] = CANARY

    said = attached.run("1")
    assert "with secret 'pg' (stored just now): the server refused the user or the password\nhint: check the user name" in said
    assert total(attached) is None
    assert "hunter2" not in attached.shown + said

    with postgres.admin() as admin:
        admin.execute("ALTER ROLE app PASSWORD 'the next one'")
        try:
            fnb.secrets["pg"] = "the next one"
            assert total(attached) == 55
            assert "flowfile_nb" not in attached.shown
        finally:
            admin.execute(sql.SQL("ALTER ROLE app PASSWORD {}").format(postgres.password))


def test_a_server_that_is_back(attached: Shell, postgres: Postgres) -> None:
    """What could not be attached anew is tried again before a cell that has the variable."""
    with postgres.admin() as admin:
        admin.execute("ALTER ROLE app NOLOGIN")
        try:
            fnb.secrets["pg"] = "another"
            assert "warehouse: could not open" in attached.run("1")
            fnb.secrets["pg"] = postgres.password
            assert "warehouse: could not open" in attached.run("1")
            assert "warehouse" not in attached.run("1")
        finally:
            admin.execute("ALTER ROLE app LOGIN")

    assert total(attached) == 55


def test_what_was_closed_is_left_alone(attached: Shell) -> None:
    """`%connect -x`, or its own method: nothing is said of it."""
    attached.run("%connect -x warehouse")
    del fnb.secrets["pg"]

    assert "flowfile_nb" not in attached.run("1")


def test_a_key_of_s3_is_dropped_and_replaced(s3: Server) -> None:
    """DuckDB has it no longer; a replaced one signs the next request."""
    fnb.secrets["key"] = CANARY
    parts = {"type": "s3", "endpoint_url": s3.url, "access_key_id": "AKIAEXAMPLE", "secret_access_key": "%secret key"}
    opened = connecting.open_connection({**parts, "aws_session_token": "%secret key"}, as_="duckdb")

    def look() -> None:
        for held in everyone():
            held.look()

    def token() -> str | None:
        with pytest.raises(duckdb.Error):
            opened.native.sql("SELECT * FROM 's3://bucket/data.parquet'")
        return s3.last.headers.get("x-amz-security-token")

    assert token() == CANARY
    fnb.secrets["key"] = "the next one"
    look()
    assert token() == "the next one"
    del fnb.secrets["key"]
    look()
    assert opened.native.sql("SELECT * FROM duckdb_secrets()").fetchall() == []
    opened.close()
    assert opened.native not in [held.native() for held in everyone()]


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


@pytest.fixture
def own_server() -> Iterator[Postgres]:
    """A server that may be stopped, and whose password may change."""
    with running_postgres(CANARY) as server:
        with server.admin() as admin:
            admin.execute("CREATE TABLE numbers AS SELECT generate_series(1, 10) AS x")
        yield server


def told(shell: Shell, cell: str, says: str, hint: str) -> None:
    """Run a cell, and see that its error is DuckDB's, and is told in three lines."""
    shown = shell.run(f"0\n{cell}")

    assert isinstance(shell.error, duckdb.Error), shown
    said, place, hinted = shown.strip().split("\n")
    assert says in said
    assert f"line 2:  {cell}" in place
    assert hinted == f"hint: {hint};  %tb  shows the whole traceback"


def test_a_server_that_is_gone_in_a_later_cell(shell: Shell, own_server: Postgres) -> None:
    """Lost, not there, and refused: which connection and which secret; with a relation, too, which names neither."""
    fnb.secrets["pg"] = CANARY
    shell.run(f"%%connect w --as duckdb\npostgresql://app:%secret pg@{own_server.host}:{own_server.port}/sales")
    shell.run("import polars as pl\nnumbers = w.sql('SELECT x FROM numbers')")
    used = f"could not use postgresql://app@127.0.0.1:{own_server.port}/sales with secret 'pg' (stored just now): "
    cells = ["w.sql('FROM numbers').fetchall()", "pl.read_database('SELECT 1 FROM sales.numbers', w)", "numbers.df()"]
    for cell in cells:
        shell.run(cell)
        assert shell.error is None, shell.shown

    with stopped(own_server):
        told(shell, cells[0], f"Error: {used}the server has closed the connection", "run the cell again: DuckDB opens another")
        for cell in cells:
            hint = "check host and port, the VPN, and whether the server is up"
            told(shell, cell, f"IOException: {used}nothing listens on that host and port", hint)
    shell.run(cells[0])
    assert shell.error is None, shell.shown

    with own_server.admin() as admin:
        admin.execute("ALTER ROLE app PASSWORD 'another'")
        admin.execute("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE pid <> pg_backend_pid()")
    shell.run(cells[0])
    for cell in cells:
        hint = "check the user name; to store another password:  %secret set pg --replace"
        told(shell, cell, f"IOException: {used}the server refused the user or the password", hint)
    fnb.secrets["pg"] = "another"
    shell.run(cells[0])
    assert shell.error is None, shell.shown


def test_what_is_told_of_nobody(shell: Shell, own_server: Postgres, url: str) -> None:
    """A statement's errors, a server that the user has attached himself, a DuckDB of his own, and one with `--debug`."""
    fnb.secrets["own"] = CANARY
    place = f"{own_server.host}:{own_server.port}/sales"
    shell.run(f"%%connect w --as duckdb\npostgresql://app:%secret own@{place}")
    shell.run(f"%%connect v --as duckdb --debug\npostgresql://app:%secret own@{place}")
    shell.run("import duckdb\ntheirs = duckdb.connect()\ntheirs.execute('LOAD postgres')")
    theirs = f"host=127.0.0.1 port={own_server.port} user=app dbname=sales"
    elsewhere = f"host=127.0.0.1 port={free_port()} user=app dbname=sales"

    for cell in (
        "w.sql('FROM missing')",
        "w.sql('SELECT nothing FROM numbers')",
        "w.sql('SELEC 1')",
        f"theirs.execute(\"ATTACH '{theirs} password=wrong' AS a (TYPE postgres)\")",
        f"w.execute(\"ATTACH '{elsewhere}' AS a (TYPE postgres)\")",
    ):
        shown = shell.run(cell)
        assert isinstance(shell.error, duckdb.Error), shown
        assert "Traceback" in shown
        assert "could not use" not in shown
    with own_server.admin() as admin:
        admin.execute("DROP TABLE numbers")
    assert "Traceback" in shell.run("w.sql('FROM numbers').fetchall()")
    with stopped(own_server):
        assert "Traceback" in shell.run("v.sql('FROM numbers').fetchall()")


def test_a_key_of_s3_that_is_refused_in_a_later_cell(shell: Shell) -> None:
    """Which place and which secret; where nothing answers, too. What is not there is DuckDB's own to say."""
    with running_s3() as server:
        fnb.secrets["lake_key"] = server.key
        shell.run(f"%%connect lake --as duckdb\n{toml(server, prefix='')}")
        used = f"could not use s3://sales at {server.url} with secret 'lake_key' (stored just now): "
        read = "lake.sql(\"FROM read_csv('s3://sales/answer.csv')\").fetchall()"
        cells = [
            read,
            "lake.sql(\"FROM glob('s3://sales/**')\").fetchall()",
            "lake.sql(\"COPY (SELECT 1) TO 's3://sales/b.csv'\")",
        ]
        shell.run(read)
        assert shell.error is None, shell.shown
        assert "Traceback" in shell.run("lake.sql(\"FROM read_csv('s3://sales/none.csv')\")")

        fnb.secrets["lake_key"] = CANARY
        for cell in cells:
            hint = "whoever runs the storage can tell which;  to store another key:  %secret set lake_key --replace"
            told(shell, cell, f"{used}that is refused: the login is not good any more, or may not do that", hint)
            assert "hunter2" not in shell.shown
    for cell in cells[:2]:
        hint = "check host and port, the VPN, and whether the server is up"
        told(shell, cell, f"{used}no server answers there", hint)


def test_a_sqlite_file_that_is_locked_or_none(shell: Shell, tmp_path: Path) -> None:
    """DuckDB attaches either without a look, and we take one; the waiting is as long as the line says, else SQLite's own."""
    path = tmp_path / "sales.db"
    holding = [sys.executable, "-c", HOLDS, str(path)]
    with subprocess.Popen(holding, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "locked\n"
        for options in ("--timeout 0.3", ""):
            shell.run(f"%%connect w --as duckdb {options}\nsqlite:///{path}")
            assert isinstance(shell.error, ConnectionFailedError), shell.shown
            assert "another connection of this kernel, keeps the file locked" in shell.error.message
        assert f"Waiting for sqlite:///{path}" in shell.shown
        assert "Bound" in shell.run(f"%%connect w --as duckdb --no-test\nsqlite:///{path}")
        holder.communicate()
    assert "Connected" in shell.run(f"%%connect w --as duckdb --replace\nsqlite:///{path}")

    (tmp_path / "sales.csv").write_text("when,what\n" * 100)
    shell.run(f"%%connect w --as duckdb --replace\nsqlite:///{tmp_path}/sales.csv")
    assert isinstance(shell.error, ConnectionFailedError), shell.shown
    assert "no database of this kind" in shell.error.message
