"""The readable rest of a damaged database can be exported."""

from __future__ import annotations

from tests.reliability.counts import Plan
from tests.reliability.salvage import salvage


def test_the_readable_rest_is_in_a_backup() -> None:
    """What can be read one by one is saved with its value, whichever page is damaged."""
    for tally in salvage(Plan("quick", seed=20_261)):
        assert tally.tried
        assert not tally.fell_short, tally.examples()
