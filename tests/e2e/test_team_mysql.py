"""A MariaDB behind the broker: what its read-only transactions let through is refused all the same."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from decimal import Decimal

import pandas as pd
import pytest
import sqlalchemy as sa

from flowfile_nb.broker.limits import Limits
from flowfile_nb.broker.model import Order, Target
from flowfile_nb.team import dbapi
from flowfile_nb.team.dialect import make_engine
from flowfile_nb.team.entries import Offer
from tests.support.broker import Broker, DirectCall, running_broker
from tests.support.mariadb import MariaDb, is_installed, running_mariadb
from tests.support.real_broker import running_real_broker
from tests.support.shell import Shell

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(not is_installed(), reason="no MariaDB server here:  apt-get install mariadb-server"),
]

_CHANGE = "SET PASSWORD = PASSWORD('bobs choice')"
_PASSWORD = "SELECT authentication_string <> (SELECT kept FROM sales.verifier) FROM mysql.user WHERE user = 'app'"
_ROW = "SELECT COUNT(*) > 0 FROM sales.victim WHERE a = 666"
_GONE = "SELECT COUNT(*) = 0 FROM information_schema.tables WHERE table_name = 'victim'"
_MADE = "SELECT COUNT(*) > 0 FROM information_schema.tables WHERE table_name = 'made'"
# Statements, one a request, and what the administrator sees if they got through.
_ATTACKS = {
    "the password": ([_CHANGE], _PASSWORD),
    "behind a comment": (["/* SELECT */ -- SELECT\n # SELECT\n SET PASSWORD = PASSWORD('x')"], _PASSWORD),
    "in a comment that is none": (["/*! SET PASSWORD = PASSWORD('x') */"], _PASSWORD),
    "in MariaDB's comment that is none": (["/*M! SET PASSWORD = PASSWORD('x') */"], _PASSWORD),
    "in a block": ([f"BEGIN NOT ATOMIC {_CHANGE}; END"], _PASSWORD),
    "put together": (["EXECUTE IMMEDIATE CONCAT('SET PASS', 'WORD = PASSWORD(''x'')')"], _PASSWORD),
    "in a procedure": (["CALL change_password()"], _PASSWORD),
    "after a commit": (["COMMIT", _CHANGE], _PASSWORD),
    "with the session's character": (["SET SESSION TRANSACTION READ WRITE", _CHANGE], _PASSWORD),
    "with a setting for one statement": ([f"SET STATEMENT sql_mode = '' FOR {_CHANGE}", _CHANGE], _PASSWORD),
    "a row": (["INSERT INTO victim VALUES (666)"], _ROW),
    "a row, in a function": (["SELECT insert_one()"], _ROW),
    "a row, in an expression": (["WITH c AS (SELECT insert_one() AS n) SELECT * FROM c"], _ROW),
    "a row, analysed": (["ANALYZE INSERT INTO victim VALUES (666)"], _ROW),
    "a change": (["UPDATE victim SET a = 666"], _ROW),
    "a table": (["CREATE TABLE made (a int)"], _MADE),
    "a table of a query": (["CREATE OR REPLACE TABLE made AS SELECT 1 AS a"], _MADE),
    "all rows": (["TRUNCATE victim"], "SELECT COUNT(*) = 0 FROM sales.victim"),
    "a table that goes": (
        ["DROP TABLE victim"],
        "SELECT COUNT(*) = 0 FROM information_schema.tables WHERE table_name = 'victim'",
    ),
}


@pytest.fixture(scope="module")
def mariadb() -> Iterator[MariaDb]:
    """One server for the tests of this file, with what the attacks need."""
    with running_mariadb() as server:
        with server.admin() as admin, admin.cursor() as cursor:
            for statement in (
                "USE sales",
                "CREATE TABLE verifier AS SELECT authentication_string AS kept FROM mysql.user WHERE user = 'app'",
                f"CREATE DEFINER = app@'127.0.0.1' PROCEDURE change_password() {_CHANGE}",
                "CREATE FUNCTION insert_one() RETURNS int BEGIN INSERT INTO victim VALUES (666); RETURN 1; END",
                """CREATE TABLE kinds (n decimal(10,2), d date, at datetime, t time, text varchar(20), raw varbinary(9),
                big bigint unsigned, j json)""",
                """INSERT INTO kinds VALUES (1.50, '2020-01-02', '2020-01-02 03:04:05', '10:00:00', 'ü', x'00ff',
                18446744073709551615, '{"a": 1}')""",
            ):
                cursor.execute(statement)
        yield server


@pytest.fixture(scope="module")
def broker() -> Iterator[Broker]:
    """The broker's sessions."""
    with running_broker() as running:
        yield running


def _order(server: MariaDb, access: str = "read") -> Order:
    target = Target("mysql", server.host, server.port, server.database, server.user, "")
    return Order(access, "alice", "shop", "grant 1", target, server.password, access)  # type: ignore[arg-type]


def _tried(broker: Broker, server: MariaDb, access: str, steps: list[str], seen: str) -> bool:
    """Try an attack; return whether it got through, and undo it."""
    with server.admin() as admin, admin.cursor() as cursor:
        cursor.execute("CREATE OR REPLACE TABLE sales.victim AS SELECT 1 AS a")
        for step in steps:
            broker.ask(_order(server, access), step)
        cursor.execute(seen)
        row = cursor.fetchone()
        cursor.execute("SET PASSWORD FOR app@'127.0.0.1' = PASSWORD(%s)", [server.password])
        cursor.execute("DROP TABLE IF EXISTS sales.made")
    return bool(row and row[0])


@pytest.mark.parametrize("name", _ATTACKS)
def test_nothing_is_changed_through_a_share_to_read(broker: Broker, mariadb: MariaDb, name: str) -> None:
    """With write access the attack changes the password or data; with read access it changes nothing."""
    assert _tried(broker, mariadb, "write", *_ATTACKS[name]), "this attack proves nothing"

    assert not _tried(broker, mariadb, "read", *_ATTACKS[name])
    assert broker.ask(_order(mariadb), "SELECT 1 AS a").rows == [{"a": 1}]


# What a statement does, and a question whose answer is 0 if nothing is left of it in the session.
_LEFT = {
    "a lock": ("SELECT GET_LOCK('mine', 0)", "SELECT IS_USED_LOCK('mine') IS NOT NULL"),
    "a variable": ("SELECT @mine := 1", "SELECT @mine IS NOT NULL"),
}
_LEFT_BY_WRITING = _LEFT | {
    "a setting": ("SET SESSION sql_mode = 'ANSI_QUOTES'", "SELECT @@sql_mode LIKE '%ANSI_QUOTES%'"),
    "no limit of time": ("SET SESSION max_statement_time = 0", "SELECT @@max_statement_time = 0"),
    "a temporary table over a real one": ("CREATE TEMPORARY TABLE kinds (a int)", "SELECT COUNT(*) - 1 FROM kinds"),
    "another character set": ("SET NAMES latin1", "SELECT @@character_set_client <> 'utf8mb4'"),
    "another database": ("USE information_schema", "SELECT DATABASE() <> 'sales'"),
    "an open transaction": ("START TRANSACTION", "SELECT @@in_transaction"),
}


@pytest.mark.parametrize(
    ("access", "what"), [*(("read", what) for what in _LEFT), *(("write", what) for what in _LEFT_BY_WRITING)]
)
def test_a_statement_leaves_nothing_behind(broker: Broker, mariadb: MariaDb, access: str, what: str) -> None:
    """The next statement, in the same session, finds it as a new one."""
    order = _order(mariadb, access)
    before = broker.ask(order, "SELECT CONNECTION_ID() AS id").rows
    statement, question = _LEFT_BY_WRITING[what]

    assert broker.ask(order, statement).outcome.state == "complete"

    left = broker.ask(order, question).rows
    assert [list(row.values()) for row in left] == [[0]]
    assert broker.ask(order, "SELECT CONNECTION_ID() AS id").rows == before


@pytest.mark.parametrize("access", ["read", "write"])
@pytest.mark.parametrize("text", [f"SELECT 1; {_CHANGE}", f"SELECT 1 /*! ; {_CHANGE} */"])
def test_a_request_is_one_statement(broker: Broker, mariadb: MariaDb, access: str, text: str) -> None:
    """Several are refused."""
    assert not _tried(broker, mariadb, access, [text], _PASSWORD)


def test_files_of_the_broker_are_not_read(broker: Broker, mariadb: MariaDb) -> None:
    """LOAD DATA LOCAL would send the server any file of the worker's."""
    statement = "LOAD DATA LOCAL INFILE '/etc/passwd' INTO TABLE verifier"

    assert broker.ask(_order(mariadb, "write"), statement).last["type"] == "QueryError"


def test_rows_are_what_drivers_return(broker: Broker, mariadb: MariaDb) -> None:
    """Each type, through the module and through SQLAlchemy and pandas."""
    call = DirectCall(broker, _order(mariadb))
    engine = make_engine(call, "mariadb", {"connection": "shop"})

    [row] = (
        dbapi.connect(call, {"connection": "shop"}).execute("SELECT * FROM kinds WHERE n = %s", [Decimal("1.50")]).fetchall()
    )

    assert row == (
        *(Decimal("1.50"), dt.date(2020, 1, 2), dt.datetime(2020, 1, 2, 3, 4, 5), dt.timedelta(hours=10)),
        *("ü", b"\x00\xff", 2**64 - 1, '{"a": 1}'),
    )
    kinds = sa.Table("kinds", sa.MetaData(), autoload_with=engine)
    with engine.connect() as opened:
        assert opened.execute(sa.select(kinds.c.text).where(kinds.c.text.in_(["ü", "%"]))).scalar() == "ü"
    assert pd.read_sql("SELECT text FROM kinds WHERE text = %(t)s", engine, params={"t": "ü"})["text"].tolist() == ["ü"]


def test_cancelling_and_revoking(mariadb: MariaDb) -> None:
    """The statement ends in the database, too, whether it sleeps or streams."""
    order = _order(mariadb)
    endless = "SELECT repeat('cut', 1000) FROM seq_1_to_1000000000"
    running = "SELECT COUNT(*) FROM information_schema.processlist WHERE info LIKE '%cut%' AND user = 'app'"
    with running_broker() as broker, mariadb.admin() as admin, admin.cursor() as cursor:

        def count() -> int:
            cursor.execute(running)
            row = cursor.fetchone()
            return int(row[0]) if row else 0

        for statement in ("SELECT sleep(600) AS cut", endless):
            waiting = broker.begin(order, statement, query_id="one", keep=False)
            while not count():
                pass
            assert broker.do(broker.sessions.cancel("one", order.caller))
            assert waiting().outcome.state == "cancelled"
            while count():
                pass
        waiting = broker.begin(order, endless, keep=False)
        while not count():
            pass
        broker.do(broker.sessions.revoke(lambda one: False))
        assert waiting().last["type"] == "RevokedError"
        while count():
            pass


def test_limits_hold(mariadb: MariaDb) -> None:
    """A result is cut where it is too large, and a statement where it takes too long."""
    with running_broker(Limits(result_bytes=1_000_000, query_s=1.5)) as broker:
        large = broker.ask(_order(mariadb), "SELECT repeat('x', 1000) FROM seq_1_to_1000000000")
        slow = broker.ask(_order(mariadb), "SELECT sleep(600)")

    assert large.outcome.state == "limit"
    # Whichever clock is first, the database's or the front's.
    assert slow.outcome.state in {"limit", "failed"}


def test_the_login_is_judged_before_it_is_shared(broker: Broker, mariadb: MariaDb) -> None:
    """One that reads the server's files is named; an ordinary one is not."""
    assert broker.do(broker.sessions.ask(_order(mariadb)))["problems"] == []
    with mariadb.admin() as admin, admin.cursor() as cursor:
        cursor.execute("GRANT FILE ON *.* TO app@'127.0.0.1'")
        found = broker.do(broker.sessions.ask(_order(mariadb)))
        cursor.execute("REVOKE FILE ON *.* FROM app@'127.0.0.1'")

    assert found["problems"] == ["the login has FILE on the whole server"]
    assert "MariaDB" in found["server"]


def test_an_account_that_is_raised_during_a_session_is_judged_when_it_connects_again(mariadb: MariaDb) -> None:
    """A member's statement gets no new connection of an account that reads the server's files by now."""
    lent = _order(mariadb)
    with running_broker() as own, mariadb.admin() as admin, admin.cursor() as cursor:
        [backend] = own.ask(lent, "SELECT CONNECTION_ID() AS id").rows
        cursor.execute("GRANT FILE ON *.* TO app@'127.0.0.1'")
        try:
            cursor.execute(f"KILL {backend['id']}")
            refused = own.ask(lent, "SELECT 1").last
        finally:
            cursor.execute("REVOKE FILE ON *.* FROM app@'127.0.0.1'")
        again = own.ask(lent, "SELECT 1 AS a").rows

    assert refused["type"] == "NotAllowedError"
    assert "FILE" in refused["message"]
    assert again == [{"a": 1}]


@pytest.mark.parametrize("grant", ["SELECT ON *.*", "SELECT ON mysql.*"])
def test_a_login_that_reads_the_servers_passwords_is_named(broker: Broker, mariadb: MariaDb, grant: str) -> None:
    """Every user's are in the tables of `mysql`, and those of other servers in clear."""
    with mariadb.admin() as admin, admin.cursor() as cursor:
        cursor.execute(f"GRANT {grant} TO app@'127.0.0.1'")
        found = broker.do(broker.sessions.ask(_order(mariadb)))
        cursor.execute(f"REVOKE {grant} FROM app@'127.0.0.1'")

    assert any("mysql.global_priv" in one for one in found["problems"])
    assert any("mysql.servers" in one for one in found["problems"])


@pytest.mark.parametrize("statement", ["SHOW GRANTS", "SHOW /*! CREATE */ USER CURRENT_USER", "(show/**/grants)"])
def test_the_logins_own_hash_is_not_shown(broker: Broker, mariadb: MariaDb, statement: str) -> None:
    """It is one of the password without salt."""
    answer = broker.ask(_order(mariadb), statement)

    assert answer.last["type"] == "QueryError"
    assert "IDENTIFIED" not in str(answer.frames)


@pytest.mark.parametrize("options", ["", " --no-test"])
def test_the_record_shows_what_the_member_did(
    mariadb: MariaDb, shell: Shell, monkeypatch: pytest.MonkeyPatch, options: str
) -> None:
    """Not what SQLAlchemy asks before the first statement: the broker has told it that. Reflection knows the server as ever."""
    with running_real_broker() as real:
        owner, member = real.somebody(), real.somebody()
        sharing = real.be("root", monkeypatch, admin=True).sharing
        sharing.create("shoppers")
        for user, role in ((owner, "owner"), (member, "member")):
            sharing.set_member("shoppers", user, role)
        keeper = real.be(owner, monkeypatch)
        keeper.set("shop_pw", mariadb.password, replace=False)
        keeper.save_connection(
            "shop", f"mysql://{mariadb.user}:${{secret:shop_pw}}@{mariadb.host}:{mariadb.port}/{mariadb.database}"
        )
        keeper.sharing.share(Offer("connection", "shop", "shoppers"))

        real.be(member, monkeypatch)
        shell.run(f"%connect shop{options}")
        shell.run(
            "import sqlalchemy; sqlalchemy.inspect(shop).default_schema_name, shop.dialect.server_version_info >= (10,),"
            " shop.dialect.is_mariadb"
        )
        known = shell.result
        shell.run("with shop.connect() as c: c.exec_driver_sql('SELECT a FROM victim').fetchall()")
        real.be(owner, monkeypatch)
        shell.run("%secret log shop")

    assert known == ("sales", True, True)
    told = [row[5] for row in shell.result.rows if row[1] == member]
    assert told == ["SELECT a FROM victim", "(the connection was tried)"]


def test_a_failed_login_says_nothing_of_the_drivers(broker: Broker, mariadb: MariaDb) -> None:
    """A text of ours and a reference."""
    answer = broker.ask(_order(mariadb)._replace(value="wrong"), "SELECT 1")

    assert answer.last["message"].startswith("the database refused the login; its owner has to check the secret  (reference ")
