"""A value that comes in pieces does not get through, however it is cut and whenever what is held is let out."""

from __future__ import annotations

import json
import random
import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from flowfile_nb.core.encodings import patterns_of
from flowfile_nb.core.redaction import Redactor
from flowfile_nb.core.search import EngineName
from flowfile_nb.core.streams import ByteMasker, StreamMasker
from tests.core.redaction_values import HARD_VALUES, PEM, both_engines

VALUES = [
    "hunter2",
    "hunter2-prod",
    "abcdef",
    "defghi",
    "aaaa",
    "abab",
    "secret",
    "stdout",
    "a.*b(c|d)+[e]$",
    "ü€😀x",
    "two\nlines here",
]
PIECES = [
    *VALUES,
    "hunt",
    "er2",
    "-pro",
    "abc",
    "ghi",
    "a",
    "aa",
    "secr",
    "[secret:",
    "[secret]",
    "[secret:n0]",
    "]",
    "\n",
    " ",
    "ü",
    "€",
]
CUTS = st.lists(st.tuples(st.integers(1, 6), st.booleans()), max_size=40)


def knowing(*values: str, engine: EngineName | None = None) -> Redactor:
    redactor = Redactor(engine)
    for number, value in enumerate(values):
        assert redactor.learn(f"n{number}", value)
    return redactor


def streamed(redactor: Redactor, pieces: list[str], *, released: bool = False) -> str:
    stream = StreamMasker(redactor)
    out = []
    for piece in pieces:
        out.append(stream.feed(piece))
        if released:
            out.append(stream.release())
            assert stream.held == ""
    return "".join([*out, stream.release()])


@both_engines
@given(values=st.lists(st.sampled_from(VALUES), min_size=1, unique=True), pieces=st.lists(st.sampled_from(PIECES)), cuts=CUTS)
@example(values=["abcdef", "defghi"], pieces=["abcdefghi"], cuts=[(3, False), (3, False), (1, False)])
@example(values=["aaaa"], pieces=["aaaa"] * 6, cuts=[(1, False)] * 24)
def test_without_pauses_it_is_the_same_as_masking_the_whole(
    engine: EngineName, values: list[str], pieces: list[str], cuts: list[tuple[int, bool]]
) -> None:
    """The pieces add up to the masked text, exactly, and what is held is shorter than the longest form of a value."""
    redactor = knowing(*values, engine=engine)
    # At the end something that begins no value: what may be the beginning of one is let out otherwise, as below.
    text = "".join([*pieces, "|"])
    stream = StreamMasker(redactor)
    longest = max([len("[secret:n10]"), *(len(pattern) for value in values for pattern in patterns_of(value))])

    out, at = "", 0
    for size, _ in cuts:
        out += stream.feed(text[at : at + size])
        at += size
        assert len(stream.held.encode()) < longest + len("[secret:n10]")
    out += stream.feed(text[at:])

    assert (out, stream.held) == (redactor.mask(text), "")


@both_engines
@given(
    values=st.lists(st.sampled_from([value for value in VALUES if value != "secret"]), min_size=1, unique=True),
    pieces=st.lists(st.sampled_from(PIECES)),
    cuts=CUTS,
)
def test_with_pauses_no_value_gets_through(
    engine: EngineName, values: list[str], pieces: list[str], cuts: list[tuple[int, bool]]
) -> None:
    """Whatever is let out in between, no form of a value is in what has come out."""
    redactor = knowing(*values, engine=engine)
    text = "".join(pieces)
    stream = StreamMasker(redactor)

    out, at = "", 0
    for size, pause in cuts:
        out += stream.feed(text[at : at + size])
        if pause:
            out += stream.release()
            assert stream.held == ""
        at += size
    out += stream.feed(text[at:]) + stream.release()

    assert not redactor.hits(out.encode())
    assert not any(value in out for value in values)


@both_engines
@pytest.mark.parametrize("value", HARD_VALUES)
def test_every_split_point(engine: EngineName, value: str) -> None:
    """Cut in two anywhere, in any encoding, with and without a pause, a value does not get through."""
    redactor = knowing(value, engine=engine)
    for form in (value, json.dumps(value), repr(value.encode()), value.encode().hex()):
        text = f"<{form}>"
        masked = redactor.mask(text)
        assert "[secret:n0]" in masked
        for at in range(len(text) + 1):
            assert streamed(redactor, [text[:at], text[at:]]) == masked
            paused = streamed(redactor, [text[:at], text[at:]], released=True)
            assert value not in paused
            assert not redactor.hits(paused.encode())


@both_engines
@pytest.mark.parametrize("value", [*VALUES, PEM])
def test_one_character_at_a_time(engine: EngineName, value: str) -> None:
    """It is the same for a value that comes character by character, even if each is let out."""
    redactor = knowing(value, engine=engine)
    text = f"<{value}><{value}"

    assert streamed(redactor, list(text)) == redactor.mask(text) == "<[secret:n0]><[secret:n0]"
    assert not redactor.hits(streamed(redactor, list(text), released=True).encode())


def test_what_was_let_out_is_remembered() -> None:
    """The rest of a value is masked, although its beginning went out while nobody knew."""
    stream = StreamMasker(knowing("hunter2", "hunter2-prod"))

    out = [stream.feed("pw: hun"), stream.held, stream.release(), stream.held, stream.feed("ter2!")]

    assert out == ["pw: ", "hun", "hun", "", "[secret:n0]!"]


def test_how_much_of_a_value_has_come() -> None:
    """With what is out already: who lets out each piece after a pause sees that they are one."""
    stream = StreamMasker(knowing("hunter2-prod"))

    out = [
        stream.feed("pw: hun"),
        stream.release(),
        stream.feed("te"),
        stream.held,
        stream.begun,
        stream.feed("!"),
        stream.begun,
    ]

    assert out == ["pw: ", "hun", "", "te", "hunte", "te!", ""]


@pytest.mark.parametrize("released", [False, True])
def test_a_stream_that_goes_on_elsewhere(released: bool) -> None:
    """What it ends with is remembered there, and still shown here."""
    stream = StreamMasker(knowing("hunter2", "hunter2-prod"))
    out = [stream.feed("pw: hun"), stream.release() if released else ""]

    elsewhere = stream.continued()

    assert elsewhere.held == ""
    assert elsewhere.feed("ter2!") == "[secret:n0]!"
    assert "".join([*out, stream.release()]) == "pw: hun"


def test_most_of_a_value_that_goes_on_elsewhere() -> None:
    """It is masked at each of both places, as what is at one of them alone would be."""
    stream = StreamMasker(knowing("hunter2"))
    stream.feed("hunte")

    assert stream.release() == "[secret:n0]"
    assert stream.continued().feed("r2!") == "[secret:n0]!"


@pytest.mark.parametrize("size", [1, 2, 3, 5, 100])
@pytest.mark.parametrize("value", [*(value for value in VALUES if value not in {"aaaa", "abab"}), PEM])
def test_of_a_value_in_pieces_no_more_than_half_is_shown(value: str, size: int) -> None:
    """Whatever comes of it, with a pause after each piece: half of it, or three characters, and one mask."""
    redactor = knowing(value)
    for length in range(1, len(value), 1 + len(value) // 40):
        stream = StreamMasker(redactor)
        begun = value[:length]

        out = "".join(stream.feed(begun[at : at + size]) + stream.release() for at in range(0, length, size))

        if value == PEM:
            # Its lines are values as well.
            assert not redactor.hits(out.encode())
            continue
        shown = out.removesuffix("[secret:n0]")
        assert begun.startswith(shown)
        assert len(shown) <= max(3, len(value) // 2)
        assert (shown == begun) == (length < 4 or 2 * len(begun.encode()) <= len(value.encode()))


def test_most_of_a_value_where_all_is_held() -> None:
    """It is let out: masked, it would tell whoever chose it that a value begins like that."""
    stream = ByteMasker(knowing("hunter2"), always_hold=True)

    assert stream.feed(b"hunte") + stream.release() == b"hunte"


def test_most_of_one_value_in_the_beginning_of_another() -> None:
    """The longest end that begins some value may be little of that, and have most of another one in it."""
    stream = StreamMasker(knowing("see hunter2 and all of the rest", "hunter2"))

    assert stream.feed("I see hunte") + stream.release() == "I see [secret:n1]"


def test_the_beginning_of_a_mask_is_no_beginning_of_a_value() -> None:
    """Nor is what begins a value in the end of a mask: it is shown as it was written."""
    stream = StreamMasker(knowing("hunter2", "n0]xyz"))

    assert [stream.feed("[secret:"), stream.release()] == ["", "[secret:"]
    assert [stream.feed(" [secret:n0]x"), stream.release()] == [" ", "[secret:n0]x"]


def test_a_complete_value_that_goes_on_elsewhere() -> None:
    """The longer one that it begins is masked there; here the shorter one."""
    stream = StreamMasker(knowing("hunter2", "hunter2-prod"))
    stream.feed("hunter2")

    elsewhere = stream.continued()

    assert [elsewhere.feed("-pr"), elsewhere.feed("od!")] == ["", "[secret:n1]!"]
    assert stream.release() == "[secret:n0]"


def test_a_complete_value_that_may_go_on() -> None:
    """A value that another one begins with is masked when it is let out, and the rest of the other one is, too."""
    stream = StreamMasker(knowing("hunter2", "hunter2-prod"))

    out = [stream.feed("hunter2"), stream.held, stream.release(), stream.feed("-prod!"), stream.feed("hunter2\n")]

    assert out == ["", "hunter2", "[secret:n0]", "[secret:n1]!", "[secret:n0]\n"]


def test_a_complete_value_that_does_not_go_on() -> None:
    """The mask that went out for it stands there once."""
    stream = StreamMasker(knowing("hunter2", "hunter2-of-production"))

    out = [stream.feed("hunter2"), stream.release(), stream.feed("-"), stream.release(), stream.feed("! hunter2\n")]

    assert out == ["", "[secret:n0]", "", "-", "! [secret:n0]\n"]


def test_what_was_let_out_and_is_no_value() -> None:
    """It was let out once, and what follows goes out as it is."""
    stream = StreamMasker(knowing("hunter2-prod"))

    out = [stream.feed("hun"), stream.release(), stream.feed("t"), stream.release(), stream.feed("ing\n"), stream.release()]

    assert out == ["", "hun", "", "t", "ing\n", ""]


def test_nothing_is_held_without_need() -> None:
    """A text that does not end like the beginning of a value goes out at once, the very same."""
    stream = StreamMasker(knowing("hunter2"))
    text = "some line of a log\n"

    assert stream.feed(text) is text
    assert (stream.held, stream.release(), stream.feed("")) == ("", "", "")


@both_engines
def test_learning_between_pieces(engine: EngineName) -> None:
    """A value counts from the next piece on, also for what is held at that moment."""
    redactor = knowing("hunter2", engine=engine)
    stream = StreamMasker(redactor)

    out = stream.feed("hunt")
    redactor.learn("late", "hunting season")
    out += stream.feed("ing sea") + stream.held
    out += stream.feed("son, hunter2\n")

    assert out == "hunting sea[secret:late], [secret:n0]\n"


@pytest.mark.parametrize("pieces", [["[secret:n0", "]zzz"], ["[secret:n0]", "zzz"], ["[secret:n0]z", "zz"]])
def test_a_mask_in_pieces(pieces: list[str]) -> None:
    """Text that is masked already stays as it is, cut anywhere, even if a value begins in its end."""
    redactor = knowing("hunter2", "]zzz")

    assert streamed(redactor, pieces) == redactor.mask("[secret:n0]zzz") == "[secret:n0]zzz"


def test_two_streams() -> None:
    """Each stream has its own context: the end of one does not go on in the other."""
    redactor = knowing("hunter2")
    out, err = StreamMasker(redactor), StreamMasker(redactor)

    assert [out.feed("hun"), err.feed("ter2\n"), out.feed("ter2\n")] == ["", "ter2\n", "[secret:n0]\n"]


@pytest.mark.parametrize("size", [1, 80, 4_096, 60_000])
def test_a_value_of_64_kib_in_pieces(size: int) -> None:
    """It is masked whole, and cutting it into more pieces does not take its square: all at once takes 1 ms, by ones 120."""
    value = "".join(random.Random(1).choices("abcdefgh+/", k=65_536))
    redactor = knowing(value)
    text = f"<{value}>{value[:1_000]}!"
    redactor.mask("")
    stream = StreamMasker(redactor)

    start = time.perf_counter()
    out = "".join(stream.feed(text[at : at + size]) for at in range(0, len(text), size))
    seconds = time.perf_counter() - start

    assert (out, stream.held) == (f"<[secret:n0]>{value[:1_000]}!", "")
    assert seconds < 5


def test_lone_surrogates_in_pieces() -> None:
    """Text that is not valid Unicode streams like any other."""
    assert streamed(knowing("ü\udc80üü"), ["\ud83d", "ü", "\udc80", "üü", "\udc80"]) == "\ud83d[secret:n0]\udc80"


@both_engines
@given(
    values=st.lists(st.sampled_from(VALUES), min_size=1, unique=True),
    pieces=st.lists(st.sampled_from(PIECES)),
    cuts=CUTS,
)
@example(values=["secret"], pieces=["[secret]", "hunter2"], cuts=[(1, False), (6, False), (6, False)])
def test_what_is_always_held_depends_on_lengths_alone(
    engine: EngineName, values: list[str], pieces: list[str], cuts: list[tuple[int, bool]]
) -> None:
    """No form of a value comes out, and all comes; of bytes without values, each time as many as of any others."""
    redactor = knowing(*values, engine=engine)
    data = "".join(pieces).encode()
    stream, other = ByteMasker(redactor, always_hold=True), ByteMasker(redactor, always_hold=True)
    longest = max(len(pattern) for value in values for pattern in patterns_of(value))

    out, at, dull = b"", 0, 0
    for size, _ in cuts:
        piece = data[at : at + size]
        out += stream.feed(piece)
        dull += len(other.feed(bytes(len(piece))))
        at += size
        assert dull == max(0, min(at, len(data)) - longest)
        assert len(stream.held) <= longest
    out += stream.feed(data[at:]) + stream.release()

    assert not any(Redactor.hits(redactor, part) for part in out.split(b"[secret"))
    # A mask of which a part is out already is none any more: where its word is a value, that is masked.
    if not redactor.hits(data) and "secret" not in values:
        assert out == data


def test_most_of_a_value_with_colours_in_it() -> None:
    """It is masked like one without, and the colours of it and of the rest stay switched."""
    stream = StreamMasker(knowing("hunter2xyz"))

    out = [stream.feed("a hun\033[31mter2"), stream.release(), stream.feed("x\033[0myz!")]

    assert out == ["a ", "[secret:n0]\033[31m", "\033[0m!"]
