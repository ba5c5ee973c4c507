"""A replaced, deleted or revoked secret reaches the pool, and idle connections with the former value are dropped."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Any

import pandas as pd
import pytest
import sqlalchemy
from psycopg import sql

import flowfile_nb as fnb
from flowfile_nb.errors import ConnectionFailedError, NoSuchSecretError, UsageError
from notebooks.throwaway import Postgres
from tests.support.shell import Shell


@pytest.fixture
def engine(postgres: Postgres) -> Iterator[Any]:
    """An engine of a login of its own, whose connections can be counted on the server."""
    with postgres.admin() as admin:
        admin.execute("DROP ROLE IF EXISTS late")
        admin.execute("CREATE ROLE late LOGIN PASSWORD 'first'")
    fnb.secrets["pg"] = "first"
    engine = fnb.connect(f"postgresql://late:%secret pg@{postgres.host}:{postgres.port}/{postgres.database}")
    yield engine
    engine.dispose()


def rotate(postgres: Postgres, password: str) -> None:
    """Give the login another password on the server, as its administrator does."""
    with postgres.admin() as admin:
        admin.execute(sql.SQL("ALTER ROLE late PASSWORD {}").format(password))


def pid(connection: Any) -> int:
    """Return the server's process of a connection."""
    return int(connection.execute(sqlalchemy.text("SELECT pg_backend_pid()")).scalar())


def test_an_unchanged_secret_keeps_the_pool(engine: Any) -> None:
    """The idle connection is taken again, as SQLAlchemy does by itself."""
    with engine.connect() as connection:
        first = pid(connection)

    with engine.connect() as connection:
        assert pid(connection) == first


def test_a_replaced_secret_is_used_without_a_restart(engine: Any, postgres: Postgres) -> None:
    """The next connection is a new one, with the new password."""
    with engine.connect() as connection:
        first = pid(connection)
    rotate(postgres, "second")

    fnb.secrets["pg"] = "second"

    with engine.connect() as connection:
        assert pid(connection) != first


def test_all_idle_connections_of_the_former_value_are_dropped(engine: Any) -> None:
    """Not only the one that is taken: the driver's connections are closed, each."""
    with contextlib.ExitStack() as stack:
        drivers = [stack.enter_context(engine.connect()).connection.driver_connection for _ in range(4)]
    assert engine.pool.checkedin() == 4
    assert not any(driver.closed for driver in drivers)
    fnb.secrets["pg"] = "first"

    with engine.connect() as connection:
        assert all(driver.closed for driver in drivers)
        assert connection.connection.driver_connection not in drivers

    # The pool counts as before: none is lost, none too many.
    assert engine.pool.checkedout() == 0
    assert engine.pool.checkedin() == 4


def test_a_connection_in_use_stays_and_is_not_taken_again(engine: Any) -> None:
    """A running query is not interrupted; when it is given back it is not handed out any more."""
    # Two connections, of which one is idle below.
    with engine.connect(), engine.connect():
        pass
    with engine.connect() as running:
        first = pid(running)
        fnb.secrets["pg"] = "first"
        with engine.connect():
            assert pid(running) == first

    with engine.connect() as one, engine.connect() as two:
        assert first not in {pid(one), pid(two)}


def test_a_deleted_secret_stops_the_pool(engine: Any) -> None:
    """The next connection fails with our error, though an idle one is there; that one is closed."""
    with engine.connect() as connection:
        driver = connection.connection.driver_connection
    del fnb.secrets["pg"]

    with pytest.raises(NoSuchSecretError, match="no secret named 'pg'"):
        pd.read_sql("SELECT 1", engine)

    assert driver.closed


def test_all_idle_connections_of_a_deleted_secret_are_dropped(engine: Any) -> None:
    """Each one, not only the one that was asked for."""
    with contextlib.ExitStack() as stack:
        drivers = [stack.enter_context(engine.connect()).connection.driver_connection for _ in range(4)]
    del fnb.secrets["pg"]

    with pytest.raises(NoSuchSecretError):
        engine.connect()

    assert all(driver.closed for driver in drivers)


@pytest.mark.parametrize("change", ["%secret delete pg --yes", "fnb.secrets['pg'] = 'second'"])
def test_idle_connections_do_not_wait_for_who_asks(engine: Any, shell: Shell, change: str) -> None:
    """Nobody may ask again: they are closed before the next cell, whatever that does. One that is in use stays."""
    shell.run("%load_ext flowfile_nb\nimport flowfile_nb as fnb")
    with engine.connect() as connection, engine.connect() as used:
        idle, running = connection.connection.driver_connection, used.connection.driver_connection
        connection.close()
        shell.run("1 + 1")
        assert not idle.closed

        shell.run(change)
        shell.run("1 + 1")

        assert (idle.closed, running.closed) == (True, False)


def test_a_secret_that_comes_back_opens_again(engine: Any) -> None:
    """After it is stored again the same engine goes on."""
    del fnb.secrets["pg"]
    with pytest.raises(NoSuchSecretError):
        engine.connect()

    fnb.secrets["pg"] = "first"

    assert len(pd.read_sql("SELECT 1", engine)) == 1


def test_a_wrong_replacement_fails_at_once(engine: Any) -> None:
    """No idle connection with the former password hides that the new one is wrong."""
    fnb.secrets["pg"] = "wrong"

    with pytest.raises(ConnectionFailedError, match="refused the user or the password"):
        pd.read_sql("SELECT 1", engine)


def test_an_overriding_variable_counts(engine: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """FLOWFILE_SECRET_… that is set now is what the next connection uses."""
    monkeypatch.setenv("FLOWFILE_SECRET_PG", "wrong")

    with pytest.raises(ConnectionFailedError):
        pd.read_sql("SELECT 1", engine)

    monkeypatch.delenv("FLOWFILE_SECRET_PG")
    assert len(pd.read_sql("SELECT 1", engine)) == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*use of fork.*:DeprecationWarning")
def test_a_forked_child_has_connections_of_its_own(engine: Any) -> None:
    """The child opens a new one; the parent's goes on working after the child has ended."""
    with engine.connect() as connection:
        first = pid(connection)
    reader, writer = os.pipe()

    child = os.fork()
    if child == 0:
        try:
            with engine.connect() as connection:
                os.write(writer, str(pid(connection)).encode())
        except BaseException as error:
            os.write(writer, repr(error).encode())
        finally:
            os._exit(0)
    os.waitpid(child, 0)

    answer = os.read(reader, 1000).decode()
    assert answer.isdigit(), answer
    assert int(answer) != first
    with engine.connect() as connection:
        assert pid(connection) == first


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*use of fork.*:DeprecationWarning")
@pytest.mark.parametrize("url", ["duckdb:///:memory:", "sqlite://"])
def test_what_a_fork_cannot_carry_is_refused_there(url: str) -> None:
    """A database in memory would be silently empty in the child, and DuckDB's threads are not there."""
    engine = fnb.connect(url)
    reader, writer = os.pipe()

    child = os.fork()
    if child == 0:
        try:
            engine.connect()
        except UsageError:
            os.write(writer, b"refused")
        except BaseException as error:
            os.write(writer, repr(error).encode())
        finally:
            os._exit(0)
    os.waitpid(child, 0)

    os.close(writer)
    assert os.read(reader, 1000).decode() == "refused"
    engine.dispose()
