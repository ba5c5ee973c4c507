"""An error that a database has with a statement is shown in a few lines, and is the exception that it always was."""

from __future__ import annotations

import re

import pytest
import sqlalchemy

import flowfile_nb as fnb
from flowfile_nb.connections import pooled
from notebooks.throwaway import Postgres
from tests.support.shell import Shell

IMPORTS = "import pandas as pd, polars as pl, sqlalchemy as sa"


@pytest.fixture
def warehouse(shell: Shell, postgres: Postgres) -> Shell:
    """A shell with a PostgreSQL and a SQLite connected."""
    fnb.secrets["pg"] = postgres.password
    shell.run(f"%%connect warehouse\npostgresql://app:%secret pg@{postgres.host}:{postgres.port}/{postgres.database}")
    shell.run("%%connect local\nsqlite://")
    shell.run(IMPORTS)
    return shell


@pytest.mark.parametrize(
    ("cell", "kind", "said", "remedy"),
    [
        (
            'pd.read_sql("SELECT * FROM slaes", warehouse)',
            "DatabaseError",
            'relation "slaes" does not exist\nLINE 1: SELECT * FROM slaes\n                      ^',
            "sqlalchemy.inspect(warehouse).get_table_names()",
        ),
        (
            'pl.read_database("SELECT nothing FROM pg_class", warehouse)',
            "ProgrammingError",
            'column "nothing" does not exist',
            'sqlalchemy.inspect(warehouse).get_columns("TABLE")',
        ),
        (
            "with warehouse.connect() as c: c.exec_driver_sql('SELEC 1')",
            "ProgrammingError",
            'syntax error at or near "SELEC"\nLINE 1: SELEC 1',
            "check the statement at that place",
        ),
        (
            """with warehouse.connect() as c: c.exec_driver_sql("SELECT 1 WHERE 'a' LIKE '%a' AND 1 = %s", (1,))""",
            "ProgrammingError",
            "are allowed as placeholders",
            "is written  %%",
        ),
        (
            "with warehouse.connect() as c: c.exec_driver_sql('SET statement_timeout = 50; SELECT pg_sleep(5)')",
            "OperationalError",
            "canceling statement due to statement timeout",
            "raise its own limit",
        ),
        (
            "for s in ('CREATE TABLE t (a UNIQUE)', 'INSERT INTO t VALUES (1), (1)'): local.connect().exec_driver_sql(s)",
            "IntegrityError",
            "UNIQUE constraint failed: t.a\nin the statement:\n    INSERT INTO t VALUES (1), (1)",
            "has written nothing",
        ),
        ('pd.read_sql("SELECT * FROM slaes", local)', "DatabaseError", "no such table: slaes", "sqlalchemy.inspect(local)"),
    ],
)
def test_what_the_database_said_and_where_and_what_to_do(
    warehouse: Shell, cell: str, kind: str, said: str, remedy: str
) -> None:
    """A few lines, with the cell's own line among them; no frame of a library."""
    shown = warehouse.run(f"0\n{cell}")

    assert shown.startswith(f"{kind}: ")
    assert said in shown
    assert re.search(rf"^Cell In\[\d+\], line 2:  {re.escape(cell)}$", shown, re.MULTILINE)
    assert re.search(rf"^hint: .*{re.escape(remedy)}.*%tb  shows the whole traceback$", shown, re.MULTILINE)
    assert shown.count("\n") <= 8
    assert "site-packages" not in shown


def test_the_exception_is_what_it_was(warehouse: Shell) -> None:
    """`except` catches it, and a user's own exception that it leads to is shown whole."""
    shown = warehouse.run(
        "try:\n    local.connect().exec_driver_sql('SELECT x')\nexcept sa.exc.OperationalError as error:\n    caught = error"
    )
    assert shown == ""
    assert type(warehouse.real.user_ns["caught"]) is sqlalchemy.exc.OperationalError

    cell = "try:\n    pd.read_sql('SELECT x', local)\nexcept Exception as error:\n    raise LookupError('mine') from error"
    shown = warehouse.run(cell)

    assert isinstance(warehouse.error, LookupError)
    assert "The above exception was the direct cause" in shown


def test_all_of_it_can_be_seen(warehouse: Shell) -> None:
    """By `%tb`, and in the cell itself in the mode Verbose."""
    cell = "pd.read_sql('SELECT * FROM slaes', local)"
    warehouse.run(cell)

    for line in ("%tb", "%xmode Verbose"):
        whole = warehouse.run(line) if line == "%tb" else warehouse.run(line) + warehouse.run(cell)
        assert "The above exception was the direct cause" in whole
        assert "sqlite3.OperationalError" in whole
        assert whole.count("\n") > 40


def test_below_other_magics_too(warehouse: Shell) -> None:
    """`%%time` shows the error by itself."""
    shown = warehouse.run("%%time\npd.read_sql('SELECT * FROM slaes', local)")

    assert "DatabaseError: no such table: slaes" in shown
    assert "site-packages" not in shown


def test_other_engines_and_errors_are_shown_as_ever(warehouse: Shell) -> None:
    """An engine that is not ours, an error that is not the database's, and a connection that was opened with `--debug`."""
    assert "Traceback" in warehouse.run("sa.create_engine('sqlite://').connect().exec_driver_sql('SELECT x')")
    assert "Traceback" in warehouse.run("1 / 0")
    assert "Traceback" in warehouse.run("local.connect().execute('SELECT 1')")
    warehouse.run("%%connect open --debug --replace\nsqlite://")
    assert "Traceback" in warehouse.run("open.connect().exec_driver_sql('SELECT x')")


def test_a_long_statement_is_cut(warehouse: Shell) -> None:
    """Thousands of values are not shown again."""
    shown = warehouse.run("pd.read_sql('SELECT ' + ',\\n'.join(map(str, range(2000))) + ' FROM slaes', local)")

    assert "1, …" in shown or "11, …" in shown
    assert shown.count("\n") < 20


def ended_by_the_server(shell: Shell, postgres: Postgres) -> None:
    """End the connection that the cell before has found to be the process `pid` of the server."""
    with postgres.admin() as admin:
        assert admin.execute("SELECT pg_terminate_backend(%s, 5000)", (int(shell.real.user_ns["pid"]),)).fetchone() == (True,)


def test_a_connection_that_is_lost_at_this_moment(
    warehouse: Shell, postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    It was in use just now, and is not asked whether it is open.

    pandas first looks for a table of that name, and passes over the error: it sees SQLAlchemy refuse its second statement.
    """
    monkeypatch.setattr(pooled, "_SURELY_OPEN_S", 3_600)
    cell = 'pid = pd.read_sql("SELECT pg_backend_pid()", warehouse).iloc[0, 0]'
    warehouse.run(cell)
    ended_by_the_server(warehouse, postgres)

    shown = warehouse.run(cell)

    assert shown.startswith("DatabaseError: terminating connection due to administrator command\nCell In[")
    assert "hint: the connection was lost; run the cell again" in shown
    assert "site-packages" not in shown
    assert warehouse.run(cell) == ""


def test_a_connection_that_is_held_and_lost(warehouse: Shell, postgres: Postgres) -> None:
    """SQLAlchemy refuses its next statements until its transaction is ended, and does not say why: we do."""
    cell = "pid = held.exec_driver_sql('SELECT pg_backend_pid()').scalar()"
    warehouse.run(f"held = warehouse.connect()\n{cell}")
    ended_by_the_server(warehouse, postgres)

    lost, refused = warehouse.run(cell), warehouse.run(cell)

    assert lost.startswith("OperationalError: terminating connection due to administrator command")
    assert refused.startswith("PendingRollbackError: terminating connection due to administrator command\nCell In[")
    for shown in (lost, refused):
        assert "hint: the connection was lost; run the cell again, or call  rollback()  of one that is held" in shown
        assert "site-packages" not in shown
    assert warehouse.run(f"held.rollback()\n{cell}\nheld.close()") == ""


def test_a_transaction_of_another_engine_is_refused_as_ever(warehouse: Shell, postgres: Postgres) -> None:
    """SQLAlchemy's own traceback, as of every error of an engine that is not ours."""
    place = f"{postgres.host}:{postgres.port}/{postgres.database}"
    engine = sqlalchemy.create_engine(f"postgresql+psycopg://app@{place}", connect_args={"password": postgres.password})
    warehouse.real.user_ns["theirs"] = engine.connect()
    cell = "pid = theirs.exec_driver_sql('SELECT pg_backend_pid()').scalar()"
    warehouse.run(cell)
    ended_by_the_server(warehouse, postgres)
    warehouse.run(cell)

    refused = warehouse.run(cell)

    assert "Traceback" in refused
    assert "PendingRollbackError" in refused
    engine.dispose()


def test_unloading_shows_tracebacks_again(warehouse: Shell) -> None:
    """The shell is as it was."""
    warehouse.run("%unload_ext flowfile_nb")

    assert "showtraceback" not in vars(warehouse.real)
    assert "Traceback" in warehouse.run("pd.read_sql('SELECT x', local)")
