"""Engines with late binding, against real databases; what the driver receives is the value."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import traceback
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import polars as pl
import psycopg
import pymysql
import pytest
import sqlalchemy
from hypothesis import given
from hypothesis import strategies as st

import flowfile_nb as fnb
from flowfile_nb.connections import opening
from flowfile_nb.errors import (
    ConnectionFailedError,
    ConnectionSpecError,
    FlowfileNbError,
    LiteralPasswordError,
    MissingDriverError,
    NoSuchSecretError,
    UnknownSchemeError,
)
from notebooks.throwaway import Postgres

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1)


class Driver:
    """A stand-in for a driver's `connect`: keeps what it is given, and opens nothing."""

    def __init__(self) -> None:
        self.given: dict[str, Any] = {}

    def __call__(self, *args: Any, **named: Any) -> Any:
        self.given = named
        raise OSError("connection refused")


def given_to(driver: Any, name: str, description: Any, values: dict[str, str]) -> dict[str, Any]:
    """Return what the driver's `connect` receives for a description."""
    spy = Driver()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(driver, name, spy)
        with pytest.raises(ConnectionFailedError):
            opening.open_connection(description, values.__getitem__, values.__getitem__)
    return spy.given


@given(password=TEXT, user=TEXT, database=TEXT, option=TEXT)
def test_psycopg_receives_the_values(password: str, user: str, database: str, option: str) -> None:
    """For any values, in every place of a URL and in both spellings, psycopg is given exactly them."""
    values = {"pw": password, "user name": user, "db": database, "option": option}
    url = 'postgresql://%secret "user name":%secret pw@db.example.com:5432/${secret:db}?application_name=%secret option'

    given = given_to(psycopg, "connect", url, values)

    assert (given["password"], given["user"], given["dbname"], given["application_name"]) == (password, user, database, option)
    assert (given["host"], given["port"]) == ("db.example.com", 5432)


@given(password=TEXT, before=st.text("abc:/?#[]@%&=+ '\"\\", max_size=5))
def test_pymysql_receives_the_values(password: str, before: str) -> None:
    """From TOML, too, and with text round the reference; as UTF-8, since PyMySQL would make Latin-1 of a text."""
    parts = {"type": "mysql", "host": "h", "username": "app", "password": before + "${secret:pw}", "database": "x"}

    given = given_to(pymysql, "connect", parts, {"pw": password})

    assert given["password"] == (before + password).encode()


@given(value=TEXT)
def test_connect_args_receive_the_values(value: str) -> None:
    """A secret may stand in any argument of the driver, nested too."""
    body = 'type = "mysql"\nhost = "h"\n[connect_args.ssl]\nkey_password = %secret pw\n'

    assert given_to(pymysql, "connect", body, {"pw": value})["ssl"] == {"key_password": value}


def test_a_value_of_a_file_path(tmp_path: Path) -> None:
    """SQLite's path may be a secret, spaces and percent signs in it too."""
    fnb.secrets["path"] = str(tmp_path / "my %20 data?.db")

    engine = fnb.connect("sqlite:///%secret path")
    with engine.begin() as connection:
        connection.execute(sqlalchemy.text("CREATE TABLE t (x)"))

    assert sqlite3.connect(tmp_path / "my %20 data?.db").execute("SELECT count(*) FROM t").fetchone() == (0,)


@pytest.fixture
def engine(postgres: Postgres) -> Any:
    """A real PostgreSQL through a stored password."""
    fnb.secrets["pg"] = postgres.password
    engine = fnb.connect(f"postgresql://{postgres.user}:%secret pg@{postgres.host}:{postgres.port}/{postgres.database}")
    yield engine
    engine.dispose()


def test_postgresql_answers(engine: Any) -> None:
    """Both pandas and Polars read through the engine, and SQLAlchemy itself."""
    assert pd.read_sql("SELECT 1 AS one", engine)["one"].tolist() == [1]
    assert pl.read_database("SELECT 2 AS two", engine)["two"].to_list() == [2]
    with engine.connect() as connection:
        assert connection.execute(sqlalchemy.text("SELECT current_user")).scalar() == "app"


def test_parts_as_toml_and_as_arguments(postgres: Postgres) -> None:
    """The same database from TOML, from a mapping and from keyword arguments."""
    fnb.secrets["pg"] = postgres.password
    parts = {
        "type": "postgresql",
        "host": postgres.host,
        "port": postgres.port,
        "database": postgres.database,
        "user": postgres.user,
    }
    toml = "\n".join(f"{key} = {value!r}" for key, value in parts.items()) + "\npassword = %secret pg\napplication_name = 'nb'"

    engines = [fnb.connect(toml), fnb.connect(parts, password="${secret:pg}"), fnb.connect(**parts, password=fnb.secrets["pg"])]

    assert [pd.read_sql("SELECT current_user AS u", engine)["u"][0] for engine in engines] == ["app"] * 3
    assert pd.read_sql("SHOW application_name", engines[0]).iloc[0, 0] == "nb"
    for engine in engines:
        engine.dispose()


def test_the_engine_holds_no_value(engine: Any, postgres: Postgres) -> None:
    """Its repr, URL and attributes have the reference at most; `test_workers.py` is about pickles."""
    quoted = f"{fnb.secrets['pg']:url}"
    shown = [
        repr(engine),
        str(engine.url),
        engine.url.render_as_string(hide_password=False),
        repr(vars(engine)),
        repr(vars(engine.dialect)),
    ]

    for text in shown:
        assert postgres.password not in text
        assert quoted not in text
    assert engine.url.password == "${secret:pg}"


def test_hidden_parameters(engine: Any) -> None:
    """A failing statement does not print its parameters."""
    with engine.connect() as connection, pytest.raises(sqlalchemy.exc.DBAPIError) as caught:
        connection.execute(sqlalchemy.text("SELECT :value / 0"), {"value": "canary-parameter"})

    assert "canary-parameter" not in str(caught.value).split("[SQL")[1]


def test_late_binding(engine: Any, postgres: Postgres) -> None:
    """A replaced secret is used by the next database connection, without a restart; a deleted one stops it."""
    fnb.secrets["pg"] = "wrong"
    engine.dispose()
    with pytest.raises(ConnectionFailedError):
        pd.read_sql("SELECT 1", engine)

    fnb.secrets["pg"] = postgres.password
    assert len(pd.read_sql("SELECT 1", engine)) == 1

    del fnb.secrets["pg"]
    engine.dispose()
    with pytest.raises(NoSuchSecretError):
        pd.read_sql("SELECT 1", engine)


def test_a_wrong_password_shows_no_value_and_no_dsn(postgres: Postgres) -> None:
    """The server really asks; the error names the secret, and nothing in its whole traceback has the value."""
    fnb.secrets["pg"] = "wrong-canary@:/"
    url = f"postgresql://{postgres.user}:%secret pg@{postgres.host}:{postgres.port}/{postgres.database}"

    with pytest.raises(ConnectionFailedError) as caught:
        fnb.connect(url)

    shown = "".join(traceback.format_exception(caught.value)) + "".join(caught.value._render_traceback_())
    assert "wrong-canary" not in shown
    assert "with secret 'pg' (stored just now)" in shown
    assert "%secret set pg --replace" in shown
    assert "".join(caught.value._render_traceback_()).count("\n") == 1
    assert "OperationalError" not in shown


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"host": "no-such-host.invalid"}, "no host of that name"),
        ({"port": 1}, "nothing listens"),
        ({"database": "nothing"}, "no database of that name"),
        ({"sslmode": "require"}, "encrypted connection"),
    ],
)
def test_what_can_be_wrong_is_told_apart(postgres: Postgres, change: dict[str, Any], word: str) -> None:
    """Host, port, database and encryption each have their own two lines, with the target and without the password."""
    fnb.secrets["pg"] = postgres.password
    parts = {
        "type": "postgresql",
        "host": postgres.host,
        "port": postgres.port,
        "database": postgres.database,
        "user": postgres.user,
    }

    with pytest.raises(ConnectionFailedError, match=word) as caught:
        fnb.connect({**parts, **change}, password="%secret pg")

    assert postgres.password not in str(caught.value)
    assert len(str(caught.value).split("\n")) == 2


def test_without_a_test_nothing_is_opened() -> None:
    """`test=False` returns the engine of a server that is not there."""
    fnb.secrets["pg"] = "x"

    engine = fnb.connect("postgresql://app:%secret pg@127.0.0.1:1/x", test=False)

    assert engine.url.port == 1


def test_duckdb_and_sqlite_need_no_server(tmp_path: Path) -> None:
    """Two databases in files, in memory too."""
    for url in (f"sqlite:///{tmp_path}/a.db", f"duckdb:///{tmp_path}/b.db", "sqlite://", "duckdb:///:memory:"):
        engine = fnb.connect(url)
        assert pd.read_sql("SELECT 40 + 2 AS answer", engine)["answer"].tolist() == [42]
        engine.dispose()


_NOT_ALONE = [
    "%secret pg ",
    " %secret pg",
    "'%secret pg'",
    "{%secret pg}",
    "<%secret pg>",
    "\u2018%secret pg\u2019",
    ":${secret:pg}",
]


@pytest.mark.parametrize(
    ("description", "error", "words"),
    [
        ("nosuchthing://h/x", UnknownSchemeError, "postgresql"),
        ("gopher://example.com/api", UnknownSchemeError, "gopher"),
        ('type = "minio"\nbucket = "sales"', UnknownSchemeError, 'type = "s3"   endpoint_url = "https://minio.example.com"'),
        ("azure://container@account", UnknownSchemeError, 'type = "abfs"'),
        ("aws://bucket", UnknownSchemeError, 'type = "s3"'),
        ("postgresql://app:%secret none@h/x", NoSuchSecretError, "%secret set none"),
        ("postgresql://h:port/x", ConnectionSpecError, "port"),
        ('type = "postgresql"\nport = "15432"', ConnectionSpecError, "port = 15432   (without quotes)"),
        *((f"postgresql://app:{written}@h/x", ConnectionSpecError, "user:%secret NAME@host") for written in _NOT_ALONE),
        ('type = "mssql"\nport = "x"', ConnectionSpecError, "port = 1433"),
        ('type = "clickhouse"\nhost = "h:8124"', ConnectionSpecError, "port = 8123"),
        ('type = "postgresql"\nhost = 5', ConnectionSpecError, "text in quotes"),
        ('type = "postgresql"\nurl = "postgresql://h/x"', ConnectionSpecError, "not both"),
        ("redshift://app@h/x", MissingDriverError, "pip install 'sqlalchemy-redshift'"),
        ("postgresql+psycopg2://app@h/x", MissingDriverError, "pip install 'psycopg2-binary'"),
        ("postgresql://app:literal@h/x", LiteralPasswordError, "%secret set"),
        ("sqlite:////nowhere/at/all.db", ConnectionFailedError, "cannot be opened"),
    ],
)
def test_bad_input_has_two_lines(description: str, error: type[FlowfileNbError], words: str) -> None:
    """Each wrong description gets an error of its own kind: what happened, and what to do."""
    with pytest.raises(error) as caught:
        fnb.connect(description)

    assert words in str(caught.value)
    assert len(str(caught.value).split("\n")) == 2


@pytest.mark.parametrize(("kind", "made_by"), [("sqlite", "a text"), ("sqlite", "duckdb"), ("duckdb", "a text")])
def test_a_file_that_is_no_database_of_the_kind(tmp_path: Path, kind: str, made_by: str) -> None:
    """It is said when it is opened, and not by the first statement; the file stays as it is."""
    path = tmp_path / "data"
    if made_by == "a text":
        path.write_text("nothing but a text\n" * 500, encoding="utf-8")
    else:
        duckdb.connect(str(path)).close()
    before = path.read_bytes()

    with pytest.raises(ConnectionFailedError, match="the file is no database of this kind") as caught:
        fnb.connect(f"{kind}:///{path}")

    assert len(str(caught.value).split("\n")) == 2
    assert path.read_bytes() == before


def test_one_file_of_duckdbs_in_two_forms(tmp_path: Path) -> None:
    """The second is refused by DuckDB, and told to close the first."""
    engine = fnb.connect(f"duckdb:///{tmp_path}/data.duckdb")

    with pytest.raises(ConnectionFailedError, match="has the file open in another form") as caught:
        fnb.connect(f"duckdb:///{tmp_path}/data.duckdb", as_="duckdb")

    assert "%connect -x NAME" in caught.value.hint
    engine.dispose()


def test_a_file_of_duckdbs_that_another_process_writes(tmp_path: Path) -> None:
    """It is told where to close it: reading only would be refused, too, as long as that one writes."""
    path = tmp_path / "data.duckdb"
    program = f"import duckdb, sys; held = duckdb.connect({str(path)!r}); print('open', flush=True); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "open\n"
        for options in ("", "?access_mode=READ_ONLY"):
            with pytest.raises(ConnectionFailedError, match="another process has the database file open") as caught:
                fnb.connect(f"duckdb:///{path}{options}")
            assert "or end that process; to share it each has to read only" in caught.value.hint
        other.communicate()


def test_text_and_parts_together_are_refused() -> None:
    """One or the other."""
    with pytest.raises(FlowfileNbError, match="not by both"):
        fnb.connect("sqlite://", password="x")


def test_an_interrupt_while_connecting_carries_no_value(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C during a hanging connect: no frame of its traceback has the value among its locals."""
    fnb.secrets["pg"] = "canary-value"

    def hang(*args: Any, **named: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(psycopg, "connect", hang)
    with pytest.raises(KeyboardInterrupt) as caught:
        fnb.connect("postgresql://app:%secret pg@h/x")

    frames = traceback.StackSummary.extract(traceback.walk_tb(caught.value.__traceback__), capture_locals=True)
    ours = [frame for frame in frames if "flowfile_nb/connections" in frame.filename]
    assert ours
    assert "canary-value" not in repr([frame.locals for frame in ours])
