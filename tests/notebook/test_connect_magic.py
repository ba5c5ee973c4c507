"""`%%connect` in a real IPython shell, against a real PostgreSQL."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import flowfile_nb as fnb
from flowfile_nb import session
from flowfile_nb.connections import families
from flowfile_nb.errors import FlowfileNbError, LiteralPasswordError, UsageError
from notebooks.throwaway import Postgres
from tests.support.shell import Shell

CANARY = "hunter2-canary"


@pytest.fixture
def url(postgres: Postgres) -> str:
    fnb.secrets["pg"] = postgres.password
    return f"postgresql://{postgres.user}:%secret pg@{postgres.host}:{postgres.port}/{postgres.database}"


def test_binds_an_engine_that_pandas_and_jupysql_use(shell: Shell, url: str, postgres: Postgres) -> None:
    """One cell, and the variable works with pandas, Polars and JupySQL; no output has the password."""
    shown = shell.run(f"%%connect warehouse\n{url}")
    assert f"warehouse = postgresql://app@{postgres.host}:{postgres.port}/{postgres.database}" in shown

    shell.run("import pandas as pd, polars as pl\npd.read_sql('SELECT 42 AS answer', warehouse)['answer'][0]")
    assert shell.result == 42
    shell.run("pl.read_database('SELECT 43 AS answer', warehouse)['answer'][0]")
    assert shell.result == 43
    shell.run("%load_ext sql\n%sql warehouse\nresult = %sql SELECT 44 AS answer")
    assert shell.error is None, shell.shown
    assert shell.real.user_ns["result"].DataFrame()["answer"][0] == 44
    shown = "".join(
        shell.run(cell) for cell in ("warehouse", "warehouse.url", "vars(warehouse)", "%connect", "%sql --connections")
    )
    assert postgres.password not in shown
    assert f"{fnb.secrets['pg']:url}" not in shown


def test_toml_body(shell: Shell, url: str, postgres: Postgres) -> None:
    """The same by its parts, with a bare reference."""
    shell.run(
        f'%%connect warehouse\ntype     = "postgresql"\nhost     = "{postgres.host}"\nport     = {postgres.port}\n'
        f'database = "{postgres.database}"\nusername = "app"\npassword = %secret pg'
    )

    assert shell.error is None
    assert shell.real.user_ns["warehouse"].connect().close() is None


def test_save_open_list_close(shell: Shell, url: str) -> None:
    """A saved description opens by its name; the list shows what is open and what is saved; closing unbinds."""
    assert "No connections yet" in shell.run("%connect")
    shell.run(f"%%connect warehouse --save\n{url}")
    assert "%secret pg" in session.backend().connection_bodies()["warehouse"]

    assert "Closed" in shell.run("%connect -x warehouse")
    assert "warehouse" not in shell.real.user_ns
    assert "saved" in shell.run("%connect")

    shell.run("%connect warehouse")
    assert shell.error is None
    assert "open" in shell.run("%connect")
    assert "used by warehouse" in shell.run("%secret delete pg --yes").replace("was", "is").replace("It is ", "")


def test_opening_again_replaces(shell: Shell, url: str) -> None:
    """The same name again closes the first engine's pool and binds the new one."""
    shell.run(f"%%connect warehouse\n{url}")
    first = shell.real.user_ns["warehouse"]

    shell.run(f"%%connect warehouse\n{url}")

    assert shell.real.user_ns["warehouse"] is not first
    assert first.pool.checkedin() == 0


def test_a_failed_connection_binds_nothing_and_keeps_what_was(shell: Shell, url: str) -> None:
    """An error leaves the variable as it was, open and bound."""
    shell.run(f"%%connect warehouse\n{url}")
    first = shell.real.user_ns["warehouse"]

    shell.run("%%connect warehouse --save\npostgresql://app:%secret pg@127.0.0.1:1/x")

    assert isinstance(shell.error, FlowfileNbError)
    assert shell.real.user_ns["warehouse"] is first
    assert session.backend().connection_bodies() == {}


@pytest.mark.parametrize(
    "body", [f"postgresql://app:{CANARY}@h/x", f'type = "postgresql"\npassword = "{CANARY}"', f"broken {CANARY}"]
)
def test_a_literal_password_is_refused_and_forgotten(shell: Shell, body: str) -> None:
    """The cell's text stays out of everything that IPython remembers."""
    shown = shell.run(f"%%connect warehouse\n{body}")

    assert isinstance(shell.error, FlowfileNbError)
    assert CANARY not in shown
    assert CANARY not in shell.remembered()
    assert "%%connect warehouse" in shell.remembered()
    assert "warehouse" not in shell.real.user_ns


@pytest.mark.parametrize("kind", ["sqlite", "duckdb"])
def test_a_file_that_was_not_there_is_said(shell: Shell, tmp_path: Path, kind: str) -> None:
    """A typo in its name makes a new one, which holds no table."""
    cell = f"%%connect sales\n{kind}:///{tmp_path / 'slaes.db'}"

    assert "slaes.db was not there: it is a new, empty file." in shell.run(cell)
    assert "was not there" not in shell.run(cell)
    assert "was not there" not in shell.run(f"%%connect memory\n{kind}:///:memory:")


@pytest.mark.parametrize(
    "cell",
    [
        f"%connect postgresql://app:{CANARY}@h/x",
        f"%connect -x app:{CANARY}@h/x",
        f"%connect warehouse --file https://app:{CANARY}@h/x",
        f"%%connect postgresql://app:{CANARY}@h/x\nsqlite://",
    ],
)
def test_a_description_on_the_line_is_refused_and_forgotten(shell: Shell, cell: str) -> None:
    """It belongs below the line; neither the answer nor anything that IPython remembers has it."""
    shown = shell.run(cell)

    assert isinstance(shell.error, LiteralPasswordError)
    assert len(shown.strip().split("\n")) == 2
    assert CANARY not in shown
    assert CANARY not in shell.remembered()


@pytest.mark.parametrize(
    ("cell", "kept"),
    [
        (f"\n\n%%connect db\npostgresql://app:{CANARY}@h/x", "\n\n%%connect db\n[removed by flowfile_nb]"),
        (f"%%connect db\napp:{CANARY}@h/x", "%%connect db\n[removed by flowfile_nb]"),
        (f"%%connect db\npostgresql://app:{CANARY}", "%%connect db\n[removed by flowfile_nb]"),
        (
            f'%%connect db\ntype = postgresql\nhost = "h"\npassword = "{CANARY}"\n# {CANARY}\nport = 5432',
            '%%connect db\ntype = postgresql\nhost = "h"\n[removed by flowfile_nb]\nport = 5432',
        ),
        (
            f"%%connect db\ntype = \"x\"\ntoken = '''\n{CANARY}\n'''\n[a]\nb = %secret pw",
            '%%connect db\ntype = "x"\n[removed by flowfile_nb]\n[a]\nb = %secret pw',
        ),
        ("%%connect db\npostgresql://app@h:port/x", None),
        ("%%connect db\npostgresql://app:%secret pw@h:port/x", None),
        ('%%connect db\ntype = postgresql\nhost = "h"\npassword = ${secret:pw}', None),
        ('%%connect db\nhost = "no type"', None),
        ("%%connect?", None),
        ("%%connect db", None),
    ],
)
def test_what_is_remembered_of_a_broken_cell(shell: Shell, cell: str, kept: str | None) -> None:
    """What surely holds no password stays, so that it need not be typed again; all else does not."""
    shell.run(cell)

    assert shell.real.history_manager.input_hist_raw[-1] == (cell if kept is None else kept)
    assert CANARY not in shell.remembered()


def test_good_cells_are_remembered(shell: Shell) -> None:
    """A body with references is kept as it was typed."""
    shell.run("%%connect db\nsqlite:////tmp/%secret none")

    assert shell.real.history_manager.input_hist_raw[-1] == "%%connect db\nsqlite:////tmp/%secret none"


@pytest.mark.parametrize(
    ("cell", "words"),
    [
        ("%%connect\nsqlite://", "needs a name"),
        ("%%connect 2x\nsqlite://", "name of a variable"),
        ("%%connect class\nsqlite://", "name of a variable"),
        ("%%connect db --what\nsqlite://", "not understood"),
        ("%%connect db\n# only a comment", "empty"),
        ("%connect nothing", "no saved connection"),
        ("%connect -x nothing", "no open connection"),
        ("%connect -x", "needs a name"),
    ],
)
def test_bad_lines_have_two_lines(shell: Shell, cell: str, words: str) -> None:
    """Each wrong line says what happened and what to do."""
    shown = shell.run(cell)

    assert isinstance(shell.error, FlowfileNbError)
    assert words in shown
    assert len(shown.strip().split("\n")) == 2


def test_wrong_password_shows_no_dsn(shell: Shell, url: str) -> None:
    """Two lines in the notebook, whatever the traceback mode; no value and no driver text."""
    fnb.secrets["pg"] = CANARY
    for mode in ("Context", "Verbose", "Plain", "Minimal"):
        shell.run(f"%xmode {mode}")

        shown = shell.run(f"%%connect warehouse\n{url}")

        assert CANARY not in shown
        assert len(shown.strip().split("\n")) == 2
    shell.run("%tb")
    assert CANARY not in shell.shown


def test_no_test_binds_without_opening(shell: Shell, url: str) -> None:
    """`--no-test` is for a server that is not up yet."""
    shown = shell.run("%%connect db --no-test\npostgresql://app:%secret pg@127.0.0.1:1/x")

    assert "not tested" in shown
    assert isinstance(shell.error, UsageError | None)
    assert "db" in shell.real.user_ns


def test_literal_error_names_the_remedy(shell: Shell) -> None:
    """The two lines of the remedy: store it, refer to it."""
    shell.run(f"%%connect db\npostgresql://app:{CANARY}@h/x")

    assert isinstance(shell.error, LiteralPasswordError)
    assert "%secret set my_pw" in shell.shown
    assert "delete it from the cell" in shell.shown
    assert "in the part before the @" in shell.shown


def test_a_comment_behind_a_url(shell: Shell, url: str, postgres: Postgres) -> None:
    """It is no part of the database's name."""
    shown = shell.run(f"%%connect warehouse\n{url}   # the one of production")

    assert shown.startswith(f"Connected: warehouse = postgresql://app@{postgres.host}:{postgres.port}/{postgres.database}\n")


def test_a_connection_may_be_called_as_a_verb(shell: Shell) -> None:
    """What is saved comes first."""
    shell.run("%%connect list --save\nsqlite://")
    shell.run("%%connect list --save --replace\nsqlite://")

    assert "Connected: list" in shell.run("%connect list")


def test_a_module_is_not_replaced(shell: Shell) -> None:
    """`%%connect pd` does not take pandas away."""
    shell.run("import json as pd")

    shown = shell.run("%%connect pd\nsqlite://")

    assert "is an imported module" in shown
    assert shell.real.user_ns["pd"].__name__ == "json"


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("%%connect my-db\nsqlite://", "hint: %%connect my_db"),
        ("%%connect 2026\nsqlite://", "hint: %%connect connection_2026"),
        ("%%connect db --timeout soon\nsqlite://", "--timeout takes a number"),
        ("%%connect db --sav soon\nsqlite://", "hint: did you mean --save?"),
        (
            "%connect ls",
            "hint: to list them:  %connect   to close one:  %connect -x NAME   to forget one:  %connect NAME --delete",
        ),
        ("%connect list", "hint: to list them:  %connect "),
        ("%connect close db", "to close one:  %connect -x db "),
        ("%connect rm db", "to forget one:  %connect db --delete\n"),
        ("%connect new db", "hint: %%connect db --save"),
        ("%connect -x scrach", "hint: did you mean  %connect -x scratch?"),
        ("%%connect db\ntype = postgresql\nhost = '127.0.0.1'", 'hint: text stands in quotes:  type = "…"'),
        ("%%connect db\ntype = 'postgresql'\nhost = 127.0.0.1", 'hint: text stands in quotes:  host = "…"'),
        ("%%connect db\n'postgresql://app:%secret pw@h/x'", "hint: leave out the quotes round the URL"),
        (
            "%%connect db\ntype: postgresql\nhost: h",
            'between a key and its value stands  = , and text stands in quotes:  type = "postgresql"',
        ),
        ("%%connect db\n{'type': 'postgresql'}", "without braces and commas"),
        ('%%connect db\ntype = "postgresql",\nhost = "h",', "no comma stands at the end of a line"),
        ("%%connect db\nhost=h port=5432 dbname=x password=%secret pw", "(each on a line of its own)"),
        ("%%connect db\njdbc:postgresql://h/x?user=app", "without  jdbc: ,  user and password before the host"),
        ("%%connect db\ndata.db", "hint: a file is described by  sqlite:///data.db"),
        ('%%connect db\ntype = "x"\npassword = fnb.secrets["pw"]', "hint: in place of what stands for it write  %secret pw"),
        ('%%connect db\ntype = "x"\npassword = os.environ["X"]', "hint: password = %secret NAME   (no variable"),
        ("%%connect db\npostgresql://app:{pass_}@h/x", "no variable is put into a connection"),
        ("%%connect db\npostgresql://app:$pass_@h/x", "no variable is put into a connection"),
        ('%%connect db\ntype = "postgresql"\nhost = "h:5433"', 'hint: host = "db.example.com"   port = 5432'),
        ('%%connect db\ntype = "postgresql"\nhost = "h/sales"', 'hint: host = "db.example.com"   database = "sales"'),
        ('%%connect db\ntype = "postgresql"\nserver = "h"', "hint: did you mean 'host'?"),
        ('%%connect db\ntype = "sqlite"\npath = "x.db"', "hint: did you mean 'database'?"),
        ('%%connect db\ntype = "postgresql"\nport = %secret pw', "stands in the place of the port, which cannot hold one"),
        ('%%connect db\ntype = %secret pw\nhost = "h"', "stands in the place of the type, which cannot hold one"),
        ("%%connect db\n%secret pw://h/x", "stands in the place of the kind of connection, which cannot hold one"),
        ("%connect scratch", "hint: to keep it, run its cell with  %%connect scratch --save"),
        ("%%connect db\nwarehouse", "hint: one that is saved opens by its name:  %connect NAME"),
        ("%connect scratch --save", "hint: run its cell again with  %%connect scratch --save"),
        ("fnb.connect('warehouse')", "hint: Describe it in a cell:  %%connect warehouse --save"),
    ],
)
def test_what_a_line_should_have_been(shell: Shell, line: str, words: str) -> None:
    """The hint is the line to type."""
    fnb.secrets["pw"] = "a value"
    shell.run("import flowfile_nb as fnb\n")
    shell.run("%%connect scratch\nsqlite://")

    shown = shell.run(line)

    assert words in shown
    assert "soon" not in shown
    assert len(shown.strip().split("\n")) == 2


_OTHER_NAMES = {"abfss", "az", "clickhousedb", "gcs", "http", "postgres", "sqlserver", "ssh"}


@pytest.mark.parametrize("kind", [kind for kind in families.kinds() if kind not in _OTHER_NAMES])
def test_the_help_page_has_an_example_of_each_kind(shell: Shell, kind: str) -> None:
    """Where people look first; other names of the same kind are left out."""
    page = shell.run("%connect help")

    assert f"{kind}://" in page or f'type = "{kind}"' in page


def test_the_examples_of_the_help_page_are_right(shell: Shell) -> None:
    """Each URL on it can be typed as it is, where its driver is installed."""
    fnb.secrets["pw"] = fnb.secrets["prod_pw"] = "a value"
    page = shell.run("%connect help")
    kinds = "postgresql|mysql|mssql|oracle|sqlite|clickhouse|trino"
    urls = re.findall(rf"^ *((?:{kinds})://.*?)(?: {{3}}|$)", page, re.MULTILINE)
    assert len(urls) >= 7

    for url in urls:
        assert "Bound (not tested)" in shell.run(f"%%connect example --no-test\n{url}")


@pytest.mark.parametrize("file", ["a.db", "%secret file"])
def test_opening_imports_what_it_needs(tmp_path: Path, file: str) -> None:
    """
    In a fresh process, whether a value is read or not: what the opening needs, and the looks at its cell and at the next one.

    No other verb, list or panel, no file of a project, no other family, no look at Python code, none of the words for what
    went wrong, and none of the libraries that only those need.
    """
    session.backend().set("file", "of_a_secret.db", replace=False)
    script = (
        "import sys\n"
        "from IPython.core.interactiveshell import InteractiveShell\n"
        "shell = InteractiveShell.instance()\n"
        "before = set(sys.modules)\n"
        "shell.run_cell('%load_ext flowfile_nb', store_history=True)\n"
        f"shell.run_cell('%%connect w\\nsqlite:///{tmp_path}/{file}', store_history=True)\n"
        "shell.run_cell('w.name', store_history=True)\n"
        "print('bound' if 'w' in shell.user_ns else shell.user_ns)\n"
        "print(*set(sys.modules) - before)\n"
    )

    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    loaded = {name.removeprefix("flowfile_nb.") for name in done.stdout.split()}
    assert {"bound", "connections.database"} <= loaded, done.stdout + done.stderr
    assert ("notebook.guard" in loaded) is (file != "a.db")
    verbs = {f"notebook.{name}" for name in ("magics", "meant", "prompt", "saved_verbs", "secret_arguments", "setup")}
    notebook = {f"notebook.{name}" for name in ("completion", "connect_table", "connection_rows", "panel", "table")}
    code = {"connections.harmless", "notebook.python_literals", "notebook.written_values"}
    files = {
        f"connections.{name}"
        for name in ("flowfile", "form", "http_api", "project_file", "saved", "storage_parts", "toml_text")
    }
    others = {f"connections.{name}" for name in ("database_keys", "deadline", "keys", "odbc", "tls_probe")}
    wrong = {f"connections.{name}" for name in ("failures", "mistyped", "options", "remedies", "statements", "told")}
    rest = {"backend", "core.moments", "importing.options", "team.backend", "difflib", "secrets"}
    assert loaded & {*verbs, *notebook, *code, *files, *others, *wrong, *rest} == set()
