"""The user's own vault keeps what the port promises."""

from __future__ import annotations

import pytest

from flowfile_nb import session
from flowfile_nb.backend import SecretBackend
from tests.contract.suite import BackendContract


class TestVault(BackendContract):
    """Files of this machine."""

    @pytest.fixture
    def backend(self) -> SecretBackend:
        """An empty vault in a home of its own."""
        return session.vault()
