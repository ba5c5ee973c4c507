"""
What the heavy drivers' `connect` receives: Snowflake, BigQuery, Databricks. Any value, in any place.

They want other versions of libraries than the rest, so `.ci/run` gives this file an environment of its own.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import given, settings
from hypothesis import strategies as st

from flowfile_nb.broker.definitions import definition_of
from flowfile_nb.broker.engines import OpeningError
from flowfile_nb.broker.engines.others import Others
from flowfile_nb.broker.limits import Limits
from flowfile_nb.connections import opening
from flowfile_nb.errors import ConnectionFailedError

pytestmark = [
    pytest.mark.e2e,
    # What these libraries say of themselves is not ours to mend.
    pytest.mark.filterwarnings("default"),
]
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1)
some = settings(max_examples=40)


def given_to(module: Any, description: Any, values: dict[str, str]) -> dict[str, Any]:
    """Return the named arguments that the driver's `connect` receives for a description."""
    with caught(module) as found, pytest.raises(ConnectionFailedError):
        opening.open_connection(description, lambda name: None, values.__getitem__)
    return found


def given_by_broker(module: Any, description: Any, value: str) -> dict[str, Any]:
    """Return the named arguments that the driver's `connect` receives from a broker's worker."""
    with caught(module) as found, pytest.raises(OpeningError):
        Others(definition_of(description).target, value, Limits()).open()
    return found


@contextmanager
def caught(module: Any) -> Iterator[dict[str, Any]]:
    """Give what the driver's `connect` is called with; it fails."""
    found: dict[str, Any] = {}

    def connect(*args: Any, **named: Any) -> Any:
        found.update(named)
        raise OSError("connection refused")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "connect", connect)
        yield found


def pem(passphrase: str | None = None) -> tuple[str, bytes]:
    """Return a new private key in PEM form, and in DER."""
    key = rsa.generate_private_key(65537, 2048)
    kept = serialization.BestAvailableEncryption(passphrase.encode()) if passphrase else serialization.NoEncryption()
    text = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, kept).decode()
    return text, key.private_bytes(serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


@some
@given(value=TEXT)
def test_snowflake(value: str) -> None:
    """Password, token, database and schema, from a URL and from parts; a time limit."""
    import snowflake.connector

    url = "snowflake://%secret v:%secret v@account/${secret:v}/sales?warehouse=w&token=%secret v"
    parts = {"type": "snowflake", "account": "account", "user": "app", "database": "d", "schema": "%secret v", "role": "r"}

    got = given_to(snowflake.connector, url, {"v": value})
    by_parts = given_to(snowflake.connector, parts, {"v": value})

    assert [got[key] for key in ("user", "password", "database", "token")] == [value] * 4
    assert (got["account"], got["schema"], got["warehouse"], got["login_timeout"]) == ("account", "sales", "w", 10)
    assert (by_parts["role"], by_parts["database"], by_parts["schema"]) == ("r", "d", value)


@pytest.mark.parametrize("passphrase", [None, "p@ss:w/or d?#%"])
def test_snowflake_key_pair(passphrase: str | None) -> None:
    """A private key in PEM form, with a passphrase or without, arrives as the driver takes it in every version."""
    import snowflake.connector

    text, der = pem(passphrase)
    body = 'type = "snowflake"\naccount = "account"\nuser = "app"\nprivate_key = %secret key\n'
    body += "private_key_passphrase = %secret phrase\n" if passphrase else ""

    got = given_to(snowflake.connector, body, {"key": text, "phrase": passphrase or ""})

    assert got["private_key"] == der
    assert "private_key_passphrase" not in got


@some
@given(value=TEXT)
def test_snowflake_other_logins(value: str) -> None:
    """A file with the key and its passphrase, OAuth, a programmatic token, a passcode: a secret in each argument."""
    import snowflake.connector

    secret = dict.fromkeys(("private_key_file_pwd", "token", "passcode", "oauth_client_secret"), "%secret v")
    parts = {"type": "snowflake", "account": "a", "user": "app", "private_key_file": "/key.p8", "authenticator": "oauth"}

    got = given_to(snowflake.connector, {**parts, **secret}, {"v": value})

    assert [got[key] for key in secret] == [value] * 4
    assert (got["private_key_file"], got["authenticator"]) == ("/key.p8", "oauth")


def test_snowflake_with_a_wrong_passphrase() -> None:
    """Two lines, without the key."""
    text, _ = pem("right")
    parts = {"type": "snowflake", "account": "a", "private_key": "%secret key", "private_key_passphrase": "%secret phrase"}

    with pytest.raises(ConnectionFailedError, match="passphrase is not the right one") as caught:
        opening.open_connection(parts, lambda name: None, {"key": text, "phrase": "wrong"}.__getitem__)

    assert len(str(caught.value).split("\n")) == 2


@some
@given(value=TEXT)
def test_snowflake_in_a_team(value: str) -> None:
    """The broker's worker gives the driver what the owner's kernel would: the account by its name, or a host."""
    import snowflake.connector

    urls = [
        "snowflake://app:%secret v@account/sales/public?warehouse=w&role=r",
        "snowflake://app:%secret v@h.example.com:8443/sales",
    ]
    parts = {"type": "snowflake", "account": "account", "user": "app", "password": "${secret:v}", "database": "sales"}

    got, elsewhere, by_parts = (given_by_broker(snowflake.connector, body, value) for body in (*urls, parts))

    assert [each["password"] for each in (got, elsewhere, by_parts)] == [value] * 3
    assert [each["host"] for each in (got, by_parts)] == ["account.snowflakecomputing.com"] * 2
    assert (got["account"], got["database"], got["schema"]) == ("account", "sales", "public")
    assert (got["user"], got["warehouse"], got["role"]) == ("app", "w", "r")
    assert (elsewhere["host"], elsewhere["port"]) == ("h.example.com", 8443)


@some
@given(value=TEXT)
def test_databricks_in_a_team(value: str) -> None:
    """As from the owner's kernel."""
    from databricks import sql

    url = "databricks://token:%secret v@h?http_path=/sql/1&catalog=main&schema=x"
    parts = {"type": "databricks", "host": "h", "http_path": "/sql/1", "token": "${secret:v}", "catalog": "main", "schema": "x"}

    for got in (given_by_broker(sql, body, value) for body in (url, parts)):
        assert (got["access_token"], got["server_hostname"], got["http_path"]) == (value, "h", "/sql/1")
        assert (got["catalog"], got["schema"]) == ("main", "x")


@some
@given(value=TEXT)
def test_databricks(value: str) -> None:
    """The token, as a password and by its own name."""
    from databricks import sql

    url = "databricks://token:%secret v@h?http_path=%secret v&catalog=main"
    parts = {"type": "databricks", "host": "h", "http_path": "/sql/1", "token": "%secret v", "catalog": "main", "schema": "x"}

    got, by_parts = given_to(sql, url, {"v": value}), given_to(sql, parts, {"v": value})

    assert (got["access_token"], got["http_path"]) == (value, value)
    assert (by_parts["access_token"], by_parts["server_hostname"], by_parts["schema"]) == (value, "h", "x")


@pytest.mark.parametrize(
    "description",
    [
        "bigquery://project/sales?credentials_base64=%secret base64",
        "bigquery://project/sales?credentials_json=%secret json",
        {"type": "bigquery", "project": "project", "dataset": "sales", "credentials_json": "%secret json"},
    ],
)
def test_bigquery(description: Any) -> None:
    """A service account's key becomes the client's credentials, and stays in no attribute of the engine."""
    from sqlalchemy_bigquery import base

    text, _ = pem()
    account = {
        "type": "service_account",
        "client_email": "nb@project.example.com",
        "token_uri": "http://127.0.0.1:1/token",
        "private_key": text,
        "private_key_id": "1",
    }
    key = json.dumps(account)
    values = {"json": key, "base64": base64.b64encode(key.encode()).decode()}
    engine = opening.open_connection(description, lambda name: None, values.__getitem__, test=False).native

    with pytest.MonkeyPatch.context() as patch:
        clients: list[Any] = []
        patch.setattr(base.dbapi, "connect", lambda client: clients.append(client) or (_ for _ in ()).throw(OSError("refused")))
        with pytest.raises(ConnectionFailedError):
            engine.connect()

    assert clients[0]._credentials.service_account_email == "nb@project.example.com"
    assert clients[0].project == "project"
    assert (engine.dialect.dataset_id, engine.dialect.project_id) == ("sales", "project")
    assert "PRIVATE KEY" not in repr(vars(engine.dialect))
    assert values["base64"][:40] not in repr(vars(engine.dialect)) + engine.url.render_as_string(hide_password=False)
