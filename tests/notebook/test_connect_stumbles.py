"""What a hurried reader of documentation writes into `%%connect`: two lines, and the second is what to type."""

from __future__ import annotations

import socket

import pytest

import flowfile_nb as fnb
from flowfile_nb.errors import ConnectionSpecError, UsageError
from notebooks.throwaway import Postgres
from tests.support.dumb_server import answering
from tests.support.processes import free_port
from tests.support.shell import Shell

STUMBLES = {
    "no host, and no server here": (
        "postgresql://app:%secret pw@/sales?host=/nowhere",
        "with secret 'pw' (stored just now): no server answers at that socket of this machine",
        "to name a host:  postgresql://app@host/sales",
    ),
    "a file of DuckDB's": (
        "duckdb:////nowhere/sales.duckdb",
        "the database file cannot be opened",
        "four slashes:  duckdb:////home/me/data.duckdb",
    ),
    "an option that DuckDB does not have": (
        "duckdb:///:memory:?nosuch=1",
        "the driver does not take one of the options",
        "compare the keys with the driver's page",
    ),
    "a port that is none": (
        "mysql://app:%secret pw@h:99999/sales",
        "a port is a number from 1 to 65535, and not 99999",
        "port = 3306,  or in a URL  @host:3306/database",
    ),
    "the port 0": ('type = "postgresql"\nhost = "h"\nport = 0', "from 1 to 65535, and not 0", "port = 5432"),
    "a URL and keys": (
        'url = "https://api.example.com"\ntoken = %secret pw',
        "the description says no type",
        'type = "https"   beside the url',
    ),
    "a bucket with a path": ('type = "s3"\nbucket = "sales/2026"', "a bucket's name holds no slash", 'prefix = "2026"'),
    "an endpoint without a scheme": (
        "s3://sales?endpoint_url=minio:9000",
        "the endpoint_url does not begin with  https://",
        'endpoint_url = "https://',
    ),
    "a key that is none": (
        'type = "sftp"\nhost = "127.0.0.1"\nusername = "app"\nprivate_key = %secret pw',
        "the private key in secret 'pw' is none that is known",
        "store the file:  %secret set pw --file ~/.ssh/id_ed25519 --replace",
    ),
    "a path in the place of a key": (
        'type = "bigquery"\ncredentials_json = "/home/me/key.json"',
        "what stands in this connection (credentials_json) is no reference; nothing was opened",
        "%secret set my_key --file PATH   and write  %secret my_key  in its place",
    ),
    "two ways to authenticate": (
        'type = "https"\nurl = "https://api.example.com"\ntoken = %secret pw\nusername = "app"',
        "an API with auth = 'bearer' has no key 'username'",
        'authenticate in one way:  auth = "bearer"   token = %secret NAME   or  auth = "basic"   username = "me"',
    ),
    "no mechanism for Kafka's password": (
        'type = "kafka"\nbootstrap_servers = "127.0.0.1:1"\nsasl_username = "app"\nsasl_password = %secret pw',
        "the description does not say by which mechanism the sasl_password goes",
        'sasl_mechanism = "PLAIN"',
    ),
    "another word for Kafka's servers": (
        'type = "kafka"\nbrokers = "127.0.0.1:1"',
        "a Kafka connection has no key 'brokers'",
        "did you mean 'bootstrap_servers'?",
    ),
}


@pytest.fixture
def typed(shell: Shell) -> Shell:
    """A shell in which a secret is stored."""
    fnb.secrets["pw"] = "canary-value"
    return shell


@pytest.mark.parametrize("stumble", STUMBLES)
def test_a_description_that_is_not_right(typed: Shell, stumble: str) -> None:
    """What is wrong with it, and how it is written; no value."""
    body, says, hint = STUMBLES[stumble]

    typed.run(f"%%connect warehouse\n{body}")

    lines = typed.said.strip().split("\n")
    assert len(lines) == 2, typed.shown
    assert says in lines[0]
    assert lines[1].startswith("hint: ")
    assert hint in lines[1]
    assert "canary-value" not in typed.shown


def hang_up(connection: socket.socket) -> None:
    """Read what comes first, and say nothing to it."""
    connection.recv(1000)
    connection.close()


@pytest.mark.parametrize("url", ["https://127.0.0.1:{port}/v1", "trino://app:%secret pw@127.0.0.1:{port}/sales"])
def test_another_server_where_tls_was_to_begin(typed: Shell, url: str) -> None:
    """As a database does that is asked by a kind that is not its own."""
    with answering(hang_up) as port:
        typed.run(f"%%connect warehouse\n{url.replace('{port}', str(port))}")

    assert ": the server hung up where encryption was to begin\n" in typed.said
    assert typed.said.endswith("hint: check the port, and that the type fits the server\n")


def test_an_option_that_adbc_does_not_take(typed: Shell, postgres: Postgres) -> None:
    """What libpq says of it is understood."""
    fnb.secrets["pg"] = postgres.password
    place = f"{postgres.user}:%secret pg@{postgres.host}:{postgres.port}/{postgres.database}"

    typed.run(f"%%connect warehouse --as adbc\npostgresql://{place}?nosuch=1")

    assert "with secret 'pg' (stored just now): the driver does not take one of the options\n" in typed.said


@pytest.mark.parametrize(
    ("cell", "kind"),
    [
        ("fnb.connect(5)", "int"),
        ("fnb.connect(['sqlite://'])", "list"),
        ("fnb.connect(fnb.secrets['pw'])", "Secret"),
        ("fnb.connect(sqlalchemy.make_url('postgresql://app:canary-value@h/d'))", "URL"),
    ],
)
def test_what_is_no_description(typed: Shell, cell: str, kind: str) -> None:
    """What another library takes is told by its type."""
    typed.run("import flowfile_nb as fnb, sqlalchemy")

    typed.run(cell)

    assert isinstance(typed.error, ConnectionSpecError)
    assert f"and not of type {kind!r}\nhint: connect(" in typed.shown
    assert "canary-value" not in typed.shown


@pytest.mark.parametrize("option", ["-x", "--edit", "--delete"])
def test_an_option_without_a_name(shell: Shell, option: str) -> None:
    """The line that was meant is shown."""
    shell.run(f"%connect {option}")

    assert isinstance(shell.error, UsageError)
    assert shell.error.hint == f"%connect NAME {option}   to list them:  %connect"


def test_a_server_that_is_not_there_is_no_file(shell: Shell) -> None:
    """Where a host is named, it is that which is told of."""
    shell.run(f"%%connect warehouse\npostgresql://127.0.0.1:{free_port()}/sales")

    assert "nothing listens on that host and port" in shell.shown
