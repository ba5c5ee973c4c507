"""One broker with a team for all tests of a file; each shares what it needs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from notebooks.throwaway import Postgres
from tests.attacks.trying import prepare
from tests.support.front import House, running_house


@pytest.fixture(scope="session")
def reader(postgres: Postgres) -> Postgres:
    """A login that is no superuser, with a table of its own."""
    return prepare(postgres)


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
