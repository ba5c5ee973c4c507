"""What counts as a credential, and what is taken out of a URL."""

from __future__ import annotations

import json
from urllib.parse import quote, quote_plus, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.engine import make_url

from flowfile_nb.connections.spec import read_spec
from flowfile_nb.importing.credentials import key_is_credential
from flowfile_nb.importing.definitions import Definition, definitions
from flowfile_nb.importing.fields import Field
from flowfile_nb.importing.kinds import read_document
from flowfile_nb.importing.pieces import pieces_of
from flowfile_nb.importing.plan import Choice, Item, State, make_plan
from flowfile_nb.importing.source import Source
from tests.importing.strategies import NASTY, PEM, VALUES

ALL = Choice()
TOKEN = "ghp_" + "a1B2" * 9
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJl"
SERVICE_ACCOUNT = json.dumps({"type": "service_account", "private_key": PEM, "client_email": "a@b"})


@pytest.mark.parametrize(
    "key",
    [
        "password",
        "DB_PASSWORD",
        "db.passwd",
        "PGPASSWORD",
        "pwd",
        "MYSQL_PWD",
        "api_key",
        "apiKey",
        "API_KEYS",
        "STRIPE_SECRET_KEY",
        "SECRET_KEY_BASE",
        "token",
        "GITHUB_TOKEN",
        "authToken",
        "AWS_SECRET_ACCESS_KEY",
        "account_key",
        "PRIVATE_KEY",
        "ssh-key",
        "PASSWORD_2",
        "TOKEN1",
        "passphrase",
        "CREDENTIALS",
        "sslpassword",
        "key",
        "client_secret",
        "sasl.password",
        "FERNET_KEY",
    ],
)
def test_keys_of_credentials(key: str) -> None:
    """The words that people use."""
    assert key_is_credential(key)


@pytest.mark.parametrize(
    "key",
    [
        "HOST",
        "DB_USER",
        "TOKEN_URL",
        "token_uri",
        "PASSWORD_FILE",
        "SECRET_NAME",
        "PASSWORD_MIN_LENGTH",
        "public_key",
        "PRIMARY_KEY",
        "AWS_ACCESS_KEY_ID",
        "max_tokens",
        "private_key_id",
        "TOKEN_EXPIRY",
        "KEYBOARD",
        "monkey",
        "compass",
        "bypass",
        "passive",
        "author",
        "pinned",
    ],
)
def test_keys_of_plain_settings(key: str) -> None:
    """What is about a credential, or only sounds like one."""
    assert not key_is_credential(key)


@pytest.mark.parametrize(
    "value",
    [
        PEM,
        TOKEN,
        JWT,
        SERVICE_ACCOUNT,
        "sk-" + "a" * 30,
        "host=db user=app password=hunter2 dbname=x",
        "DefaultEndpointsProtocol=https;AccountName=x;AccountKey=abc==;EndpointSuffix=core.windows.net",
        "jdbc:sqlserver://h;user=x;password=y",
        "https://hooks.slack.com/services/T0/B0/abc",
        "postgresql://app:pa/ss@host/db",
        "postgresql://app:p@ss/word@host/db",
        "postgresql://app:p#w@host/db",
        "postgresql://app:p%ffw@host/db",
        "sqlserver://h;password=y?token=x",
    ],
)
def test_values_that_are_credentials_as_a_whole(value: str) -> None:
    """Whatever the key is; also a URL of which programs differ in where the password ends: no part of it may stay."""
    (piece,) = pieces_of("SETTING", value)

    assert (piece.secret, piece.label) == (value, "")


@pytest.mark.parametrize(
    "value",
    [
        "debug",
        "localhost:5432",
        "https://example.com/a?b=c",
        "http://h:8080/a@b",
        "postgresql://app@host/db",
        "postgresql://app:@host/db",
        "postgresql://app:${secret:pw}@host/db",
        "3f786850e387550fdab836ed7e6dc881de23001b",
        "3b241101-e2bb-4255-8caf-4136c566a962",
        "-----BEGIN CERTIFICATE-----\nMII=\n-----END CERTIFICATE-----",
        '{"a": 1}',
        "{not json",
        "mailto:a@b.c",
    ],
)
def test_plain_values(value: str) -> None:
    """A checksum, a commit, a UUID, a certificate, a URL without a password."""
    assert pieces_of("SETTING", value) == []


@pytest.mark.parametrize("value", ["", "  ", "true", "None", "${OTHER}", "<your password>", "${secret:x}", "%secret x"])
def test_no_values(value: str) -> None:
    """Under the key of a credential, too: a switch, a variable, a placeholder, a reference."""
    assert pieces_of("password", value) == []


@given(password=VALUES.filter(lambda value: value.strip()))
def test_passwords_in_urls(password: str) -> None:
    """What is taken out is what SQLAlchemy gives the driver; what stays has a reference there, and is understood."""
    rest = f"@db.example.com:5432/sales?sslmode=require&x={quote_plus('a b')}"
    url = f"postgresql://app:{quote(password, safe='')}{rest}"
    field = Field(("DATABASE_URL",), url, 1, None)

    items = make_plan([field], Choice(), lambda name: None)

    pieces = pieces_of("DATABASE_URL", url)
    if pieces:
        assert [piece.secret for piece in pieces] == [make_url(url).password] == [password]
        (definition,) = definitions("env", [field], items)
        assert definition.body == "postgresql://app:${secret:DATABASE_URL_PASSWORD}" + rest


def test_parameters_of_urls() -> None:
    """Each by the name of its key, decoded as a query is."""
    value = "https://user@h/p?" + urlencode({"a": "b", "token": "t+ k&", "sig": "s="}) + "#frag"

    pieces = pieces_of("ENDPOINT", value)

    assert [(piece.label, piece.secret, value[piece.start : piece.stop]) for piece in pieces] == [
        ("token", "t+ k&", "t%2B+k%26"),
        ("sig", "s=", "s%3D"),
    ]
    assert pieces_of("ENDPOINT", f"https://{TOKEN}@github.com/a/b")[0][2:] == (TOKEN, "user")


def plan(kind: str, text: str, choice: Choice = ALL) -> tuple[list[Item], list[Definition]]:
    """Return what of a text would be imported, and which connections would be saved."""
    document = read_document(Source("f", text.encode()), kind)
    items = make_plan(document.fields, choice, lambda name: None, connections_are_named=kind == "airflow")
    return items, definitions(kind, document.fields, items)


@pytest.mark.parametrize("value", NASTY)
def test_airflow_uris(value: str) -> None:
    """As Airflow makes them: every part percent-encoded, extra fields as a query, or in `__extra__`."""
    extra = quote(json.dumps({"token": "t k"}), safe="")
    uri = f"postgres://lo%20gin:{quote(value, safe='')}@my%2Fhost:5432/sch%20ema?sslmode=require&other=1&__extra__={extra}"

    for kind, text in (("airflow", json.dumps({"my_conn": uri})), ("env", f"AIRFLOW_CONN_MY_CONN='{uri}'\n")):
        items, (definition,) = plan(kind, text)

        assert {item.name: item.piece.secret for item in items} == {
            "my_conn_password": value,
            "my_conn_extra": json.dumps({"token": "t k"}),
        }
        spec = read_spec(definition.body)
        assert definition.name == "my_conn"
        assert spec.parts == {  # type: ignore[union-attr]
            "type": "postgres",
            "username": "lo gin",
            "password": "${secret:my_conn_password}",
            "host": "my/host",
            "port": 5432,
            "database": "sch ema",
        }


def test_extra_of_an_airflow_uri() -> None:
    """What a driver understands of `__extra__` stays with the connection; what is beside it Airflow does not see."""
    extra = quote(json.dumps({"sslmode": "require", "keepalives": 1}), safe="")

    uris = {"a": f"mysql://:p@:3306/?charset=latin1&__extra__={extra}", "b": "mysql://:p@:3306/?sslmode=require&keepalives=1"}

    _, found = plan("airflow", json.dumps(uris))

    body = 'type = "mysql"\npassword = "${secret:%s_password}"\nport = 3306\n\n[query]\n"sslmode" = "require"'
    assert [definition.body for definition in found] == [body % "a", body % "b"]


@pytest.mark.parametrize("value", NASTY)
def test_airflow_objects(value: str) -> None:
    """Both as a file of its own and as the text of a variable; `extra` as an object and as a text of JSON."""
    connection = {"conn_type": "postgres", "login": "app", "password": value, "host": "h", "port": 1, "schema": "d"}
    as_text = {**connection, "extra": '{"sslmode": "require", "x": 1}'}
    with_token = {**connection, "extra": '{"api_token": "t"}'}

    items, (first, second, third) = plan(
        "airflow",
        json.dumps({"a": {**connection, "extra": {"sslmode": "require", "keepalives": 1}}, "b": as_text, "c": with_token}),
    )
    new = {item.name: item.piece.secret for item in items if item.state is State.NEW}
    assert new == {"a_password": value, "b_password": value, "c_password": value, "c_extra": '{"api_token": "t"}'}
    wanted = 'type = "postgres"\nusername = "app"\npassword = "${secret:%s_password}"\nhost = "h"\nport = 1\ndatabase = "d"'
    query = '\n\n[query]\n"sslmode" = "require"'
    assert [first.body, second.body, third.body] == [wanted % "a" + query, wanted % "b" + query, wanted % "c"]

    quoted = json.dumps(as_text).replace("\\", "\\\\").replace("'", "\\'")
    items, (fourth,) = plan("env", f"AIRFLOW_CONN_D='{quoted}'\n")
    assert [(item.name, item.piece.secret) for item in items] == [("d_password", value)]
    assert fourth.body == wanted % "d" + query


def test_connections_of_jupysql() -> None:
    """Each section one connection, with what `[DEFAULT]` says and the query as a Python dictionary."""
    items, (pg, lite) = plan(
        "ini",
        "[DEFAULT]\nhost=shared\n[pg]\ndrivername = postgresql+psycopg\nusername=app\npassword=p%%w\nport=5432\ndatabase=d\n"
        "query = {'sslmode': 'require'}\n[my lite]\ndrivername = sqlite\ndatabase = a.db\nhost=\n[other]\npassword=x\n",
    )

    assert {item.name: item.piece.secret for item in items if item.state is State.NEW} == {
        "pg_password": "p%w",
        "other_password": "x",
    }
    assert (pg.name, lite.name) == ("pg", "my_lite")
    assert pg.body == (
        'type = "postgresql+psycopg"\nusername = "app"\npassword = "${secret:pg_password}"\nhost = "shared"\nport = 5432\n'
        'database = "d"\n\n[query]\n"sslmode" = "require"'
    )


def test_connections_of_streamlit() -> None:
    """Both ways Streamlit has: parts, and a URL; other tables are secrets alone."""
    items, found = plan(
        "toml",
        'OPENAI_API_KEY = "k1"\npin = 1234\n[connections.pg]\ntype = "sql"\ndialect = "postgresql"\ndriver = "psycopg"\n'
        'host = "h"\nport = 5432\nusername = "app"\npassword = """p"w"""\n[connections.pg.query]\nsslmode = "require"\n'
        '[connections.url]\nurl = "mysql://u:p%40@h/d"\n[gcp_service_account]\nprivate_key = """\n' + PEM + '"""\n',
    )

    assert {item.name: item.piece.secret for item in items if item.state is State.NEW} == {
        "OPENAI_API_KEY": "k1",
        "pin": "1234",
        "pg_password": 'p"w',
        "url_url_password": "p@",
        "gcp_service_account_private_key": PEM,
    }
    pg = (
        'type = "postgresql+psycopg"\nusername = "app"\npassword = "${secret:pg_password}"\nhost = "h"\nport = 5432\n\n'
        '[query]\n"sslmode" = "require"'
    )
    assert {definition.name: definition.body for definition in found} == {
        "pg": pg,
        "url": "mysql://u:${secret:url_url_password}@h/d",
    }


@pytest.mark.parametrize(
    "section",
    [
        "drivername=postgresql\npassword=x",
        # A credential that `%connect` would not take for one.
        f"drivername=postgresql\nusername={TOKEN}",
    ],
)
def test_no_connection_without_its_credential(section: str) -> None:
    """Of one that is left out, or has another value in the store, no definition is made: it would hold the value."""
    text = f"[pg]\n{section}\nhost=h\n"
    document = read_document(Source("f", text.encode()), "ini")

    for choice, stored in ((Choice(names=["host"]), None), (ALL, "another")):
        items = make_plan(document.fields, choice, lambda name, stored=stored: stored)  # type: ignore[misc]
        assert definitions("ini", document.fields, items) == []
    assert len(plan("ini", text)[1]) == 1


def test_connections_whose_names_would_be_one() -> None:
    """The first keeps the name, the others get a number; so do their secrets."""
    items, found = plan("ini", "".join(f"[my{mark}db]\ndrivername=mysql\npassword=p{mark}\n" for mark in "-_/"))

    assert [(definition.name, definition.body) for definition in found] == [
        ("my_db", 'type = "mysql"\npassword = "${secret:my-db_password}"'),
        ("my_db_2", 'type = "mysql"\npassword = "${secret:my_db_password_2}"'),
        ("my_db_3", 'type = "mysql"\npassword = "${secret:my_db_password}"'),
    ]
    assert {item.name: item.piece.secret for item in items if item.state is State.NEW} == {
        "my-db_password": "p-",
        "my_db_password_2": "p_",
        "my_db_password": "p/",
    }


@pytest.mark.parametrize("setting", ["port=none", "query=][", "query=[1]", "host=${secret:", "database=a %secret"])
def test_no_connection_that_is_not_understood(setting: str) -> None:
    """What `%connect` would refuse is not saved; the secret is still imported."""
    items, found = plan("ini", f"[b]\ndrivername=mysql\npassword=x\n{setting}\n")

    assert found == []
    assert [item.name for item in items if item.state is State.NEW] == ["b_password"]


@given(st.text(max_size=30), st.text(max_size=60))
def test_any_key_and_value(key: str, value: str) -> None:
    """The pieces are in order, inside the value, and none is empty."""
    end = 0
    for piece in pieces_of(key, value):
        assert end <= piece.start < piece.stop <= len(value)
        assert piece.secret
        end = piece.stop
