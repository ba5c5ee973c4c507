"""Text of somebody else's is shown, and never obeyed."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowfile_nb.core.spelling import spelled


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("it \x1b[31mburns\x1b[0m", r"it \x1b[31mburns\x1b[0m"),
        ("\x1b]0;title\x07", r"\x1b]0;title\x07"),
        ("over\rwritten", r"over\rwritten"),
        ("txt.\u202egnp", r"txt.\u202egnp"),
        ("two\nlines\tand a tab", "two\nlines\tand a tab"),
        ("Müller, 東京, 🙂", "Müller, 東京, 🙂"),
    ],
)
def test_as_python_writes_it(text: str, shown: str) -> None:
    """What a terminal obeys is spelled; what people write stays."""
    assert spelled(text) == shown


def test_one_line() -> None:
    """For a log, which has a line for each entry."""
    assert spelled("told\n2026-11-30 INFO forged\u2028", lines=False) == r"told\n2026-11-30 INFO forged\u2028"


@given(st.text())
def test_nothing_is_left_that_controls(text: str) -> None:
    """Whatever it is, in a line of its own."""
    assert not any(unicodedata.category(char) in {"Cc", "Zl", "Zp"} for char in spelled(text, lines=False))
