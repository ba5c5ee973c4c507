"""Until when somebody vouches for a caller, and what that means for what he runs."""

from __future__ import annotations

from flowfile_nb.broker.model import Caller
from flowfile_nb.broker.team import Team
from tests.broker.conftest import BOB, Clock


def for_a_while(clock: Clock, seconds: float) -> Caller:
    """Bob, by a token of somebody else's that ends after so long."""
    return BOB._replace(vouched_by="oidc", ends_at=clock.time + seconds)


def test_what_runs_is_permitted_until_the_token_ends(shared: Team, clock: Clock) -> None:
    """Not for a second longer, whoever has issued it."""
    bob = for_a_while(clock, 60)
    order = shared.order(bob, connection="warehouse")
    clock.time += 59
    assert shared.permitted(order)
    assert shared.vouched_for(order)
    assert not shared.has_ended(bob)

    clock.time += 1

    assert not shared.permitted(order)
    assert not shared.vouched_for(order)
    assert shared.has_ended(bob)


def test_a_token_that_is_renewed_lets_what_runs_go_on(shared: Team, clock: Clock) -> None:
    """Until the newest of that issuer ends; an older one that is used once more shortens nothing."""
    bob = for_a_while(clock, 60)
    order = shared.order(bob, connection="warehouse")
    shared.order(for_a_while(clock, 600), connection="warehouse")
    shared.order(bob, connection="warehouse")

    clock.time += 300
    assert shared.permitted(order)

    clock.time += 300
    assert not shared.permitted(order)
