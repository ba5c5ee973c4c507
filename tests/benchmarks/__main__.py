"""
Print all figures: `python -m tests.benchmarks`.

Exit 0 whatever the figures are; exit 1 if something is broken: a secret lost, doubled or wrong.
"""

from __future__ import annotations

import argparse
import os
import platform
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator

from tests.benchmarks.cold_read import cold_read
from tests.benchmarks.connect import connect
from tests.benchmarks.durable_add import durable_add
from tests.benchmarks.first_use import first_use
from tests.benchmarks.guard import guard
from tests.benchmarks.list_names import list_names
from tests.benchmarks.load_extension import load_extension
from tests.benchmarks.measure import BrokenError, Effort, Row, table
from tests.benchmarks.over_http import over_http
from tests.benchmarks.panel_names import panel_names
from tests.benchmarks.redaction import redaction
from tests.benchmarks.scan import scan
from tests.benchmarks.warm_read import warm_read
from tests.benchmarks.writers import writers

_ALL: tuple[Callable[[Effort], Iterator[Row]], ...] = (
    load_extension,
    cold_read,
    warm_read,
    list_names,
    durable_add,
    writers,
    first_use,
    panel_names,
    redaction,
    guard,
    scan,
    connect,
    over_http,
)
BENCHMARKS = {benchmark.__name__: benchmark for benchmark in _ALL}


def main(arguments: list[str] | None = None) -> int:
    """Run the chosen benchmarks and print the table; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description="Figures as ratios within one run.")
    parser.add_argument("--only", nargs="+", metavar="NAME", choices=BENCHMARKS, help=f"of {', '.join(BENCHMARKS)}")
    parser.add_argument("--quick", action="store_true", help="fewer rounds: a look, not a measurement")
    parser.add_argument("--flowfile", metavar="PYTHON", help="an interpreter that has the real Flowfile installed")
    chosen = parser.parse_args(arguments)
    # Each measurement has a folder of its own to work in.
    flowfile = chosen.flowfile and os.path.abspath(chosen.flowfile)
    effort = Effort("quick" if chosen.quick else "full", flowfile)
    rows: list[Row] = []
    broken = 0
    for name in chosen.only or BENCHMARKS:
        start = time.perf_counter()
        try:
            rows += BENCHMARKS[name](effort)
        except BrokenError as error:
            broken += 1
            print(f"{name} is BROKEN: {error}", file=sys.stderr)
        print(f"{name}: {time.perf_counter() - start:.0f} s", file=sys.stderr)
    print(f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}, {platform.system()} {platform.machine()}")
    print("Medians [min-max]; ratios of neighbouring pairs. Times hold for this machine and hour only.\n")
    print(table(row.cells() for row in rows))
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
