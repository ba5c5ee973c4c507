"""What a description says more about than the driver's error: where a reference stands, what is left out, what is misspelt."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from time import monotonic

import pytest

import flowfile_nb as fnb
from flowfile_nb.errors import ConnectionFailedError, ConnectionSpecError
from notebooks.throwaway import Postgres
from tests.support.kernel import Kernel, kernel_at
from tests.support.shell import Shell

LOCKED = "another program, or another connection of this kernel, keeps the file locked"
HOLDS = """
import sqlite3, sys
holder = sqlite3.connect(sys.argv[1], isolation_level=None)
holder.executescript("CREATE TABLE t (a); BEGIN EXCLUSIVE")
print("locked", flush=True)
sys.stdin.read()
"""
_SQLITES_OWN_S = 5.0
_PATIENCE_S = 20


@pytest.fixture
def server(postgres: Postgres) -> str:
    """Host and port of a server whose password is the secret `pg`."""
    fnb.secrets["pg"] = postgres.password
    return f"{postgres.host}:{postgres.port}"


@pytest.fixture
def locked(tmp_path: Path) -> Iterator[Path]:
    """A SQLite database that another process keeps locked: of their own, two libraries in one process see no locks."""
    path = tmp_path / "sales.db"
    holding = [sys.executable, "-c", HOLDS, str(path)]
    with subprocess.Popen(holding, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "locked\n"
        yield path
        holder.communicate()


def refused(shell: Shell, cell: str) -> ConnectionFailedError:
    """Run a cell, and return the error of two lines that it shows."""
    shell.run(cell)
    assert isinstance(shell.error, ConnectionFailedError), shell.shown
    assert shell.said.count("\n") == 2, shell.shown
    return shell.error


@pytest.mark.parametrize("form", ["", "--as adbc", "--as ibis"])
@pytest.mark.parametrize(
    "described",
    [
        "postgresql://%secret pg@{server}/sales",
        "postgresql://${{secret:pg}}@{server}/sales",
        'type = "postgresql"\nhost = "{host}"\nport = {port}\ndatabase = "sales"\nusername = %secret pg',
    ],
)
def test_a_reference_in_the_users_place(shell: Shell, server: str, described: str, form: str) -> None:
    """A user's name may come from a secret; where the server asks for a password, the hint says that this one is none."""
    host, _, port = server.partition(":")

    error = refused(shell, f"%%connect w {form}\n" + described.format(server=server, host=host, port=port))

    assert error.message.endswith("with secret 'pg' (stored just now): the server refused the user or the password")
    assert error.hint == (
        "the reference stands in the user's place; a password stands behind the user:"
        "  user:%secret pg@host,  or  password = %secret pg"
    )


def test_a_user_and_a_password_from_secrets(shell: Shell, server: str, postgres: Postgres) -> None:
    """Both are filled in; where they are refused, the password's secret is the one to replace."""
    fnb.secrets["a user"] = postgres.user
    assert "Connected" in shell.run(f'%%connect w\npostgresql://%secret "a user":%secret pg@{server}/sales')
    fnb.secrets["pg"] = "wrong"

    error = refused(shell, f'%%connect w --replace\npostgresql://%secret "a user":%secret pg@{server}/sales')

    assert error.hint == "check the user name; to store another password:  %secret set pg --replace"


def test_a_password_that_stands_elsewhere_is_one(shell: Shell, server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the driver's own arguments, or in libpq's variable: then the reference in the user's place is meant."""
    fnb.secrets["who"] = "nobody"
    host, _, port = server.partition(":")
    lines = f'type = "postgresql"\nhost = "{host}"\nport = {port}\ndatabase = "sales"\nusername = %secret who\n'

    in_arguments = refused(shell, f"%%connect w\n{lines}[connect_args]\npassword = %secret pg")
    monkeypatch.setenv("PGPASSWORD", "wrong")
    in_variable = refused(shell, f"%%connect w\n{lines}")

    for error in (in_arguments, in_variable):
        assert error.hint.startswith("check the user name; to store another password:  %secret set")


def test_no_password_beside_another_secret(shell: Shell, server: str) -> None:
    """The secret that is there is not the password: nobody is sent to replace it."""
    fnb.secrets["where"] = server.partition(":")[0]
    port = server.partition(":")[2]

    error = refused(shell, f"%%connect w\npostgresql://app@%secret where:{port}/sales")
    nobody = refused(shell, f"%%connect w\npostgresql://%secret where:{port}/sales")

    assert error.message.startswith(f"could not open postgresql://app@${{secret:where}}:{port}/sales with secret 'where'")
    assert error.hint.startswith("no password stands in this description; write  app:%secret NAME@  in the URL")
    assert (
        nobody.hint
        == "no user and no password stand in this description; write  user:%secret NAME@  before the host in the URL"
    )


def test_a_reference_in_the_hosts_place(shell: Shell, server: str) -> None:
    """A password that is taken for a host's name is told as that."""
    fnb.secrets["pg"] = "no-such-host.invalid"

    error = refused(shell, "%%connect w\npostgresql://app@%secret pg/sales")

    assert error.message.endswith("there is no host of that name")
    assert error.hint == (
        "the reference stands in the host's place; a password stands before the @:"
        "  user:%secret pg@host,  or  password = %secret pg"
    )
    assert "invalid" not in shell.shown


@pytest.mark.parametrize("form", ["", "--as adbc", "--as ibis"])
@pytest.mark.parametrize("end", ["", "/"])
def test_a_url_without_a_database(shell: Shell, server: str, form: str, end: str) -> None:
    """PostgreSQL takes the one that is called as the user: nobody has written its name."""
    error = refused(shell, f"%%connect w {form}\npostgresql://app:%secret pg@{server}{end}")

    assert error.message.endswith(
        ": the description names no database; PostgreSQL then takes the one that is called as the user, and there is none"
    )
    assert error.hint == f'add it to the end of the URL:  @{server}/DATABASE,  or  database = "DATABASE"'


def test_a_database_that_a_variable_names(shell: Shell, server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Libpq's variable comes before the user's name; a database that is named and not there is the description's own."""
    monkeypatch.setenv("PGDATABASE", "nothere")

    by_variable = refused(shell, f"%%connect w\npostgresql://app:%secret pg@{server}")
    named = refused(shell, f"%%connect w\npostgresql://app:%secret pg@{server}/nothere")

    assert "PostgreSQL then takes the one that the variable PGDATABASE names, and there is none" in by_variable.message
    assert named.message.endswith("the server has no database of that name")


@pytest.mark.parametrize(
    ("option", "says", "hint"),
    [
        (
            "sslmode=required",
            "the option sslmode has no such value",
            "did you mean  sslmode=require?  It is one of  disable, allow, prefer, require, verify-ca, verify-full",
        ),
        (
            "sslmode=on",
            "the option sslmode has no such value",
            "It is one of  disable, allow, prefer, require, verify-ca, verify-full",
        ),
        (
            "target_session_attrs=readonly",
            "the option target_session_attrs has no such value",
            "did you mean  target_session_attrs=read-only?  It is one of  any, read-write, read-only",
        ),
        ("keepalives=yes", "the value of the option keepalives is not a number", "write it without quotes and units:  "),
    ],
)
def test_a_value_that_an_option_does_not_have(shell: Shell, server: str, option: str, says: str, hint: str) -> None:
    """Which option it is, and what it takes; the value is not shown again."""
    for form in ("", "--as adbc", "--as ibis"):
        error = refused(shell, f"%%connect w {form}\npostgresql://app:%secret pg@{server}/sales?{option}")

        assert error.message.endswith(f": {says}")
        assert error.hint.startswith(hint)


@pytest.mark.parametrize("form", ["", "--as adbc", "--as ibis", "--as duckdb"])
@pytest.mark.parametrize(
    ("described", "path"),
    [
        ("sqlite://app:%secret pg@/sales.db", "sqlite:///sales.db "),
        ('type = "sqlite"\ndatabase = "/data/sales.db"\npassword = %secret pg', "sqlite:////data/sales.db "),
        ('type = "duckdb"\ndatabase = "/data/sales.db"\nusername = "me"\npassword = %secret pg', "duckdb:////data/sales.db "),
    ],
)
def test_a_password_for_a_file(shell: Shell, described: str, path: str, form: str) -> None:
    """It is asked for by nobody; said before anything is opened."""
    fnb.secrets["pg"] = "x"

    shell.run(f"%%connect w {form}\n{described}")

    assert isinstance(shell.error, ConnectionSpecError), shell.shown
    assert shell.error.message.endswith("is a file, and asks for no user and no password")
    assert f"leave them out:  {path}" in shell.error.hint


@pytest.mark.parametrize(
    ("options", "url_options", "seconds"),
    [
        ("--timeout 0.3", "", 0.3),
        ("", "?timeout=0.4", 0.4),
        ("--timeout 0.3", "?timeout=60", 0.3),
        ("--as ibis --timeout 0.3", "", 0.3),
    ],
)
def test_a_file_that_another_keeps_locked(shell: Shell, locked: Path, options: str, url_options: str, seconds: float) -> None:
    """Its cause and what to do; the waiting is as long as the line says, else the description, else SQLite's five seconds."""
    began = monotonic()

    error = refused(shell, f"%%connect w {options}\nsqlite:///{locked}{url_options}")

    assert seconds <= monotonic() - began < _SQLITES_OWN_S
    assert error.message == f"could not open sqlite:///{locked}: {LOCKED}"
    assert error.hint == "end what writes to it, or its transaction;  --timeout SECONDS  waits longer"


def test_a_locked_file_for_adbc(shell: Shell, locked: Path, tmp_path: Path) -> None:
    """ADBC's driver looks at no file when it opens one: we do; what is no database is told, too."""
    assert LOCKED in refused(shell, f"%%connect w --as adbc\nsqlite:///{locked}").message

    (tmp_path / "sales.csv").write_text("when,what\n" * 100)
    assert "no database of this kind" in refused(shell, f"%%connect w --as adbc\nsqlite:///{tmp_path}/sales.csv").message
    assert "Bound" in shell.run(f"%%connect w --as adbc --no-test\nsqlite:///{locked}")


def test_the_limit_of_opening_is_not_that_of_statements(shell: Shell, tmp_path: Path) -> None:
    """How long a statement waits for a lock is the description's, else SQLite's own."""
    for options, milliseconds in (("", 5_000), ("?timeout=7", 7_000)):
        shell.run(f"%%connect w --replace --timeout 0.3\nsqlite:///{tmp_path}/new.db{options}")
        assert "Connected" in shell.shown

        shell.run("with w.connect() as c: waits = c.exec_driver_sql('PRAGMA busy_timeout').scalar()")

        assert shell.real.user_ns["waits"] == milliseconds


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    """A kernel with a home of its own."""
    with kernel_at(tmp_path_factory.mktemp("home")) as kernel:
        yield kernel


@pytest.mark.parametrize("form", ["", "--as adbc", "--as ibis"])
@pytest.mark.parametrize("ends", ["released", "interrupted"])
def test_what_ends_the_waiting_for_a_locked_file(kernel: Kernel, tmp_path: Path, form: str, ends: str) -> None:
    """It is said; the lock that is let go ends it, and so does an interrupt."""
    path = tmp_path / "sales.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as holder:
        holder.execute("CREATE TABLE t (a)")
        holder.execute("BEGIN EXCLUSIVE")
        request = kernel.client.execute(
            f"%%connect db --replace --timeout 3600 {form}\nsqlite:///{path}", allow_stdin=False, stop_on_error=False
        )
        assert said(kernel, request) == f"Waiting for sqlite:///{path}   (to stop: interrupt the kernel)\n"

        if ends == "released":
            holder.execute("ROLLBACK")
        else:
            kernel.client.control_channel.send(kernel.client.session.msg("interrupt_request"))

        reply = kernel.client.get_shell_msg(timeout=_PATIENCE_S)
        while reply["parent_header"]["msg_id"] != request:
            reply = kernel.client.get_shell_msg(timeout=_PATIENCE_S)
    assert reply["content"]["status"] == ("ok" if ends == "released" else "error")
    assert ends == "released" or "interrupted" in reply["content"]["evalue"]
    kernel.run("%connect -x db" if ends == "released" else "")


def said(kernel: Kernel, request: str) -> str:
    """Return what a cell prints next."""
    while True:
        message = kernel.client.get_iopub_msg(timeout=_PATIENCE_S)
        if message["msg_type"] == "stream" and message["parent_header"]["msg_id"] == request:
            return str(message["content"]["text"])
