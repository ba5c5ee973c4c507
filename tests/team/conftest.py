"""A broker, and kernels of alice, bob and root that use it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from flowfile_nb import session
from flowfile_nb.team.backend import TeamBackend
from tests.support.team_double import Double, running_double, token_of


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Double]:
    """A broker with alice and bob in the group analysts."""
    with running_double(tmp_path) as double:
        double.groups["analysts"] = {"alice": "owner", "bob": "member"}
        double.descriptions["analysts"] = "who analyse"
        yield double


@pytest.fixture
def be(broker: Double, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], TeamBackend]]:
    """Be somebody from now on: the session has that caller's backend."""
    used: list[TeamBackend] = []

    def become(user: str) -> TeamBackend:
        monkeypatch.setenv("FLOWFILE_NB_TEAM", f"unix:{broker.socket}")
        monkeypatch.setenv("FLOWFILE_NB_TEAM_TOKEN", token_of(user))
        session.use_backend(None)
        used.append(session.team())
        return used[-1]

    yield become
    for backend in used:
        backend.client.close()
