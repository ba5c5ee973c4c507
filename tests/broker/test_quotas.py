"""How much one user may keep: a clear refusal with what to do, and others are not kept from anything."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from flowfile_nb.broker.limits import Quotas
from flowfile_nb.broker.team import Team, open_team
from flowfile_nb.errors import LimitError
from tests.broker.conftest import ALICE, BOB, BODY, KEY, ROOT, VALUE

QUOTAS = Quotas(2, 2, 2, 2, 2, 2, 20)


@pytest.fixture
def narrow(tmp_path: Path, url: str) -> Iterator[Team]:
    """A team that keeps little of everything; alice, bob and root are known."""
    with closing(open_team(url, str(tmp_path / "broker"), {"FLOWFILE_MASTER_KEY": KEY}, "/nonexistent", QUOTAS)) as team:
        for caller in (ALICE, BOB, ROOT):
            team.secrets(caller)
        yield team


def put_secret(team: Team, number: int) -> None:
    team.put_secret(ALICE, f"secret {number}", VALUE, replace=False)


def save(team: Team, number: int) -> None:
    team.save_connection(ALICE, f"connection {number}", BODY)


def make_group(team: Team, number: int) -> None:
    team.create_group(ROOT, f"group {number}")


def issue(team: Team, number: int) -> None:
    team.issue_token("alice", name=f"token {number}")


def add_member(team: Team, number: int) -> None:
    if number == 0:
        team.create_group(ROOT, "analysts")
        return
    team.add_member(ROOT, "analysts", f"member {number}")


def share(team: Team, number: int) -> None:
    if number == 0:
        team.put_secret(ALICE, "prod_pw", VALUE, replace=False)
        team.save_connection(ALICE, "warehouse", BODY)
        team.create_group(ROOT, "analysts")
        team.create_group(ROOT, "others")
        team.share(ALICE, "connection", "warehouse", "analysts")
        return
    team.share(ALICE, ("secret", "secret", "connection")[number], "prod_pw" if number < 2 else "warehouse", "others")


KEPT: dict[str, Callable[[Team, int], None]] = {
    "secrets of yours": put_secret,
    "saved connections of yours": save,
    "groups that you have made": make_group,
    "tokens of 'alice'": issue,
    "members of 'analysts'": add_member,
    "shares that you have made": share,
}


@pytest.mark.parametrize("what", KEPT)
def test_one_user_keeps_so_much_and_no_more(narrow: Team, what: str) -> None:
    """The one too many is refused by what there is, how many, and what to do."""
    for number in range(2):
        KEPT[what](narrow, number)

    with pytest.raises(LimitError) as refused:
        KEPT[what](narrow, 2)

    assert refused.value.message == f"there are 2 {what} already; there may be 2"
    assert refused.value.hint


def test_what_is_there_can_be_changed_and_others_are_not_counted(narrow: Team) -> None:
    """A full user replaces, shares anew and deletes; another one's room is his own."""
    for number in range(2):
        put_secret(narrow, number)
        save(narrow, number)
    narrow.put_secret(ALICE, "secret 1", VALUE, replace=True)
    narrow.save_connection(ALICE, "connection 1", BODY)
    narrow.put_secret(BOB, "secret 1", VALUE, replace=False)

    narrow.delete_secret(ALICE, "secret 1")
    put_secret(narrow, 3)


def test_a_share_that_is_there_can_be_changed(narrow: Team) -> None:
    """Also by who has made as many as he may."""
    share(narrow, 0)
    share(narrow, 1)

    narrow.share(ALICE, "connection", "warehouse", "analysts", permission="manage")


def test_a_long_value_is_refused_where_the_broker_says_so(narrow: Team) -> None:
    """By its bytes, and it is not repeated."""
    with pytest.raises(LimitError, match="24 bytes") as refused:
        narrow.put_secret(ALICE, "long", "\N{LATIN SMALL LETTER U WITH DIAERESIS}" * 12, replace=False)

    assert "\N{LATIN SMALL LETTER U WITH DIAERESIS}" not in str(refused.value)
