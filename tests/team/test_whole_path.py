"""Owner, member, broker and database together: the broker in a process of its own, and a real PostgreSQL."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from psycopg import sql

from flowfile_nb import session
from flowfile_nb.errors import BindingError, NoSuchConnectionError, SharedSecretError, UsageError
from flowfile_nb.team.entries import Offer
from notebooks.throwaway import Postgres
from tests.support.real_broker import RealBroker, running_real_broker
from tests.support.shell import Shell

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the practice broker listens on a unix socket")

PASSWORD = "p@ss:w/or d?#%\"'\\ü&=+${x} of-the-reader"

MEMBER = """
import sys
import pandas as pd
from flowfile_nb import session
from flowfile_nb.team.opening import open_named

warehouse = open_named(session.team(), "warehouse", test=True, as_=None, timeout_s=None).native
print(pd.read_sql("SELECT answer FROM answers", warehouse)["answer"].tolist(), flush=True)
sys.stdin.read()
"""
OWNER = """
import sys
from flowfile_nb import secrets
value = secrets["prod_pw"].get_secret_value()
print(len(value), flush=True)
sys.stdin.read()
"""


@pytest.fixture(scope="module")
def broker() -> Iterator[RealBroker]:
    """A broker in a process of its own, on a unix socket."""
    with running_real_broker() as running:
        yield running


@pytest.fixture(scope="module")
def reader(postgres: Postgres) -> Postgres:
    """The login of a role that may read one table."""
    with postgres.admin() as connection:
        connection.execute("CREATE TABLE answers AS SELECT 42 AS answer")
        connection.execute(sql.SQL("CREATE ROLE reader LOGIN PASSWORD {}").format(sql.Literal(PASSWORD)))
        connection.execute("GRANT SELECT, INSERT, DELETE ON answers TO reader")
    return postgres._replace(user="reader", password=PASSWORD)


@pytest.fixture
def users(broker: RealBroker, reader: Postgres, monkeypatch: pytest.MonkeyPatch) -> tuple[str, str]:
    """The owner, who shares a secret and a connection with the member through a group of both."""
    owner, member = broker.somebody(), broker.somebody()
    sharing = broker.be(f"admin-of-{owner}", monkeypatch, admin=True).sharing
    sharing.create(f"of-{owner}")
    for user, role in ((owner, "owner"), (member, "member")):
        sharing.set_member(f"of-{owner}", user, role)
    owners = broker.be(owner, monkeypatch)
    owners.set("prod_pw", PASSWORD, replace=False)
    owners.save_connection("warehouse", body_for(reader))
    for what in ("secret", "connection"):
        owners.sharing.share(Offer(what, "prod_pw" if what == "secret" else "warehouse", f"of-{owner}"))
    return owner, member


def body_for(server: Postgres) -> str:
    """Return the description of a server's database."""
    return f"postgresql://{server.user}:%secret prod_pw@{server.host}:{server.port}/{server.database}"


def memory_of(pid: int) -> bytes:
    """Return what another process has in its writable memory."""
    parts = []
    with open(f"/proc/{pid}/mem", "rb") as memory:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            start, end = (int(part, 16) for part in line.split()[0].split("-"))
            if "rw" in line.split()[1] and "[v" not in line:
                memory.seek(start)
                parts.append(memory.read(end - start))
    return b"".join(parts)


class Case(NamedTuple):
    """A process that uses the secret: what it runs, whether as the member, what it says, and whether it has the value then."""

    script: str
    as_member: bool
    said: str
    has_it: bool


CASES = [Case(MEMBER, True, "[42]", False), Case(OWNER, False, str(len(PASSWORD)), True)]


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="another process's memory is read by Linux's /proc")
@pytest.mark.parametrize("case", CASES, ids=["member", "owner"])
def test_the_value_is_not_in_a_members_process(
    users: tuple[str, str], broker: RealBroker, monkeypatch: pytest.MonkeyPatch, case: Case
) -> None:
    """A member reads data while the password is nowhere in the process's memory; the owner, who may read it, has it there."""
    broker.be(users[case.as_member], monkeypatch)
    process = subprocess.Popen([sys.executable, "-c", case.script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    assert process.stdout is not None
    answer = process.stdout.readline().strip()
    memory = memory_of(process.pid)
    process.communicate()

    assert answer == case.said
    # In one piece, and the piece that no escape of a URL, of JSON or of a DSN changes.
    found = [part for part in (PASSWORD, "of-the-reader") if part.encode() in memory]
    assert bool(found) == case.has_it


def test_a_member_reads_with_the_usual_libraries(
    users: tuple[str, str], broker: RealBroker, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    """pandas, polars and SQLAlchemy work on what `%connect` binds; writing is refused; the note says whose it is."""
    broker.be(users[1], monkeypatch)

    shown = shell.run("%connect warehouse")
    shell.run("import pandas as pd, polars as pl, sqlalchemy as sa")
    shell.run("pd.read_sql('SELECT answer FROM answers', warehouse)['answer'].tolist()")
    by_pandas = shell.result
    shell.run("pl.read_database('SELECT answer FROM answers', warehouse)['answer'].to_list()")
    by_polars = shell.result
    shell.run("sa.inspect(warehouse).get_table_names()")
    tables = shell.result
    shell.run("with warehouse.begin() as c: c.execute(sa.text('DELETE FROM answers'))")

    assert f"{users[0]}'s, shared with of-{users[0]}: it reads only; the credential stays at the broker. Through it:" in shown
    assert (by_pandas, by_polars, "answers" in tables) == ([42], [42], True)
    assert "read-only" in str(shell.error)
    shell.run("%connect")
    row = next(line for line in repr(shell.result).splitlines() if line.startswith("warehouse"))
    assert re.split(r"\s{2,}", row)[1] == "open"


def test_a_shared_secret_in_an_own_description(
    users: tuple[str, str], broker: RealBroker, reader: Postgres, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It goes to the pinned target, and to no other; its value is not had; another form than the engine needs it here."""
    broker.be(users[1], monkeypatch)

    shell.run(f"%%connect mine\n{body_for(reader)}")
    shell.run("with mine.connect() as c: print(c.exec_driver_sql('SELECT answer FROM answers').scalar())")
    assert shell.said.strip() == "42"
    for other in (reader._replace(port=reader.port + 1), reader._replace(database="postgres"), reader._replace(user="app")):
        shell.run(f"%%connect other\n{body_for(other)}")
        assert isinstance(shell.error, BindingError), other
        assert "other" not in session.opened
    # By its parts, with what `%secret NAME` gave.
    parts = {"type": "postgresql", "host": reader.host, "port": reader.port, "database": reader.database}
    shell.run("pw = %secret prod_pw\nimport flowfile_nb as fnb\n")
    shell.run(f"by_parts = fnb.connect({parts}, username={reader.user!r}, password=pw)")
    shell.run("with by_parts.connect() as c: print(c.exec_driver_sql('SELECT answer FROM answers').scalar())")
    assert shell.said.strip() == "42"
    shell.run(f"%%connect other --as duckdb\n{body_for(reader)}")
    assert isinstance(shell.error, UsageError)
    shell.run("%secret env prod_pw")
    assert isinstance(shell.error, SharedSecretError)
    assert "of-the-reader" not in str(os.environ)


def test_the_owner_opens_in_this_kernel(
    users: tuple[str, str], broker: RealBroker, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A description with own secrets alone is opened as ever, by the driver in this kernel."""
    broker.be(users[0], monkeypatch)

    shell.run("%connect warehouse")

    assert session.opened["warehouse"].native.driver == "psycopg"


def test_a_member_goes_on_after_the_owner_has_renamed_the_secret(
    users: tuple[str, str], broker: RealBroker, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the engine that is bound, and opened anew; what the owner is told says what members may have to do."""
    owner, member = users
    answer = "with warehouse.connect() as c: print(c.exec_driver_sql('SELECT answer FROM answers').scalar())"
    broker.be(member, monkeypatch)
    shell.run(f"%connect warehouse\n{answer}")
    broker.be(owner, monkeypatch)

    told = shell.run('%secret rename prod_pw "reader of sales"').splitlines()

    assert told[:2] == ["Renamed prod_pw to reader of sales.", "warehouse now uses it by the new name."]
    assert told[2].startswith(f"It is shared with of-{owner} (reads). Connections that you share go on;")
    assert told[2].endswith("they write the new name:  %connect NAME --edit")
    broker.be(member, monkeypatch)
    assert shell.run(answer).strip() == "42"
    shell.run("%connect -x warehouse\n%connect warehouse")
    assert shell.run(answer).strip() == "42"


def test_an_end_of_sharing_counts_at_once(
    users: tuple[str, str], broker: RealBroker, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next statement of an engine that is bound already is refused, in the words of one that was never shared."""
    owner, member = users
    broker.be(member, monkeypatch)
    shell.run("%connect warehouse")
    sharing = broker.be(owner, monkeypatch).sharing
    sharing.unshare("connection", "warehouse", f"of-{owner}")
    sharing.unshare("secret", "prod_pw", f"of-{owner}")

    shell.run("with warehouse.connect() as c: c.exec_driver_sql('SELECT answer FROM answers')")

    assert isinstance(shell.error, NoSuchConnectionError)
    broker.be(member, monkeypatch)
    shell.run("%connect warehouse --replace")
    assert isinstance(shell.error, UsageError)
    shell.run("%secret get prod_pw")
    assert "no secret named 'prod_pw'" in str(shell.error)


def test_the_owner_sees_what_was_done(
    users: tuple[str, str], broker: RealBroker, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who, which statement, how many rows, how it ended; and no value."""
    owner, member = users
    broker.be(member, monkeypatch)
    shell.run("%connect warehouse")
    shell.run("import pandas; pandas.read_sql('SELECT answer FROM answers', warehouse)")
    broker.be(owner, monkeypatch)

    shell.run("%secret log warehouse")

    rows = [row for row in shell.result.rows if "FROM answers" in row[5]]
    assert [(row[1], row[2], row[6], row[7]) for row in rows] == [(member, "use", "1", "complete")]
    assert "of-the-reader" not in repr(shell.result)


def test_the_record_of_all_that_is_mine(
    users: tuple[str, str], broker: RealBroker, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a name: the owner is shown each use of what is his, the member his own uses, a stranger nothing of either."""
    owner, member = users
    broker.be(member, monkeypatch)
    shell.run("%connect warehouse")
    shell.run("with warehouse.connect() as c: c.exec_driver_sql('SELECT answer + 1 FROM answers').fetchall()")
    shown = {}
    for who in (owner, member, broker.somebody()):
        broker.be(who, monkeypatch)
        shell.run("%secret log")
        shown[who] = repr(shell.result)

    used = [line for line in shown[owner].splitlines() if "SELECT answer + 1" in line]
    his = [line.split()[:6] for line in shown[member].splitlines() if "(told to its owner)" in line]
    assert len(used) == 1
    assert used[0].split()[2:6] == [member, "use", owner, "warehouse"]
    assert "complete" in used[0]
    assert used[0].split()[:6] in his
    assert "SELECT" not in shown[member]
    assert " share " in shown[owner]
    assert " share " not in shown[member]
    assert "Nothing is recorded of yours" not in shown[owner]
    assert shown.popitem()[1].count("warehouse") == 0


def test_a_members_file_is_imported_to_the_broker(
    broker: RealBroker, shell: Shell, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As without a team: what it found is shown, stored as one's own secrets, and known the next time."""
    backend = broker.be(broker.somebody(), monkeypatch)
    (tmp_path / "some.env").write_text("API_KEY=sk-canary-6620-value\n")

    shown = shell.run(f"%secret import {tmp_path / 'some.env'} --yes")

    assert shell.error is None
    assert backend.reveal("API_KEY") == "sk-canary-6620-value"
    assert "sk-canary" not in shown + shell.displayed
    shell.run(f"%secret import {tmp_path / 'some.env'} --yes")
    assert "same value" in shell.shown + shell.displayed


def test_somebody_who_was_never_here_is_said_to_be(
    users: tuple[str, str], broker: RealBroker, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An admin may put a name into a group before anybody comes by it, and is told that it may be mistyped."""
    group, known, new = f"of-{users[0]}", broker.somebody(), broker.somebody()
    broker.be(known, monkeypatch).me()
    broker.be(f"admin-of-{users[0]}", monkeypatch, admin=True)

    of_known = shell.run(f"%secret groups add {group} {known}")
    of_new = shell.run(f"%secret groups add {group} {new}")

    assert of_known == f"{known} is in {group}.\n"
    assert f"The broker has never seen {new}" in of_new
    assert f"%secret groups remove {group} {new}" in of_new


def test_what_a_member_is_told_when_it_is_not_shared_any_more(
    users: tuple[str, str], broker: RealBroker, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The engine says so, the list does, and opening it again does; nothing advises to describe what was never his."""
    owner, member = users
    broker.be(member, monkeypatch)
    shell.run("%connect warehouse")
    broker.be(owner, monkeypatch).sharing.unshare("connection", "warehouse", f"of-{owner}")
    broker.be(member, monkeypatch)

    shell.run("with warehouse.connect() as c: c.exec_driver_sql('SELECT 1')")
    used = str(shell.error)
    shell.run("%connect")
    row = next(line for line in repr(shell.result).splitlines() if line.startswith("warehouse"))
    shell.run("%connect warehouse --replace")
    again = str(shell.error)

    assert "no connection or secret named 'warehouse' that you may use" in used
    assert re.split(r"\s{2,}", row)[1] == "not shared any more"
    assert "no connection named 'warehouse' is saved by you, or shared with you (any more)" in again
    assert "Describe it in a cell" not in again


@pytest.mark.parametrize("options", ["", " --no-test"])
def test_what_sqlalchemy_asks_first_is_not_in_the_record(
    users: tuple[str, str], broker: RealBroker, shell: Shell, monkeypatch: pytest.MonkeyPatch, options: str
) -> None:
    """The check has told it: the owner sees that a member came, and what he asked. Reflection knows the server as ever."""
    owner, member = users
    broker.be(member, monkeypatch)
    shell.run(f"%connect warehouse{options}")
    shell.run(
        "import sqlalchemy; sqlalchemy.inspect(warehouse).default_schema_name, warehouse.dialect.server_version_info >= (13,)"
    )
    known = shell.result
    shell.run("with warehouse.connect() as c: c.exec_driver_sql('SELECT answer FROM answers').fetchall()")
    broker.be(owner, monkeypatch)
    shell.run("%secret log warehouse")

    assert known == ("public", True)
    told = [row[5] for row in shell.result.rows if row[1] == member]
    assert told == ["SELECT answer FROM answers", "(the connection was tried)"]
