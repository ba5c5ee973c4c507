"""Frames: what was sent arrives, in any pieces; what is not whole is never taken for whole."""

from __future__ import annotations

import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowfile_nb.core import wire
from flowfile_nb.core.wire import ARROW, END, ERROR, HEARTBEAT, Decoder, Frame, WireError

_FRAMES = st.lists(st.tuples(st.sampled_from([ARROW, HEARTBEAT]), st.binary(max_size=40)))


def _pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({cut % (len(data) + 1) for cut in cuts} | {0, len(data)})
    return [data[start:end] for start, end in itertools.pairwise(places)]


def _decoded(pieces: list[bytes]) -> list[Frame]:
    decoder = Decoder()
    found = [one for piece in pieces for one in decoder.feed(piece)]
    decoder.finish()
    assert decoder.ended
    return found


@given(_FRAMES, st.lists(st.integers(min_value=0)))
def test_frames_arrive_as_they_were_sent_however_they_are_cut(frames: list[tuple[bytes, bytes]], cuts: list[int]) -> None:
    """Any frames in any pieces come out the same, and the end is seen."""
    sent = [*frames, (END, b'{"rows": 1}')]

    found = _decoded(_pieces(b"".join(wire.frame(*one) for one in sent), cuts))

    assert [tuple(one) for one in found] == sent


@given(_FRAMES, st.integers(min_value=0))
def test_an_answer_that_is_cut_anywhere_is_never_whole(frames: list[tuple[bytes, bytes]], cut: int) -> None:
    """Each beginning of an answer that lacks a byte of its end is refused."""
    data = b"".join(wire.frame(*one) for one in [*frames, (END, b"{}")])

    with pytest.raises(WireError, match="cut off"):
        _decoded([data[: cut % len(data)]])


@given(st.binary(min_size=5, max_size=50).filter(lambda data: data[:1] not in {ARROW, HEARTBEAT, END, ERROR}))
def test_what_is_no_answer_of_ours_is_refused(data: bytes) -> None:
    """A proxy's page of HTML, say."""
    with pytest.raises(WireError, match="no answer"):
        _decoded([data])


def test_a_frame_that_says_it_is_too_long_is_refused_before_it_is_read() -> None:
    """Nobody makes the reader wait for, or hold, four gigabytes."""
    with pytest.raises(WireError, match="no answer"):
        _decoded([b"A\xff\xff\xff\xff"])


@pytest.mark.parametrize("last", [END, ERROR])
def test_nothing_comes_after_the_end(last: bytes) -> None:
    """Data after the last frame, in the same piece or in the next, makes the answer none."""
    whole = wire.frame(last, b"{}")

    for pieces in ([whole + b"x"], [whole, b"x"], [whole, wire.frame(ARROW, b"1234567890")]):
        with pytest.raises(WireError, match="after its end"):
            _decoded(pieces)


@given(st.integers(min_value=0, max_value=3 * wire.MAX_DATA_BYTES))
def test_a_long_piece_of_arrow_becomes_several_frames(length: int) -> None:
    """Together they hold the piece; each is short enough to be read."""
    data = bytes(range(256)) * (length // 256 + 1)

    found = _decoded([*wire.arrow_frames(data), wire.facts_frame(END, {})])

    assert b"".join(one.data for one in found[:-1]) == data
    assert {one.kind for one in found[:-1]} <= {ARROW}


def test_a_long_piece_of_a_body_becomes_several_frames() -> None:
    """As of Arrow."""
    data = bytes(range(256)) * (2 * wire.MAX_DATA_BYTES // 256) + b"the end"

    found = _decoded([*wire.body_frames(data), wire.facts_frame(END, {})])

    assert b"".join(one.data for one in found[:-1]) == data
    assert [one.kind for one in found[:-1]] == [wire.BODY] * 3


def test_a_frame_is_never_longer_than_its_reader_takes() -> None:
    """The writer refuses it itself."""
    with pytest.raises(WireError, match="at most"):
        wire.frame(ARROW, bytes(wire.MAX_DATA_BYTES + 1))


def test_an_error_says_what_happened_and_what_to_do() -> None:
    """Its frame names the class, the message, the hint and the operator's reference."""
    found = _decoded([wire.error_frame("QueryError", "no such table", "see the list", "r1", "42P01")])

    assert found[0].kind == ERROR
    assert found[0].facts() == {
        "type": "QueryError",
        "message": "no such table",
        "hint": "see the list",
        "reference": "r1",
        "code": "42P01",
    }


def test_an_error_of_any_length_fits_a_frame() -> None:
    """A database that answers with a megabyte of text, every character four bytes long, still gets its error through."""
    found = _decoded([wire.error_frame("QueryError", "\N{PILE OF POO}" * 1_000_000)])

    assert len(found[0].data) <= wire.MAX_DATA_BYTES


@pytest.mark.parametrize("data", [b"", b"[1]", b"\xff", b"{"])
def test_facts_that_are_no_object_are_refused(data: bytes) -> None:
    """A frame of JSON that cannot be read is an error of ours, not of the JSON reader."""
    with pytest.raises(WireError, match="cannot be read"):
        Frame(END, data).facts()


def test_half_a_surrogate_pair_in_a_message_does_not_stop_it() -> None:
    """Text that UTF-8 has no form for is sent with a question mark in its place."""
    assert json.loads(_decoded([wire.error_frame("QueryError", "a\ud800b")])[0].data)["message"] == "a?b"
