"""The benchmarks work, and what they check holds. No time is asserted here: that would test the machine."""

from __future__ import annotations

import pytest

from tests.benchmarks.__main__ import BENCHMARKS, main
from tests.benchmarks.load_extension import HEAVY, MOST_MODULES, load
from tests.benchmarks.measure import BrokenError, Effort, Row, rounds


@pytest.mark.parametrize("name", [name for name in BENCHMARKS if name != "load_extension"])
def test_each_benchmark_runs_and_loses_nothing(name: str) -> None:
    """With tiny numbers each benchmark finds every secret, once, and has a line to print."""
    rows = list(BENCHMARKS[name](Effort("tiny")))

    assert rows
    for row in rows:
        assert all(row.cells()[:1])
        assert row.missing or all(seconds > 0 for seconds in row.ours)


def test_loading_stays_light() -> None:
    """Loading the extension in a running kernel imports at most four modules, and no heavy one."""
    modules = load("flowfile_nb", first=True)["modules"]

    assert "flowfile_nb" in modules
    assert len(modules) <= MOST_MODULES
    assert not [module for module in modules if module.split(".")[0] in HEAVY]


def test_a_missed_goal_is_printed_and_breaks_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A figure depends on the day: it is shown, and the command ends well."""
    monkeypatch.setitem(BENCHMARKS, "cold_read", lambda effort: iter([Row("slow", [3.0, 3.0], [1.0, 2.0], at_most=2.0)]))

    status = main(["--only", "cold_read"])

    assert status == 0
    assert "| 2.250 [1.500-3.000] | <= 2.0 | NOT met |" in capsys.readouterr().out


def test_a_lost_secret_breaks_the_run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """What must always hold decides the exit status."""

    def broken(effort: Effort) -> list[Row]:
        raise BrokenError("1 secret is lost")

    monkeypatch.setitem(BENCHMARKS, "cold_read", broken)

    status = main(["--only", "cold_read"])

    assert status == 1
    assert "1 secret is lost" in capsys.readouterr().err


def test_rounds_alternate() -> None:
    """Each action is called once a round, and each is the first one as often as the others."""
    calls: list[str] = []
    actions = [lambda number, name=name: calls.append(f"{name}{number}") or float(number) for name in "ab"]

    figures = rounds(3, *actions)

    assert calls == ["a0", "b0", "b1", "a1", "a2", "b2"]
    assert figures == [[0.0, 1.0, 2.0], [0.0, 1.0, 2.0]]
