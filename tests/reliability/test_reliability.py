"""A store survives what may happen to it, in the small; `python -m tests.reliability` does it in the large."""

from __future__ import annotations

import pytest

from tests.reliability.__main__ import TRIALS, main
from tests.reliability.counts import Plan, Tally
from tests.reliability.findings import FINDINGS
from tests.reliability.fuzz import answered, by_hypothesis, grown
from tests.reliability.targets import TARGETS, Target

_QUICK = Plan("quick", seed=20_261)


@pytest.mark.parametrize("name", TRIALS)
def test_each_trial_holds(name: str) -> None:
    """Nothing is lost, nothing is wrong, and something was tried."""
    tallies = list(TRIALS[name](_QUICK))

    assert tallies
    for tally in tallies:
        assert not tally.fell_short, tally.examples()


@pytest.mark.parametrize("name", TARGETS)
def test_each_parser_answers_any_text(name: str) -> None:
    """What Hypothesis puts together, and long texts of one word: a result or an error of ours, in time."""
    for tally in (by_hypothesis(name, TARGETS[name], 0, _QUICK), grown(name, TARGETS[name], 0, _QUICK)):
        assert tally.tried
        assert not tally.fell_short, tally.examples()


@pytest.mark.parametrize(("name", "text"), [(name, text) for name, texts in FINDINGS.items() for text in texts])
def test_what_was_found_once_stays_mended(name: str, text: str) -> None:
    """Each text with which fuzzing found a fault has its answer now."""
    answered(TARGETS[name].check, text)


def test_a_fault_is_found() -> None:
    """Hypothesis and long texts both notice a parser that raises an error of Python's, on something it was not made for."""
    faulty = Target(lambda text: int("1" + text.count("ab") * "0" * 2_000), ("ab", "c"))

    found = [by_hypothesis("faulty", faulty, 1, _QUICK), grown("faulty", faulty, 1, _QUICK)]

    assert all(tally.fell_short and "ValueError" in tally.examples()[0] for tally in found)


@pytest.mark.parametrize(
    ("tally", "status"),
    [
        (Tally("held", tried=3, shown=2), 0),
        (Tally("lost", tried=3, lost=["one"]), 1),
        (Tally("wrong", tried=3, wrong=["another value"]), 1),
        (Tally("nothing was tried"), 1),
        (Tally("could not be tried", note="not tried: why"), 0),
    ],
)
def test_the_status_says_whether_it_held(
    tally: Tally, status: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The command prints the counts and the seed, and ends with 1 if anything was lost or wrong."""
    monkeypatch.setitem(TRIALS, "kills", lambda plan: iter([tally]))

    assert main(["--only", "kills", "--seed", "7"]) == status

    shown = capsys.readouterr().out
    assert shown.startswith("seed 7;")
    assert f"| {tally.what} " in shown
