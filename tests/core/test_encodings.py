"""Every form in which a value may stand in text is known, against what the real libraries write."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from flowfile_nb.core.encodings import patterns_of
from tests.core.redaction_values import ENCODERS, HARD_VALUES, PEM, VALUES


@pytest.mark.parametrize("encode", ENCODERS.values(), ids=ENCODERS)
@pytest.mark.parametrize("value", HARD_VALUES)
def test_the_encoding_of_a_hard_value_is_known(encode: Callable[[str], str], value: str) -> None:
    """What a library makes of a value is one of its patterns, with only quotes and the like around it."""
    assert _leftover(encode, value) == _leftover(encode, "plain_token")


@given(value=VALUES, encode=st.sampled_from(list(ENCODERS.values())))
def test_any_encoding_of_any_value_is_known(value: str, encode: Callable[[str], str]) -> None:
    """The same for any text."""
    assert _leftover(encode, value) == _leftover(encode, "plain_token")


def _leftover(encode: Callable[[str], str], value: str) -> bytes:
    written = encode(value).encode()
    longest = max((pattern for pattern in patterns_of(value) if pattern in written), key=len)
    # Which quotes `repr` takes depends on the value.
    return written.replace(longest, b"", 1).replace(b'\\"', b"'").replace(b'"', b"'").replace(b"&quot;", b"&#x27;")


@given(
    value=st.one_of(st.sampled_from(HARD_VALUES), VALUES).filter(lambda value: len(value.encode()) > 4),
    before=st.binary(max_size=4),
    after=st.binary(max_size=4),
    encode=st.sampled_from([base64.b64encode, base64.urlsafe_b64encode]),
)
def test_base64_at_any_place(value: str, before: bytes, after: bytes, encode: Callable[[bytes], bytes]) -> None:
    """In whatever stands around a value of 5 bytes or more, all of its base64 is known but for a character at each end."""
    raw = value.encode()
    written = encode(before + raw + after)

    longest = max((pattern for pattern in patterns_of(value) if pattern in written), key=len)

    assert len(longest) >= len(raw) * 8 // 6 - 2


@pytest.mark.parametrize("value", ["a", "abcd", "hunter2", "four", "hunter2!"])
def test_complete_base64(value: str) -> None:
    """The base64 of the value alone is known to the last character."""
    written = base64.b64encode(value.encode())

    assert (written in patterns_of(value)) == (len(value) >= 4)


@pytest.mark.parametrize("value", ["", "a", "abc", "äöü"])
def test_a_short_value_has_no_patterns(value: str) -> None:
    """Under 4 characters a value would hit by chance everywhere."""
    assert patterns_of(value) == []


@given(value=VALUES)
@example(value="00\r\n")
def test_no_pattern_is_short(value: str) -> None:
    """No form is shorter than the value may be, or than 6 bytes where it looks like any base64 or hex."""
    assert all(len(pattern) >= 4 for pattern in patterns_of(value))
    assert len(set(patterns_of(value))) == len(patterns_of(value))


def test_four_characters() -> None:
    """Of the shortest value, base64 is left out where it is shorter than 6."""
    assert patterns_of("pass") == [b"pass", b"70617373", b"70:61:73:73", b"70 61 73 73", b"cGFzcw=="]


def test_blank_ends() -> None:
    """A file's last line break is printed by nobody."""
    assert {b"hunter2", b"68756e74657232"} < set(patterns_of("hunter2\n"))
    assert b"abc" not in patterns_of(" abc\n")


def test_lines_of_a_value() -> None:
    """A line of a key is a secret too; the line that only says that it is a key is not."""
    patterns = patterns_of(PEM)

    for line in PEM.encode().splitlines():
        assert (line in patterns) == (b"-----" not in line)
    assert b"short" not in patterns_of("short\nand something longer")


def test_lines_with_quotes() -> None:
    """A line of a JSON key file is known as it is and escaped once more."""
    patterns = patterns_of('{\n  "private_key_id": "0f3b"\n}')

    assert b'"private_key_id": "0f3b"' in patterns
    assert b'\\"private_key_id\\": \\"0f3b\\"' in patterns


def test_lone_surrogates() -> None:
    """Text that is not valid Unicode has forms too."""
    assert "abc\udc80".encode("utf-8", "surrogatepass") in patterns_of("abc\udc80")


@pytest.mark.parametrize(("value", "at_most_ms"), [("x7Kq" * 6, 1), ("a/+b" * 16384, 100), ("0123456789abcde\n" * 4096, 100)])
def test_it_takes_no_time(value: str, at_most_ms: float) -> None:
    """A token takes some 6 µs, a value of 64 KiB 6 to 30 ms; of the processor's time, for others may be at work here."""
    start = time.process_time()
    patterns_of(value)

    assert time.process_time() - start < at_most_ms / 1000
