"""Slips with storages, APIs and the options of a line: the hint, followed to the letter, is understood."""

from __future__ import annotations

from pathlib import Path

import pytest

import flowfile_nb as fnb
from flowfile_nb.errors import ConnectionFailedError, ConnectionSpecError, FlowfileNbError
from tests.support.shell import Shell

API = 'type = "https"\nurl = "https://127.0.0.1:1"\n'
BUCKET = 'type = "s3"\nbucket = "sales"\n'
SFTP = 'type = "sftp"\nhost = "127.0.0.1"\nport = 1\nusername = "app"\n'
BEARER = f'{API}auth = "bearer"\ntoken = %secret pw'

# What was written, what the hint says, and the body that it leads to.
BODIES = {
    "an API's type": ('type = "rest"\nurl = "https://127.0.0.1:1"', 'type = "https"   is the type of such a url', API),
    "auth by the token's name": (
        f'{API}auth = "token"\ntoken = %secret pw',
        'auth = "bearer"   token = %secret NAME   (',
        BEARER,
    ),
    "auth with the token": (f'{API}auth = "bearer %secret pw"', 'auth = "bearer"   token = %secret NAME   (each on a', BEARER),
    "another word for a token": (f"{API}bearer_token = %secret pw", 'auth = "bearer"   token = %secret NAME   (each', BEARER),
    "half of OAuth": (
        f'{API}client_id = "me"\nclient_secret = %secret pw',
        'with it stand  token_url = "https://login.example.com/token"   client_id = "me"   client_secret = %secret NAME',
        f'{API}token_url = "https://127.0.0.1:1/token"\nclient_id = "me"\nclient_secret = %secret pw',
    ),
    "a timeout in quotes": (f'{API}timeout = "10"', "timeout = 30   (seconds, without quotes)", f"{API}timeout = 30"),
    "a boolean in quotes": (f'{API}verify = "false"', "verify = false   (without quotes)", f"{API}verify = false"),
    "headers as a text": (
        f'{API}headers = "X-Team: a"',
        "[headers]   and in the line below it",
        f'{API}[headers]\nX-Team = "a"',
    ),
    "a colon in a header's name": (f'{API}[headers]\n"X-Team: " = "a"', 'X-Team = "…"', f'{API}[headers]\nX-Team = "a"'),
    "a colon in the header's name": (
        f'{API}auth = "header"\nheader = "X-Api-Key: "\ntoken = %secret pw',
        'header = "X-Api-Key"',
        f'{API}auth = "header"\nheader = "X-Api-Key"\ntoken = %secret pw',
    ),
    "a blank in a header's name": (f'{API}[headers]\n"My Team" = "a"', 'X-Team = "…"', f'{API}[headers]\nX-Team = "a"'),
    "a header with accents": (
        f'{API}[headers]\nX-Team = "ü"',
        "without accents and line breaks",
        f'{API}[headers]\nX-Team = "u"',
    ),
    "a header of two lines": (f'{API}[headers]\nX-Team = "a\\nb"', "without accents and line", f'{API}[headers]\nX-Team = "a"'),
    "a table of one header": (f'{API}[header]\nX-Team = "a"', "did you mean [headers]?", f'{API}[headers]\nX-Team = "a"'),
    "a URL as a connection string": (
        'connection_string = "postgresql://app@127.0.0.1:1/sales"',
        "leave only the URL, without the key and quotes, and with  %secret NAME  in the password's place",
        "postgresql://app:%secret pw@127.0.0.1:1/sales",
    ),
    "a token for Google": (
        'type = "gs"\nbucket = "sales"\ntoken = %secret pw',
        "did you mean 'service_account_key'?",
        'type = "gs"\nbucket = "sales"\nservice_account_key = %secret pw',
    ),
    "a path in a bucket": (f'{BUCKET}path = "2026"', "did you mean 'prefix'?", f'{BUCKET}prefix = "2026"'),
    "botocore's arguments": (
        f'{BUCKET}client_kwargs = {{endpoint_url = "http://127.0.0.1:1"}}',
        "did you mean 'endpoint_url'?",
        f'{BUCKET}endpoint_url = "http://127.0.0.1:1"',
    ),
    "a key for SFTP": (f"{SFTP}pkey = %secret pw", "did you mean 'private_key'?", f"{SFTP}private_key = %secret key"),
    "a key's file for SFTP": (f'{SFTP}identity_file = "k.pem"', "did you mean 'key_file'?", f'{SFTP}key_file = "k.pem"'),
}


@pytest.fixture
def typed(shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shell:
    """A shell in a folder of its own, in which secrets are stored and a connection is saved."""
    monkeypatch.chdir(tmp_path)
    fnb.secrets["pw"] = fnb.secrets["key"] = "canary-value"
    shell.run("%%connect scratch --save\nduckdb:///:memory:")
    return shell


@pytest.mark.parametrize("slip", BODIES)
def test_a_body(typed: Shell, slip: str) -> None:
    """What the hint leads to is not refused for what it says; nothing is asked of a server yet."""
    body, hint, instead = BODIES[slip]

    typed.run(f"%%connect warehouse\n{body}")

    assert isinstance(typed.error, ConnectionSpecError), typed.shown
    assert hint in typed.error.hint
    assert "canary-value" not in typed.shown

    typed.run(f"%%connect warehouse --no-test\n{instead}")

    # A key that is none is told of by its value's kind, and a file that is not there by its name.
    told = str(typed.error or "")
    assert typed.error is None or isinstance(typed.error, ConnectionFailedError) or "key" in told, typed.shown
    assert "has no key" not in told


@pytest.mark.parametrize(
    ("cell", "hint"),
    [
        ("%%connect w save\nduckdb:///:memory:", "did you mean --save?"),
        ("%%connect w -s\nduckdb:///:memory:", "did you mean --save?"),
        ("%%connect w as duckdb\nduckdb:///:memory:", "did you mean --as?"),
        ("%%connect w --as DuckDB\nduckdb:///:memory:", "did you mean duckdb?"),
        ("%%connect w --as pandas\nduckdb:///:memory:", 'leave out  --as ;  pandas takes the engine:  pandas.read_sql("'),
        ("%%connect w --as SQLAlchemy\nduckdb:///:memory:", "leave out  --as ;"),
        ("%connect scratch close", "did you mean --close?"),
        ("%connect scratch edit", "did you mean --edit?"),
        ("%connect rename scratch other", "%connect scratch --edit   then save that cell under the other name"),
        ("%connect import x.toml", "from a file:  %connect NAME --file PATH   another tool's settings:  %secret import PATH"),
        ("%connect test scratch", "%connect scratch   opens it and tries it"),
        ("%connect status", "%connect   lists them, and says which are open"),
        ("%connect -l", "%connect   lists them, and says which are open"),
    ],
)
def test_a_line(typed: Shell, cell: str, hint: str) -> None:
    """Other tools' verbs, and options without their hyphens."""
    typed.run(cell)

    assert isinstance(typed.error, FlowfileNbError)
    assert typed.error.hint.startswith(hint)
