"""A database behind the broker, used as people use databases; the broker's sessions are real, only HTTP is left out."""

from __future__ import annotations

import datetime as dt
import pickle
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any
from uuid import UUID

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import sqlalchemy as sa

from flowfile_nb.core import wire
from flowfile_nb.errors import BrokerError, LimitError, RevokedError, UnknownSchemeError, UsageError
from flowfile_nb.team import dbapi
from flowfile_nb.team.dialect import make_engine
from notebooks.throwaway import Postgres
from tests.support.broker import Broker, DirectCall, order_for, running_broker
from tests.support.shell import Shell

_TYPES = """
CREATE TABLE kinds (
  id serial PRIMARY KEY, amount numeric(10,2), facts jsonb, at timestamptz, day date, token uuid, parent int REFERENCES kinds,
  name varchar(20) UNIQUE, numbers int[], lasted interval, address inet, raw bytea, net cidr, amounts numeric[])
"""
_ROW = """
INSERT INTO kinds VALUES (1, 1.50, '{"a": [1]}', '2020-01-02 03:04:05+00', '2020-01-02', '12345678-1234-5678-1234-567812345678',
  NULL, 'x', ARRAY[1,2], '1 day 2 hours', '10.0.0.1', '\\x00ff', '10.0.0.0/8', ARRAY[0.1, NULL])
"""


@pytest.fixture(scope="module")
def broker() -> Iterator[Broker]:
    """The broker's sessions."""
    with running_broker() as running:
        yield running


@pytest.fixture(scope="module")
def tables(postgres: Postgres) -> Iterator[None]:
    """A table of many types, and one of many rows."""
    with postgres.admin() as admin:
        admin.execute(_TYPES)
        admin.execute(_ROW)
        admin.execute("CREATE TABLE numbers AS SELECT g AS number, 'row ' || g AS text FROM generate_series(1, 1000) AS g")
        yield
        admin.execute("DROP TABLE kinds, numbers")


@pytest.fixture
def call(broker: Broker, postgres: Postgres, tables: None) -> DirectCall:
    """The way to the broker, for a share to read."""
    return DirectCall(broker, order_for(postgres))


@pytest.fixture
def connection(call: DirectCall) -> dbapi.Connection:
    """A connection to read."""
    return dbapi.connect(call, {"connection": "warehouse"})


@pytest.fixture
def engine(call: DirectCall) -> sa.Engine:
    """What `%connect warehouse` binds."""
    return make_engine(call, "postgresql", {"connection": "warehouse"})


@pytest.fixture
def writing(broker: Broker, postgres: Postgres, tables: None) -> sa.Engine:
    """The same for a share to write."""
    return make_engine(DirectCall(broker, order_for(postgres, "write")), "postgresql+psycopg", {"connection": "warehouse"})


def test_rows_are_what_drivers_return(connection: dbapi.Connection) -> None:
    """Each type as psycopg returns it."""
    assert connection.execute("SELECT * FROM kinds").fetchall() == [
        (
            1,
            Decimal("1.50"),
            {"a": [1]},
            dt.datetime(2020, 1, 2, 3, 4, 5, tzinfo=dt.timezone.utc),
            dt.date(2020, 1, 2),
            UUID("12345678-1234-5678-1234-567812345678"),
            None,
            "x",
            [1, 2],
            dt.timedelta(days=1, hours=2),
            "10.0.0.1",
            b"\x00\xff",
            "10.0.0.0/8",
            [Decimal("0.1"), None],
        )
    ]


def test_a_cursor_has_what_pep_249_says(connection: dbapi.Connection) -> None:
    """Description, one row, some rows, the rest, iteration, closing."""
    cursor = connection.cursor()
    assert (cursor.description, cursor.rowcount) == (None, -1)

    cursor.execute("SELECT number, text FROM numbers ORDER BY number")

    assert [column[:2] for column in cursor.description or []] == [("number", int), ("text", str)]
    assert cursor.fetchone() == (1, "row 1")
    assert [row[0] for row in cursor.fetchmany(3)] == [2, 3, 4]
    assert next(iter(cursor)) == (5, "row 5")
    assert len(cursor.fetchall()) == 995
    assert cursor.fetchone() is None
    assert cursor.fetchall() == []
    cursor.close()
    with pytest.raises(dbapi.InterfaceError, match="closed"):
        cursor.execute("SELECT 1")
    connection.close()
    with pytest.raises(dbapi.InterfaceError, match="closed"):
        connection.cursor()


def test_fetching_without_a_result_is_refused(connection: dbapi.Connection) -> None:
    """The error is ours, not an attribute that is missing."""
    with pytest.raises(dbapi.InterfaceError, match="no rows"):
        connection.cursor().fetchall()


@pytest.mark.parametrize(
    ("statement", "kind", "code"),
    [
        ("SELECT * FROM nowhere", dbapi.ProgrammingError, "42P01"),
        ("SELECT 1 / 0", dbapi.DataError, "22012"),
        ("CREATE TABLE mine (a int)", dbapi.OperationalError, "25006"),
    ],
)
def test_errors_of_the_database_are_of_pep_249s_classes(
    connection: dbapi.Connection, statement: str, kind: type[dbapi.Error], code: str
) -> None:
    """They are of this package's too, so that a notebook shows two lines."""
    with pytest.raises(kind) as caught:
        connection.execute(statement)

    assert caught.value.code == code
    assert isinstance(caught.value, dbapi.DatabaseError)


def test_refused_writing_says_how_to_be_allowed(connection: dbapi.Connection) -> None:
    """Who may change that, and by what."""
    with pytest.raises(dbapi.OperationalError, match="--write"):
        connection.execute("DELETE FROM numbers")


class Canned:
    """An answer from a tin."""

    def __init__(self, pieces: list[bytes]) -> None:
        self.pieces = pieces
        self.cancelled: list[str] = []

    def open(self, body: dict[str, Any]) -> Iterator[bytes]:
        """Return the pieces."""
        yield from self.pieces

    def cancel(self, query_id: str) -> bool:
        """Note the id."""
        self.cancelled.append(query_id)
        return True


def _arrow(rows: int, *, ended: bool = True) -> bytes:
    sink = pa.BufferOutputStream()
    batch = pa.record_batch({"a": list(range(rows))})
    writer = pa.ipc.new_stream(sink, batch.schema)
    writer.write_batch(batch)
    if ended:
        writer.close()
    return bytes(sink.getvalue())


@pytest.mark.parametrize("ended", [True, False])
@pytest.mark.parametrize("fetch", ["fetchall", "fetch_arrow_table", "fetch_df"])
def test_an_answer_without_its_end_is_never_a_result(fetch: str, *, ended: bool) -> None:
    """Arrow takes a stream that stops between two batches, or after the last, for whole; here it is an error."""
    cut = Canned([*wire.arrow_frames(_arrow(3, ended=ended))])

    with pytest.raises(wire.WireError, match="cut off"):
        getattr(dbapi.connect(cut, {"connection": "x"}).execute("SELECT"), fetch)()


def test_a_streaming_reader_sees_the_missing_end_too() -> None:
    """DuckDB and polars get an error where the answer is cut, after the rows that came."""
    cut = Canned([*wire.arrow_frames(_arrow(3))])

    reader = dbapi.connect(cut, {"connection": "x"}).execute("SELECT").fetch_record_batch()

    with pytest.raises(wire.WireError, match="cut off"):
        reader.read_all()


@pytest.mark.parametrize(
    ("kind", "raised"),
    [
        ("RevokedError", RevokedError),
        ("LimitError", LimitError),
        ("CancelledError", dbapi.OperationalError),
        ("FlowfileNbError; import os", BrokerError),
        ("annotations", BrokerError),
        ("__name__", BrokerError),
    ],
)
def test_the_brokers_errors_are_raised_as_what_they_are(kind: str, raised: type[Exception]) -> None:
    """By name, from our own errors alone; also where they come after rows."""
    ended = Canned([*wire.arrow_frames(_arrow(3, ended=False)), wire.error_frame(kind, "it ended", "ask alice")])
    cursor = dbapi.connect(ended, {"connection": "x"}).execute("SELECT")

    with pytest.raises(raised, match="it ended"):
        cursor.fetchall()


def test_a_result_that_is_not_read_to_its_end_is_cancelled() -> None:
    """Whoever closes a cursor, or runs the next statement on it, leaves nothing running."""
    canned = Canned([*wire.arrow_frames(_arrow(3)), wire.facts_frame(wire.END, {"rows": 3})])
    cursor = dbapi.connect(canned, {"connection": "x"}).cursor()

    cursor.execute("SELECT")
    cursor.execute("SELECT")
    assert len(canned.cancelled) == 1
    cursor.fetchall()
    cursor.close()

    assert len(canned.cancelled) == 1


def test_an_interrupt_cancels_in_the_database(call: DirectCall, connection: dbapi.Connection) -> None:
    """Ctrl-C while rows come: the statement is cancelled at the broker, and the interrupt goes on."""
    opened = call.open
    cancelled = []

    def interrupted(body: dict[str, Any]) -> Iterator[bytes]:
        pieces = opened(body)
        yield next(pieces)
        yield next(pieces)
        raise KeyboardInterrupt

    call.open = interrupted  # type: ignore[method-assign]
    call.cancel = lambda query_id: cancelled.append(query_id) or True  # type: ignore[method-assign, func-returns-value]

    with pytest.raises(KeyboardInterrupt):
        connection.execute("SELECT repeat('x', 100000), generate_series(1, 1000000)").fetchall()

    assert cancelled == [call.bodies[-1]["id"]]


def test_arrow_comes_as_it_is(connection: dbapi.Connection) -> None:
    """A table, a stream, a data frame; PostgreSQL's numeric becomes a decimal in a table."""
    table = connection.execute("SELECT number, number * 1.25 AS price FROM numbers ORDER BY number").fetch_arrow_table()
    stream = connection.execute("SELECT number FROM numbers").fetch_record_batch()
    frame = connection.execute("SELECT number, text FROM numbers").fetch_df()

    assert table.schema.field("price").type == pa.decimal128(38, 2)
    assert table.column("price")[0].as_py() == Decimal("1.25")
    assert stream.read_all().num_rows == 1000
    assert frame.shape == (1000, 2)


def test_a_numeric_that_no_decimal_holds_stays_text(connection: dbapi.Connection) -> None:
    """NaN, and more than 38 digits: the values are right, in text."""
    table = connection.execute("SELECT 'NaN'::numeric AS a, (10 ^ 40::numeric)::numeric AS b").fetch_arrow_table()

    assert table.schema.types == [pa.string(), pa.string()]
    assert Decimal(table.column("b")[0].as_py()) == Decimal(10) ** 40


def test_empty_results_keep_their_columns(connection: dbapi.Connection) -> None:
    """No rows are no error, in each form."""
    empty = "SELECT number, number * 1.25 AS price FROM numbers WHERE false"

    assert connection.execute(empty).fetchall() == []
    assert connection.execute(empty).fetch_arrow_table().column_names == ["number", "price"]
    assert list(connection.execute(empty).fetch_df().columns) == ["number", "price"]


def test_pandas_reads(connection: dbapi.Connection, engine: sa.Engine) -> None:
    """By query with parameters, by table, in pieces."""
    found = pd.read_sql("SELECT count(*) AS n FROM numbers WHERE number <= %(most)s", engine, params={"most": 7})
    pieces = pd.read_sql("SELECT * FROM numbers", engine, chunksize=400)

    assert found["n"].tolist() == [7]
    assert pd.read_sql_table("numbers", engine).shape == (1000, 2)
    assert [len(piece) for piece in pieces] == [400, 400, 200]
    with pytest.warns(UserWarning, match="SQLAlchemy"):
        assert pd.read_sql("SELECT * FROM numbers", connection).shape == (1000, 2)


def test_polars_reads_arrow(connection: dbapi.Connection, engine: sa.Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the connection without going through rows, all types; from the engine by rows; in pieces; from a cursor."""
    by_rows = pl.read_database("SELECT * FROM numbers", engine)
    monkeypatch.setattr("flowfile_nb.team.cursor.rows_of", None)

    whole = pl.read_database("SELECT * FROM numbers", connection)
    some = pl.read_database("SELECT * FROM numbers WHERE number = %(n)s", connection, execute_options={"parameters": {"n": 3}})
    pieces = list(pl.read_database("SELECT * FROM numbers", connection, iter_batches=True, batch_size=100))
    kinds = pl.read_database("SELECT * FROM kinds", connection)

    assert whole.equals(by_rows)
    assert some["text"].to_list() == ["row 3"]
    assert sum(piece.height for piece in pieces) == 1000
    assert kinds["amount"].to_list() == [Decimal("1.50")]
    assert pl.DataFrame(connection.execute("SELECT * FROM numbers")).shape == (1000, 2)
    assert connection.execute("SELECT * FROM numbers").fetch_polars().shape == (1000, 2)


def test_duckdb_reads_arrow(connection: dbapi.Connection) -> None:
    """A query of DuckDB's runs over the rows as they come."""
    rows = connection.execute("SELECT * FROM numbers").fetch_record_batch()

    assert duckdb.sql("SELECT sum(number) FROM rows").fetchall() == [(500500,)]
    assert rows.schema.names == ["number", "text"]


def test_sqlalchemy_reflects_and_selects(engine: sa.Engine) -> None:
    """Tables, columns, keys and indexes are seen; expressions with lists, dates and decimals work."""
    kinds = sa.Table("kinds", sa.MetaData(), autoload_with=engine)
    wanted = (kinds.c.name.in_(["x", "y"]), kinds.c.day == dt.date(2020, 1, 2), kinds.c.amount == Decimal("1.50"))

    with engine.connect() as opened:
        [row] = opened.execute(sa.select(kinds).where(*wanted))

    assert row.facts == {"a": [1]}
    assert row.token == UUID("12345678-1234-5678-1234-567812345678")
    assert str(kinds.c.amount.type) == "NUMERIC(10, 2)"
    assert [key.column.name for key in kinds.c.parent.foreign_keys] == ["id"]
    assert {"kinds", "numbers"} <= set(sa.inspect(engine).get_table_names())
    assert sa.inspect(engine).get_unique_constraints("kinds")[0]["column_names"] == ["name"]


def test_jupysql_runs_on_the_engine(shell: Shell, engine: sa.Engine) -> None:
    """`%sql` on the object that `%connect` binds."""
    shell.real.user_ns["warehouse"] = engine
    shell.run("%load_ext sql")
    shell.run("%config SqlMagic.displaycon = False")
    shell.run("%sql warehouse")

    shell.run("found = %sql SELECT count(*) AS n FROM numbers")

    assert [tuple(row) for row in shell.real.user_ns["found"]] == [(1000,)]


def test_a_notebook_shows_an_error_of_the_database_in_a_few_lines(shell: Shell, engine: sa.Engine) -> None:
    """As of a connection that is opened in the kernel; the exception is SQLAlchemy's, or pandas's, as ever."""
    shell.real.user_ns["warehouse"] = engine
    shell.run("import pandas as pd")

    shell.run("pd.read_sql('SELECT * FROM nowhere', warehouse)")

    shown = shell.said
    assert shown.startswith("DatabaseError: ")
    assert 'relation "nowhere" does not exist' in shown
    assert "%tb  shows the whole traceback" in shown
    assert shown.count("\n") < 10
    assert "site-packages" not in shown


def test_an_error_has_nothing_that_a_terminal_obeys(connection: dbapi.Connection) -> None:
    """Whoever made a table, or a function, has chosen some of an error's words; it is shown what they are."""
    with pytest.raises(dbapi.DataError) as caught, connection.cursor() as cursor:
        cursor.execute("SELECT 'red \x1b]0;title\x07 \u202e' :: int")

    assert r"red \x1b]0;title\x07 \u202e" in str(caught.value)


def test_writing_through_sqlalchemy_and_pandas(writing: sa.Engine) -> None:
    """Rows are inserted with what they return, changed with their count, and whole frames stored."""
    with writing.begin() as opened:
        opened.exec_driver_sql("CREATE TABLE written (id serial PRIMARY KEY, name text)")
    written = sa.Table("written", sa.MetaData(), autoload_with=writing)
    with writing.begin() as opened:
        ids = opened.execute(written.insert().returning(written.c.id), [{"name": "a"}, {"name": "b"}]).scalars().all()
        changed = opened.execute(written.update().where(written.c.name == "a").values(name="c")).rowcount
    pd.DataFrame({"a": [1, 2], "b": ["x", None]}).to_sql("frame", writing, index=False)

    try:
        assert (ids, changed) == ([1, 2], 1)
        assert pd.read_sql("SELECT count(b) AS n FROM frame", writing)["n"].tolist() == [1]
    finally:
        with writing.begin() as opened:
            opened.exec_driver_sql("DROP TABLE written, frame")


def test_a_rollback_that_cannot_be_is_said(broker: Broker, postgres: Postgres) -> None:
    """Each statement commits itself: nobody is left to think that it was taken back."""
    connection = dbapi.connect(DirectCall(broker, order_for(postgres, "write")), {"connection": "warehouse"})
    connection.execute("CREATE TABLE once (a int)")

    with pytest.warns(dbapi.Warning, match="not rolled back"):
        connection.rollback()
    connection.execute("DROP TABLE once")
    connection.commit()
    connection.rollback()


def test_several_rows_of_parameters(broker: Broker, postgres: Postgres) -> None:
    """`executemany` counts what it changed."""
    connection = dbapi.connect(DirectCall(broker, order_for(postgres, "write")), {"connection": "warehouse"})
    connection.execute("CREATE TABLE many (a int)")

    cursor = connection.cursor().executemany("INSERT INTO many VALUES (%s)", [[1], [2], [3]])

    connection.execute("DROP TABLE many")
    assert cursor.rowcount == 3


def test_the_engine_shows_and_sends_its_name_only(
    engine: sa.Engine, monkeypatch: pytest.MonkeyPatch, postgres: Postgres
) -> None:
    """Neither repr nor pickle holds a host, a login or a token; what was pickled asks with the identity of its new home."""
    monkeypatch.setenv("FLOWFILE_NB_TEAM", "unix:/nowhere/broker.sock")
    sent = pickle.dumps(engine)

    copy = pickle.loads(sent)

    for text in (repr(engine), repr(engine.url), repr(sent), repr(engine.raw_connection().driver_connection)):
        assert postgres.password not in text
        assert str(postgres.port) not in text
        assert "warehouse" in text
    assert repr(copy) == repr(engine)
    with pytest.raises(BrokerError):
        copy.connect()


def test_other_databases_have_no_dialect_here(call: DirectCall) -> None:
    """It is told which ones there are."""
    with pytest.raises(UnknownSchemeError, match="'duckdb' cannot be used") as refused:
        make_engine(call, "duckdb", {"connection": "warehouse"})

    assert "clickhouse, clickhousedb, databricks, mssql, mysql, oracle, postgresql, snowflake, trino" in refused.value.hint


def test_a_database_whose_sql_is_not_known_here_is_read_by_text(call: DirectCall) -> None:
    """An engine that pandas takes, with parameters; nothing is asked of the database by itself."""
    engine = make_engine(call, "trino", {"connection": "warehouse"})

    frame = pd.read_sql(sa.text("SELECT :a AS a"), engine, params={"a": "it's"})

    assert frame["a"].tolist() == ["it's"]
    assert [body["statement"] for body in call.bodies] == ["SELECT %(a)s AS a"]


@pytest.mark.parametrize("slip", [lambda c: c.execute("SELECT %s", "text"), lambda c: c.execute("SELECT %s", [object()])])
def test_slips_with_parameters_are_told(connection: dbapi.Connection, slip: Callable[[dbapi.Connection], Any]) -> None:
    """Nothing is sent."""
    with pytest.raises(UsageError):
        slip(connection)
