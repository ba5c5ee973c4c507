"""What a use costs at a store that is elsewhere, and what is kept of when something was used."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy

from flowfile_nb.broker.model import Outcome
from flowfile_nb.broker.team import Team
from notebooks.throwaway import Postgres
from tests.broker.conftest import ALICE, BOB, BODY, VALUE, Clock, empty
from tests.support.network import Link, link_to

WAITS = 4
"""For whose the token is, for what may be used by it, and for the notes before and after."""


@pytest.fixture
def link(postgres: Postgres) -> Iterator[Link]:
    """The network between the broker and its store."""
    with link_to(postgres.port) as link:
        yield link


@pytest.fixture
def url(server_url: str, link: Link) -> str:
    """A store in PostgreSQL, at the other end of the link."""
    empty(server_url)
    return sqlalchemy.make_url(server_url).set(port=link.port).render_as_string(hide_password=False)


def use(team: Team, token: str, number: int, **asked: str) -> None:
    """Make a use, as the front does."""
    caller = team.caller_of_token(token)
    order = team.order(caller, **asked)
    team.begin_use(caller, order, f"q{number}", "select 1")
    team.end_use(caller, order, f"q{number}", Outcome("complete", 1, 1, 0.1))


@pytest.mark.parametrize("asked", [{"connection": "warehouse"}, {"description": BODY}], ids=["by name", "as described"])
def test_a_use_waits_for_its_store_few_times(shared: Team, link: Link, asked: dict[str, str]) -> None:
    """Each wait is one more to and fro in the network, on the way of each statement of a member's."""
    token = shared.issue_token("bob")
    for number in range(10):
        use(shared, token, number, **asked)
    before = link.asked

    use(shared, token, 10, **asked)

    assert link.asked - before <= WAITS


def test_a_line_that_was_cut_is_not_used_again(shared: Team, link: Link) -> None:
    """That takes no question to the server: whoever comes next has another line, and sees no error."""
    assert shared.order(BOB, connection="warehouse").value == VALUE

    link.cut()

    assert shared.order(BOB, connection="warehouse").value == VALUE


def test_uses_at_once_are_all_written_down(shared: Team) -> None:
    """Also where many of them are the first in this minute: none is refused on account of another."""
    token = shared.issue_token("bob")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: use(shared, token, number, connection="warehouse"), range(40)))

    states = [entry.state for entry in shared.log(ALICE, "warehouse") if entry.action == "use"]
    assert (states.count("started"), states.count("complete")) == (40, 40)


def test_when_a_secret_was_last_used_is_kept_to_the_minute(shared: Team, clock: Clock) -> None:
    """The record has each use; for the owner's list not every one of them is written a second time."""
    first = int(clock.time)
    token = shared.issue_token("bob")
    found = []
    for number in range(3):
        use(shared, token, number, connection="warehouse")
        found.append(shared.secrets(ALICE)[0].used_at)
        clock.time += 40

    assert found == [first, first, first + 80]
