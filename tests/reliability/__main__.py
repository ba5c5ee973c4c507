"""
Do to a store what may happen to it, and print what came of it: `python -m tests.reliability`.

    python -m tests.reliability [--quick] [--only NAME …] [--seed N]
    python -m tests.reliability fuzz [--minutes N] [--only TARGET …] [--seed N]

Exit 1 if anything was lost or wrong.
"""

from __future__ import annotations

import argparse
import platform
import random
import sqlite3
import sys
import time
from collections.abc import Callable, Iterable, Iterator

from tests.benchmarks.measure import BrokenError
from tests.reliability.clocks import clocks
from tests.reliability.counts import Plan, Tally, printed
from tests.reliability.crowded import crowded
from tests.reliability.crowds import crowds
from tests.reliability.disks import full_disk, quota, read_only_disk
from tests.reliability.flips import flips
from tests.reliability.fuzz import fuzz
from tests.reliability.kills import kills
from tests.reliability.pages import pages
from tests.reliability.salvage import salvage
from tests.reliability.targets import TARGETS

_ALL: tuple[Callable[[Plan], Iterator[Tally]], ...] = (
    kills,
    crowds,
    full_disk,
    quota,
    read_only_disk,
    pages,
    salvage,
    flips,
    clocks,
    crowded,
)
TRIALS = {trial.__name__: trial for trial in _ALL}


def main(arguments: list[str] | None = None) -> int:
    """Run the chosen trials and print the table; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.reliability", description="What a store survives, counted.")
    parser.add_argument("what", nargs="?", choices=["trials", "fuzz"], default="trials", help="fuzz: odd texts for the parsers")
    parser.add_argument("--quick", action="store_true", help="few of each: a look")
    parser.add_argument("--only", nargs="+", metavar="NAME", default=[], help=f"of {', '.join([*TRIALS, *TARGETS])}")
    parser.add_argument("--seed", type=int, default=None, help="the seed that an earlier run printed")
    parser.add_argument("--minutes", type=float, default=10, help="of fuzzing, all targets together")
    chosen = parser.parse_args(arguments)
    known = TARGETS if chosen.what == "fuzz" else TRIALS
    if unknown := set(chosen.only) - set(known):
        parser.error(f"not one of {', '.join(known)}: {', '.join(sorted(unknown))}")
    plan = Plan("quick" if chosen.quick else "full", random.randrange(2**31) if chosen.seed is None else chosen.seed)
    print(
        f"seed {plan.seed}; Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}",
        flush=True,
    )
    tallies = list(
        _reported(fuzz(chosen.minutes, plan, chosen.only)) if chosen.what == "fuzz" else _tried(chosen.only or TRIALS, plan)
    )
    print(printed(tallies))
    for line in (line for tally in tallies for line in tally.examples()):
        print(line)
    return 1 if any(tally.fell_short for tally in tallies) else 0


def _tried(names: Iterable[str], plan: Plan) -> Iterator[Tally]:
    for name in names:
        try:
            yield from _reported(TRIALS[name](plan))
        except BrokenError as error:
            # The trial itself did not get through.
            yield Tally(name, wrong=[str(error)])


def _reported(tallies: Iterator[Tally]) -> Iterator[Tally]:
    """Pass the tallies on, and say on the way how far it is."""
    start = time.monotonic()
    for tally in tallies:
        state = "FELL SHORT" if tally.fell_short else "held"
        print(f"{tally.what}: {state}, {time.monotonic() - start:.0f} s", file=sys.stderr, flush=True)
        yield tally
        start = time.monotonic()


if __name__ == "__main__":
    sys.exit(main())
