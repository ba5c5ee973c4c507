"""Other native forms of a database: ADBC, Ibis, DuckDB and the bare text, against a real PostgreSQL and real files."""

from __future__ import annotations

import pickle
import sqlite3
import traceback
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import adbc_driver_postgresql.dbapi
import cloudpickle
import duckdb
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.engine import make_url

import flowfile_nb as fnb
from flowfile_nb import connecting
from flowfile_nb.connections import opening
from flowfile_nb.errors import ConnectionFailedError, ConnectionSpecError, FlowfileNbError, MissingDriverError, UsageError
from notebooks.throwaway import Postgres
from tests.support.shell import Shell

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1)


@pytest.fixture
def url(postgres: Postgres) -> str:
    fnb.secrets["pg"] = postgres.password
    return f"postgresql://{postgres.user}:%secret pg@{postgres.host}:{postgres.port}/{postgres.database}"


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    """A database in a file of each kind, whose path is a secret that needs quoting everywhere."""
    folder = tmp_path / "it's a folder %20 ;"
    folder.mkdir()
    lite, duck = folder / "a.db", folder / "b.duckdb"
    with sqlite3.connect(lite) as connection:
        connection.execute("CREATE TABLE t AS SELECT 41 AS x")
    connection.close()
    with duckdb.connect(str(duck)) as connection:
        connection.execute("CREATE TABLE t AS SELECT 42 AS x")
    fnb.secrets["lite"], fnb.secrets["duck"] = str(lite), str(duck)
    return {"sqlite": "sqlite:///%secret lite", "duckdb": "duckdb:///%secret duck"}


def test_adbc(url: str, files: dict[str, str]) -> None:
    """Arrow straight to Polars, from PostgreSQL with a hard password, SQLite and DuckDB."""
    with fnb.connect(url, as_="adbc") as connection:
        assert pl.read_database("SELECT current_user AS u", connection)["u"].to_list() == ["app"]
    for kind, value in (("sqlite", 41), ("duckdb", 42)):
        with fnb.connect(files[kind], as_="adbc") as connection:
            assert pl.read_database("SELECT x FROM t", connection)["x"].to_list() == [value]


@pytest.mark.filterwarnings("ignore:The 'future.infer_string' option", "ignore:fetch_arrow_table")  # Ibis does
def test_an_ibis_that_does_not_know_this_duckdb(shell: Shell, files: dict[str, str]) -> None:
    """What does not work of the two that are installed is said when it is opened; what works, does."""
    said = shell.run(f"%%connect duck --as ibis\n{files['duckdb']}")
    shell.run("rows = duck.table('t').to_pyarrow().to_pylist()")
    assert shell.real.user_ns["rows"] == [{"x": 42}]

    shell.run("names = duck.list_tables()")

    works = shell.error is None
    assert works == ("does not list them or take SQL" not in said)
    assert works or "pip install 'duckdb<2'" in said
    assert not works or shell.real.user_ns["names"] == ["t"]


@pytest.mark.filterwarnings("ignore:Arrow output on a DB-API result")  # Polars says how DuckDB is read by itself
def test_a_duckdb_engine_for_polars(files: dict[str, str]) -> None:
    """As the README says it: Polars asks the engine itself for a method that SQLAlchemy 2 has no more."""
    engine = fnb.connect(files["duckdb"])
    with engine.connect() as connection:
        assert pl.read_database("SELECT x FROM t", connection)["x"].to_list() == [42]
    engine.dispose()


@pytest.mark.filterwarnings("ignore:The 'future.infer_string' option", "ignore:fetch_arrow_table")  # Ibis does
def test_ibis(url: str, files: dict[str, str], postgres: Postgres) -> None:
    """Its backends work, and have no password among their attributes or in their pickle."""
    with postgres.admin() as admin:
        admin.execute("CREATE TABLE IF NOT EXISTS ibis_reads AS SELECT 40 AS x")
    backend = fnb.connect(url, as_="ibis")
    assert backend.table("ibis_reads").x.max().to_pyarrow().as_py() == 40
    shown = repr(backend) + repr({name: value for name, value in vars(backend).items() if name != "con"})
    assert postgres.password not in shown
    backend.disconnect()
    for kind, value in (("sqlite", 41), ("duckdb", 42)):
        backend = fnb.connect(files[kind], as_="ibis")
        assert backend.table("t").x.max().to_pyarrow().as_py() == value
        backend.disconnect()


@pytest.mark.parametrize(("form", "what"), [("adbc", "an ADBC connection"), ("ibis", "an Ibis backend"), ("duckdb", "DuckDB")])
@pytest.mark.parametrize("module", [pickle, cloudpickle])
def test_what_is_open_here_is_not_sent_elsewhere(url: str, files: dict[str, str], form: str, what: str, module: Any) -> None:
    """Loaded it would lead nowhere: refused, with what to send instead; DuckDB's own refusal says the same."""
    connection = fnb.connect(files["duckdb"] if form == "duckdb" else url, as_=form)

    with pytest.raises(TypeError if form == "duckdb" else UsageError, match=what) as caught:
        module.dumps([connection])

    assert form == "duckdb" or "without --as" in caught.value.hint
    (connection.disconnect if form == "ibis" else connection.close)()


def test_duckdb_of_a_file(files: dict[str, str]) -> None:
    """A DuckDB file is opened as it is, without SQLAlchemy round it."""
    connection = fnb.connect(files["duckdb"], as_="duckdb")

    assert isinstance(connection, duckdb.DuckDBPyConnection)
    assert connection.sql("SELECT x FROM t").fetchall() == [(42,)]
    connection.close()


def test_duckdb_without_its_extension(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where DuckDB cannot download what it needs, that is said; no value was handed to it before."""
    real, said = duckdb.connect, []

    class Offline:
        def __init__(self) -> None:
            self.real = real()

        def execute(self, text: str, parameters: Any = None) -> Any:
            said.append((text, parameters))
            if text.startswith(("INSTALL", "LOAD")):
                raise duckdb.IOException("Failed to download extension")
            return self.real.execute(text, parameters)

        def close(self) -> None:
            self.real.close()

    monkeypatch.setattr(duckdb, "connect", Offline)

    with pytest.raises(MissingDriverError, match="INSTALL postgres"):
        fnb.connect(url, as_="duckdb")

    assert [text for text, _ in said] == ["LOAD postgres", "INSTALL postgres"]


@given(value=TEXT)
def test_uri(value: str) -> None:
    """Any value, in every place, is encoded so that the text means it, whoever reads it."""
    url = "postgresql://%secret v:%secret v@db.example.com:5432/${secret:v}?application_name=%secret v"

    text = opening.open_connection(url, lambda name: None, {"v": value}.__getitem__, as_="uri").native

    assert text.startswith("postgresql://")
    read = urlsplit(text)
    parts = (read.username, read.password, read.path[1:], read.query.partition("=")[2])
    assert [unquote(part or "") for part in parts] == [value] * 4
    assert make_url(text).password == value


def test_uri_says_what_it_is(shell: Shell, url: str, postgres: Postgres) -> None:
    """The magic warns, and the value is masked where the text is shown; another library reads it."""
    shown = shell.run(f"%%connect place --as uri\n{url}")

    assert "holds the value itself" in shown
    assert f"Bound: place = postgresql://app@{postgres.host}:{postgres.port}/{postgres.database} (a text" in shown
    assert shell.run("print(place)").startswith("postgresql://app:[secret:pg]@")
    assert "holds the value" not in shell.run(f"%%connect direct --as adbc\n{url}")
    shell.run("import polars as pl; pl.read_database_uri('SELECT 42 AS x', place, engine='adbc')['x'][0]")
    assert shell.result == 42, shell.shown
    shell.run("%connect -x place")
    shell.run("%connect -x direct")


@pytest.mark.parametrize("form", ["adbc", "ibis"])
def test_a_wrong_password_shows_no_value(url: str, form: str) -> None:
    """Two lines with the secret's name; no frame of the traceback has the value among its locals."""
    fnb.secrets["pg"] = "wrong-canary@:/"

    with pytest.raises(ConnectionFailedError, match="with secret 'pg'") as caught:
        fnb.connect(url, as_=form)

    frames = traceback.StackSummary.extract(traceback.walk_tb(caught.value.__traceback__), capture_locals=True)
    shown = "".join(traceback.format_exception(caught.value)) + repr([frame.locals for frame in frames])
    assert "wrong-canary" not in shown.replace("fnb.secrets", "")
    assert len(str(caught.value).split("\n")) == 2


@pytest.mark.parametrize(
    ("description", "form", "words"),
    [
        ("postgresql://h/x", "duck", "did you mean duckdb"),
        ("postgresql://h/x", "zzz", "there are adbc, duckdb, ibis, polars, uri"),
        ("mssql://app@h/x", "adbc", "there is for duckdb, postgresql, sqlite"),
        ("mssql://app@h/x", "duckdb", "it attaches"),
        ("mysql://app@h/x", "ibis", "from_connection"),
        ({"type": "sqlite", "connect_args": {"timeout": 5}}, "adbc", "or them"),
    ],
)
def test_what_has_no_such_form(description: Any, form: str, words: str) -> None:
    """A form that is unknown, or that the database has not, is refused with what there is."""
    with pytest.raises(ConnectionSpecError) as caught:
        fnb.connect(description, as_=form)

    assert words in str(caught.value)
    assert len(str(caught.value).split("\n")) == 2


def test_the_limit_of_the_line_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """`--timeout` is the last word in what ADBC's driver gets; without it, what the URL says is the only one."""
    asked: list[str] = []

    def connect(uri: str) -> None:
        asked.append(uri)
        raise OSError("connection refused")

    monkeypatch.setattr(adbc_driver_postgresql.dbapi, "connect", connect)
    for timeout_s in (3, None):
        with pytest.raises(ConnectionFailedError):
            connecting.open_connection("postgresql://h/x?connect_timeout=7", as_="adbc", timeout_s=timeout_s)

    assert [uri.partition("?")[2] for uri in asked] == ["connect_timeout=7&connect_timeout=3", "connect_timeout=7"]


def test_a_missing_file(tmp_path: Path) -> None:
    """Its driver's error becomes ours, without the path that is a secret."""
    fnb.secrets["path"] = str(tmp_path / "no-such-canary" / "x.db")

    for form, scheme in (("adbc", "sqlite"), ("duckdb", "duckdb"), ("adbc", "duckdb")):
        with pytest.raises(FlowfileNbError) as caught:
            fnb.connect(f"{scheme}:///%secret path", as_=form).cursor().execute("SELECT 1")
        assert "no-such-canary" not in "".join(traceback.format_exception(caught.value))
