"""
What a member may try with the database behind a share to read: each is seen to succeed with write access, then to be refused.

The login is an ordinary role, as those that may be shared are; what it may do, it does without the read-only transaction.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import psycopg
import pytest

from flowfile_nb.broker.model import Order, Target
from notebooks.throwaway import Postgres
from tests.support.broker import Broker, order_for, running_broker

_OWN = "p@ss of the clerk's"
_CHANGE = "ALTER ROLE CURRENT_USER PASSWORD 'bobs choice'"
_PASSWORD = "SELECT rolpassword <> (SELECT kept FROM verifier) FROM pg_authid WHERE rolname = 'clerk'"
_ROW = "SELECT EXISTS (SELECT 1 FROM victim WHERE a = 666)"
_PREPARE = f"""
CREATE ROLE clerk LOGIN PASSWORD '{_OWN.replace("'", "''")}';
GRANT CREATE, TEMPORARY ON DATABASE sales TO clerk; GRANT CREATE ON SCHEMA public TO clerk;
CREATE TABLE verifier AS SELECT rolpassword AS kept, 0 AS n FROM pg_authid WHERE rolname = 'clerk';
CREATE TABLE victim (a int); INSERT INTO victim VALUES (1); GRANT ALL ON victim TO clerk;
CREATE SEQUENCE victims; GRANT ALL ON victims TO clerk;
CREATE FUNCTION changed() RETURNS int LANGUAGE plpgsql AS $f$ BEGIN {_CHANGE}; RETURN 1; END $f$;
CREATE PROCEDURE change() LANGUAGE plpgsql AS $f$ BEGIN {_CHANGE}; END $f$;
CREATE PROCEDURE commit_and_change() LANGUAGE plpgsql AS $f$ BEGIN COMMIT; {_CHANGE}; END $f$;
CREATE PROCEDURE writable_and_change() LANGUAGE plpgsql AS
  $f$ BEGIN COMMIT; SET TRANSACTION READ WRITE; {_CHANGE}; END $f$;
"""
_RESET = """
DO $f$ BEGIN EXECUTE format('ALTER ROLE clerk PASSWORD %L', (SELECT kept FROM verifier)); END $f$;
ALTER ROLE clerk RESET ALL; DELETE FROM victim WHERE a <> 1; DROP TABLE IF EXISTS made; SELECT setval('victims', 1, false);
UPDATE verifier SET n = (SELECT count(*) FROM pg_class WHERE relname = 'victim' AND relpersistence = 't');
"""
_SETTING = "SELECT EXISTS (SELECT 1 FROM pg_db_role_setting JOIN pg_roles r ON setrole = r.oid AND rolname = 'clerk')"
_MADE = "SELECT to_regclass('made') IS NOT NULL"


class Attack(NamedTuple):
    """Statements, one a request, and what the administrator sees if they got through."""

    name: str
    steps: list[str]
    seen: str = _PASSWORD


_ATTACKS = [
    Attack("the password", [_CHANGE]),
    Attack("the password, as a user", ["ALTER USER clerk WITH PASSWORD 'bobs choice'"]),
    Attack("the password, in capitals and comments", ["/* hi */ aLtEr/**/ROLE clerk PASSWORD 'bobs choice' -- bye"]),
    Attack("in a block", [f"DO $b$ BEGIN {_CHANGE}; END $b$"]),
    Attack(
        "in a block that puts it together", ["DO $b$ BEGIN EXECUTE 'ALTER ' || 'ROLE clerk PASSWORD ''bobs choice'''; END $b$"]
    ),
    Attack("in a function", ["SELECT changed()"]),
    Attack("in a function, after a row", ["SELECT CASE g WHEN 2 THEN changed() ELSE g END FROM generate_series(1, 3) AS g"]),
    Attack("in a procedure", ["CALL change()"]),
    Attack("in a procedure after a commit", ["CALL commit_and_change()"]),
    Attack("in a procedure after a commit, made writable", ["CALL writable_and_change()"]),
    Attack("in a block after a commit", [f"DO $b$ BEGIN COMMIT; {_CHANGE}; END $b$"]),
    Attack("in a block after a rollback", [f"DO $b$ BEGIN ROLLBACK; {_CHANGE}; END $b$"]),
    Attack("in a block made writable", [f"DO $b$ BEGIN SET LOCAL transaction_read_only = off; {_CHANGE}; END $b$"]),
    Attack("with the setting, in one", ["SELECT set_config('transaction_read_only', 'off', true), changed()"]),
    Attack("with the setting, in two", ["SELECT set_config('transaction_read_only', 'off', false)", _CHANGE]),
    Attack("with the default, in two", ["SET default_transaction_read_only = off", _CHANGE]),
    Attack("with the session's character", ["SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE", _CHANGE]),
    Attack("with the transaction's character", ["SET TRANSACTION READ WRITE", _CHANGE]),
    Attack("after a commit", ["COMMIT", _CHANGE]),
    Attack("after a commit and a new transaction", ["COMMIT AND CHAIN", _CHANGE]),
    Attack("after a rollback and a new transaction", ["ROLLBACK AND CHAIN", _CHANGE]),
    Attack("in a transaction of one's own", ["COMMIT", "BEGIN READ WRITE", _CHANGE, "COMMIT"]),
    Attack("in a cursor that outlives its transaction", ["DECLARE c CURSOR WITH HOLD FOR SELECT changed()", "COMMIT"]),
    Attack("in a plan", ["EXPLAIN ANALYZE SELECT changed()"]),
    Attack("in a table's expression", ["TABLE victim", "WITH c AS (SELECT changed() AS n) SELECT * FROM c"]),
    Attack("a setting that poisons the others'", ["ALTER ROLE clerk SET search_path = evil"], _SETTING),
    Attack("a row", ["INSERT INTO victim VALUES (666)"], _ROW),
    Attack("a row, returned", ["INSERT INTO victim VALUES (666) RETURNING a"], _ROW),
    Attack("a row, in an expression", ["WITH c AS (INSERT INTO victim VALUES (666) RETURNING a) SELECT * FROM c"], _ROW),
    Attack("a row, in a plan", ["EXPLAIN ANALYZE INSERT INTO victim VALUES (666)"], _ROW),
    Attack("a change", ["UPDATE victim SET a = 666"], _ROW),
    Attack("a merge", ["MERGE INTO victim USING (SELECT 666 AS b) s ON a = b WHEN NOT MATCHED THEN INSERT VALUES (666)"], _ROW),
    Attack("a table", ["CREATE TABLE made (a int)"], _MADE),
    Attack("a table of a query", ["SELECT 1 AS a INTO made"], _MADE),
    Attack("a sequence", ["SELECT nextval('victims')"], "SELECT is_called FROM victims"),
    # The last: the table stays in the session.
]


def _order(postgres: Postgres, access: str) -> Order:
    """Return what a caller of that access may do: each has a session, which is the same for all attacks."""
    target = Target("postgresql", postgres.host, postgres.port, postgres.database, "clerk", "")
    return order_for(postgres, target=target, value=_OWN, access=access, caller=access, owner="alice")


@pytest.fixture(scope="module")
def admin(postgres: Postgres) -> Iterator[psycopg.Connection]:
    """The administrator, and a role that may do what the attacks need."""
    with postgres.admin() as connection:
        connection.execute(_PREPARE)
        yield connection
        connection.execute("DROP OWNED BY clerk; DROP ROLE clerk; DROP TABLE verifier, victim; DROP SEQUENCE victims")
        connection.execute("DROP FUNCTION changed; DROP PROCEDURE change, commit_and_change, writable_and_change")


def _tried(broker: Broker, order: Order, admin: psycopg.Connection, attack: Attack) -> bool:
    """Try an attack in a session of its own; return whether it got through, and undo it."""
    for step in attack.steps:
        broker.ask(order, step)
    row = admin.execute(attack.seen).fetchone()
    admin.execute(_RESET)
    return bool(row and row[0])


# What an attack in several steps needs besides: with write access each statement commits itself.
_NEED_MORE = {"in a block after a rollback", "in a cursor that outlives its transaction"}


@pytest.mark.parametrize("attack", _ATTACKS, ids=[attack.name for attack in _ATTACKS])
def test_nothing_is_changed_through_a_share_to_read(
    broker: Broker, postgres: Postgres, admin: psycopg.Connection, attack: Attack
) -> None:
    """With write access the attack changes the password, a setting or data; with read access it changes nothing."""
    assert attack.name in _NEED_MORE or _tried(broker, _order(postgres, "write"), admin, attack), "this attack proves nothing"

    assert not _tried(broker, _order(postgres, "read"), admin, attack)
    assert broker.ask(_order(postgres, "read"), "SELECT 1 AS a").rows == [{"a": 1}]


# As it is sent, and what the simple protocol, which ours is not, makes of it.
_SEVERAL = {
    f"SELECT 1; {_CHANGE}": f"SELECT 1; {_CHANGE}",
    f"COMMIT; {_CHANGE}": f"COMMIT; {_CHANGE}",
    f"SELECT 1 -- \n; COMMIT; {_CHANGE}": f"SELECT 1 -- \n; COMMIT; {_CHANGE}",
    f"SELECT (1); {_CHANGE}; SELECT (1": f"(SELECT (1); {_CHANGE}; SELECT (1))".strip("()"),
    f"SELECT 1) TO STDOUT; COMMIT; {_CHANGE}; COPY (SELECT 1": f"SELECT 1; COMMIT; {_CHANGE}; SELECT 1",
}


@pytest.mark.parametrize("text", _SEVERAL)
@pytest.mark.parametrize("access", ["read", "write"])
def test_a_request_is_one_statement(
    broker: Broker, postgres: Postgres, admin: psycopg.Connection, access: str, text: str
) -> None:
    """Several are refused, however they are put, and the closed bracket of COPY as well."""
    login = {"user": "clerk", "password": _OWN, "dbname": postgres.database}
    with psycopg.connect(host=postgres.host, port=postgres.port, **login) as weak:
        weak.execute(_SEVERAL[text].removesuffix("; SELECT (1"))
    assert _tried(broker, _order(postgres, "read"), admin, Attack("", ["SELECT 1"])), "this attack proves nothing"

    assert not _tried(broker, _order(postgres, access), admin, Attack("", [text]))


def test_an_account_that_was_raised_since_is_not_lent(postgres: Postgres, admin: psycopg.Connection) -> None:
    """It was an ordinary one when it was shared; its owner uses it all the same."""
    lent = _order(postgres, "read")
    admin.execute("ALTER ROLE clerk CREATEROLE")
    try:
        with running_broker() as own:
            refused = own.ask(lent, "SELECT 1").last
            assert own.ask(lent._replace(caller="alice"), "SELECT 1 AS a").rows == [{"a": 1}]
    finally:
        admin.execute("ALTER ROLE clerk NOCREATEROLE")

    assert refused["type"] == "NotAllowedError"
    assert "create and change roles" in refused["message"]


@pytest.mark.parametrize("raised", ["SUPERUSER", "member of pg_read_server_files"])
def test_an_account_that_is_raised_during_a_session_is_judged_when_it_connects_again(
    postgres: Postgres, admin: psycopg.Connection, raised: str
) -> None:
    """The session stays; its connection was ended, and no other comes about for who is not the owner."""
    lent = _order(postgres, "read")
    raise_it, lower_it = (
        ("ALTER ROLE clerk SUPERUSER", "ALTER ROLE clerk NOSUPERUSER")
        if raised == "SUPERUSER"
        else ("GRANT pg_read_server_files TO clerk", "REVOKE pg_read_server_files FROM clerk")
    )
    with running_broker() as own:
        [backend] = own.ask(lent, "SELECT pg_backend_pid() AS pid").rows
        [pid] = own.sessions.pids()
        admin.execute(raise_it)
        try:
            admin.execute("SELECT pg_terminate_backend(%s, 10000)", [backend["pid"]])
            asked_after = own.sessions.pids()
            refused = own.ask(lent, "SELECT 1").last
        finally:
            admin.execute(lower_it)
        again = own.ask(lent, "SELECT 1 AS a").rows

    assert asked_after == [pid], "the session itself has ended, and this proves nothing"
    assert refused["type"] == "NotAllowedError"
    assert raised.lower() in refused["message"]
    assert again == [{"a": 1}]


_SETTINGS = [
    "SET statement_timeout = 0",
    "SELECT set_config('search_path', 'evil', false)",
    "SET ROLE pg_monitor",
]


@pytest.mark.parametrize("setting", _SETTINGS)
def test_what_a_statement_sets_ends_with_it(broker: Broker, postgres: Postgres, setting: str) -> None:
    """The session of a share to read is after each statement as it was before."""
    shown = "SELECT current_setting('statement_timeout') AS t, current_setting('search_path') AS s, current_user AS u"
    before = broker.ask(order_for(postgres), shown).rows

    broker.ask(order_for(postgres), setting)

    assert broker.ask(order_for(postgres), shown).rows == before


def test_the_login_is_judged_before_it_is_shared(broker: Broker, postgres: Postgres, admin: psycopg.Connection) -> None:
    """A superuser, and a role that reads the server's files, are named; an ordinary role is not."""
    mighty = broker.do(broker.sessions.ask(order_for(postgres)))
    assert ["superuser" in one for one in mighty.get("problems", [])] == [True], mighty
    assert broker.do(broker.sessions.ask(_order(postgres, "read")))["problems"] == []

    admin.execute("GRANT pg_read_server_files TO clerk")
    found = broker.do(broker.sessions.ask(_order(postgres, "read")))
    admin.execute("REVOKE pg_read_server_files FROM clerk")

    assert found["problems"] == ["the role is a member of pg_read_server_files"]
    assert found["server"].startswith("PostgreSQL ")


@pytest.mark.parametrize(
    ("role", "problem"),
    [
        ("boss SUPERUSER", "superuser"),
        ("maker CREATEROLE", "create and change roles"),
        ("pg_read_all_data", "the server's stored passwords"),
    ],
)
def test_what_the_login_may_become_is_judged_too(
    broker: Broker, postgres: Postgres, admin: psycopg.Connection, role: str, problem: str
) -> None:
    """`set_config('role', …)` is a SELECT, and the usual role for reports reads pg_authid."""
    name, _, made_with = role.partition(" ")
    if made_with:
        admin.execute(f"CREATE ROLE {role}")
    admin.execute(f"GRANT {name} TO clerk")
    found = broker.do(broker.sessions.ask(_order(postgres, "read")))
    admin.execute(f"REVOKE {name} FROM clerk")
    if made_with:
        admin.execute(f"DROP ROLE {name}")

    assert any(problem in one for one in found["problems"]), found


@pytest.mark.usefixtures("admin")
@pytest.mark.parametrize("guess", [_OWN, "another word"])
@pytest.mark.parametrize("statement", ["SELECT '{}'::int", 'SELECT "{}"', "SELECT '{}' FROM nowhere"])
def test_an_error_does_not_tell_which_guess_is_right(broker: Broker, postgres: Postgres, statement: str, guess: str) -> None:
    """The database recites what it is asked to; a mask round one of the guesses would be the answer."""
    typed = guess.replace("'", "''") if "'{}'" in statement else guess

    message = broker.ask(_order(postgres, "read"), statement.format(typed)).last["message"]

    assert guess in message or typed in message


@pytest.mark.usefixtures("admin")
@pytest.mark.parametrize("guess", [_OWN, "another word"])
def test_our_own_words_do_not_tell_which_guess_is_right(broker: Broker, postgres: Postgres, guess: str) -> None:
    """Nor does what is said of a parameter by its name, which never reaches the database."""
    message = broker.ask(_order(postgres, "read"), f"SELECT %({guess})s", {"other": 1}).last["message"]

    assert guess in message


@pytest.mark.parametrize("kind", ["postgresql", "mysql", "clickhouse", "clickhousedb", "trino", "s3"])
@pytest.mark.parametrize("host", ["169.254.169.254", "168.63.129.16", "fd00:ec2::254"])
def test_nothing_goes_where_a_cloud_tells_a_machine_its_keys(broker: Broker, postgres: Postgres, kind: str, host: str) -> None:
    """Whoever saves a connection could have the broker knock there, by whatever language."""
    options = {"region": "us-east-1", "addressing_style": "path"} if kind == "s3" else {}
    target = Target(kind, host, 80, "latest/meta-data", "me", "", options)

    told = broker.ask(order_for(postgres, target=target), "LIST latest/meta-data").last["message"]

    assert told.startswith("nothing was sent")
