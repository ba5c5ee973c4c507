"""A member's side of the broker without a notebook: the package's own client and its PEP 249 connection, over real HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from flowfile_nb.errors import FlowfileNbError
from flowfile_nb.team import dbapi
from flowfile_nb.team.address import Address
from flowfile_nb.team.client import Client
from tests.support.front import House


@contextmanager
def connected(url: str, token: str, name: str = "warehouse") -> Iterator[dbapi.Connection]:
    """Connect a member's kernel to a connection that is shared with him."""
    client = Client(Address(url, "", token, "FLOWFILE_NB_TEAM_TOKEN"))
    connection = dbapi.connect(client, {"connection": name})
    try:
        yield connection
    finally:
        connection.close()
        client.close()


def join(house: House, *names: str) -> dict[str, str]:
    """Make users members of `analysts`; return a token of each."""
    tokens = {name: house.team.issue_token(name) for name in names}
    for name in names:
        house.alice.done("PUT", "groups/members", {"group": "analysts", "user": name, "role": "member"})
    return tokens


def require_two_lines(error: BaseException, *never: str) -> None:
    """Hold an error to what a notebook shows of it: what happened, what to do, a line each, and none of what is secret."""
    assert isinstance(error, FlowfileNbError), repr(error)
    assert error.message, "it says nothing of what happened"
    assert error.hint, f"it says nothing of what to do: {error.message}"
    assert "\n" not in error.message + error.hint
    assert not any(text in error.message + error.hint for text in never)
