"""Where a value stands: everything that a person needs to go there, and never the value."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

Part = Literal[
    "",
    "source",
    "output",
    "metadata",
    "widget state",
    "attachment",
    "history input",
    "history output",
    "deleted history",
    "file name",
]
"""Of a notebook or a history; empty in any other file."""

PLACES_SHOWN = 20
"""So many places of one secret are named for one file; what is beyond is counted."""


class Place(NamedTuple):
    """One place inside of a file."""

    name: str
    """The secret's."""
    part: Part = ""
    cell: int | None = None
    """As a person counts: the first is 1."""
    line: int | None = None
    """In the part of that cell; in a file that is no notebook, in the file. None where there are no lines."""
    detail: str = ""
    """Which output, which key."""
    changeable: bool = False
    """Whether `--fix` masks it."""

    def __str__(self) -> str:
        where = [f"cell {self.cell}"] if self.cell else []
        where += [f"{self.part} {self.detail}".strip()] if self.part or self.detail else []
        where += [f"line {self.line}"] if self.line else []
        return ", ".join(where) or "binary data"


class Finding(NamedTuple):
    """The places of values in one file."""

    path: str
    places: list[Place]
    more: Counter[str]
    """How many further places there are, by the secret's name."""

    @property
    def total(self) -> int:
        """How many places there are."""
        return len(self.places) + self.more.total()


class Fixed(NamedTuple):
    """A notebook that was masked in place."""

    path: str
    backup: str
    places: int


@dataclass
class Report:
    """What a scan has found, and what it has not looked at."""

    findings: list[Finding] = field(default_factory=list)
    fixed: list[Fixed] = field(default_factory=list)
    files: int = 0
    size: int = 0
    """Bytes searched."""
    seconds: float = 0.0
    skipped: Counter[str] = field(default_factory=Counter)
    """How many files and folders were left out on purpose, by reason."""
    remarks: list[tuple[str, str]] = field(default_factory=list)
    """Paths that could not be read, or not as what they are named, or not be fixed; and why."""

    @property
    def total(self) -> int:
        """How many places there are."""
        return sum(finding.total for finding in self.findings)

    @property
    def secrets(self) -> set[str]:
        """The names of the secrets that were found."""
        return {name for finding in self.findings for name in (*finding.more, *(place.name for place in finding.places))}


def gather(path: str, places: Iterable[Place]) -> Finding:
    """Return each of *places* once, the first ones of each secret in full and the others as a number."""
    shown: Counter[str] = Counter()
    kept: dict[Place, None] = {}
    more: Counter[str] = Counter()
    for place in places:
        if place in kept:
            continue
        if shown[place.name] < PLACES_SHOWN:
            shown[place.name] += 1
            kept[place] = None
        else:
            more[place.name] += 1
    return Finding(path, list(kept), more)
