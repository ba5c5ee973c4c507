"""What the real drivers' `connect` receives, for databases that have no server here; any value, in any place."""

from __future__ import annotations

import sys
import types
from base64 import b64decode, b64encode
from pathlib import Path
from typing import Any

import oracledb
import pymssql
import pytest
import trino
import trustme
from clickhouse_connect import dbapi as clickhouse
from hypothesis import given, settings
from hypothesis import strategies as st

import flowfile_nb as fnb
from flowfile_nb.connections import opening
from flowfile_nb.connections.access import Access
from flowfile_nb.errors import ConnectionFailedError, ConnectionSpecError, MissingDriverError
from tests.support.http_server import Answer, running
from tests.support.trino_server import running_trino

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


@pytest.fixture
def authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> trustme.CA:
    """Who signs the servers' certificates; its file is `ca.pem`, another's `other.pem`, and no variable names a third."""
    for variable in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(variable, raising=False)
    trustme.CA().cert_pem.write_to_path(tmp_path / "other.pem")
    made = trustme.CA()
    made.cert_pem.write_to_path(tmp_path / "ca.pem")
    return made


@pytest.mark.parametrize("login", [{"password": "%secret v"}, {"token": "%secret v"}])
def test_trino_with_tls(authority: trustme.CA, login: dict[str, str], tmp_path: Path) -> None:
    """The real driver against a server with TLS on any port: what is right opens, what is wrong is told apart."""
    value = "p@ss:w/or d?#"
    right = f"Bearer {value}" if "token" in login else f"Basic {b64encode(f'app:{value}'.encode()).decode()}"
    fnb.secrets["v"] = value
    with running_trino(authority, right.__eq__) as server:
        parts = {"type": "trino", "host": "127.0.0.1", "port": server.port, "username": "app", "catalog": "c", **login}
        for more in ({"verify": f"{tmp_path}/ca.pem"}, {"connect_args": {"verify": f"{tmp_path}/ca.pem"}}):
            engine = fnb.connect({**parts, **more})
            with engine.connect() as connection:
                assert connection.exec_driver_sql("SELECT 1").fetchall() == [(1,)]
            assert value not in repr([vars(engine), engine.url])
            engine.dispose()
        for change, words in (
            ({"verify": f"{tmp_path}/other.pem"}, "not signed by an authority that is trusted here"),
            ({"connect_args": {"http_scheme": "http"}}, "sends a password through an encrypted connection only"),
        ):
            with pytest.raises(ConnectionFailedError, match=words):
                fnb.connect({**parts, **change})
        with pytest.raises(ConnectionFailedError, match="that port begins with TLS"):
            fnb.connect({key: item for key, item in parts.items() if key not in login})
        fnb.secrets["v"] = "another"
        with pytest.raises(ConnectionFailedError, match="refused the user or the password") as caught:
            fnb.connect({**parts, "verify": f"{tmp_path}/ca.pem"})

    assert "with secret 'v'" in caught.value.message


def test_trino_without_tls() -> None:
    """A login does not go to a port without it: TLS is begun, and what answers is told."""
    fnb.secrets["v"] = "x"
    with running() as server:
        with pytest.raises(ConnectionFailedError, match="that port answers without TLS"):
            fnb.connect(f"trino://app:%secret v@127.0.0.1:{server.port}/c")
        assert not any("authorization" in request.headers for request in server.requests)


@some
@given(value=TEXT)
def test_oracledb_by_token_and_tls(value: str) -> None:
    """A token instead of a password, through TLS with the certificates of a wallet, in the driver's own words."""
    body = (
        'type = "oracle"\n[connect_args]\ndsn = "tcps://db.example.com:2484/sales?ssl_server_dn_match=yes"\n'
        'access_token = %secret v\nwallet_location = "/wallet"\nwallet_password = %secret v\n'
    )

    got = given_to(oracledb, body, {"v": value})

    assert [got[key] for key in ("access_token", "wallet_password")] == [value] * 2
    assert (got["dsn"], got["wallet_location"]) == ("tcps://db.example.com:2484/sales?ssl_server_dn_match=yes", "/wallet")


@some
@given(value=TEXT)
def test_clickhouse_by_token_and_tls(value: str) -> None:
    """A JWT, and a client's certificate by its files."""
    parts = {"type": "clickhouse", "host": "h", "port": 8443, "client_cert": "/c.pem", "client_cert_key": "/k.pem"}

    got = given_to(clickhouse, {**parts, "ca_cert": "/ca.pem", "connect_args": {"access_token": "%secret v"}}, {"v": value})

    assert got["access_token"] == value
    assert (got["client_cert"], got["client_cert_key"], got["ca_cert"]) == ("/c.pem", "/k.pem", "/ca.pem")


def test_clickhouse_over_the_wire() -> None:
    """The real driver sends user and password to a server, and a replaced one with the next connection."""
    with running() as server:
        server.answer = lambda request: Answer(403, body=b"Authentication failed")
        for password in ("p@ss:w/or d?#ü", "second"):
            fnb.secrets["ch"] = password
            with pytest.raises(ConnectionFailedError, match=r"open clickhouse:.* with secret 'ch'"):
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


@some
@given(value=TEXT)
def test_odbc_logins(value: str) -> None:
    """A service principal of Entra ID, a client certificate's password, a driver's key store: a secret in any attribute."""
    string = (
        "Driver={ODBC Driver 18 for SQL Server};Server=tcp:db.example.com,1433;Encrypt=strict;ServerCertificate=/ca.pem;"
        "Authentication=ActiveDirectoryServicePrincipal;UID=%secret v;PWD=%secret v;KeyStoreSecret={%secret v}"
    )
    with pytest.MonkeyPatch.context() as patch:
        module = stub_pyodbc(patch)
        got = given_to(module, {"type": "mssql", "odbc_connect": string}, {"v": value})

    found = attributes(got["positional"][0])
    assert [found[key] for key in ("UID", "PWD", "KeyStoreSecret")] == [value] * 3
    assert (found["Authentication"], found["ServerCertificate"]) == ("ActiveDirectoryServicePrincipal", "/ca.pem")


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
