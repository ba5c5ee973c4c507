"""What a trial was asked to do, and what it counted."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from flowfile_nb.errors import FlowfileNbError
from tests.benchmarks.measure import table

T = TypeVar("T")

_HEADER = ("what was tried", "times", "lost", "wrong", "errors shown", "")
_EXAMPLES = 5


@dataclass(frozen=True)
class Plan:
    """How much to try, from which seed."""

    size: str = "full"
    """`full`, or `quick`: enough to see that everything works."""
    seed: int = 0

    def pick(self, full: T, quick: T) -> T:
        """Return the number for this size."""
        return full if self.size == "full" else quick

    def random(self, name: str) -> random.Random:
        """Return random numbers of this seed for one trial, whichever others ran before."""
        return random.Random(f"{self.seed} {name}")


@dataclass
class Tally:
    """One line of the table."""

    what: str
    tried: int = 0
    shown: int = 0
    """Errors of ours that a user would have seen. A trial in which none may be seen counts each as wrong, too."""
    lost: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    note: str = ""

    @property
    def fell_short(self) -> bool:
        """Whether something was lost or wrong, or nothing was tried without saying why."""
        return bool(self.lost or self.wrong or not (self.tried or self.note))

    def cells(self) -> tuple[str, ...]:
        """Return the texts of the table's columns."""
        counts = (self.tried, len(self.lost), len(self.wrong), self.shown)
        return (self.what, *(f"{count:,}" for count in counts), self.note)

    def examples(self) -> list[str]:
        """Return the first few of what was lost and of what was wrong, a line each."""
        found = [("lost", text) for text in self.lost[:_EXAMPLES]] + [("wrong", text) for text in self.wrong[:_EXAMPLES]]
        return [f"{self.what}: {kind}: {text}" for kind, text in found]


def printed(tallies: Iterable[Tally]) -> str:
    """Return the table of all tallies."""
    return table((tally.cells() for tally in tallies), _HEADER)


def not_ours(error: BaseException, *allowed: type[FlowfileNbError]) -> str:
    """Return what is wrong with an error that a user would see; empty if it is as ours have to be."""
    text = f"{type(error).__name__}: {error}"
    if not isinstance(error, allowed or FlowfileNbError):
        return f"not an error of the right class: {text}"
    assert isinstance(error, FlowfileNbError)
    if not error.message or not error.hint or len(str(error).split("\n")) != 2:
        return f"not two lines, what happened and what to do: {text!r}"
    return ""


def as_json(tally: Tally) -> dict[str, Any]:
    """Return a tally as another process sends it; `Tally(**…)` takes it."""
    return dict(vars(tally))
