"""A team's store on SQLite and on PostgreSQL, and the people who use it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy

from flowfile_nb.broker.audit import Audit
from flowfile_nb.broker.database import Store, open_store
from flowfile_nb.broker.keeping import Keeper
from flowfile_nb.broker.migrations import TABLE
from flowfile_nb.broker.model import Caller
from flowfile_nb.broker.tables import metadata
from flowfile_nb.broker.team import Team
from notebooks.throwaway import Postgres

KEY = "y6vVz9V4rUZT1P1Jrt5xq6oAq1w4e3h0cX2Zb8nK7mE="
ALICE = Caller("alice")
BOB = Caller("bob")
CAROL = Caller("carol")
ROOT = Caller("root", is_admin=True)
BODY = "postgresql://app:%secret prod_pw@db.example.com:5432/sales?sslmode=verify-full"
VALUE = "hunter2-Zß/?"

Opening = Callable[[], Team]


class Clock:
    """A clock that stands until it is set."""

    def __init__(self) -> None:
        self.time = 1_790_000_000.0

    def __call__(self) -> float:
        return self.time


def team_on(store: Store, clock: Callable[[], float]) -> Team:
    """Return a team on an open store, with the key of these tests."""
    return Team(store, Keeper(store, {"FLOWFILE_MASTER_KEY": KEY}, "/nonexistent"), Audit(store), clock)


@pytest.fixture
def clock() -> Clock:
    """The broker's clock."""
    return Clock()


@pytest.fixture(scope="session")
def server_url(postgres: Postgres) -> str:
    """The address of a database of its own for the broker."""
    with postgres.admin() as admin:
        admin.execute("CREATE DATABASE team")
    address = sqlalchemy.URL.create(
        "postgresql", postgres.user, postgres.password, postgres.host, postgres.port, "team", {"application_name": "broker"}
    )
    return address.render_as_string(hide_password=False)


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest) -> str:
    """Where an empty store is, once in a file and once in a database of a server."""
    if request.param == "sqlite":
        return "sqlite"
    address: str = request.getfixturevalue("server_url")
    empty(address)
    return address


def empty(address: str) -> None:
    """Empty a store's tables, which takes a tenth of the time of making them."""
    engine = sqlalchemy.create_engine(sqlalchemy.make_url(address).set(drivername="postgresql+psycopg"))
    with engine.begin() as connection:
        if sqlalchemy.inspect(connection).has_table(TABLE):
            names = ", ".join(metadata.tables)
            connection.execute(sqlalchemy.text(f"TRUNCATE {names} RESTART IDENTITY"))
            connection.execute(sqlalchemy.text("INSERT INTO nb_facts (name, fact) VALUES ('policy', '0')"))
    engine.dispose()


@pytest.fixture
def opening(url: str, tmp_path: Path, clock: Clock) -> Iterator[Opening]:
    """A function that opens the same store, as another replica would."""
    opened: list[Team] = []

    def open_() -> Team:
        opened.append(team_on(open_store(url, str(tmp_path / "broker")), clock))
        return opened[-1]

    yield open_
    for team in opened:
        team.close()


@pytest.fixture
def team(opening: Opening) -> Team:
    """A broker with a key and an empty store."""
    return opening()


@pytest.fixture
def analysts(team: Team) -> Team:
    """The team with the group `analysts`: alice its owner, bob a member. Carol is known and in no group."""
    team.secrets(ALICE)
    team.secrets(BOB)
    team.secrets(CAROL)
    team.create_group(ROOT, "analysts", "the analysts")
    team.add_member(ROOT, "analysts", "alice", "owner")
    team.add_member(ROOT, "analysts", "bob")
    return team


@pytest.fixture
def shared(analysts: Team) -> Team:
    """That, with alice's secret `prod_pw` and her connection `warehouse`, both shared with the analysts for reading."""
    analysts.put_secret(ALICE, "prod_pw", VALUE, replace=False)
    analysts.save_connection(ALICE, "warehouse", BODY)
    analysts.share(ALICE, "secret", "prod_pw", "analysts")
    analysts.share(ALICE, "connection", "warehouse", "analysts")
    return analysts
