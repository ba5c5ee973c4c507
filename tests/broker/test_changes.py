"""A store in PostgreSQL that goes away: who listens for changes comes back, and what cannot be asked does not go on."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy

from flowfile_nb.broker.changes import Changes
from flowfile_nb.broker.database import open_store
from notebooks.throwaway import Postgres
from tests.support.postgres import running_postgres, stopped
from tests.support.processes import until


@pytest.fixture
def own() -> Iterator[Postgres]:
    """A server that a test may stop."""
    with running_postgres() as server:
        yield server


def url_of(server: Postgres, driver: str = "postgresql") -> sqlalchemy.URL:
    """Return the address of a server's database."""
    return sqlalchemy.URL.create(driver, server.user, server.password, server.host, server.port, server.database)


def test_a_listener_comes_back_after_its_store_was_away(
    own: Postgres, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Also if the store was still away when it tried: the next change is heard."""
    url = url_of(own).render_as_string(hide_password=False)
    here, there = (open_store(url, str(tmp_path / name)) for name in ("here", "there"))
    told = threading.Event()
    there.changes.subscribe(told.set)

    with stopped(own):
        until(lambda: caplog.text.count("cannot be heard of") >= 3)
        told.clear()
    back = told.wait(30)
    told.clear()
    with here.writing(policy=True):
        pass
    heard = told.wait(30)
    here.close()
    there.close()

    assert (back, heard) == (True, True)
    assert own.password not in caplog.text


def test_a_store_that_stays_away_has_all_asked_anew(own: Postgres) -> None:
    """Whoever is told asks the store, which does not answer: nothing is permitted by it."""
    engine = sqlalchemy.create_engine(url_of(own, "postgresql+psycopg"))
    changes = Changes(engine, grace_s=0)
    told = threading.Event()
    changes.subscribe(told.set)

    with stopped(own):
        told.clear()
        assert told.wait(30)
    changes.close()
    engine.dispose()
