"""Databases without an engine of their own; SQLite stands in for them here, though a broker refuses it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from flowfile_nb.broker.engines import OpeningError, StatementError, engine_of
from flowfile_nb.broker.engines.others import Others
from flowfile_nb.broker.limits import Limits
from flowfile_nb.broker.model import Access, Target


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
