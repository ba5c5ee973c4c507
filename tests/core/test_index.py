"""Patterns count as soon as they are added, however many there are and whatever is being built."""

from __future__ import annotations

import random
import sys
import threading

import pytest

from flowfile_nb.core.index import Index
from flowfile_nb.core.search import EngineName, Matcher
from tests.core.redaction_values import both_engines


def patterns(first: int, count: int) -> list[bytes]:
    return [b"value-%06d" % number for number in range(first, first + count)]


def found(index: Index, data: bytes) -> set[bytes]:
    return {index.patterns[number] for _, _, number in index.spans(data)}


@both_engines
def test_nothing_is_found_in_an_empty_index(engine: EngineName) -> None:
    """Without patterns there are no places."""
    assert Index(engine).spans(b"text") == []


@both_engines
@pytest.mark.parametrize("at_once", [1, 400, 3_000])
def test_what_is_added_is_found_at_once(engine: EngineName, at_once: int) -> None:
    """After each addition all patterns are found, the new ones and the old."""
    index = Index(engine)
    for first in range(0, 6_000, at_once) if at_once > 1 else range(20):
        index.add(patterns(first, at_once))

        last = b"value-%06d" % (first + at_once - 1)
        assert found(index, b"value-000000, value-9, " + last) == {b"value-000000", last}

    index.wait()
    assert found(index, b"value-000000, value-9, " + last) == {b"value-000000", last}


def test_many_are_built_behind_the_scenes(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thousand secrets are found while the large database is still being built, and also what is added meanwhile."""
    go_on = threading.Event()
    built: list[tuple[str, int]] = []

    class SlowMatcher(Matcher):
        def __init__(self, patterns: list[bytes], engine: EngineName) -> None:
            if engine == "hyperscan" and len(patterns) > 500:
                assert go_on.wait(60)
            super().__init__(patterns, engine)
            built.append((engine, len(patterns)))

    monkeypatch.setattr("flowfile_nb.core.index.Matcher", SlowMatcher)
    index = Index("hyperscan")
    index.add(patterns(0, 7_000))
    index.add(patterns(7_000, 700))
    before = found(index, b"value-000001 value-007001")
    go_on.set()
    index.wait()

    assert before == found(index, b"value-000001 value-007001") == {b"value-000001", b"value-007001"}
    assert built == [
        ("ahocorasick_rs", 7_000),
        ("ahocorasick_rs", 7_700),
        ("hyperscan", 7_000),
        ("ahocorasick_rs", 700),
        ("hyperscan", 7_700),
    ]


def test_hyperscan_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the other library is missing, many patterns are built at once all the same."""
    monkeypatch.setitem(sys.modules, "ahocorasick_rs", None)
    index = Index("hyperscan")

    index.add(patterns(0, 2_000))
    index.add(patterns(2_000, 1))

    assert found(index, b"value-001999 value-002000") == {b"value-001999", b"value-002000"}
    assert index._builder is None


@both_engines
def test_adding_while_adding(monkeypatch: pytest.MonkeyPatch, engine: EngineName) -> None:
    """What a finalizer adds while its thread is building is not lost when that is done."""
    index = Index(engine)

    class InterruptedMatcher(Matcher):
        def __init__(self, patterns: list[bytes], engine: EngineName) -> None:
            super().__init__(patterns, engine)
            if len(index.patterns) == 1:
                index.add([b"late"])

    monkeypatch.setattr("flowfile_nb.core.index.Matcher", InterruptedMatcher)
    index.add([b"early"])

    assert found(index, b"early late") == {b"early", b"late"}


@both_engines
def test_searching_while_adding(engine: EngineName) -> None:
    """Threads that search see all that was added before they started."""
    index = Index(engine)
    index.add(patterns(0, 10))
    missed: list[int] = []
    done = threading.Event()

    def search() -> None:
        while not done.is_set():
            last = len(index.patterns) - 1
            expected = index.patterns[random.randrange(10)]
            if expected not in found(index, b" " * last + expected):
                missed.append(last)

    thread = threading.Thread(target=search)
    thread.start()
    for first in range(10, 3_000, 130):
        index.add(patterns(first, 130))
    done.set()
    thread.join()
    index.wait()

    assert not missed
