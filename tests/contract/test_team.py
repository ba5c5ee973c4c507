"""A team's broker keeps what the port promises, seen from a member's kernel."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from flowfile_nb import session
from flowfile_nb.backend import SecretBackend
from tests.contract.suite import BackendContract
from tests.support.team_double import running_double, token_of


class TestTeam(BackendContract):
    """The API over a unix socket."""

    @pytest.fixture
    def backend(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SecretBackend]:
        """What alice has at a broker where nobody has stored anything."""
        with running_double(tmp_path) as broker:
            monkeypatch.setenv("FLOWFILE_NB_TEAM", f"unix:{broker.socket}")
            monkeypatch.setenv("FLOWFILE_NB_TEAM_TOKEN", token_of("alice"))
            yield session.backend()
            session.team().client.close()
