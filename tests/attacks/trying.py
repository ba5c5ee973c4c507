"""Each attack against a broker without its defence, and against the broker as it is."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from psycopg import sql

from notebooks.throwaway import Postgres
from tests.attacks.tried import Attack
from tests.support.front import House, running_house

_LIMITS = ("--sessions-per-caller", "2", "--silent-seconds", "2")
_TABLE = (
    "DROP TABLE IF EXISTS takings, bobs; CREATE TABLE takings (day int, amount numeric);"
    "INSERT INTO takings SELECT day, day * 1.5 FROM generate_series(1, 10) AS day; ALTER TABLE takings OWNER TO reporting;"
    "DROP FUNCTION IF EXISTS bobs()"
)


class Finding(NamedTuple):
    """How an attack went."""

    attack: Attack
    against_weak: bool
    """Whether it succeeded without the defence. It has to."""
    against_us: bool
    """Whether it succeeded. It must not."""

    @property
    def holds(self) -> bool:
        """Whether the defence is one."""
        return self.against_weak and not self.against_us


def prepare(server: Postgres) -> Postgres:
    """Make the account that is shared: no superuser, with a table of its own."""
    with server.admin() as admin:
        # Another test of the same run may have made it.
        known = admin.execute("SELECT 1 FROM pg_roles WHERE rolname = 'reporting'").fetchone()
        make = "ALTER ROLE reporting LOGIN PASSWORD {}" if known else "CREATE ROLE reporting LOGIN PASSWORD {}"
        admin.execute(sql.SQL(make).format(sql.Literal(server.password)))
        admin.execute("GRANT CREATE ON SCHEMA public TO reporting")
        admin.execute(_TABLE)
    return server._replace(user="reporting")


def anew(house: House) -> None:
    """Make team and database as they were, whatever an attack has done to them."""
    with house.server._replace(user="app").admin() as admin:
        admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'reporting'")
        admin.execute(sql.SQL("ALTER ROLE reporting PASSWORD {}").format(sql.Literal(house.server.password)))
        admin.execute("ALTER ROLE reporting RESET ALL")
        admin.execute(_TABLE)
    house.renew()


@contextmanager
def house_without(weakness: str, server: Postgres) -> Iterator[House]:
    """Start a broker without one defence; with all of them, if the name is empty."""
    program = (sys.executable, "-m", "tests.attacks.weak", weakness) if weakness else (sys.executable, "-m", "flowfile_nb")
    if weakness == "own_port":
        with running_house(server, options=_LIMITS, own_port=True) as house:
            yield house
        return
    with running_house(server, options=_LIMITS, program=program) as house:
        yield house


def tried_in(house: House, attacks: Sequence[Attack]) -> list[bool]:
    """Return for each attack whether it succeeded."""
    found = []
    for one in attacks:
        anew(house)
        found.append(one.act(house))
    return found


def against_weak(server: Postgres, attacks: Sequence[Attack]) -> list[bool]:
    """Return for each attack whether it succeeds where its defence is missing."""
    weak: dict[str, bool] = {}
    for weakness in dict.fromkeys(one.weakness for one in attacks):
        some = [one for one in attacks if one.weakness == weakness]
        with house_without(weakness, server) as house:
            weak.update(zip([one.name for one in some], tried_in(house, some), strict=True))
    return [weak[one.name] for one in attacks]


def against_us(server: Postgres, attacks: Sequence[Attack]) -> list[bool]:
    """Return for each attack whether it succeeds."""
    with house_without("", server) as house:
        return tried_in(house, attacks)


def told(found: Finding) -> str:
    """Return what is said of an attack."""
    if found.holds:
        state = "refused"
    else:
        state = "SUCCEEDED" if found.against_us else "proves nothing: refused without its defence, too"
    return f"{state:<10} {found.attack.name}  (succeeds where the broker is: {found.attack.weakness})"
