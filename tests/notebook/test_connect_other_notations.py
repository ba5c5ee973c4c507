"""
What people paste into `%%connect` from elsewhere: the hint, followed to the letter, leads to a cell that works.

It opens, or is told that nothing listens on the port; nothing is left in it that is not understood.
"""

from __future__ import annotations

from pathlib import Path

import pytest

import flowfile_nb as fnb
from flowfile_nb.errors import ConnectionFailedError, ConnectionSpecError
from tests.support.shell import Shell

URL = "postgresql://app:%secret pw@127.0.0.1:1/sales"
LINES = 'type = "postgresql"\nhost = "127.0.0.1"\nport = 1\ndatabase = "sales"\nusername = "app"\npassword = %secret pw'
API = 'type = "https"\nurl = "https://127.0.0.1:1/v1"\ntoken = %secret pw'
KEYS = 'type = "postgresql"   host = "db.example.com"   database = "sales"   username = "app"   password = %secret NAME'

# What was written, what the hint says, and the body that it leads to.
WRITTEN = {
    "an engine that is made": (f'engine = create_engine("{URL}")', "leave only the URL, without code and quotes", URL),
    "with its import": (f"from sqlalchemy import create_engine\nengine = create_engine('{URL}')", "leave only the URL", URL),
    "an f-string in code": (
        'engine = create_engine(f"postgresql://app:{pw:url}@127.0.0.1:1/sales")',
        "with  %secret NAME  in place of  {…}:  postgresql://app:%secret NAME@",
        URL,
    ),
    "a driver": (
        'psycopg.connect("host=127.0.0.1 user=app password=%secret pw")',
        "write  postgresql://app:%secret NAME@",
        URL,
    ),
    "a file's driver": ('import sqlite3\ncon = sqlite3.connect("x.db")', "write  sqlite:///data.db", "sqlite:///data.db"),
    "a dictionary": ('dict(type="postgresql", host="h")', KEYS, LINES),
    "a request": (
        'requests.get("https://127.0.0.1:1/v1", headers={"X": "%secret pw"})',
        'url = "https://api.example.com/v1"',
        API,
    ),
    "a query": ('df = pd.read_sql("select 1", engine)', 'a query stands in another cell:  pandas.read_sql("select 1", w', URL),
    "SQL": ("-- all\nselect * from penguins", "a query stands in another cell", URL),
    "SQL below a URL": (f"{URL}\nselect 1", "a query stands in another cell", URL),
    "code below a URL": (f"{URL}\nimport pandas as pd", "leave only the URL; the code stands in another cell", URL),
    "a key below a URL": (f'{URL}\nsslmode = "disable"', "behind a  ? :  …/database?sslmode=require", f"{URL}?sslmode=disable"),
    "an option below a URL": (f"{URL}\n--save", "in the first line of the cell:  %%connect warehouse --save", URL),
    "an option behind a URL": (f"{URL} --save", "in the first line of the cell:  %%connect warehouse --save", URL),
    "a semicolon": (f"{URL};", "leave it out", URL),
    "psql": ("psql -h 127.0.0.1 -U app sales", "no commands run in this cell: write  postgresql://app:%secret NAME@", URL),
    "psql with a URL": (f"psql {URL}", "leave only the URL, without  psql", URL),
    "curl": (
        'curl -H "Authorization: Bearer %secret pw" https://127.0.0.1:1/v1',
        "token = %secret NAME   (each on a line",
        API,
    ),
    "a request in text": ("GET https://127.0.0.1:1/v1\nAuthorization: Bearer %secret pw", "token = %secret NAME   (each", API),
    "variables": ("export PGHOST=127.0.0.1\nexport PGUSER=app", KEYS, LINES),
    "variables in quotes": ('PGHOST = "127.0.0.1"\nPGUSER = "app"', KEYS, LINES),
    "a variable with a URL": (f"DATABASE_URL={URL}", "leave only the URL, without  DATABASE_URL=", URL),
    "the same in quotes": (f'DATABASE_URL="{URL}"', "leave only the URL, without  DATABASE_URL =  and quotes", URL),
    "another key for a URL": (f'ulr = "{URL}"', "leave only the URL, without  ulr =  and quotes", URL),
    "JDBC": (
        "jdbc:postgresql://127.0.0.1:1/sales?user=app&password=%secret pw",
        "without  jdbc: ,  user and password before the host:  postgresql://app:%secret NAME@",
        URL,
    ),
    "JDBC under a key": ('url = "jdbc:postgresql://127.0.0.1:1/sales"', "without  jdbc:  and with user and password", URL),
    "a DSN": ("host=127.0.0.1 dbname=sales user=app password=%secret pw", KEYS, LINES),
    "a DSN in quotes": ('"host=127.0.0.1 dbname=sales user=app"', KEYS, LINES),
    "YAML": ("type: postgresql\nhost: 127.0.0.1", 'stands  = , and text stands in quotes:  type = "postgresql"', LINES),
    "YAML without a type": ("host: 127.0.0.1\nuser: app", 'the first line says the kind:  type = "postgresql"', LINES),
    "a list in YAML": ("- type: postgresql", "between a key and its value stands  = ", LINES),
    "JSON": ('{"type": "postgresql",\n "host": "127.0.0.1"}', "without braces and commas, and before its value  = ", LINES),
    "two keys in a line": ('type = "postgresql", host = "127.0.0.1"', "each key stands on a line of its own", LINES),
    "a semicolon between keys": ("type = 'postgresql'; host = '127.0.0.1'", "each key stands on a line of its own", LINES),
    "printed quotes": ("type = “postgresql”", 'quotes are straight here, " and not “:  type = "postgresql"', LINES),
    "brackets round a URL": (f"<{URL}>", "leave out the quotes round the URL", URL),
    "an f-string": (
        'f"postgresql://app:{pw:url}@127.0.0.1:1/sales"',
        "the quotes round the URL,  and the  f  before them: no f-string",
        URL,
    ),
    "an f-string as a password": (
        f'{LINES.rpartition("=")[0]}= f"{{pw}}"',
        "no f-string is filled in:  password = %secret NAME",
        LINES,
    ),
    "an f-string as a host": (
        'type = "postgresql"\nhost = f"{h}"',
        'no letter stands before quotes, and no f-string is filled in:  host = "…"',
        LINES,
    ),
    "a word of Python's": (f"{LINES}\nconnect_timeout = None", "leave out the line of  connect_timeout", LINES),
    "a boolean of Python's": ('type = "duckdb"\nread_only = True', "read_only = true", 'type = "duckdb"'),
    "no value": ('type =\nhost = "h"', 'behind the  =  stands a value:  type = "…"', LINES),
    "a header with a colon": (
        'type = "https"\nurl = "https://127.0.0.1:1"\n[headers]\nAuthorization: Bearer %secret pw',
        'stands  = :  Authorization = "Bearer %secret NAME"',
        'type = "https"\nurl = "https://127.0.0.1:1"\n[headers]\nAuthorization = "Bearer %secret pw"',
    ),
    "a dictionary of headers": (
        'type = "https"\nurl = "https://127.0.0.1:1"\nheaders = {"X-Team": "sales"}',
        'in braces, too, stands  =  before a value:  headers = {X-Team = "…"}',
        'type = "https"\nurl = "https://127.0.0.1:1"\nheaders = {X-Team = "sales"}',
    ),
    "a comma behind quotes": (f'"{URL}",', "leave out the quotes round the URL", URL),
    "the magic's line again": (f"%%connect warehouse\n{URL}", "leave out that line: only what stands below it", URL),
    "an API's address without a type": (
        'base_url = "https://127.0.0.1:1/v1"\ntoken = %secret pw',
        'type = "https"   beside the url',
        'type = "https"\nbase_url = "https://127.0.0.1:1/v1"\ntoken = %secret pw',
    ),
    "an address": ("127.0.0.1:5432", "it begins with the kind of the connection:  postgresql://", URL),
    "another's address": ("app@127.0.0.1:3306/sales", "mysql://app:%secret NAME@", "mysql://app:%secret pw@127.0.0.1:1/sales"),
    "Oracle's": ("app/%secret pw@//127.0.0.1:1521/orcl", "write  oracle://app:%secret NAME@", URL),
    "backslashes": (r"postgresql:\\app@127.0.0.1\sales", "behind the kind stand slashes,  :// :  postgresql://", URL),
    "a URL and a password": (
        'url = "postgresql://app@127.0.0.1:1/sales"\npassword = %secret pw',
        "write this line alone:  postgresql://app:%secret pw@127.0.0.1:1/sales",
        URL,
    ),
    "a URL, a type and a password": (
        'type = "postgresql"\nurl = "postgresql://127.0.0.1:1/sales"\nusername = "app"\npassword = %secret pw',
        "write this line alone:  postgresql://app:%secret pw@127.0.0.1:1/sales",
        URL,
    ),
    "an API's URL and a token": ('url = "https://127.0.0.1:1/v1"\ntoken = %secret pw', 'type = "https"   beside the url', API),
    "a table": (f'[warehouse]\nurl = "{URL}"', "leave out the line  [warehouse]", f'url = "{URL}"'),
    "tables": ('[a]\ntype = "duckdb"\n[b]\ntype = "duckdb"', "keep the lines of one table", 'type = "duckdb"'),
    "a mistyped type": ('tpye = "duckdb"', 'did you mean  type = "duckdb"  in place of  tpye?', 'type = "duckdb"'),
    "a capital": ('Type = "duckdb"', 'did you mean  type = "duckdb"  in place of  Type?', 'type = "duckdb"'),
    "an engine": ('engine = "duckdb"', 'did you mean  type = "duckdb"  in place of  engine?', 'type = "duckdb"'),
    "SQLAlchemy's name": ('drivername = "duckdb+x"', 'type = "duckdb"  in place of  drivername?', 'type = "duckdb"'),
    "a form": ('form = "duckdb"', "a form stands in the first line:  %%connect warehouse --as duckdb", 'type = "duckdb"'),
    "no kind at all": ('bucket = "sales"', 'type = "s3"', 'type = "s3"\nbucket = "sales"\nendpoint_url = "http://127.0.0.1:1"'),
}
ODBC = "Driver={ODBC Driver 18 for SQL Server};Server=127.0.0.1;UID=app;PWD=%secret pw"


@pytest.fixture
def typed(shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shell:
    """A shell in a folder of its own, in which a secret is stored."""
    monkeypatch.chdir(tmp_path)
    fnb.secrets["pw"] = "canary-value"
    return shell


@pytest.mark.parametrize("written", WRITTEN)
def test_the_hint_leads_to_a_cell_that_works(typed: Shell, written: str) -> None:
    """Two lines, no value; and what the second says is understood."""
    body, hint, instead = WRITTEN[written]

    typed.run(f"%%connect warehouse\n{body}")

    assert isinstance(typed.error, ConnectionSpecError), typed.shown
    lines = typed.said.strip().split("\n")
    assert len(lines) == 2
    assert hint in lines[1]
    assert "canary-value" not in typed.shown

    typed.run(f"%%connect warehouse\n{instead}")

    assert typed.error is None or isinstance(typed.error, ConnectionFailedError), typed.shown


@pytest.mark.parametrize("body", [ODBC, f'"{ODBC}"', f"{ODBC};"])
def test_an_odbc_string(typed: Shell, body: str) -> None:
    """It stays as it is, behind what says that it is one."""
    typed.run(f"%%connect warehouse\n{body}")

    assert typed.said.endswith("hint: write  mssql+pyodbc:///?odbc_connect=  before it, without quotes, all on one line\n")

    typed.run(f"%%connect warehouse --no-test\nmssql+pyodbc:///?odbc_connect={ODBC}")

    assert not isinstance(typed.error, ConnectionSpecError)


def test_a_mistyped_type_in_a_projects_file(typed: Shell, tmp_path: Path) -> None:
    """The key is named, and what to write, with the file."""
    (tmp_path / "connections.toml").write_text('[warehouse]\ntpye = "duckdb"\n')

    typed.run("%connect warehouse --trust")

    assert "the description says no type, and 'tpye' is none of its keys\n" in typed.said
    assert typed.said.endswith('hint: in connections.toml:  did you mean  type = "duckdb"  in place of  tpye?\n')
