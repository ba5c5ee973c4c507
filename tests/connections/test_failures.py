"""What is wrong is told apart: each cause against a server that really fails in that way, in two lines without a value."""

from __future__ import annotations

import contextlib
import socket
import ssl
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import psycopg
import pymysql
import pytest

import flowfile_nb as fnb
from flowfile_nb import connecting
from flowfile_nb.connections.access import Access
from flowfile_nb.connections.failures import explain
from flowfile_nb.errors import ConnectionFailedError, ConnectionSpecError, NoSuchSecretError
from notebooks.throwaway import Postgres
from tests.support.certificates import self_signed
from tests.support.dumb_server import answering, hanging_up, mail_server, silent, web_server

CANARY = "canary-p@ss/word"


@pytest.fixture(autouse=True)
def password() -> None:
    """A stored password that no server here takes."""
    fnb.secrets["pw"] = CANARY


def failure(url: str, timeout_s: float | None = None) -> ConnectionFailedError:
    """Return the error of opening *url*, which has two lines and no value anywhere."""
    with pytest.raises(ConnectionFailedError) as caught:
        connecting.open_connection(url, timeout_s=timeout_s)
    error = caught.value
    shown = "".join(error._render_traceback_())
    whole = "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())
    assert shown.count("\n") == 1
    assert CANARY not in whole.replace(f"CANARY = '{CANARY}'", "")
    assert f"{fnb.secrets['pw']:url}" not in whole
    assert error.__cause__ is None
    assert error.__suppress_context__
    return error


def test_all_that_has_to_be_said(postgres: Postgres) -> None:
    """What happened, to which target, with which secret and how old; what to do."""
    error = failure(f"postgresql://app:%secret pw@{postgres.host}:{postgres.port}/{postgres.database}")

    assert error.message == (
        f"could not open postgresql://app@127.0.0.1:{postgres.port}/sales with secret 'pw' (stored just now): "
        "the server refused the user or the password"
    )
    assert error.hint == "check the user name; to store another password:  %secret set pw --replace"


def test_a_value_that_a_variable_gives(postgres: Postgres, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would be given, whatever is stored: the hint names the variable, and does not have the stored one replaced."""
    monkeypatch.setenv("FLOWFILE_SECRET_PW", "not it")

    error = failure(f"postgresql://app:%secret pw@{postgres.host}:{postgres.port}/{postgres.database}")

    assert error.hint.endswith("to store another password:  set or delete the variable FLOWFILE_SECRET_PW, which gives it")


@pytest.mark.parametrize("user", ["app", "nobody%40here"])
def test_no_password_in_the_description(postgres: Postgres, user: str) -> None:
    """The server asks for one: the hint shows where it stands, and not how to store another."""
    error = failure(f"postgresql://{user}@{postgres.host}:{postgres.port}/{postgres.database}")

    assert error.message.endswith("the server refused the user or the password")
    assert error.hint == (
        f"no password stands in this description; write  {user}:%secret NAME@  in the URL,  or  password = %secret NAME"
    )


def test_the_secrets_age(monkeypatch: pytest.MonkeyPatch) -> None:
    """A password of last year is the first suspect."""
    monkeypatch.setattr("time.time", lambda: 1_000_000_000.0)
    days = {"old": 1_000_000_000 - 12 * 86_400 - 5, "unknown": None}

    error = explain(OSError("connection refused"), "x://h", ["old", "unknown"], Access(str, updated_at=days.__getitem__))

    assert (
        error.message
        == "could not open x://h with secret 'old' (stored 12 d ago), 'unknown': nothing listens on that host and port"
    )


@pytest.mark.parametrize(
    "error",
    [
        OSError('connection to server at "tls.timeout.example" (1.2.3.4) failed: server closed the connection unexpectedly'),
        OSError(2013, "Lost connection to MySQL server at 'timeout' 'no encryption'"),
    ],
)
def test_a_name_says_nothing_about_the_cause(error: OSError) -> None:
    """A host that is called like a trouble: only what the driver itself says counts."""
    assert "closed the connection" in explain(error, "x://h", [], Access(str)).message


def caused(error: Exception, cause: Exception) -> Exception:
    """Return an error as a library raises it that has put its own round the socket's."""
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(113, "No route to host"), "no network leads from here to that host"),
        (OSError(101, "Network is unreachable"), "no network leads from here to that host"),
        (OSError("FATAL:  sorry, too many clients already"), "has no connection left"),
        (OSError("FATAL:  remaining connection slots are reserved for roles with SUPERUSER"), "has no connection left"),
        (OSError(1040, "Too many connections"), "has no connection left"),
        (
            OSError('FATAL:  no pg_hba.conf entry for host "1.2.3.4", user "a", database "b", SSL on'),
            "let this user in from here",
        ),
        (OSError(1130, "Host '1.2.3.4' is not allowed to connect to this MariaDB server"), "let this user in from here"),
        (OSError(3159, "Connections using insecure transport are prohibited"), "takes encrypted connections only"),
        (OSError("Code: 193. DB::Exception: Wrong password for user app"), "refused the user or the password"),
        (OSError("Code: 192. DB::Exception: Unknown user app"), "refused the user or the password"),
        (OSError("Code: 516. DB::Exception: app: Authentication failed: password is incorrect"), "refused the user"),
        (OSError("Code: 81. DB::Exception: Database sales doesn't exist"), "has no database of that name"),
        (OSError("HTTP status 400: Port 9000 is for clickhouse-client program."), "what answers on that port is no such"),
        (
            caused(OSError('Retries exceeded ("Connection refused")'), ConnectionRefusedError(111, "Connection refused")),
            "nothing listens",
        ),
        (caused(RuntimeError("no words"), TimeoutError("timed out")), "did not answer in time"),
        (RuntimeError("something new"), "the driver raised RuntimeError"),
    ],
)
def test_what_no_server_here_can_be_brought_to_say(error: Exception, words: str) -> None:
    """The servers' own texts, as they are documented."""
    assert words in explain(error, "x://h", [], Access(str)).message


def test_an_age_that_cannot_be_told_hides_nothing() -> None:
    """The error is about the connection, whatever the store says meanwhile."""

    def fail(name: str) -> int:
        raise NoSuchSecretError("gone")

    error = explain(OSError("connection refused"), "x://h", ["pw"], Access(str, updated_at=fail))

    assert "with secret 'pw': nothing listens" in error.message


@pytest.mark.parametrize(
    ("scheme", "answer", "words"),
    [
        ("postgresql", hanging_up, "closed the connection before it was set up"),
        ("mysql", hanging_up, "closed the connection before it was set up"),
        ("postgresql", web_server, "what answers on that port is no such server"),
        ("mysql", mail_server, "what answers on that port is no such server"),
    ],
)
def test_what_answers_is_no_database(scheme: str, answer: Callable[[socket.socket], None], words: str) -> None:
    """A port of something else, and a proxy whose server is down."""
    with answering(answer) as port:
        assert words in failure(f"{scheme}://app:%secret pw@127.0.0.1:{port}/x").message


@pytest.mark.parametrize("scheme", ["postgresql", "mysql"])
def test_a_server_that_never_answers(scheme: str) -> None:
    """It accepts and says nothing; the limit that was asked for ends the waiting."""
    with answering(silent) as port:
        error = failure(f"{scheme}://app:%secret pw@127.0.0.1:{port}/x", timeout_s=0.2)

    assert "the server did not answer in time" in error.message
    assert "--timeout" in error.hint


@pytest.mark.parametrize("scheme", ["postgresql", "mysql"])
def test_a_full_backlog_is_a_timeout(scheme: str) -> None:
    """A host that drops what is sent to it: not even the TCP connection is answered."""
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        fillers = []
        for _ in range(3):
            fillers.append(socket.socket())
            fillers[-1].setblocking(False)
            fillers[-1].connect_ex(full.getsockname())
        error = failure(f"{scheme}://app:%secret pw@127.0.0.1:{full.getsockname()[1]}/x", timeout_s=0.2)
        for filler in fillers:
            filler.close()

    assert "the server did not answer in time" in error.message


@pytest.mark.parametrize("scheme", ["postgresql", "mysql"])
@pytest.mark.parametrize(
    ("place", "words"),
    [("127.0.0.1:1", "nothing listens on that host and port"), ("no-such-host.invalid", "there is no host of that name")],
)
def test_nothing_is_there(scheme: str, place: str, words: str) -> None:
    """A closed port, and a name that nobody has."""
    assert words in failure(f"{scheme}://app:%secret pw@{place}/x").message


def test_a_server_without_encryption(postgres: Postgres) -> None:
    """It was asked for, and the server has none."""
    error = failure(f"postgresql://app:%secret pw@{postgres.host}:{postgres.port}/x?sslmode=require")

    assert "the server has no encrypted connections" in error.message


def test_a_server_that_takes_encrypted_connections_only(postgres: Postgres) -> None:
    """As cloud databases are: the hint says how to ask for it."""
    with postgres.admin() as admin:
        admin.execute("DROP ROLE IF EXISTS tlsonly")
        admin.execute("CREATE ROLE tlsonly LOGIN PASSWORD 'x'")
        row = admin.execute("SHOW hba_file").fetchone()
        assert row is not None
        rules = Path(row[0])
        before = rules.read_text(encoding="utf-8")
        rules.write_text("hostnossl all tlsonly 127.0.0.1/32 reject\n" + before, encoding="utf-8")
        admin.execute("SELECT pg_reload_conf()")
    # What is reloaded is in force for connections that begin after the postmaster has seen the signal: this one is.
    with postgres.admin() as admin:
        assert admin.execute("SELECT count(*) FROM pg_hba_file_rules WHERE 'tlsonly' = ANY(user_name)").fetchone() == (1,)
    try:
        error = failure(f"postgresql://tlsonly:%secret pw@{postgres.host}:{postgres.port}/{postgres.database}")
    finally:
        rules.write_text(before, encoding="utf-8")

    assert "the server takes encrypted connections only" in error.message
    assert "sslmode=require" in error.hint


@pytest.fixture
def tls(tmp_path: Path) -> Iterator[tuple[int, Path]]:
    """A server that goes over to TLS as PostgreSQL does, with a certificate for `localhost` that it signed itself."""
    made = self_signed(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(made.certificate, made.key)

    def go_over(connection: socket.socket) -> None:
        connection.recv(8)
        connection.sendall(b"S")
        # The client hangs up in the middle: that is what is tested.
        try:
            with context.wrap_socket(connection, server_side=True) as encrypted:
                encrypted.recv(4096)
        except ssl.SSLError:
            return

    with answering(go_over) as port:
        yield port, made.certificate


@pytest.mark.parametrize("scheme", ["postgresql", "mysql"])
def test_a_port_that_begins_with_tls(scheme: str, tmp_path: Path) -> None:
    """As a proxy's: the one hears nothing it understands, the other waits for a greeting; it is told as that."""
    made = self_signed(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(made.certificate, made.key)

    def greet(connection: socket.socket) -> None:
        # Whoever does not begin with TLS is hung up on.
        with contextlib.suppress(ssl.SSLError), context.wrap_socket(connection, server_side=True) as encrypted:
            encrypted.recv(4096)

    with answering(greet) as port:
        error = failure(f"{scheme}://app:%secret pw@127.0.0.1:{port}/x", timeout_s=0.5)

    assert "that port begins with TLS, and this connection does not" in error.message


def test_a_certificate_of_the_clients_is_asked_for() -> None:
    """In the words of PostgreSQL, and of TLS itself."""
    for said in ("FATAL:  connection requires a valid client certificate", "[SSL] tlsv13 alert certificate required"):
        assert "asks for a certificate of yours" in explain(OSError(said), "x://h", [], Access(str)).message


@pytest.mark.parametrize(
    ("described", "words"),
    [
        ("sqlite://data.db", "sqlite:///data.db "),
        ("duckdb://data/of mine.duckdb", "duckdb:///data/of mine.duckdb "),
        ({"type": "sqlite", "host": "data.db"}, "sqlite:///data.db "),
        ("sqlite://me:%secret pw@host/data.db", "sqlite:///data/file.db "),
        ("duckdb://C:/data.db", "duckdb:///C:/data/file.db "),
    ],
)
def test_two_slashes_before_a_file(described: Any, words: str) -> None:
    """A path begins behind three; the URL that was meant is shown. DuckDB would open an empty database in memory."""
    for form in (None, "duckdb", "adbc", "ibis"):
        with pytest.raises(ConnectionSpecError) as caught:
            fnb.connect(described, as_=form)

        assert words in caught.value.hint
        assert len(str(caught.value).split("\n")) == 2


def test_a_self_signed_certificate(tls: tuple[int, Path], tmp_path: Path) -> None:
    """With `verify-full` against other authorities."""
    other = tmp_path / "other"
    other.mkdir()
    root = self_signed(other, "somebody.example").certificate

    error = failure(f"postgresql://app:%secret pw@localhost:{tls[0]}/x?sslmode=verify-full&sslrootcert={root}")

    assert "not signed by an authority that is trusted here" in error.message
    assert "sslrootcert" in error.hint


def test_a_certificate_of_another_host(tls: tuple[int, Path]) -> None:
    """The authority is trusted, the name is not this host's."""
    port, root = tls

    error = failure(f"postgresql://app:%secret pw@127.0.0.1:{port}/x?sslmode=verify-full&sslrootcert={root}")

    assert "for another host name" in error.message


def test_a_missing_root_certificate(tls: tuple[int, Path]) -> None:
    """The path is wrong: nothing is said about the database."""
    error = failure(f"postgresql://app:%secret pw@localhost:{tls[0]}/x?sslmode=verify-full&sslrootcert=/no/such.crt")

    assert "a certificate's file cannot be read" in error.message


def test_a_duckdb_file_that_another_process_has_open(tmp_path: Path) -> None:
    """Its lock is for one process."""
    import subprocess
    import sys

    path = tmp_path / "a.duckdb"
    code = f"import duckdb, sys; c = duckdb.connect({str(path)!r}); print('open', flush=True); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        other.stdout.readline()
        error = failure(f"duckdb:///{path}")
        other.communicate()

    assert "another process has the database file open" in error.message


def test_several_missing_secrets_are_named_at_once() -> None:
    """With the variable for each, in a script; in a notebook with the command for each (`tests/notebook/test_kernel.py`)."""
    with pytest.raises(NoSuchSecretError) as caught:
        fnb.connect('postgresql://%secret "the user":%secret nobody@h/%secret pw')

    assert caught.value.message == "this connection needs secrets that are not there: 'the user', 'nobody'"
    assert caught.value.hint == "in a headless run they are given by FLOWFILE_SECRET_THE_USER, FLOWFILE_SECRET_NOBODY"


@pytest.mark.parametrize(("driver", "name"), [(psycopg, "postgresql"), (pymysql, "mysql")])
def test_which_limit_counts(driver: Any, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is asked for on the line, else the description's own, else ten seconds."""
    limits: list[int] = []

    def connect(*args: Any, **named: Any) -> None:
        limits.append(int(named["connect_timeout"]))
        raise OSError("connection refused")

    monkeypatch.setattr(driver, "connect", connect)
    failure(f"{name}://app:%secret pw@h/x?connect_timeout=7", 3)
    failure(f"{name}://app:%secret pw@h/x?connect_timeout=7")
    failure(f"{name}://app:%secret pw@h/x")

    assert limits == [3, 7, 10]


def test_a_late_failure_says_the_same(postgres: Postgres) -> None:
    """Long after the cell that opened it: pandas asks for a connection, and our error comes."""
    fnb.secrets["pw"] = postgres.password
    engine = fnb.connect(f"postgresql://{postgres.user}:%secret pw@{postgres.host}:{postgres.port}/{postgres.database}")
    fnb.secrets["pw"] = CANARY

    with pytest.raises(ConnectionFailedError, match=r"with secret 'pw' \(stored just now\): the server refused"):
        pd.read_sql("SELECT 1", engine)

    engine.dispose()
