"""An idle connection that the server has closed is replaced before it is used; one that was in use just now is not asked."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
import sqlalchemy

import flowfile_nb as fnb
from flowfile_nb.connections import pooled
from notebooks.throwaway import Postgres


def described(postgres: Postgres, more: str = "") -> str:
    """Return the description of a connection to the server."""
    place = f'host = "{postgres.host}"\nport = {postgres.port}\ndatabase = "{postgres.database}"'
    return f'type = "postgresql"\nusername = "{postgres.user}"\npassword = %secret pg\n{place}\n{more}'


@pytest.fixture
def engine(postgres: Postgres) -> Iterator[Any]:
    """An engine on the server."""
    fnb.secrets["pg"] = postgres.password
    engine = fnb.connect(described(postgres))
    yield engine
    engine.dispose()


@pytest.fixture
def asked(engine: Any, monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """The connections that the server was asked about."""
    connections: list[object] = []
    ping = engine.dialect.do_ping

    def counted(connection: object) -> bool:
        connections.append(connection)
        return bool(ping(connection))

    monkeypatch.setattr(engine.dialect, "do_ping", counted)
    return connections


def pid(engine: Any) -> int:
    """Return the server's process of the connection that the engine gives out."""
    with engine.connect() as connection:
        return int(connection.exec_driver_sql("SELECT pg_backend_pid()").scalar())


def close_at_the_server(postgres: Postgres, process: int) -> None:
    """End a connection as a server does that restarts."""
    with postgres.admin() as admin:
        admin.execute("SELECT pg_terminate_backend(%s, 5000)", (process,))


def idle_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let whatever is idle be idle for as long as it takes to be asked."""
    monkeypatch.setattr(pooled, "_SURELY_OPEN_S", 0)


def test_statements_one_after_another_ask_nothing(engine: Any, asked: list[object]) -> None:
    """The idle connection is taken as it is."""
    assert len({pid(engine) for _ in range(3)}) == 1

    assert asked == []


def test_one_that_was_idle_is_asked(engine: Any, asked: list[object], monkeypatch: pytest.MonkeyPatch) -> None:
    """It is open, and so it is taken."""
    first = pid(engine)
    idle_for_long(monkeypatch)

    assert pid(engine) == first
    assert len(asked) == 1


def test_one_that_the_server_has_closed_is_replaced(engine: Any, postgres: Postgres, monkeypatch: pytest.MonkeyPatch) -> None:
    """No statement fails for it; of the others in the pool none is given out any more."""
    with engine.connect() as one, engine.connect() as other:
        processes = [int(each.exec_driver_sql("SELECT pg_backend_pid()").scalar()) for each in (one, other)]
    for process in processes:
        close_at_the_server(postgres, process)
    idle_for_long(monkeypatch)

    with engine.connect() as one, engine.connect() as other:
        assert {one.exec_driver_sql("SELECT 1").scalar(), other.exec_driver_sql("SELECT 1").scalar()} == {1}


def test_another_error_of_asking_is_told(engine: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not as a closed connection: opening another would say nothing about it."""
    pid(engine)
    idle_for_long(monkeypatch)

    def refused(_: object) -> bool:
        raise psycopg.errors.InsufficientPrivilege("not for you")

    monkeypatch.setattr(engine.dialect, "do_ping", refused)

    with pytest.raises(sqlalchemy.exc.ProgrammingError, match="not for you"), engine.connect():
        pass


@pytest.mark.parametrize("always", [True, False])
def test_who_says_when_to_ask_is_obeyed(postgres: Postgres, always: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """`pool_pre_ping` in `[engine]` is SQLAlchemy's: before each use, or never."""
    idle_for_long(monkeypatch)
    fnb.secrets["pg"] = postgres.password
    engine = fnb.connect(described(postgres, f"[engine]\npool_pre_ping = {str(always).lower()}"))
    asked: list[object] = []
    ping = engine.dialect.do_ping
    engine.dialect.do_ping = lambda connection: bool(asked.append(connection)) or ping(connection)

    pid(engine)

    assert len(asked) == always
    engine.dispose()
