"""Connection strings through the real pyodbc and the real driver manager, to a PostgreSQL with a hard password."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import flowfile_nb as fnb
from flowfile_nb.connections import odbc
from flowfile_nb.core.references import StandIns
from flowfile_nb.errors import ConnectionFailedError
from notebooks.throwaway import Postgres
from tests.support.postgres import running_postgres

pytestmark = pytest.mark.e2e


def connect(server: Postgres, text: str, values: dict[str, str]) -> Any:
    import pyodbc

    marked = StandIns(text)
    return pyodbc.connect(odbc.filled(marked.text, marked.restore, values.__getitem__), timeout=10)


HARD = ["a;b}c{d", "{braces}", "}", ";", " blanks ", "p@ss:w/or d?#%\"'\\ü&=+${x}", "PWD=x;UID=y", "}};{"]


@pytest.mark.parametrize("password", HARD)
def test_a_server_takes_the_password(password: str) -> None:
    """Whatever the password's characters, the server that asks for it lets us in; with another it does not."""
    import pyodbc

    with running_postgres(password) as server:
        place = f"Driver={{PostgreSQL Unicode}};Server={server.host};Port={server.port};Database=sales;Uid={server.user}"

        connection = connect(server, f"{place};Pwd=%secret pw;ApplicationName=nb", {"pw": password})
        assert connection.execute("SELECT current_user").fetchone()[0] == server.user
        connection.close()
        with pytest.raises(pyodbc.Error, match="password authentication failed"):
            connect(server, f"{place};Pwd=%secret pw", {"pw": f"{password}x"})


def test_a_driver_that_is_not_installed_is_named_as_that(home: Path) -> None:
    """The driver manager's text is about a data source's name, which nobody has given."""
    fnb.secrets["pw"] = "hunter2-canary"

    with pytest.raises(ConnectionFailedError) as failed:
        fnb.connect('type = "mssql"\nodbc_connect = "DRIVER={No such};SERVER=h;UID=app;PWD=%secret pw"')

    assert "the ODBC driver, or data source, that is described is not installed here" in failed.value.message
    assert "secret 'pw' (stored just now)" in failed.value.message
    assert "pyodbc.drivers()" in failed.value.hint
    assert "hunter2" not in str(failed.value)
