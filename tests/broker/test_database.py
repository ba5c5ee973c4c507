"""The store itself: made once, migrated, private, and changes of policy told to every process on it."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import sqlalchemy

from flowfile_nb.broker import changes, database
from flowfile_nb.broker.database import open_store
from flowfile_nb.broker.keeping import KEY_FILE, Keeper
from flowfile_nb.broker.migrations import HEAD, TABLE, version
from flowfile_nb.broker.model import Caller
from flowfile_nb.broker.tables import metadata
from flowfile_nb.broker.team import Team, open_team
from flowfile_nb.errors import BrokerError, GroupError, MasterKeyError, StoreError, UnsafePermissionsError, WrongKeyError
from notebooks.throwaway import Postgres
from tests.broker.conftest import ALICE, BOB, KEY, ROOT, VALUE, Opening


def test_what_the_migrations_make_is_what_the_code_expects(url: str, tmp_path: Path) -> None:
    """Each table, column and type of `tables` is there, and nothing else."""
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    store = open_store(url, str(tmp_path / "broker"))

    with store.reading() as connection:
        assert version(connection) == HEAD
        others = {"version_table": TABLE}
        assert compare_metadata(MigrationContext.configure(connection, opts=others), metadata) == []
    store.close()


def test_an_empty_server_database_is_migrated_once_by_many(postgres: Postgres, tmp_path: Path) -> None:
    """Replicas that start together make the tables once, and all go on."""
    with postgres.admin() as admin:
        admin.execute("CREATE DATABASE fresh")
    address = sqlalchemy.URL.create("postgresql", postgres.user, postgres.password, postgres.host, postgres.port, "fresh")
    url = address.render_as_string(hide_password=False)
    failed: list[Exception] = []

    def start() -> None:
        try:
            open_store(url, str(tmp_path / "broker")).close()
        except StoreError as error:
            failed.append(error)

    threads = [threading.Thread(target=start) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert failed == []


def test_a_store_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    """It is not opened with tables that this version does not know."""
    open_store("sqlite", str(tmp_path)).close()
    engine = sqlalchemy.create_engine(f"sqlite:///{tmp_path}/team.db")
    with engine.begin() as connection:
        connection.execute(sqlalchemy.text(f"UPDATE {TABLE} SET version_num = '9999'"))
    engine.dispose()

    with pytest.raises(StoreError, match="newer"):
        open_store("sqlite", str(tmp_path))


@pytest.mark.skipif(sys.platform == "win32", reason="no such permissions")
def test_the_store_is_the_brokers_alone(tmp_path: Path) -> None:
    """Its folder is 0700, its files 0600, also those that SQLite makes beside; one that others can read is refused."""
    team = open_team("sqlite", str(tmp_path / "broker"), {"FLOWFILE_MASTER_KEY": KEY})
    team.put_secret(ALICE, "prod_pw", VALUE, replace=False)

    assert stat.S_IMODE((tmp_path / "broker").stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "broker").iterdir()} == {0o600}
    team.close()
    (tmp_path / "broker" / "team.db").chmod(0o640)
    with pytest.raises(StoreError, match="0640"):
        open_store("sqlite", str(tmp_path / "broker"))


@pytest.mark.parametrize(
    "url", ["", "postgres", "mysql://u:hunter2@h/d", "sqlite://", "sqlite:///:memory:", "postgresql://u:hunter2@127.0.0.1:1/d"]
)
def test_an_address_that_does_not_work_is_not_quoted(tmp_path: Path, url: str) -> None:
    """It may hold a password."""
    with pytest.raises(StoreError) as refused:
        open_store(url, str(tmp_path))

    assert "hunter2" not in str(refused.value)
    assert refused.value.__context__ is None or refused.value.__suppress_context__


def test_without_a_key_everything_is_refused(tmp_path: Path) -> None:
    """With the way to make one; and none is made silently. When it is there, no restart is needed."""
    environ: dict[str, str] = {}
    team = open_team("sqlite", str(tmp_path), environ, "/nonexistent")
    with pytest.raises(MasterKeyError, match="new-key"):
        team.put_secret(ALICE, "prod_pw", VALUE, replace=False)
    with pytest.raises(MasterKeyError):
        team.require_key()

    environ["FLOWFILE_MASTER_KEY"] = KEY

    team.put_secret(ALICE, "prod_pw", VALUE, replace=False)
    assert team.reveal_own(ALICE, "prod_pw") == VALUE
    team.close()


def test_another_key_than_the_stores_is_refused(tmp_path: Path) -> None:
    """Before anything is written with it."""
    open_team("sqlite", str(tmp_path), {"FLOWFILE_MASTER_KEY": KEY}).require_key()
    team = open_team("sqlite", str(tmp_path), {"FLOWFILE_MASTER_KEY": KEY[:-2] + "A="})

    with pytest.raises(WrongKeyError):
        team.put_secret(ALICE, "prod_pw", VALUE, replace=False)
    team.close()


@pytest.mark.skipif(sys.platform == "win32", reason="no such permissions")
def test_the_key_can_be_a_file_that_only_the_broker_reads(tmp_path: Path) -> None:
    """One that others can read is refused."""
    team = open_team("sqlite", str(tmp_path), {}, "/nonexistent")
    (tmp_path / KEY_FILE).write_text(KEY + "\n")
    (tmp_path / KEY_FILE).chmod(0o644)
    with pytest.raises(UnsafePermissionsError):
        team.require_key()

    (tmp_path / KEY_FILE).chmod(0o600)

    team.require_key()
    assert KEY not in repr(team._keeper) + repr(team._store)
    team.close()


def test_a_change_is_told_in_every_process_on_the_store(opening: Opening) -> None:
    """Where it is made, before the call returns; elsewhere within a moment."""
    here, there = opening(), opening()
    told: dict[str, threading.Event] = {"here": threading.Event(), "there": threading.Event()}
    here.subscribe(told["here"].set)
    there.subscribe(told["there"].set)
    for event in told.values():
        event.clear()

    here.create_group(ROOT, "ops")

    assert told["here"].is_set()
    assert told["there"].wait(10)


def test_a_revocation_reaches_the_other_replica(opening: Opening) -> None:
    """What runs there is asked about anew, and is not permitted any more."""
    here, there = opening(), opening()
    here.create_group(ROOT, "analysts")
    here.add_member(ROOT, "analysts", "bob")
    here.put_secret(ALICE, "prod_pw", VALUE, replace=False)
    here.save_connection(ALICE, "warehouse", "postgresql://app:%secret prod_pw@127.0.0.1/sales")
    here.share(ALICE, "connection", "warehouse", "analysts")
    order = there.order(BOB, connection="warehouse")
    ended = threading.Event()
    there.subscribe(lambda: ended.set() if not there.permitted(order) else None)
    assert not ended.is_set()

    here.remove_member(ROOT, "analysts", "bob")

    assert ended.wait(10)


def test_uses_are_no_changes_of_policy(opening: Opening, monkeypatch: pytest.MonkeyPatch) -> None:
    """A thousand members who query do not have each other's queries looked at."""
    # So often that it looks between two uses.
    monkeypatch.setattr(changes, "_POLL_S", 0.0005)
    here, there = opening(), opening()
    here.put_secret(ALICE, "prod_pw", VALUE, replace=False)
    here.save_connection(ALICE, "warehouse", "postgresql://app:%secret prod_pw@127.0.0.1/sales")
    order = here.order(ALICE, connection="warehouse")
    calls: list[str] = []
    last = threading.Event()
    there.subscribe(lambda: calls.append("told"))
    there.subscribe(last.set)
    calls.clear()
    last.clear()

    for number in range(20):
        here.begin_use(ALICE, order, str(number), "select 1")
    assert calls == []
    here.create_group(ROOT, "ops")

    assert last.wait(10)
    assert len(calls) == 1


def test_who_vouches_may_take_it_back(team: Team) -> None:
    """What the Hub says later of a caller counts for what runs: fewer groups, or nothing at all any more."""
    team.create_group(ROOT, "ops")
    team.put_secret(ALICE, "prod_pw", VALUE, replace=False)
    team.save_connection(ALICE, "warehouse", "postgresql://app:%secret prod_pw@127.0.0.1/sales")
    team.share(ALICE, "connection", "warehouse", "ops")
    erin = Caller("erin", frozenset({"ops"}), vouched_by="hub")
    order = team.order(erin, connection="warehouse")
    told: list[bool] = []
    team.subscribe(lambda: told.append(team.permitted(order)))
    told.clear()

    team.observe("erin", "hub", erin)
    assert told == []
    team.observe("erin", "hub", erin._replace(groups=frozenset()))
    team.observe("erin", "hub", None)

    assert told == [False, False]
    assert team.callers() == []


def test_two_who_change_at_once_do_not_both_find_an_owner_left(opening: Opening) -> None:
    """Two owners who leave at the same time: one stays."""
    teams = [opening(), opening()]
    teams[0].create_group(ROOT, "ops")
    for name in ("ann", "ben"):
        teams[0].add_member(ROOT, "ops", name, "owner")
    teams[0].leave(ROOT, "ops")
    refused: list[GroupError] = []
    together = threading.Barrier(2)

    def leave(team: Team, name: str) -> None:
        together.wait()
        try:
            team.leave(Caller(name), "ops")
        except GroupError as error:
            refused.append(error)

    threads = [threading.Thread(target=leave, args=of) for of in zip(teams, ("ann", "ben"), strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(refused) == 1


@pytest.mark.parametrize("url", ["postgresql"], indirect=True)
def test_a_listener_that_is_cut_off_comes_back(opening: Opening, postgres: Postgres) -> None:
    """A database that was away: whoever may have missed something asks anew, and is told again from then on."""
    team = opening()
    told = threading.Event()
    team.subscribe(told.set)
    told.clear()

    with postgres.admin() as admin:
        admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%'")

    assert told.wait(10)
    told.clear()
    opening().create_group(ROOT, "ops")
    assert told.wait(10)


def test_a_store_that_is_gone_permits_nothing(opening: Opening, monkeypatch: pytest.MonkeyPatch) -> None:
    """No answer is a no."""
    team = opening()
    team.put_secret(ALICE, "prod_pw", VALUE, replace=False)
    team.save_connection(ALICE, "warehouse", "postgresql://app:%secret prod_pw@127.0.0.1/sales")
    order = team.order(ALICE, connection="warehouse")
    assert team.permitted(order)

    def gone(*_: object) -> None:
        raise sqlalchemy.exc.OperationalError("", {}, Exception())

    monkeypatch.setattr(database, "insert", gone)
    monkeypatch.setattr(team._store._engine, "connect", gone)

    assert not team.permitted(order)
    with pytest.raises(BrokerError):
        team.secrets(ALICE)


def test_processes_that_start_together_share_one_store(tmp_path: Path) -> None:
    """Six at once make the tables once, and each keeps its secret."""
    code = (
        "import sys; from flowfile_nb.broker.team import open_team; from flowfile_nb.broker.model import Caller\n"
        "team = open_team('sqlite', sys.argv[1]); team.put_secret(Caller('alice'), sys.argv[2], 'value', replace=False)"
    )
    environ = {**os.environ, "FLOWFILE_MASTER_KEY": KEY}
    started = [
        subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "broker"), f"pw{number}"], env=environ)
        for number in range(6)
    ]

    assert [process.wait(60) for process in started] == [0] * 6
    team = open_team("sqlite", str(tmp_path / "broker"), environ)
    assert len(team.secrets(ALICE)) == 6
    assert isinstance(team._keeper, Keeper)
    team.close()
