"""A team's broker keeps what the port promises, seen from a member's kernel."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from flowfile_nb.backend import SecretBackend
from tests.contract.suite import BackendContract
from tests.support.real_broker import RealBroker, running_real_broker


@pytest.fixture(scope="module")
def broker() -> Iterator[RealBroker]:
    """A broker in a process of its own, on a unix socket."""
    with running_real_broker() as running:
        yield running


class TestTeam(BackendContract):
    """The API over a unix socket."""

    @pytest.fixture
    def backend(self, broker: RealBroker, monkeypatch: pytest.MonkeyPatch) -> SecretBackend:
        """What somebody has at the broker who was never there."""
        return broker.be(broker.somebody(), monkeypatch)
