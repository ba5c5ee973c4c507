"""`%load_ext` in a running kernel."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

from tests.benchmarks.kernel import running_kernel
from tests.benchmarks.measure import Effort, Row, rounds
from tests.benchmarks.places import new_home, require

MOST_MODULES = 4
HEAVY = ("cryptography", "sqlalchemy", "ipywidgets", "anywidget")
_LOAD = """
def _load(extension):
    import json, sys, time
    shell, before, start = get_ipython(), set(sys.modules), time.perf_counter()
    shell.run_line_magic("load_ext", extension)
    seconds = time.perf_counter() - start
    print(json.dumps({"seconds": seconds, "modules": sorted(set(sys.modules) - before)}))
"""


def load_extension(effort: Effort) -> Iterator[Row]:
    """
    `%load_ext flowfile_nb` against `%load_ext dotenv`, each in a fresh kernel, timed inside it. Goal: 0.2 of its time.

    Twice: where some extension's magic ran before, and as the very first one of the kernel. At that one IPython 9 imports its
    own module for such magics, 0.5 ms for each side, which is a seventh of dotenv's time before anything of ours has begun:
    shown, without a goal.

    Checked each time: at most 4 new modules, none of cryptography, SQLAlchemy, ipywidgets, anywidget.
    """
    held = f"<= {MOST_MODULES} modules, none heavy"
    count = effort.pick(15, 5, 1)
    for name, first in (("%load_ext in a kernel", False), ("the kernel's very first %load_ext", True)):
        if find_spec("dotenv") is None:
            (ours,) = rounds(count, lambda _, first=first: _ours(first=first))
            yield Row(f"{name} / dotenv's", ours, held=held, missing="not measured: python-dotenv is not installed")
            continue
        # The first of each finds cold files.
        ours, peer = (
            figures[1:] or figures
            for figures in rounds(
                count + 1,
                lambda _, first=first: _ours(first=first),
                lambda _, first=first: load("dotenv", first=first)["seconds"],
            )
        )
        yield Row(f"{name} / dotenv's", ours, peer, at_most=None if first else 0.2, held=held)


def load(extension: str, *, first: bool) -> dict[str, Any]:
    """Load an extension in a fresh kernel, as its *first* one or not; return the `seconds` it took and the new `modules`."""
    with new_home() as home, running_kernel(home) as run:
        run(_LOAD)
        if not first:
            run("get_ipython().run_line_magic('unload_ext', 'nothing')")
        return json.loads(run(f"_load({extension!r})").stdout)


def _ours(*, first: bool) -> float:
    loaded = load("flowfile_nb", first=first)
    modules = loaded["modules"]
    require(len(modules) <= MOST_MODULES, f"loading imported {len(modules)} modules: {modules}")
    heavy = [module for module in modules if module.split(".")[0] in HEAVY]
    require(not heavy, f"loading imported {heavy}")
    return loaded["seconds"]
