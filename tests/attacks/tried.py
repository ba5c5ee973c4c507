"""What bob tries. Each returns whether he got something that is not his."""

from __future__ import annotations

import json
import signal
import socket
import sqlite3
import threading
from collections.abc import Callable
from contextlib import ExitStack, closing, suppress
from typing import Any, NamedTuple

import httpx
import psycopg

from flowfile_nb.broker.schemas import MAX_BODY_BYTES
from tests.support.front import House, Result
from tests.support.processes import until
from tests.support.unfinished import begun, resident_mib

Act = Callable[[House], bool]
NEW = "Chosen-by-bob-1"


class Attack(NamedTuple):
    """One attack: what it is called, the defence without which it succeeds, and what is done."""

    name: str
    weakness: str
    act: Act


ATTACKS: list[Attack] = []


def attack(name: str, weakness: str) -> Callable[[Act], Act]:
    """Put a function among the attacks."""

    def put(act: Act) -> Act:
        ATTACKS.append(Attack(name, weakness, act))
        return act

    return put


def succeeded(answer: httpx.Response | Result) -> bool:
    """Return whether a statement ran to its end, or a request was done."""
    return not answer.failed if isinstance(answer, Result) else answer.status_code == 200


# Statements that change what a share for reading may only read.


def logs_in(house: House, password: str) -> bool:
    """Return whether the shared account can be used past the broker with a password that bob chose."""
    with suppress(psycopg.OperationalError):
        server = house.server
        options = {"host": server.host, "port": server.port, "user": server.user, "dbname": server.database}
        psycopg.connect(**options, password=password).close()
        return True
    return False


PASSWORD_CHANGES = {
    "ALTER ROLE CURRENT_USER": f"ALTER ROLE CURRENT_USER PASSWORD '{NEW}'",
    "ALTER USER by name": f"ALTER USER reporting PASSWORD '{NEW}'",
    "ALTER ROLE in a DO block": f"DO $$ BEGIN EXECUTE 'ALTER ROLE CURRENT_USER PASSWORD ''{NEW}'''; END $$",
    "ALTER ROLE after a comment": f"/* SELECT */ ALTER ROLE CURRENT_USER PASSWORD '{NEW}' -- SELECT",
    "a DO block that asks for READ WRITE": (
        f"DO $$ BEGIN PERFORM set_config('transaction_read_only', 'off', true); "
        f"EXECUTE 'ALTER ROLE CURRENT_USER PASSWORD ''{NEW}'''; END $$"
    ),
}
for _name, _statement in PASSWORD_CHANGES.items():

    @attack(f"change the account's password: {_name}", "reads_write")
    def _change(house: House, statement: str = _statement) -> bool:
        house.bob.query(statement)
        return logs_in(house, NEW)


WRITES = {
    "insert": "INSERT INTO takings VALUES (-1, 0)",
    "update": "UPDATE takings SET amount = 0",
    "delete": "DELETE FROM takings",
    "insert within a SELECT": "WITH gone AS (DELETE FROM takings RETURNING 1) SELECT * FROM gone",
    "a table": "CREATE TABLE bobs (x int)",
    "a function that runs as its owner": (
        "CREATE FUNCTION bobs() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'DELETE FROM takings RETURNING 1'"
    ),
    "a search path for everybody": "ALTER ROLE CURRENT_USER SET search_path = bobs",
    "a trigger's table": "ALTER TABLE takings ADD COLUMN bobs int",
    "dropping a table": "DROP TABLE takings",
    "a large object": "SELECT lo_create(0)",
    "granting": "GRANT SELECT ON takings TO PUBLIC",
    "truncating": "TRUNCATE takings",
}
for _name, _statement in WRITES.items():

    @attack(f"write with a share for reading: {_name}", "reads_write")
    def _write(house: House, statement: str = _statement) -> bool:
        return succeeded(house.bob.query(statement))


# A shared credential sent somewhere else.


class Rogue:
    """A server of bob's that waits for somebody who brings a password."""

    def __init__(self) -> None:
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.port = self.listening.getsockname()[1]

    def visited(self) -> bool:
        """Return whether somebody came."""
        self.listening.setblocking(False)
        with suppress(BlockingIOError):
            self.listening.accept()[0].close()
            return True
        return False

    def close(self) -> None:
        """Close."""
        self.listening.close()


REPOINTS: dict[str, Callable[[House, Rogue], str]] = {
    "host and port": lambda house, rogue: f"postgresql://reporting:%secret prod_pw@127.0.0.1:{rogue.port}/sales",
    "port": lambda house, rogue: f"postgresql://reporting:%secret prod_pw@{house.server.host}:{rogue.port}/sales",
    "TOML": lambda house, rogue: (
        f'type = "postgresql"\nhost = "127.0.0.1"\nport = {rogue.port}\ndatabase = "sales"\nusername = "reporting"\n'
        "password = %secret prod_pw"
    ),
    "another login": lambda house, rogue: f"postgresql://app:%secret prod_pw@127.0.0.1:{rogue.port}/sales",
    "TLS switched off": lambda house, rogue: (
        f"postgresql://reporting:%secret prod_pw@127.0.0.1:{rogue.port}/sales?sslmode=disable"
    ),
    "localhost": lambda house, rogue: f"postgresql://reporting:%secret prod_pw@localhost:{rogue.port}/sales",
}
for _name, _body in REPOINTS.items():

    @attack(f"send a shared credential elsewhere: {_name}", "any_target")
    def _repoint(house: House, body: Callable[[House, Rogue], str] = _body) -> bool:
        house.share(what="secret", name="prod_pw")
        with closing(Rogue()) as rogue:
            house.bob.http.timeout = 5
            with suppress(httpx.TimeoutException):
                house.bob.query("SELECT 1", None, description=body(house, rogue))
            return rogue.visited()


@attack("use a shared credential for another database of the server", "any_target")
def _other_database(house: House) -> bool:
    house.share(what="secret", name="prod_pw")
    return succeeded(house.bob.query("SELECT 1", None, description=house.body.replace("/sales", "/postgres")))


# The store altered by whoever can write to it: a backup put back in part, another program.


def alter(house: House, statement: str) -> None:
    """Change the store past the broker."""
    with closing(sqlite3.connect(house.front.directory / "team.db", timeout=10)) as database, database:
        database.execute(statement)


@attack("read a sealed value that was copied into one's own row", "unproved_rows")
def _copied_value(house: House) -> bool:
    house.bob.put("secrets", {"name": "mine", "value": "bobs-own-value", "replace": True})
    alter(
        house,
        "UPDATE secrets SET encrypted_value = (SELECT encrypted_value FROM secrets WHERE name = 'prod_pw') WHERE name = 'mine'",
    )
    return house.server.password in json.loads(house.bob.post("secrets/reveal", {"name": "mine"}).text).values()


@attack("lead a saved connection elsewhere by its row in the store", "unproved_rows")
def _altered_row(house: House) -> bool:
    with closing(Rogue()) as rogue:
        alter(house, f"UPDATE nb_connections SET body = replace(body, ':{house.server.port}/', ':{rogue.port}/')")
        house.bob.http.timeout = 5
        with suppress(httpx.TimeoutException):
            house.bob.query("SELECT 1")
        return rogue.visited()


@attack("lead a saved connection elsewhere by its row and its fixed target in the store", "unproved_rows")
def _altered_rows(house: House) -> bool:
    with closing(Rogue()) as rogue:
        alter(house, f"UPDATE nb_bindings SET target = replace(target, '{house.server.port}', '{rogue.port}')")
        alter(house, f"UPDATE nb_connections SET body = replace(body, ':{house.server.port}/', ':{rogue.port}/')")
        house.bob.http.timeout = 5
        with suppress(httpx.TimeoutException):
            house.bob.query("SELECT 1")
        return rogue.visited()


# What is another's.


@attack("read the value of a shared secret", "reveals_shared")
def _reveal(house: House) -> bool:
    house.share(what="secret", name="prod_pw")
    return succeeded(house.bob.post("secrets/reveal", {"name": "prod_pw"}))


@attack("delete another's secret", "no_owners")
def _delete_secret(house: House) -> bool:
    return succeeded(house.bob.post("secrets/delete", {"name": "prod_pw"}))


@attack("rename another's secret", "no_owners")
def _rename_secret(house: House) -> bool:
    return succeeded(house.bob.post("secrets/rename", {"old": "prod_pw", "new": "bobs"}))


@attack("delete a shared connection", "all_manage")
def _delete_connection(house: House) -> bool:
    return succeeded(house.bob.post("connections/delete", {"name": "warehouse"}))


@attack("share a shared connection on", "all_manage")
def _share_on(house: House) -> bool:
    house.alice.post("groups", {"name": "friends"})
    for user in ("bob", "carol"):
        house.alice.put("groups/members", {"group": "friends", "user": user, "role": "member"})
    return succeeded(house.bob.put("shares", {"what": "connection", "name": "warehouse", "group": "friends"}))


@attack("take back another's share", "all_manage")
def _unshare(house: House) -> bool:
    return succeeded(house.bob.post("shares/delete", {"what": "connection", "name": "warehouse", "group": "analysts"}))


@attack("see with whom another shares", "all_manage")
def _see_shares(house: House) -> bool:
    return succeeded(house.bob.get("shares", what="connection", name="warehouse"))


@attack("make a group", "all_admins")
def _make_group(house: House) -> bool:
    return succeeded(house.bob.post("groups", {"name": f"bobs-{id(house)}"}))


@attack("make oneself the owner of one's group", "all_admins")
def _raise_oneself(house: House) -> bool:
    return succeeded(house.bob.put("groups/members", {"group": "analysts", "user": "bob", "role": "owner"}))


@attack("bring a stranger into one's group", "all_admins")
def _bring_in(house: House) -> bool:
    house.alice.post("groups/members/delete", {"group": "analysts", "user": "carol"})
    return succeeded(house.bob.put("groups/members", {"group": "analysts", "user": "carol", "role": "member"}))


@attack("put somebody out of the group that he owns", "all_admins")
def _put_out(house: House) -> bool:
    house.alice.put("groups/members", {"group": "analysts", "user": "carol", "role": "owner"})
    return succeeded(house.bob.post("groups/members/delete", {"group": "analysts", "user": "carol"}))


@attack("delete a group", "all_admins")
def _delete_group(house: House) -> bool:
    return succeeded(house.bob.post("groups/delete", {"name": "analysts"}))


@attack("cancel another's statement", "anybody_cancels")
def _cancel(house: House) -> bool:
    with house.alice.running("SELECT pg_sleep(5)", id="hers"):
        return bool(house.bob.done("POST", "query/cancel", {"id": "hers"})["cancelled"])


@attack("find out which connections there are", "telltale")
def _guess(house: House) -> bool:
    there, nowhere = (house.carol.query("SELECT 1", name) for name in ("warehouse", "nowhere99"))
    assert isinstance(there, httpx.Response)
    assert isinstance(nowhere, httpx.Response)
    return (there.status_code, there.text.replace("warehouse", "nowhere99")) != (nowhere.status_code, nowhere.text)


# Being taken for somebody else.


def as_nobody(house: House, method: str = "GET", path: str = "api/me", **request: Any) -> bool:
    """Return whether a request without a token in its header is answered as alice's."""
    with httpx.Client(base_url=house.front.url, trust_env=False) as http:
        answer = http.request(method, path, **request)
    return answer.status_code == 200


WIRE = {"X-Flowfile-Nb-Wire": "1"}


@attack("send a token in the URL", "credulous")
def _token_in_url(house: House) -> bool:
    return as_nobody(house, params={"token": house.tokens["alice"]}, headers=WIRE)


@attack("send a token in a cookie", "credulous")
def _token_in_cookie(house: House) -> bool:
    return as_nobody(house, headers={"Cookie": f"token={house.tokens['alice']}"} | WIRE)


@attack("say in a proxy's header who one is", "credulous")
def _forwarded(house: House) -> bool:
    return as_nobody(house, headers={"X-Forwarded-User": "alice"} | WIRE)


@attack("have another page's form change something", "credulous")
def _cross_site(house: House) -> bool:
    headers = {"Cookie": f"token={house.tokens['alice']}", "Content-Type": "text/plain", "Origin": "https://evil.example.com"}
    return as_nobody(house, "POST", "api/groups/leave", content=b'{"name": "analysts"}', headers=headers) or as_nobody(
        house, "POST", "api/groups", content=b'{"name": "evil"}', headers=headers
    )


@attack("send a token without the header that no page can send", "credulous")
def _no_wire(house: House) -> bool:
    return as_nobody(house, headers={"Authorization": f"Bearer {house.tokens['alice']}"})


@attack("use a token that was revoked", "remembers_tokens")
def _revoked_token(house: House) -> bool:
    house.bob.rows("SELECT 1 AS x")
    for one in house.team.tokens("bob"):
        house.team.revoke_token(one.id)
    return succeeded(house.bob.query("SELECT 1"))


@attack("change something with a token for use alone", "remembers_tokens")
def _narrow_token(house: House) -> bool:
    member = house.member(house.team.issue_token("bob", scopes=["use"]))
    member.get("me")
    return succeeded(member.put("secrets", {"name": "bobs", "value": "bobs-own-value", "replace": True}))


# Requests that are none.


REQUESTS: dict[str, tuple[str, str, bytes]] = {
    "a host beside the connection": (
        *("POST", "query"),
        b'{"id": "a", "connection": "warehouse", "statement": "SELECT 1", "host": "evil.example.com"}',
    ),
    "a DSN beside the connection": (
        *("POST", "check"),
        b'{"connection": "warehouse", "dsn": "host=evil.example.com"}',
    ),
    "an owner of a secret": ("PUT", "secrets", b'{"name": "bobs", "value": "bobs-own", "replace": true, "owner": "alice"}'),
    "a field twice": ("POST", "check", b'{"connection": "nothing", "connection": "warehouse"}'),
    "yes in another form": (
        *("PUT", "secrets"),
        b'{"name": "bobs", "value": "bobs-own", "replace": "false"}',
    ),
}
for _name, _request in REQUESTS.items():

    @attack(f"send more than a request holds: {_name}", "lax")
    def _more(house: House, request: tuple[str, str, bytes] = _request) -> bool:
        method, path, content = request
        answer = house.bob.http.request(method, f"api/{path}", content=content, headers={"Content-Type": "application/json"})
        return answer.status_code == 200


@attack("fill the broker's memory with a request", "boundless")
def _flood(house: House) -> bool:
    return house.bob.put("secrets", {"name": "bobs", "value": "x" * 3_000_000}).status_code != 413


@attack("fill the broker's memory with many requests that are never finished", "reads_at_once")
def _unfinished(house: House) -> bool:
    before = resident_mib(house)
    with ExitStack() as stack:
        for _ in range(60):
            stack.enter_context(begun(house, house.tokens["bob"], MAX_BODY_BYTES))
        with suppress(TimeoutError):
            # What was sent may be on its way still.
            until(lambda: resident_mib(house) - before > 60, 5)
        return resident_mib(house) - before > 60


@attack("take the broker's descriptors with connections that say nothing", "patient")
def _silence(house: House) -> bool:
    with ExitStack() as stack:
        silent = [stack.enter_context(socket.create_connection(("127.0.0.1", house.front.port))) for _ in range(100)]
        silent[0].settimeout(5)
        return goes_on(silent[0])


def goes_on(connection: socket.socket) -> bool:
    """Return whether a connection is still open after a while."""
    try:
        connection.recv(4096)
    except TimeoutError:
        return True
    return False


@attack("take all sessions", "boundless")
def _all_sessions(house: House) -> bool:
    with house.bob.running("SELECT pg_sleep(20)") as one, house.bob.running("SELECT pg_sleep(20)") as two:
        assert (one.status_code, two.status_code) == (200, 200)
        return succeeded(house.bob.query("SELECT 1"))


# Going on with what was taken back.


TAKEN_BACK: dict[str, Act] = {
    "the share": lambda house: bool(house.unshare()),  # type: ignore[func-returns-value]
    "the membership": lambda house: succeeded(house.alice.post("groups/members/delete", {"group": "analysts", "user": "bob"})),
    "the connection": lambda house: succeeded(house.alice.post("connections/delete", {"name": "warehouse"})),
    "the secret": lambda house: succeeded(house.alice.post("secrets/delete", {"name": "prod_pw"})),
}
for _name, _take in TAKEN_BACK.items():

    @attack(f"go on with a statement after this was taken back: {_name}", "deaf")
    def _go_on(house: House, take: Act = _take) -> bool:
        with house.bob.running("SELECT pg_sleep(3)") as answer:
            until(lambda: running_statements(house) > 0)
            take(house)
            return not Result(answer.read()).failed


@attack("go on with a statement when the token has run out", "deaf")
def _outlive(house: House) -> bool:
    result = house.member(house.team.issue_token("bob", lifetime_s=2)).query("SELECT pg_sleep(4)")
    assert isinstance(result, Result)
    return not result.failed


def running_statements(house: House) -> int:
    """Return how many statements of the shared login the database runs."""
    with house.server._replace(user="app").admin() as admin:
        query = "SELECT count(*) FROM pg_stat_activity WHERE usename = %s AND state = 'active'"
        [(count,)] = admin.execute(query, [house.server.user]).fetchall()
    return int(count)


# What outlives a statement.


@attack("keep a lock for which all others of the account wait", "untidy")
def _lock(house: House) -> bool:
    house.bob.query("SELECT pg_advisory_lock(4711)")
    return house.alice.rows("SELECT pg_try_advisory_lock(4711) AS free") == [{"free": False}]


@attack("lay a statement where the next one finds it", "untidy")
def _prepared(house: House) -> bool:
    house.bob.query("PREPARE later AS SELECT 1")
    return succeeded(house.bob.query("EXECUTE later"))


# An account that reads the server's own files.


SUPERUSER = {
    "a file of the server": "SELECT pg_read_file('/etc/passwd')",
    "the passwords of all accounts": "SELECT rolpassword FROM pg_authid",
    "the server's settings of who may log in": "SELECT * FROM pg_hba_file_rules",
}
for _name, _statement in SUPERUSER.items():

    @attack(f"read through a superuser's share: {_name}", "shares_superusers")
    def _superuser(house: House, statement: str = _statement) -> bool:
        house.alice.put("connections", {"name": "root", "body": house.body.replace("reporting", "app")})
        try:
            house.alice.put("shares", {"what": "connection", "name": "root", "group": "analysts"})
            return succeeded(house.bob.query(statement, "root"))
        finally:
            house.alice.post("connections/delete", {"name": "root"})


@attack("read through a superuser that a share was led to when it was shared already", "shares_superusers")
def _raised(house: House) -> bool:
    house.alice.done("PUT", "connections", {"name": "warehouse", "body": house.body.replace("reporting", "app")})
    house.alice.done("PUT", "secrets", {"name": "prod_pw", "value": house.server.password, "replace": True})
    return succeeded(house.bob.query("SELECT pg_read_file('/etc/passwd')"))


# Standing in the broker's place.


@attack("listen at the broker's port when it has ended, and take alice's token", "own_port")
def _squat(house: House) -> bool:
    house.front.stop(signal.SIGKILL)
    try:
        return _stands_in(house)
    finally:
        house.front.start()


def _stands_in(house: House) -> bool:
    """Return whether a socket of bob's gets what alice sends to the broker."""
    with closing(socket.socket()) as mine:
        mine.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            mine.bind(("127.0.0.1", house.front.port))
        except OSError:
            return False
        mine.listen()
        calling = threading.Thread(target=lambda: suppressed(house.alice.get, "me"))
        calling.start()
        with closing(mine.accept()[0]) as caught:
            taken = caught.recv(65536)
        calling.join()
    return house.tokens["alice"].encode() in taken


def suppressed(call: Callable[..., Any], *arguments: Any) -> None:
    """Call something that may be hung up on."""
    with suppress(httpx.HTTPError):
        call(*arguments)
