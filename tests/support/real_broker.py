"""A real broker in a process of its own, and callers of it; no root is needed."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from flowfile_nb import session
from flowfile_nb.broker.team import Team as Policy
from flowfile_nb.broker.team import open_team
from flowfile_nb.team.backend import TeamBackend
from notebooks.practice_team import Team, start_broker


class RealBroker:
    """A broker on a unix socket, and the operator's hand on its store."""

    def __init__(self, team: Team, operator: Policy) -> None:
        self.team = team
        self._operator = operator
        self._numbers = itertools.count(1)
        self._opened: list[TeamBackend] = []

    def somebody(self) -> str:
        """Return a user whom nobody has been yet."""
        return f"user-{next(self._numbers)}"

    def be(self, user: str, monkeypatch: pytest.MonkeyPatch, *, admin: bool = False) -> TeamBackend:
        """Let this process be *user*'s kernel from now on; return what the session uses."""
        if admin:
            self._operator.set_admin(user, True)
        monkeypatch.setenv("FLOWFILE_NB_TEAM", f"unix:{self.team.socket}")
        monkeypatch.setenv("FLOWFILE_NB_TEAM_TOKEN", self._operator.issue_token(user))
        session.use_backend(None)
        self._opened.append(session.team())
        return self._opened[-1]

    def close(self) -> None:
        """Close what the callers had open, and end the broker."""
        for backend in self._opened:
            backend.client.close()
        self._operator.close()
        self.team.stop()


@contextmanager
def running_real_broker() -> Iterator[RealBroker]:
    """Start one with an empty store, and end it."""
    team = start_broker()
    broker = RealBroker(team, open_team(directory=str(team.directory / "kept")))
    try:
        yield broker
    finally:
        broker.close()
