"""Sessions for one test file, and who asks."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from flowfile_nb.broker.model import Order
from notebooks.throwaway import Postgres
from tests.support.broker import Broker, order_for, running_broker


@pytest.fixture(scope="module")
def broker() -> Iterator[Broker]:
    """Sessions with the usual limits."""
    with running_broker() as running:
        yield running


@pytest.fixture
def order(postgres: Postgres) -> Order:
    """What bob may do with alice's login: read."""
    return order_for(postgres)
