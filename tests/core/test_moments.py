"""How long ago, in a word."""

from __future__ import annotations

import pytest

from flowfile_nb.core.moments import duration


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, ""),
        (59.9, ""),
        (60, "1 min"),
        (3_599, "59 min"),
        (3_600, "1 h"),
        (86_399, "23 h"),
        (86_400 * 364, "364 d"),
        (86_400 * 800, "2 y"),
    ],
)
def test_the_largest_whole_unit(seconds: float, text: str) -> None:
    """Rounded down: what is 23 hours and 59 minutes old is no day old."""
    assert duration(seconds) == text
