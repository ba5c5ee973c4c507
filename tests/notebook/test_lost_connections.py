"""Where the server of an ADBC connection or an Ibis backend is gone in a later cell, that is told: with a real PostgreSQL."""

from __future__ import annotations

import re
from collections.abc import Iterator

import adbc_driver_manager
import pandas as pd
import psycopg
import pytest

import flowfile_nb as fnb
from notebooks.throwaway import Postgres
from tests.support.postgres import running_postgres, stopped
from tests.support.shell import Shell

pytestmark = [
    pytest.mark.filterwarnings("ignore:The 'future.infer_string' option", "ignore:fetch_arrow_table"),  # Ibis does
    # What pandas and Polars do with a cursor that has failed.
    pytest.mark.filterwarnings("ignore:A adbc_driver_manager.dbapi.Cursor was not explicitly close"),
]
CANARY = "canary-p@ss/word"
OF_ADBC = {
    "pl.read_database('SELECT 42 AS a', w)": adbc_driver_manager.OperationalError,
    "pd.read_sql('SELECT 42 AS a', w)": pd.errors.DatabaseError,
    "with w.cursor() as c: c.execute('SELECT 42'); c.fetchall()": adbc_driver_manager.OperationalError,
}
OF_IBIS = dict.fromkeys(
    ["w.list_tables()", "w.raw_sql('SELECT 42').close()", "w.table('pg_class', database='pg_catalog').count().execute()"],
    psycopg.OperationalError,
)
CELLS = [("adbc", cell, kind) for cell, kind in OF_ADBC.items()] + [("ibis", cell, kind) for cell, kind in OF_IBIS.items()]


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    """A server that may be stopped."""
    with running_postgres(CANARY) as server:
        yield server


@pytest.fixture
def url(shell: Shell, server: Postgres) -> str:
    """Its URL, and a shell with what is used."""
    fnb.secrets["pg"] = CANARY
    shell.run("import pandas as pd, polars as pl")
    return f"postgresql://app:%secret pg@{server.host}:{server.port}/{server.database}"


@pytest.mark.parametrize("case", CELLS)
def test_a_server_that_is_gone(shell: Shell, server: Postgres, url: str, case: tuple[str, str, type[Exception]]) -> None:
    """Which connection and which secret it was, in three lines; the exception is the library's, and `%tb` shows all of it."""
    form, cell, kind = case
    shell.run(f"%%connect w --as {form}\n{url}")
    shell.run(cell)
    assert shell.error is None, shell.shown

    with stopped(server):
        shown = [shell.run(f"0\n{cell}"), shell.run(f"0\n{cell}")]
        error = shell.error

    assert type(error) is kind
    for text in shown:
        said, place, hint = text.strip().split("\n")
        of = f"could not use postgresql://app@127.0.0.1:{server.port}/sales with secret 'pg' (stored just now)"
        assert said.startswith(f"{kind.__name__}: {of}: ")
        # pandas asks a closed one to roll back.
        assert said.endswith(("the server has closed the connection", "the connection is closed"))
        assert re.fullmatch(rf"Cell In\[\d+\], line 2:  {re.escape(cell)}", place)
        assert hint == "hint: run the cell again that opens it;  %connect w  if it is saved;  %tb  shows the whole traceback"
    whole = shell.run("%tb")
    assert whole.count("\n") > 15
    assert CANARY not in whole


@pytest.mark.parametrize(("form", "use"), [("adbc", "with w.cursor() as c: c.execute"), ("ibis", "w.raw_sql")])
def test_an_administrator_who_ends_it(shell: Shell, server: Postgres, url: str, form: str, use: str) -> None:
    """As an idle connection is ended; `except` catches the error as ever."""
    shell.run(f"%%connect w --as {form}\n{url}")
    with server.admin() as admin:
        admin.execute("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE pid <> pg_backend_pid()")
    kind = "adbc_driver_manager.OperationalError" if form == "adbc" else "psycopg.OperationalError"
    module = kind.partition(".")[0]

    assert shell.run(f"import {module}\ntry:\n    {use}('SELECT 42')\nexcept {kind} as error:\n    caught = error") == ""

    shown = shell.run(f"{use}('SELECT 42')")
    assert "could not use postgresql://app@" in shown
    assert shown.count("\n") == 3


@pytest.mark.parametrize(("form", "use"), [("adbc", "with w.cursor() as c: c.execute"), ("ibis", "w.raw_sql")])
@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM missing",
        "SELECT nothing FROM pg_class",
        "SELEC 1",
        "SELECT 'the connection is closed' FROM missing",
        "DO $$ BEGIN RAISE 'server closed the connection' USING ERRCODE = 'P0001'; END $$",
    ],
)
def test_the_users_own_sql(shell: Shell, url: str, form: str, use: str, statement: str) -> None:
    """Its errors are the library's, shown as ever, whatever words they hold."""
    shell.run(f"%%connect w --as {form}\n{url}")

    shown = shell.run(f'{use}("""{statement}""")')

    assert "Traceback" in shown
    assert "could not use" not in shown
    assert "secret" not in shown
    shell.run("w.close()" if form == "adbc" else "w.disconnect()")


def test_others_and_debug(shell: Shell, server: Postgres, url: str) -> None:
    """A connection that is not ours, and one that was opened with `--debug`, are shown as ever; so is what a user raises."""
    for form in ("adbc", "ibis"):
        shell.run(f"%%connect w_{form} --as {form} --debug\n{url}")
        shell.run(f"%%connect v_{form} --as {form}\n{url}")
    shell.real.user_ns["theirs"] = server.admin()
    uses = ("with w_adbc.cursor() as c: c.execute", "w_ibis.raw_sql", "theirs.execute")

    with stopped(server):
        for use in uses:
            shown = shell.run(f"{use}('SELECT 42')")
            assert "Traceback" in shown
            assert "could not use" not in shown
        shown = shell.run(
            "try:\n    v_ibis.raw_sql('SELECT 42')\nexcept Exception as error:\n    raise OSError('mine') from error"
        )

    assert "OSError: mine" in shown
    assert "The above exception was the direct cause" in shown
