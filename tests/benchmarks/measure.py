"""Interleaved measuring, and the table of what came out."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeVar

T = TypeVar("T")

HEADER = ("what", "ours", "peer", "ratio [p10-p90]", "goal", "")
NO_FLOWFILE = "not measured: no --flowfile"


class BrokenError(Exception):
    """Something that must always hold did not: a secret was lost, doubled or wrong."""


@dataclass(frozen=True)
class Effort:
    """How long to measure, and whether the real Flowfile is there to measure against."""

    size: Literal["full", "quick", "tiny"] = "full"
    flowfile: str | None = None
    """An interpreter that has Flowfile installed."""

    def pick(self, full: T, quick: T, tiny: T) -> T:
        """Return the number for this size; *tiny* only shows that the benchmark works."""
        return {"full": full, "quick": quick, "tiny": tiny}[self.size]


class Row(NamedTuple):
    """One line of the table. Figures are pairs: `ours[i]` was measured next to `peer[i]`."""

    name: str
    ours: Sequence[float] = ()
    peer: Sequence[float] = ()
    at_most: float | None = None
    at_least: float | None = None
    unit: Literal["s", "/s"] = "s"
    held: str = ""
    """What the benchmark has checked; had it been untrue, there would be an error instead of this row."""
    missing: str = ""
    """Why the peer was not measured."""

    @property
    def ratio(self) -> float:
        """The median of the pairs' ratios."""
        return statistics.median(self.ratios)

    @property
    def ratios(self) -> list[float]:
        return [ours / peer for ours, peer in zip(self.ours, self.peer, strict=True)]

    def verdict(self) -> str:
        """Return `met`, `NOT met`, or why there is nothing to say."""
        if self.missing:
            return self.missing
        if not self.peer:
            return "met" if self.held else ""
        met = (self.at_most is None or self.ratio <= self.at_most) and (self.at_least is None or self.ratio >= self.at_least)
        goal_set = self.at_most is not None or self.at_least is not None
        return "" if not goal_set else "met" if met else "NOT met"

    def cells(self) -> tuple[str, ...]:
        """Return the texts of the table's columns."""
        ratio = ""
        if self.peer and not self.missing:
            ratios = sorted(self.ratios)
            low, high = ratios[len(ratios) // 10], ratios[-1 - len(ratios) // 10]
            ratio = f"{self.ratio:.3f} [{low:.3f}-{high:.3f}]"
        limit = f"<= {self.at_most}" if self.at_most is not None else f">= {self.at_least}" if self.at_least is not None else ""
        goal = ", ".join(part for part in (limit, self.held) if part)
        return (self.name, spread(self.ours, self.unit), spread(self.peer, self.unit), ratio, goal, self.verdict())


def rounds(count: int, *actions: Callable[[int], float]) -> list[list[float]]:
    """
    Call the actions in turn, *count* times, each time another one first; return what each returned.

    A slow minute of the machine then hits all of them, and none has the warm caches that another one left.
    """
    results: list[list[float]] = [[] for _ in actions]
    for number in range(count):
        for step in range(len(actions)):
            index = (number + step) % len(actions)
            results[index].append(actions[index](number))
    return results


def spread(figures: Sequence[float], unit: str) -> str:
    """
    Return the median and the extremes.

    >>> spread([0.001, 0.002, 0.0034], "s")
    '2.00 ms [1.00-3.40]'
    """
    if not figures:
        return ""
    middle = statistics.median(figures)
    if unit == "s":
        factor, unit = (1e6, "µs") if middle < 1e-3 else (1e3, "ms") if middle < 1 else (1, "s")
    else:
        factor = 1
    decimals = 2 if middle * factor < 10 else 1 if middle * factor < 100 else 0
    low, centre, high = (f"{figure * factor:,.{decimals}f}" for figure in (min(figures), middle, max(figures)))
    return f"{centre} {unit} [{low}-{high}]"


def table(lines: Iterable[Sequence[str]], header: Sequence[str] = HEADER) -> str:
    """Return the lines as a Markdown table whose columns also line up in a terminal."""
    cells = [header, *lines]
    widths = [max(len(line[column]) for line in cells) for column in range(len(header))]
    text = ["| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |" for line in cells]
    text.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(text)
