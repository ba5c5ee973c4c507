"""One broker with a team for all tests of a file; each shares what it needs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from psycopg import sql

from notebooks.throwaway import Postgres
from tests.support.front import House, running_house


@pytest.fixture(scope="session")
def reader(postgres: Postgres) -> Postgres:
    """A login that is no superuser, with a table of its own."""
    with postgres.admin() as admin:
        admin.execute(sql.SQL("CREATE ROLE reporting LOGIN PASSWORD {}").format(sql.Literal(postgres.password)))
        admin.execute("CREATE TABLE takings (day int, amount numeric)")
        admin.execute("INSERT INTO takings SELECT day, day * 1.5 FROM generate_series(1, 10) AS day")
        admin.execute("ALTER TABLE takings OWNER TO reporting")
        admin.execute("GRANT CREATE ON SCHEMA public TO reporting")
    return postgres._replace(user="reporting")


@pytest.fixture(scope="module")
def house(reader: Postgres) -> Iterator[House]:
    """A broker, alice's `warehouse`, bob in `analysts`, and carol."""
    with running_house(reader) as house:
        yield house


@pytest.fixture
def shared(house: House) -> Iterator[House]:
    """The same, with `warehouse` shared for reading."""
    house.share()
    yield house
    house.unshare()
