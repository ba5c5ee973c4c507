"""Two brokers on one store in PostgreSQL, as behind a load balancer, and their team."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

import sqlalchemy

from flowfile_nb.broker.team import open_team
from flowfile_nb.core.crypto import generate_master_key
from notebooks.throwaway import Postgres
from tests.support.front import Front, House


class Replicas(NamedTuple):
    """What there is: `house.front` is the replica that owners call, `other` the one of the members."""

    house: House
    other: Front
    store: Postgres


@contextmanager
def running_replicas(store: Postgres, server: Postgres) -> Iterator[Replicas]:
    """
    Start two replicas, and stop them at the end.

    Args:
        store: The server of their store, in which nothing else is.
        server: The database to which `warehouse` leads.
    """
    home = Path(tempfile.mkdtemp(prefix="ffr_"))
    key = generate_master_key().decode()
    url = sqlalchemy.URL.create("postgresql", store.user, store.password, store.host, store.port, store.database)
    environ = {"FLOWFILE_NB_STORE": url.render_as_string(hide_password=False)}
    try:
        first, second = (Front(home / name, key, environ=environ) for name in ("first", "second"))
        team = open_team(environ["FLOWFILE_NB_STORE"], str(home / "operator"), {"FLOWFILE_MASTER_KEY": key})
        with closing(first), closing(second), closing(team):
            first.start()
            second.start()
            with closing(House(first, team, server)) as house:
                yield Replicas(house, second, store)
    finally:
        shutil.rmtree(home, ignore_errors=True)
