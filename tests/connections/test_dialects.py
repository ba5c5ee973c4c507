"""What the real drivers' `connect` receives, for databases that have no server here; any value, in any place."""

from __future__ import annotations

import sys
import types
from base64 import b64decode
from typing import Any

import oracledb
import pymssql
import pytest
import trino
from clickhouse_connect import dbapi as clickhouse
from hypothesis import given, settings
from hypothesis import strategies as st

import flowfile_nb as fnb
from flowfile_nb.connections import opening
from flowfile_nb.connections.access import Access
from flowfile_nb.errors import ConnectionFailedError, ConnectionSpecError, MissingDriverError
from tests.support.http_server import Answer, running

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1)
some = settings(max_examples=40)


def given_to(driver: Any, description: Any, values: dict[str, str] | Access) -> dict[str, Any]:
    """Return the named arguments that the driver's `connect` receives for a description."""
    found: dict[str, Any] = {}

    def connect(*args: Any, **named: Any) -> Any:
        found.update(named, positional=args)
        raise OSError("connection refused")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(driver, "connect", connect)
        reveal = values if isinstance(values, Access) else values.__getitem__
        with pytest.raises(ConnectionFailedError):
            opening.open_connection(description, lambda name: None, reveal)
    return found


@some
@given(value=TEXT)
def test_pymssql(value: str) -> None:
    """SQL Server through pymssql, from a URL and from parts, with a time limit."""
    url = "mssql://%secret v:%secret v@db.example.com:1433/${secret:v}?appname=%secret v"
    parts = {"type": "sqlserver", "host": "h", "username": "app", "password": "%secret v", "database": "x"}

    got = given_to(pymssql, url, {"v": value})

    assert [got[key] for key in ("user", "password", "database", "appname")] == [value] * 4
    assert (got["host"], got["login_timeout"]) == ("db.example.com:1433", 10)
    assert given_to(pymssql, parts, {"v": value})["password"] == value


@some
@given(value=TEXT)
def test_oracledb(value: str) -> None:
    """Oracle in thin mode; a wallet's password, too, with its own key."""
    body = (
        'type = "oracle"\nhost = "db.example.com"\nservice_name = "sales"\nusername = %secret v\npassword = %secret v\n'
        'wallet_location = "/wallet"\nwallet_password = %secret v\n'
    )

    got = given_to(oracledb, body, {"v": value})

    assert [got[key] for key in ("user", "password", "wallet_password")] == [value] * 3
    assert "(SERVICE_NAME=sales)" in got["dsn"]
    assert got["tcp_connect_timeout"] == 10


@some
@given(value=TEXT)
def test_trino(value: str) -> None:
    """A password and a JWT; catalog and schema, which the dialect decodes once more."""
    values = {"v": value}

    got = given_to(trino.dbapi, "trino://%secret v:%secret v@h:8443/${secret:v}/sales", values)
    parts = {"type": "trino", "host": "h", "user": "app", "catalog": "%secret v", "schema": "s", "token": "%secret v"}
    by_token = given_to(trino.dbapi, parts, values)

    assert got["user"] == value
    assert got["auth"] == trino.auth.BasicAuthentication(value, value)
    assert (got["catalog"], got["schema"], got["request_timeout"]) == (value, "sales", (10, 30))
    assert by_token["auth"] == trino.auth.JWTAuthentication(value)
    assert (by_token["catalog"], by_token["schema"]) == (value, "s")


@some
@given(value=TEXT)
def test_clickhouse(value: str) -> None:
    """Its HTTP driver, by the short name."""
    got = given_to(clickhouse, "clickhouse://%secret v:%secret v@h:8443/${secret:v}?secure=true", {"v": value})

    assert [got[key] for key in ("username", "password", "database")] == [value] * 3
    assert (got["secure"], got["connect_timeout"]) == ("true", 10)


@pytest.mark.parametrize(
    ("driver", "url", "argument", "limit"),
    [
        (pymssql, "mssql://app@h/x?login_timeout=7", "login_timeout", 3),
        (oracledb, "oracle://app@h/x", "tcp_connect_timeout", 3),
        (trino.dbapi, "trino://app@h/c", "request_timeout", (3, 30)),
        (clickhouse, "clickhouse://app@h/x", "connect_timeout", 3),
    ],
)
def test_the_limit_of_the_line_comes_first(driver: Any, url: str, argument: str, limit: Any) -> None:
    """What `--timeout` says is what the driver gets, in its own word for it."""
    found = given_to(driver, url, Access(str, timeout_s=3))

    assert found[argument] == limit


def test_trino_over_the_wire() -> None:
    """The real driver sends the token to a server, and a replaced one with the next connection."""
    with running() as server:
        server.answer = lambda request: Answer(401, body=b"no")
        url = f"trino://app@127.0.0.1:{server.port}/c?access_token=%secret jwt&allow_insecure_auth=true"
        for token in ("first", "second"):
            fnb.secrets["jwt"] = token
            with pytest.raises(ConnectionFailedError, match="with secret 'jwt'"):
                fnb.connect(url)

    assert {request.headers.get("authorization") for request in server.requests} == {"Bearer first", "Bearer second"}


def test_clickhouse_over_the_wire() -> None:
    """The real driver sends user and password to a server, and a replaced one with the next connection."""
    with running() as server:
        server.answer = lambda request: Answer(403, body=b"Authentication failed")
        for password in ("p@ss:w/or d?#ü", "second"):
            fnb.secrets["ch"] = password
            with pytest.raises(ConnectionFailedError, match="with secret 'ch'"):
                fnb.connect(f"clickhouse://app:%secret ch@127.0.0.1:{server.port}/default")

    sent = [b64decode(request.headers["authorization"].removeprefix("Basic ")).decode() for request in server.requests]
    assert list(dict.fromkeys(sent)) == ["app:p@ss:w/or d?#ü", "app:second"]


def stub_pyodbc(monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    """What SQLAlchemy needs of pyodbc to build a connection string; the real one is for the end-to-end tests."""
    module = types.ModuleType("pyodbc")
    module.version = "5.5.0"  # type: ignore[attr-defined]
    module.paramstyle = "qmark"  # type: ignore[attr-defined]
    module.Error = type("Error", (Exception,), {})  # type: ignore[attr-defined]
    module.Cursor = type("Cursor", (), {})  # type: ignore[attr-defined]
    for number, name in enumerate(
        ("SQL_CHAR", "SQL_WCHAR", "SQL_DECIMAL", "SQL_TYPE_TIMESTAMP", "SQL_WVARCHAR", "SQL_VARCHAR")
    ):
        setattr(module, name, number)
    module.drivers = lambda: ["FreeTDS", "ODBC Driver 9 for SQL Server", "ODBC Driver 18 for SQL Server"]  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "pyodbc", module)
    monkeypatch.setattr(module, "connect", None, raising=False)
    return module


@pytest.fixture
def pyodbc(monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    return stub_pyodbc(monkeypatch)


def attributes(text: str) -> dict[str, str]:
    """Read a connection string as its specification says: a value between braces ends at a brace that is not doubled."""
    found, rest = {}, text
    while rest:
        key, _, rest = rest.partition("=")
        if rest.startswith("{"):
            end = 1
            while rest[end : end + 2] == "}}" or rest[end] != "}":
                end += 2 if rest[end : end + 2] == "}}" else 1
            value, rest = rest[1:end].replace("}}", "}"), rest[end + 1 :]
            assert rest[:1] in {"", ";"}
            rest = rest[1:]
        else:
            value, _, rest = rest.partition(";")
        found[key] = value
    return found


@some
@given(value=TEXT, before=st.text("ab;{}= ", max_size=4))
def test_odbc(value: str, before: str) -> None:
    """Parts and whole ODBC strings: each value is between braces, so that no character of it means anything."""
    values = {"v": value}
    with pytest.MonkeyPatch.context() as patch:
        module = stub_pyodbc(patch)
        by_parts = given_to(
            module,
            {
                "type": "mssql+pyodbc",
                "host": "db.example.com",
                "port": 1433,
                "database": "sales",
                "username": "%secret v",
                "password": before + "${secret:v}",
                "Encrypt": "yes",
            },
            values,
        )
        quoted = before.replace("}", "}}")
        string = f"DRIVER={{FreeTDS}};UID=${{secret:v}};Pwd={{{quoted}${{secret:v}}}};Other=1"
        by_string = given_to(module, {"type": "mssql", "odbc_connect": string}, values)

    assert attributes(by_parts["positional"][0]) == {
        "DRIVER": "ODBC Driver 18 for SQL Server",
        "Server": "db.example.com,1433",
        "Database": "sales",
        "UID": value,
        "PWD": before + value,
        "Encrypt": "yes",
    }
    assert by_parts["timeout"] == 10
    assert attributes(by_string["positional"][0]) == {"DRIVER": "FreeTDS", "UID": value, "Pwd": before + value, "Other": "1"}


def test_odbc_without_a_driver(pyodbc: Any) -> None:
    """Where no ODBC driver is installed, another way is shown; a URL that asks for ODBC gets it."""
    fnb.secrets["v"] = "x"
    pyodbc.drivers = lambda: ["SQLite3"]

    with pytest.raises(MissingDriverError, match=r"mssql\+pymssql"):
        fnb.connect("mssql+pyodbc://app:%secret v@h/x")

    assert fnb.connect("mssql://app:%secret v@h/x?driver=FreeTDS", test=False).dialect.driver == "pyodbc"


@pytest.mark.usefixtures("pyodbc")
def test_odbc_with_a_reference_out_of_place() -> None:
    """A reference that is no value of the string is refused."""
    fnb.secrets["v"] = "x"
    engine = fnb.connect({"type": "mssql", "odbc_connect": "DRIVER={FreeTDS};%secret v"}, test=False)

    with pytest.raises(ConnectionSpecError, match="where no value is"):
        engine.connect()


def test_a_driver_that_cannot_be_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without unixODBC, pyodbc is there and does not load: pip does not bring what is missing, and another way is shown."""

    def broken(cls: type) -> None:
        raise ImportError("libodbc.so.2: cannot open shared object file")

    monkeypatch.setattr("sqlalchemy.connectors.pyodbc.PyODBCConnector.import_dbapi", classmethod(broken))

    with pytest.raises(MissingDriverError, match="apt install unixodbc"):
        fnb.connect("mssql+pyodbc://app@h/x?driver=FreeTDS")


def test_the_engines_own_options() -> None:
    """Pool options stand in `[engine]`; anything else there is refused with what may."""
    engine = fnb.connect('type = "duckdb"\n[engine]\npool_size = 2\npool_recycle = 60\npool_pre_ping = false', test=False)

    assert (engine.pool.size(), engine.pool._recycle, engine.pool._pre_ping) == (2, 60, False)
    for bad in ({"creator": "x"}, {"pool_sise": 1}, 5):
        with pytest.raises(ConnectionSpecError, match="pool_size"):
            fnb.connect({"type": "sqlite", "engine": bad})
    with pytest.raises(ConnectionSpecError, match="does not take"):
        fnb.connect({"type": "sqlite", "engine": {"max_overflow": 1}})
