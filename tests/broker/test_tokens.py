"""Tokens of the broker's own, and users whom an operator lets in and shuts out."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from flowfile_nb.broker import tables
from flowfile_nb.broker.team import Team
from flowfile_nb.errors import NotAllowedError, UsageError
from tests.broker.conftest import ALICE, BOB, BODY, Clock


def test_a_token_says_who_calls(analysts: Team) -> None:
    """Its user, and that it was a token, and which: for the audit, and so that revoking it ends what runs."""
    token = analysts.issue_token("bob", name="laptop")
    caller = analysts.caller_of_token(token)

    info = analysts.tokens("bob")[0]
    assert (caller.name, caller.vouched_by, caller.is_admin) == ("bob", f"token:{info.id}", False)
    assert (info.user, info.name, info.scopes) == ("bob", "laptop", ["manage", "use"])
    assert info.last_used_at is not None


def test_only_hashes_of_tokens_are_kept(analysts: Team) -> None:
    """Who reads the store has no token."""
    token = analysts.issue_token("bob")

    with analysts._store.reading() as connection:
        rows = [str(row) for table in tables.metadata.tables.values() for row in connection.execute(select(table))]
    assert not any(token in row or token.removeprefix("fnbt_") in row for row in rows)


@pytest.mark.parametrize("guess", ["", "fnbt_", "fnbt_x", "bob", "%", "' OR 1=1 --", "\udcff"])
def test_a_guess_is_no_token(analysts: Team, guess: str) -> None:
    """Nor is the hash of one, nor a token with a letter changed."""
    token = analysts.issue_token("bob")
    with analysts._store.reading() as connection:
        stored = connection.execute(select(tables.tokens.c.hash)).scalar_one()

    for text in (guess, stored, token[:-1], token.swapcase(), f"{token} "):
        with pytest.raises(NotAllowedError) as refused:
            analysts.caller_of_token(text)
        assert token not in str(refused.value)


def test_a_token_expires(analysts: Team, clock: Clock) -> None:
    """From that second on it is none, also for what runs by it."""
    with pytest.raises(UsageError):
        analysts.issue_token("bob", lifetime_s=0)
    token = analysts.issue_token("bob", lifetime_s=60)
    clock.time += 59
    assert analysts.caller_of_token(token).name == "bob"

    clock.time += 1

    with pytest.raises(NotAllowedError, match="expired"):
        analysts.caller_of_token(token)


def test_a_narrow_token_reaches_no_further(analysts: Team) -> None:
    """One that may only use neither changes nor reads values."""
    token = analysts.issue_token("bob", scopes=["use"])

    assert analysts.caller_of_token(token, "use").name == "bob"
    with pytest.raises(NotAllowedError, match="manage"):
        analysts.caller_of_token(token, "manage")
    with pytest.raises(UsageError):
        analysts.issue_token("bob", scopes=["all"])
    with pytest.raises(UsageError):
        analysts.issue_token("bob", scopes=[])


def test_a_revoked_token_is_worthless_at_once(shared: Team) -> None:
    """What runs by it is not permitted any more; another token of the same user is."""
    first, second = shared.issue_token("bob"), shared.issue_token("bob")
    orders = [shared.order(shared.caller_of_token(token), connection="warehouse") for token in (first, second)]

    assert shared.revoke_token(shared.tokens("bob")[0].id)
    assert not shared.revoke_token(999)

    assert [shared.permitted(order) for order in orders] == [False, True]
    with pytest.raises(NotAllowedError):
        shared.caller_of_token(first)


def test_an_expired_token_ends_what_runs_by_it(shared: Team, clock: Clock) -> None:
    """Asked anew, it is not permitted."""
    order = shared.order(shared.caller_of_token(shared.issue_token("bob", lifetime_s=60)), description=BODY)
    assert shared.permitted(order)

    clock.time += 61

    assert not shared.permitted(order)


def test_a_user_who_is_shut_out_gets_nothing(shared: Team) -> None:
    """No list, no use, no token; what runs ends. Let in again, he has what he had."""
    token = shared.issue_token("bob")
    order = shared.order(BOB, connection="warehouse")

    shared.shut_out("bob")

    assert not shared.permitted(order)
    for call in (
        lambda: shared.secrets(BOB),
        lambda: shared.order(BOB, connection="warehouse"),
        lambda: shared.caller_of_token(token),
    ):
        with pytest.raises(NotAllowedError):
            call()
    shared.shut_out("bob", False)
    assert shared.order(BOB, connection="warehouse").owner == "alice"


def test_an_administrator_is_made_by_the_operator(analysts: Team) -> None:
    """Then his token makes groups."""
    analysts.set_admin("bob", True)
    caller = analysts.caller_of_token(analysts.issue_token("bob"))

    analysts.create_group(caller, "ops")

    analysts.set_admin("bob", False)
    with pytest.raises(NotAllowedError):
        analysts.create_group(ALICE._replace(name="bob"), "more")


@pytest.mark.parametrize("name", ["", " ", " bob", "bob\n", "x" * 256, "\x00"])
def test_nobody_is_called_that(analysts: Team, name: str) -> None:
    """A name that looks like another's is no user."""
    with pytest.raises((NotAllowedError, UsageError)):
        analysts.secrets(BOB._replace(name=name))
