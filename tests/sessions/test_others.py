"""Databases without an engine of their own; SQLite stands in for them here, though a broker refuses it."""

from __future__ import annotations

import base64
import datetime as dt
import importlib
import json
from collections.abc import Iterator
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import trustme

from flowfile_nb.broker.engines import LostError, OpeningError, StatementError, engine_of
from flowfile_nb.broker.engines.others import GUARANTEE, Others
from flowfile_nb.broker.limits import Limits
from flowfile_nb.broker.model import Access, Target
from tests.support.http_server import Answer, Request, Server, running
from tests.support.postgres import HARD_PASSWORD


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Others]:
    """An open connection to an empty database."""
    opened = Others(Target("sqlite", "", 0, str(tmp_path / "some.db"), "", ""), "", Limits())
    opened.open()
    with closing(opened._connection):
        yield opened


def _rows(engine: Others, statement: str, parameters: Any = None, access: Access = "write") -> list[dict[str, Any]]:
    with engine.execute(statement, parameters, access) as result:
        return [row for batch in result.batches for row in batch.to_pylist()]


def test_rows_and_parameters(engine: Others) -> None:
    """Values of each type arrive, in several batches, with parameters in the places of both styles."""
    _rows(engine, "CREATE TABLE t (a int, b text, c float)")
    _rows(engine, "INSERT INTO t VALUES (1, NULL, 0.5), (2, 'it''s', NULL)")

    assert _rows(engine, "SELECT * FROM t WHERE a = %s OR b = %s", [1, "it's"]) == [
        {"a": 1, "b": None, "c": 0.5},
        {"a": 2, "b": "it's", "c": None},
    ]
    assert _rows(engine, "SELECT %(d)s AS d", {"d": dt.date(2020, 1, 2)}) == [{"d": "2020-01-02"}]
    many = "WITH RECURSIVE n(g) AS (SELECT 1 UNION ALL SELECT g + 1 FROM n WHERE g < 2500) SELECT g FROM n"
    assert [row["g"] for row in _rows(engine, many)] == list(range(1, 2501))
    assert _rows(engine, "SELECT a FROM t WHERE false") == []


@pytest.mark.parametrize("statement", ["SELECT 1", "DELETE FROM t"])
def test_nothing_is_run_for_a_share_to_read(engine: Others, statement: str) -> None:
    """There is nothing that would hold a statement in."""
    _rows(engine, "CREATE TABLE t (a int)")

    with pytest.raises(StatementError, match="nothing is run for a share to read") as caught:
        _rows(engine, statement, access="read")

    assert caught.value.read_only


def test_a_statement_that_was_run_is_kept(engine: Others) -> None:
    """It is a transaction of its own."""
    _rows(engine, "CREATE TABLE t (a int)")
    _rows(engine, "INSERT INTO t VALUES (1)")
    engine._connection.close()
    engine.open()

    assert _rows(engine, "SELECT * FROM t") == [{"a": 1}]


def test_an_error_is_told_without_the_statement(engine: Others) -> None:
    """In the database's words."""
    with pytest.raises(StatementError, match="no such table: nowhere"):
        _rows(engine, "SELECT * FROM nowhere")


def test_a_later_row_of_another_type_is_an_error(engine: Others) -> None:
    """It says which column, and what to do; nothing is made of what does not fit."""
    mixed = (
        "WITH RECURSIVE n(g) AS (SELECT 1 UNION ALL SELECT g + 1 FROM n WHERE g < 2000) "
        "SELECT CASE WHEN g < 1500 THEN g ELSE 'x' END AS g FROM n"
    )

    with pytest.raises(StatementError, match="the column 'g' is of another type"):
        _rows(engine, mixed)


def test_it_says_what_it_does_not_promise(engine: Others) -> None:
    """Whoever shares is told."""
    assert [one.startswith("warning: ") for one in engine.problems()] == [True]
    assert engine.server().startswith("sqlite 3.")


def test_a_parameter_without_a_form_is_told(engine: Others) -> None:
    """By its type."""
    with pytest.raises(StatementError, match="of type list"):
        _rows(engine, "SELECT %s", [[Decimal(1)]])


@pytest.mark.parametrize("kind", ["snowflake", "databricks"])
@pytest.mark.parametrize(("item", "written"), [("it's", r"'it\'s'"), (r"\' OR 1=1 --", r"'\\\' OR 1=1 --'"), ("50%", "'50%'")])
def test_a_text_stays_a_text_where_a_backslash_escapes(engine: Others, kind: str, item: str, written: str) -> None:
    """Whoever gives a parameter gives no SQL."""
    engine._target = engine._target._replace(kind=kind)

    assert engine._literal(item) == written


@pytest.mark.parametrize("kind", ["sqlite", "duckdb", "sqlite+pysqlite"])
def test_files_are_refused(kind: str) -> None:
    """A broker opens no file for anybody."""
    with pytest.raises(OpeningError, match="files"):
        engine_of(Target(kind, "", 0, "/etc/passwd", "", ""), "", Limits())


def test_what_cannot_be_opened_says_nothing_of_the_drivers() -> None:
    """Its text may hold the whole URL; the operator's log gets it scrubbed."""
    nowhere = Others(Target("nosuchdatabase", "h", 1, "d", "u", ""), "the value", Limits())

    with pytest.raises(OpeningError, match=r"^the database could not be opened$"):
        nowhere.open()


# Its driver sends a login in Latin-1, as HTTP had it.
PLAIN_PASSWORD = "p@ss:w/or d?#%\"'\\&=+${x}"


class Trino:
    """As much of Trino's protocol as its driver needs, over a real connection; what the driver asked is kept."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.statements: list[str] = []
        server.answer = self._answer

    def _answer(self, request: Request) -> Answer:
        done = {"id": "q1", "infoUri": f"{self.server.url}/ui", "stats": {"state": "FINISHED"}}
        if request.method == "POST":
            self.statements.append(request.body.decode())
            done["nextUri"] = f"{self.server.url}/v1/statement/q1/1"
        else:
            number = {"rawType": "bigint", "arguments": []}
            done |= {"columns": [{"name": "a", "type": "bigint", "typeSignature": number}], "data": [[1], [2]]}
        return Answer(200, {"Content-Type": "application/json"}, json.dumps(done).encode())


def test_trino_by_its_own_driver(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The password goes where the target says, as it is, once the certificate is verified; rows come as Arrow."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "ca.pem"))
    with running(tls=authority) as server:
        trino = Trino(server)
        target = Target("trino", "127.0.0.1", server.port, "sales/public", "app", "verify-full", {"http_scheme": "https"})
        opened = Others(target, PLAIN_PASSWORD, Limits())
        opened.open()

        assert _rows(opened, "SELECT a FROM t WHERE b = %s", ["it's"]) == [{"a": 1}, {"a": 2}]
        assert opened.problems() == [f"warning: {GUARANTEE}"]

        login = base64.b64encode(f"app:{PLAIN_PASSWORD}".encode()).decode()
        assert {one.headers.get("authorization") for one in server.requests} == {f"Basic {login}"}
        assert (server.requests[0].headers["x-trino-catalog"], server.requests[0].headers["x-trino-schema"]) == (
            "sales",
            "public",
        )
        assert "SELECT a FROM t WHERE b = 'it''s'" in trino.statements
        opened._engine.dispose()


def test_trino_whose_certificate_nobody_vouches_for() -> None:
    """Nothing is sent there."""
    with running(tls=trustme.CA()) as server:
        target = Target("trino", "127.0.0.1", server.port, "sales", "app", "verify-full", {"http_scheme": "https"})
        opened = Others(target, "canary", Limits())
        opened.open()

        with pytest.raises((StatementError, LostError)) as caught:
            _rows(opened, "SELECT 1")

        assert server.requests == []
        assert "canary" not in str(caught.value)
        opened._engine.dispose()


@pytest.mark.parametrize(
    ("target", "module", "expected"),
    [
        (
            Target("mssql", "db.example.com", 1433, "sales", "app", "require"),
            "pymssql",
            {
                "host": "db.example.com:1433",
                "user": "app",
                "password": HARD_PASSWORD,
                "database": "sales",
                "encryption": "require",
            },
        ),
        (
            Target("oracle", "db.example.com", 1521, "", "app", "disable", {"service_name": "sales"}),
            "oracledb",
            {"user": "app", "password": HARD_PASSWORD},
        ),
    ],
)
def test_what_a_driver_is_given(monkeypatch: pytest.MonkeyPatch, target: Target, module: str, expected: dict[str, Any]) -> None:
    """The driver that the owner's kernel would take gets the password as it is; no such server is to be had here."""
    found: dict[str, Any] = {}

    def connect(*args: Any, **named: Any) -> Any:
        found.update(named)
        raise OSError("connection refused")

    monkeypatch.setattr(importlib.import_module(module), "connect", connect)
    with pytest.raises(OpeningError):
        Others(target, HARD_PASSWORD, Limits()).open()

    assert {key: str(found[key]) for key in expected} == expected
