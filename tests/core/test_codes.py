"""Codes for colours and tags in the middle of a value do not hide it, and what they do to the text around it stays."""

from __future__ import annotations

import html
import json
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowfile_nb.core.codes import Origin, codes, uncoded, without_begun
from flowfile_nb.core.json_search import JsonSearch
from flowfile_nb.core.redaction import Redactor
from flowfile_nb.core.streams import StreamMasker
from tests.core.redaction_values import HARD_VALUES

CODES = [
    "\x1b[31m",
    "\x1b[0m",
    "\x1b[38;5;28;01m",
    "\x1b[m\x1b[K",
    "\x1b(B",
    "<span>",
    "</span>",
    '<span class="s1" style="x: y">',
]
# A value with codes of its own is another matter: see below.
COLOURABLE = [value for value in HARD_VALUES if "\x1b" not in value]


def knowing(**values: str) -> Redactor:
    redactor = Redactor()
    for name, value in values.items():
        redactor.learn(name, value)
    return redactor


@given(
    value=st.sampled_from(COLOURABLE),
    cuts=st.lists(st.tuples(st.floats(0, 1), st.sampled_from(CODES)), min_size=1, max_size=6),
    write=st.sampled_from([str, json.dumps, repr, html.escape]),
)
def test_a_value_with_codes_in_it(value: str, cuts: list[tuple[float, str]], write: Callable[[str], str]) -> None:
    """Wherever they cut it, in one of its usual forms, only they are left of what stands there."""
    form = write(value)
    whole = write("plain_token")
    coloured = form
    for place, code in sorted(cuts, reverse=True):
        at = round(place * len(form))
        coloured = coloured[:at] + code + coloured[at:]

    redactor = knowing(pw=value)
    masked = redactor.mask(f"before {coloured} after")

    left = uncoded(masked.encode()).decode().replace('"', "'")
    assert left == f"before {whole} after".replace("plain_token", "[secret:pw]").replace('"', "'")
    assert sorted(codes(masked.encode())) == sorted(codes(coloured.encode()))
    assert redactor.mask(masked) == masked
    assert JsonSearch(redactor).finds(json.dumps([coloured], ensure_ascii=False).encode())


@pytest.mark.parametrize(
    ("text", "may"), [("hunter2", True), (r"hun\x1b[1mter2", True), (r"\u001b(B", True), ("<b>hunter</b>", False)]
)
def test_whether_a_text_needs_a_closer_look(text: str, may: bool) -> None:
    """Where a value stands, or a sign of codes; also of a value that nothing was searched for yet."""
    assert knowing(pw="hunter2").may_hit(text.encode()) == may


@given(st.lists(st.sampled_from(["a", "ü", "\\", "\n", "<b>", "\x1b", "[", *CODES])))
def test_where_the_bytes_come_from(pieces: list[str]) -> None:
    """Each byte that is left has its place in the original, in order, and only codes are between."""
    data = "".join(pieces).encode()
    text, origin = uncoded(data), Origin(data)

    places = [origin.place(at, at + 1) for at in range(len(text))]

    assert b"".join(data[start:end] for start, end in places) == text
    assert places == sorted(places)
    assert b"".join(codes(data)) == b"".join(
        data[end:start] for (_, end), (start, _) in zip([(0, 0), *places], [*places, (len(data), 0)], strict=True)
    )


@pytest.mark.parametrize("escape", ["\\x1b", "\\u001b", "\\\\x1b", "\\\\u001b"])
def test_codes_that_are_written_out(escape: str) -> None:
    """In `repr`, in JSON, and in the `repr` of that."""
    redactor = knowing(pw="hunter2")

    assert redactor.mask(f"'hun{escape}[31mter2'") == f"'[secret:pw]{escape}[31m'"


def test_a_backslash_before_a_code_that_is_written_out() -> None:
    """It belongs to the value."""
    assert knowing(pw="hunter2\\x").mask(repr("hunter2\\\x1b[31mx")) == "'[secret:pw]\\x1b[31m'"


@pytest.mark.parametrize("text", ["\x1b[31mred\x1b[0m", "<span>hunter</span>", "\\x1b[0mhunter", "1\x1b2", "</span", "\x1b["])
def test_codes_alone(text: str) -> None:
    """They are no value: the very same text is given back."""
    assert knowing(pw="hunter2").mask(text) is text


def test_a_code_that_holds_a_value_goes() -> None:
    """A tag in the middle of a value stays, unless it has a value in an attribute."""
    redactor = knowing(pw="hunter2")

    assert redactor.mask('hun<span title="hunter2">ter2</span>') == "[secret:pw]</span>"


def test_a_value_with_codes_of_its_own() -> None:
    """It is masked as it is, and nothing of it is kept."""
    assert knowing(pw="a\x1b[31mb</span>").mask("<a\x1b[31mb</span>>") == "<[secret:pw]>"


def test_a_value_that_is_a_sign_of_codes() -> None:
    """Learned at once or later, it is masked as any other."""
    redactor = knowing(first="</span")
    assert redactor.mask("x</span>") == "x[secret:first]>"

    redactor.learn("later", "\\x1b[")
    assert redactor.mask("\\x1b[0m</span>") == "[secret:later]0m[secret:first]>"


def test_a_mask_with_codes_in_it() -> None:
    """It stays a mask."""
    redactor = knowing(secret="secret")

    assert redactor.mask("[sec\x1b[1mret]\x1b[0m") == "[sec\x1b[1mret]\x1b[0m"


@given(
    cuts=st.lists(st.sampled_from(["", "\x1b[31m", "\x1b[0m", "\x1b[38;5;2m\x1b[K"]), min_size=8, max_size=8),
    sizes=st.lists(st.integers(1, 9), min_size=1, max_size=9),
)
def test_in_a_stream(cuts: list[str], sizes: list[int]) -> None:
    """Cut by flushes at any place, and by codes from its fifth character on, nothing of it goes out."""
    value = "hunter2-prod"
    text = f"say {value[:4]}" + "".join(code + letter for code, letter in zip(cuts, value[4:], strict=True)) + " end"
    stream = StreamMasker(knowing(pw=value))
    out, at, turn = "", 0, 0
    while at < len(text):
        size = sizes[turn % len(sizes)]
        out += stream.feed(text[at : at + size])
        at, turn = at + size, turn + 1
    out += stream.release()

    assert uncoded(out.encode()) == b"say [secret:pw] end"


def test_nothing_but_codes_is_not_held_for_ever() -> None:
    """A stream that says nothing more than colours, after what may begin a value, is let out in the end."""
    stream = StreamMasker(knowing(pw="hunter2"))

    out = stream.feed("hunte") + "".join(stream.feed("\x1b[0m") for _ in range(100))

    assert out.startswith("hunte\x1b[0m")


def test_the_beginning_of_a_code() -> None:
    """It is left out where it may be the end of what has come so far."""
    assert without_begun(b"hun\x1b[3") == b"hun"
    assert without_begun(b"hun\x1b[3m") == b"hun\x1b[3m"
    assert without_begun(b"hun") == b"hun"
