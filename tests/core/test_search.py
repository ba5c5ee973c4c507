"""The search is exact, complete, and the same with either library."""

from __future__ import annotations

import subprocess
import sys
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowfile_nb.core import search
from flowfile_nb.core.search import EngineName, Matcher, engine_name
from flowfile_nb.errors import MissingDriverError
from tests.core.redaction_values import both_engines

PATTERNS = st.lists(
    st.one_of(st.binary(min_size=1, max_size=6), st.text("ab.*\0", min_size=1, max_size=5).map(str.encode)),
    min_size=1,
    max_size=8,
    unique=True,
)


def slowly(patterns: list[bytes], data: bytes) -> list[tuple[int, int, int]]:
    return [
        (start, start + len(pattern), index)
        for index, pattern in enumerate(patterns)
        for start in range(len(data))
        if data.startswith(pattern, start)
    ]


@both_engines
@given(patterns=PATTERNS, data=st.data())
def test_all_places_are_found(engine: EngineName, patterns: list[bytes], data: st.DataObject) -> None:
    """Every place of every pattern, also where several overlap, and no other."""
    text = b"".join(data.draw(st.lists(st.one_of(st.sampled_from(patterns), st.binary(max_size=3)), max_size=12)))

    assert sorted(Matcher(patterns, engine).spans(text)) == sorted(slowly(patterns, text))


@both_engines
@given(patterns=PATTERNS, data=st.data())
def test_without_a_library_too(engine: EngineName, patterns: list[bytes], data: st.DataObject) -> None:
    """The first text is searched without one, and the next, which it is worth, with it: the same places are found."""
    text = b"".join(data.draw(st.lists(st.one_of(st.sampled_from(patterns), st.binary(max_size=3)), max_size=12)))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(search, "_WITHOUT_LIBRARY", len(patterns) * (len(text) + search._CALL))
        matcher = Matcher(patterns, engine)
    found = sorted(matcher.spans(text))
    assert matcher._library is None
    found_again = sorted(matcher.spans(text))

    assert matcher._library is not None
    assert found == found_again == sorted(slowly(patterns, text))


def test_places_that_overlap_without_a_library() -> None:
    """Each counts, of one pattern too."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(search, "_WITHOUT_LIBRARY", 1000)

        assert sorted(Matcher([b"aa", b"ba"], "hyperscan").spans(b"aaaba")) == [(0, 2, 0), (1, 3, 0), (3, 5, 1)]


def test_a_library_that_cannot_be_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The other one takes its place; where that is not there either, a text is refused and not let through unsearched."""
    monkeypatch.setitem(sys.modules, "hyperscan", None)
    assert Matcher([b"value"], "hyperscan").spans(b"a value") == [(2, 7, 0)]

    monkeypatch.setitem(sys.modules, "ahocorasick_rs", None)
    for _ in range(2):
        with pytest.raises(ImportError):
            Matcher([b"value"], "hyperscan").spans(b"a value")


@both_engines
@pytest.mark.parametrize(
    "pattern", [b"a.*b(c|d)+[e]$", rb"\x41\d", b"(?i)abc", b"[", b"a{2}", b"^$", b"\0", b"a\0b", b"\xff\xfe"]
)
def test_a_pattern_means_itself(engine: EngineName, pattern: bytes) -> None:
    """Nothing in a pattern is an expression, an end of a string or an encoding."""
    matcher = Matcher([pattern, b"other"], engine)

    assert matcher.spans(b"<" + pattern + b">") == [(1, 1 + len(pattern), 0)]
    assert matcher.spans(b"abcde aab ABC A1 aa a b \xfe\xff" + pattern[:-1]) == []


@both_engines
def test_long_patterns(engine: EngineName) -> None:
    """A pattern is as long as it likes; what begins like it and goes on otherwise is another one."""
    begin = b"x" * 70_000
    matcher = Matcher([begin + b"1", begin + b"2", b"1>"], engine)

    assert sorted(matcher.spans(b"<" + begin + b"2> x1>")) == [(1, 70_002, 1), (70_005, 70_007, 2)]
    assert matcher.spans(begin) == []


@both_engines
def test_many_patterns(engine: EngineName) -> None:
    """Ten thousand patterns are told apart."""
    patterns = [b"value-%05d" % number for number in range(10_000)]

    assert Matcher(patterns, engine).spans(b"value-00042 value-9 value-09999") == [(0, 11, 42), (20, 31, 9_999)]


@both_engines
def test_threads(engine: EngineName) -> None:
    """Several threads search at once, each its own text."""
    matcher = Matcher([b"value"], engine)
    wrong: list[int] = []

    def search(number: int) -> None:
        text = b" " * number * 100_000 + b"value"
        wrong.extend(number for _ in range(50) if matcher.spans(text) != [(len(text) - 5, len(text), 0)])

    threads = [threading.Thread(target=search, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert not wrong


def test_the_faster_engine_is_chosen() -> None:
    """Here both are installed."""
    assert engine_name() == "hyperscan"


def test_the_other_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where hyperscan has no wheel there is the other one."""
    monkeypatch.setitem(sys.modules, "hyperscan", None)

    assert engine_name() == "ahocorasick_rs"


def test_no_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    """With neither, the error says what to install."""
    monkeypatch.setitem(sys.modules, "hyperscan", None)
    monkeypatch.setitem(sys.modules, "ahocorasick_rs", None)

    with pytest.raises(MissingDriverError, match="pip install hyperscan"):
        engine_name()


@pytest.mark.parametrize("look", ["redactor.mask('text' * 100_000)", "for _ in range(5_000): redactor.mask('text')"])
def test_importing_costs_nothing(look: str) -> None:
    """The libraries are imported when there is something to search for, in a long text or in many short ones."""
    code = (
        "import sys, flowfile_nb.core.redaction, flowfile_nb.core.streams as streams\n"
        "redactor = flowfile_nb.core.redaction.Redactor()\n"
        "streams.StreamMasker(redactor).feed(redactor.mask('text'))\n"
        "redactor.learn('pw', 'hunter2')\n"
        "print({'hyperscan', 'ahocorasick_rs'} & set(sys.modules))\n"
        "redactor.mask('text')\n"
        "print({'hyperscan', 'ahocorasick_rs'} & set(sys.modules))\n"
        f"{look}\n"
        "print({'hyperscan', 'ahocorasick_rs'} & set(sys.modules))\n"
    )

    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)

    assert done.stdout.splitlines() == ["set()", "set()", "{'hyperscan'}"]
