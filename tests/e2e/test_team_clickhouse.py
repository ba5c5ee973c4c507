"""A ClickHouse behind the broker: `readonly = 1` holds a share to read in, tried by attacks that work with one to write."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from decimal import Decimal
from uuid import UUID

import clickhouse_driver
import pandas as pd
import pytest
import sqlalchemy as sa

from flowfile_nb.broker.model import Order, Target
from flowfile_nb.team.dialect import make_engine
from notebooks.throwaway import Postgres
from tests.attacks.trying import prepare
from tests.support.broker import Broker, DirectCall, running_broker
from tests.support.clickhouse import ClickHouse, running_clickhouse
from tests.support.front import running_house
from tests.support.http_server import Answer, Server, running

pytestmark = [pytest.mark.e2e, pytest.mark.filterwarnings("default::DeprecationWarning")]
CANARY = "another-servers-passw0rd"


@pytest.fixture(scope="module")
def server() -> Iterator[ClickHouse]:
    """One server for the tests of this file, with a table, and a file that its own user may read."""
    with running_clickhouse() as running_server:
        (running_server.folder / "files" / "kept.csv").write_text("1\n")
        admin(running_server, "CREATE TABLE victim (a Int32) ENGINE = MergeTree ORDER BY a")
        yield running_server


@pytest.fixture(scope="module")
def broker() -> Iterator[Broker]:
    """The broker's sessions."""
    with running_broker() as running_sessions:
        yield running_sessions


@pytest.fixture
def elsewhere() -> Iterator[Server]:
    """Somebody whom the database may be made to speak to."""
    with running() as server:
        server.answer = lambda _: Answer(200, {}, b"1\n")
        yield server


def admin(server: ClickHouse, statement: str) -> list[tuple[object, ...]]:
    """Do something without the broker."""
    client = clickhouse_driver.Client(server.host, server.port, server.database, server.user, server.password)
    try:
        return client.execute(statement)  # type: ignore[no-any-return]
    finally:
        client.disconnect()


def order(server: ClickHouse, access: str = "read") -> Order:
    """What the policy hands on."""
    target = Target("clickhouse", server.host, server.port, server.database, server.user, "prefer")
    return Order(access, "alice", "clicks", "grant 1", target, server.password, access)  # type: ignore[arg-type]


_GONE = "SELECT count() = 0 FROM system.tables WHERE database = 'default' AND name = 'victim'"
_ROW = "SELECT count() > 0 FROM victim WHERE a = 666"
_MADE = "SELECT count() > 0 FROM system.tables WHERE name = 'made'"
# Statements, one a request, and what the administrator sees if they got through.
_ATTACKS = {
    "a row": (["INSERT INTO victim SELECT 666"], _ROW),
    "a row, behind a comment": (["/* SELECT */ -- SELECT\n INSERT INTO victim SELECT 666"], _ROW),
    "a row, after readonly is set back": (["SET readonly = 0", "INSERT INTO victim SELECT 666"], _ROW),
    "a table": (["CREATE TABLE made (a Int32) ENGINE = Memory"], _MADE),
    "a table of a query": (["CREATE TABLE made ENGINE = Memory AS SELECT 1 AS a"], _MADE),
    "a view": (["CREATE VIEW made AS SELECT 1 AS a"], _MADE),
    "a table that goes": (["DROP TABLE victim"], _GONE),
    "a table that is called otherwise": (["RENAME TABLE victim TO made"], _MADE),
    "a table that is taken off": (["DETACH TABLE victim"], _GONE),
    "a column": (["ALTER TABLE victim ADD COLUMN b Int8"], "SELECT count() > 1 FROM system.columns WHERE table = 'victim'"),
}


@pytest.mark.parametrize("name", _ATTACKS)
def test_nothing_is_changed_through_a_share_to_read(broker: Broker, server: ClickHouse, name: str) -> None:
    """With write access the attack changes something; with read access nothing, and the next statement is answered."""
    steps, seen = _ATTACKS[name]

    def got_through(access: str) -> bool:
        for table in ("victim", "made"):
            admin(server, f"DROP TABLE IF EXISTS {table}")
        if "DETACH" in steps[0]:
            for file in (server.folder / "data" / "metadata" / "default").glob("victim.sql"):
                file.unlink()
        admin(server, "CREATE TABLE victim (a Int32) ENGINE = MergeTree ORDER BY a")
        for step in steps:
            broker.ask(order(server, access), step)
        return bool(admin(server, seen)[0][0])

    assert got_through("write"), "this attack proves nothing"

    assert not got_through("read")
    assert broker.ask(order(server), "SELECT 1 AS a").rows == [{"a": 1}]


def test_no_file_and_no_other_server_is_reached(broker: Broker, server: ClickHouse, elsewhere: Server) -> None:
    """What a share to write can have the server fetch, a share to read cannot: each table function is refused."""
    functions = {
        "url": f"url('{elsewhere.url}/x', 'CSV', 'a Int32')",
        "file": "file('kept.csv', 'CSV', 'a Int32')",
        "remote": f"remote('127.0.0.1:{server.port}', 'system', 'one', '{server.user}', '')",
        "mysql": f"mysql('127.0.0.1:{elsewhere.port}', 'd', 't', 'u', 'p')",
    }
    for name in ("url", "file"):
        assert broker.ask(order(server, "write"), f"SELECT * FROM {functions[name]}").rows == [{"a": 1}], name
    assert len(elsewhere.requests) == 1

    for name, function in functions.items():
        for statement in (f"SELECT * FROM {function}", f"DESCRIBE TABLE {function}", f"SELECT (SELECT a FROM {function})"):
            said = broker.ask(order(server), statement).last
            assert (said["type"], said["code"]) == ("QueryError", "164"), (name, statement, said)
    assert len(elsewhere.requests) == 1


@pytest.mark.parametrize(
    "statement",
    [
        "SET readonly = 0",
        "SELECT 1 SETTINGS readonly = 0",
        "SELECT 1 SETTINGS max_execution_time = 1",
        "SELECT 1; DROP TABLE victim",
        "USE system",
        "KILL QUERY WHERE 1",
        "SYSTEM RELOAD CONFIG",
        "OPTIMIZE TABLE victim",
        "CREATE TEMPORARY TABLE t (a Int8)",
        "INSERT INTO FUNCTION file('x', 'CSV', 'a Int8') SELECT 1",
        "EXISTS TABLE victim",
    ],
)
def test_what_is_refused_for_a_share_to_read(broker: Broker, server: ClickHouse, statement: str) -> None:
    """Settings, several statements, others' queries, what the session would keep; and the session goes on."""
    assert broker.ask(order(server), statement).last["type"] == "QueryError"
    assert broker.ask(order(server), "SELECT currentDatabase() AS d").rows == [{"d": "default"}]


def test_a_login_that_reads_other_servers_passwords_is_refused(broker: Broker, server: ClickHouse) -> None:
    """An old server shows them in a table's definition, to whoever may look at the table."""
    assert broker.do(broker.sessions.ask(order(server)))["problems"] == []
    admin(server, f"CREATE TABLE lent (a Int8) ENGINE = MySQL('127.0.0.1:1', 'd', 't', 'u', '{CANARY}')")
    try:
        shown = broker.ask(order(server), "SELECT create_table_query AS q FROM system.tables WHERE name = 'lent'").rows
        assert CANARY in shown[0]["q"], "this attack proves nothing"

        facts = broker.do(broker.sessions.ask(order(server)))
    finally:
        admin(server, "DROP TABLE lent")

    assert facts["problems"] == ["the login reads the passwords of other servers in the definition of default.lent"]
    assert facts["server"].startswith("ClickHouse ")


def test_rows_are_what_drivers_return(broker: Broker, server: ClickHouse) -> None:
    """Each type, in several batches, through an engine that pandas takes; parameters are values, whatever is in them."""
    engine = make_engine(DirectCall(broker, order(server)), "clickhouse", {"connection": "clicks"})
    kinds = """SELECT toUInt64(18446744073709551615) AS big, toDecimal64('1.50', 2) AS n, toDate('2020-01-02') AS d,
      toDateTime('2020-01-02 03:04:05') AS at, toDateTime('2020-01-02 03:04:05', 'Europe/Berlin') AS there, 'ü' AS text,
      NULL AS nothing, toNullable(1) AS perhaps, [1, NULL] AS list, toUUID('61f0c404-5cb3-11e7-907b-a6006ad3dba0') AS id,
      CAST('a', 'Enum8(\\'a\\' = 1)') AS word, tuple(1, 'a') AS pair, toFixedString('ab', 2) AS fixed, 0.5 AS f"""

    with engine.connect() as opened:
        row = opened.exec_driver_sql(kinds).mappings().one()
        given = {"text": "it's \\ % ü\n", "number": 7, "day": dt.date(2020, 1, 2), "money": Decimal("1.50")}
        back = opened.execute(sa.text("SELECT :text AS text, :number AS number, :day AS day, :money AS money"), given)
        assert dict(back.mappings().one()) == {**given, "money": Decimal("1.50")}
    numbers = pd.read_sql("SELECT number AS g FROM system.numbers LIMIT 2500", engine)

    assert row["there"] == dt.datetime(2020, 1, 2, 2, 4, 5, tzinfo=dt.timezone.utc)
    assert {key: row[key] for key in row if key != "there"} == {
        "big": 2**64 - 1,
        "n": Decimal("1.50"),
        "d": dt.date(2020, 1, 2),
        "at": dt.datetime(2020, 1, 2, 3, 4, 5),
        "text": "ü",
        "nothing": None,
        "perhaps": 1,
        "list": [1, None],
        "word": "a",
        "pair": "(1, 'a')",
        "fixed": "ab",
        "id": str(UUID("61f0c404-5cb3-11e7-907b-a6006ad3dba0")),
        "f": 0.5,
    }
    assert numbers["g"].tolist() == list(range(2500))


def test_bytes_that_are_no_text_are_not_made_into_one(broker: Broker, server: ClickHouse) -> None:
    """It is said which column, and what to do."""
    said = broker.ask(order(server), "SELECT unhex('ff00') AS raw").last

    assert (said["type"], said["hint"]) == ("QueryError", "have the database convert it:  hex(raw)")


def test_an_error_in_the_middle_is_one_at_the_end(broker: Broker, server: ClickHouse) -> None:
    """No shorter result; the database's words, and the next statement is answered."""
    said = broker.ask(order(server), "SELECT intDiv(1, number - 100000) FROM system.numbers LIMIT 300000").last

    assert (said["type"], said["code"]) == ("QueryError", "153")
    assert broker.ask(order(server), "SELECT 1 AS a").rows == [{"a": 1}]


def test_rows_apart_from_a_statement_are_said_not_to_be_taken(broker: Broker, server: ClickHouse) -> None:
    """The driver would wait for them for ever."""
    said = broker.ask(order(server, "write"), "INSERT INTO victim (a) VALUES (1)").last

    assert said["type"] == "QueryError"
    assert "INSERT INTO t SELECT" in said["hint"]


def test_an_interrupt_cancels_in_the_database(broker: Broker, server: ClickHouse) -> None:
    """The statement is gone there too."""
    runs = "SELECT count() FROM system.processes WHERE query LIKE 'SELECT count() FROM system.numbers%'"
    slow = "SELECT count() FROM system.numbers WHERE NOT ignore(sleep(0.1))"
    ends = broker.begin(order(server), slow, query_id="slow")
    while admin(server, runs) == [(0,)]:
        pass

    assert broker.do(broker.sessions.cancel("slow", "read"))

    assert ends().last["type"] == "CancelledError"
    while admin(server, runs) != [(0,)]:
        pass


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"value": "wrong-canary"}, "refused the login"),
        ({"database": "nowhere"}, "no such database"),
        ({"port": 1}, "cannot be reached"),
    ],
)
def test_a_connection_that_does_not_come_about(
    broker: Broker, server: ClickHouse, changes: dict[str, object], reason: str
) -> None:
    """It is said why, in words of ours."""
    usual = order(server)._replace(connection=reason)
    value = str(changes.pop("value", usual.value))
    wrong = usual._replace(value=value, target=usual.target._replace(**changes))  # type: ignore[arg-type]

    said = broker.ask(wrong, "SELECT 1").last

    assert said["type"] == "ConnectionFailedError"
    assert reason in said["message"]
    assert "canary" not in str(said)


def test_an_account_that_is_raised_during_a_session_is_judged_when_it_connects_again(server: ClickHouse) -> None:
    """After a statement that failed the session gets another connection, of an account that reads a password by now."""
    with running_broker() as own:
        assert own.ask(order(server), "SELECT 1 AS a").rows == [{"a": 1}]
        admin(server, f"CREATE TABLE lent (a Int8) ENGINE = MySQL('127.0.0.1:1', 'd', 't', 'u', '{CANARY}')")
        try:
            assert own.ask(order(server), "SELECT throwIf(1)").last["type"] == "QueryError"
            refused = own.ask(order(server), "SELECT 1").last
        finally:
            admin(server, "DROP TABLE lent")
        again = own.ask(order(server), "SELECT 1 AS a").rows

    assert refused["type"] == "NotAllowedError"
    assert "passwords of other servers" in refused["message"]
    assert again == [{"a": 1}]


def test_the_whole_path(server: ClickHouse, postgres: Postgres) -> None:
    """Shared by its owner, with what is promised said to both; read by a member; a password of another server ends that."""
    with running_house(prepare(postgres)) as house:
        body = f"clickhouse+native://{server.user}:%secret ch@{server.host}:{server.port}/{server.database}"
        house.alice.done("PUT", "secrets", {"name": "ch", "value": server.password})
        house.alice.done("PUT", "connections", {"name": "clicks", "body": body})
        share = {"what": "connection", "name": "clicks", "group": "analysts", "access": "read"}

        (said,) = house.alice.done("PUT", "shares", share)["guarantees"]
        shared = {one["name"]: one["guarantee"] for one in house.bob.get("connections").json()["connections"]}

        assert "readonly = 1" in said
        assert shared["clicks"] == said
        assert house.bob.rows("SELECT 1 AS a", "clicks") == [{"a": 1}]
        admin(server, f"CREATE TABLE lent (a Int8) ENGINE = MySQL('127.0.0.1:1', 'd', 't', 'u', '{CANARY}')")
        refused = house.alice.put("shares", share)
        admin(server, "DROP TABLE lent")
        assert refused.status_code == 403
        assert "passwords of other servers in the definition of default.lent" in refused.text
        assert CANARY not in refused.text
