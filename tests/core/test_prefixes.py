"""Where the end of a text begins that may be the beginning of a pattern."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowfile_nb.core.prefixes import Prefixes

LONG = bytes(range(97, 123)) * 100


def slowly(patterns: list[bytes], data: bytes) -> int:
    for start in range(len(data)):
        if any(pattern.startswith(data[start:]) and len(pattern) > len(data) - start for pattern in patterns):
            return start
    return len(data)


@given(
    patterns=st.lists(st.text("ab\n", min_size=1, max_size=8).map(str.encode), max_size=5),
    data=st.text("abc\n", max_size=20).map(str.encode),
)
def test_the_earliest_start_is_found(patterns: list[bytes], data: bytes) -> None:
    """The longest end that goes on in some pattern, and nothing that is complete."""
    assert Prefixes(patterns).open_end(data) == slowly(patterns, data)


@pytest.mark.parametrize("length", [0, 1, 3, 4, 511, 512, 513, 1_500, len(LONG) - 1, len(LONG)])
@pytest.mark.parametrize("before", [b"", b"text ", LONG[:600] + b"!", LONG[:600], LONG])
def test_long_patterns(length: int, before: bytes) -> None:
    """It is the same for long patterns, which have a way of their own."""
    patterns = [LONG, LONG[:700] + b"other", b"xyz!"]
    data = before + LONG[:length]

    assert Prefixes(patterns).open_end(data) == slowly(patterns, data)


def test_the_earliest_of_several_long_patterns() -> None:
    """Whichever of them is looked for first."""
    later, earlier = b"a" * 600 + b"!", b"b" * 10 + b"a" * 1_500

    for patterns in ([later, earlier], [earlier, later]):
        assert Prefixes(patterns).open_end(b"text " + earlier[:610]) == 5


def test_adding() -> None:
    """Patterns are known from when they are added."""
    prefixes = Prefixes([b"abcd"])
    before = prefixes.open_end(b"xyz")
    prefixes.add([b"xyz!"])

    assert (before, prefixes.open_end(b"xyz"), prefixes.open_end(b"abc"), prefixes.longest) == (3, 0, 0, 4)


@given(
    patterns=st.lists(st.text("ab", min_size=1, max_size=8).map(str.encode), max_size=5),
    text=st.text("ab", min_size=1, max_size=5).map(str.encode),
    more=st.text("ab", min_size=1, max_size=5).map(str.encode),
)
def test_going_on(patterns: list[bytes], text: bytes, more: bytes) -> None:
    """Whether some pattern begins with both and is longer."""
    expected = any(pattern.startswith(text + more) and pattern != text + more for pattern in patterns)

    assert Prefixes(patterns).goes_on(text, more) == expected
