"""The panel with many names."""

from __future__ import annotations

import json
from collections.abc import Iterator

from tests.benchmarks.kernel import running_kernel
from tests.benchmarks.measure import Effort, Row
from tests.benchmarks.places import inside_own, new_home, require

COMM_OPENS = 2
_SETUP = """
import json, time
from html import escape
from IPython.display import HTML, display
from flowfile_nb import panel, secrets

names = list(secrets)

def show_panel():
    start = time.perf_counter()
    shown = panel()
    display(shown)
    # What the front end asks as soon as it has drawn the empty panel, and then for the rows that it has drawn.
    shown._handle_custom_msg({"op": "list", "id": 1}, [])
    shown._handle_custom_msg({"op": "describe", "names": names[:100], "id": 2}, [])
    return time.perf_counter() - start

def show_table():
    start = time.perf_counter()
    display(HTML("<table>" + "".join(f"<tr><td>{escape(name)}</td></tr>" for name in names) + "</table>"))
    return time.perf_counter() - start

def show_stored():
    start = time.perf_counter()
    display(HTML("<table>" + "".join(f"<tr><td>{escape(name)}</td></tr>" for name in secrets) + "</table>"))
    return time.perf_counter() - start
"""
_ROUND = "print(json.dumps([show() for show in ({})]))"


def panel_names(effort: Effort) -> Iterator[Row]:
    """
    The panel with 10,000 names against a plain HTML table of them, in a real kernel. Goal: twice its time; two comm_opens.

    Ours is creating, showing and answering the front end's questions: for the names, and for owner, age and last use of the
    hundred rows that it draws. The table, too, reads the names from the store, by our own code: what makes reading faster
    makes the goal harder. Beside it, without a goal, a table of names that are in memory already.
    """
    stored, count = effort.pick((10_000, 25), (10_000, 7), (50, 1))
    figures: dict[str, list[float]] = {"show_panel": [], "show_stored": [], "show_table": []}
    with new_home() as home:
        inside_own("tests.benchmarks.places:make_store", home, count=stored)
        with running_kernel(home) as run:
            run(_SETUP)
            # The first panel imports ipywidgets and anywidget.
            run("show_panel()")
            for number in range(count):
                order = list(figures)[number % 3 :] + list(figures)[: number % 3]
                sent = run(_ROUND.format(", ".join(order)))
                for name, seconds in zip(order, json.loads(sent.stdout), strict=True):
                    figures[name].append(seconds)
                opens = len(sent.of_type("comm_open"))
                require(opens == COMM_OPENS, f"the panel opened {opens} comms")
                answers = [content["data"]["content"] for content in sent.of_type("comm_msg") if "content" in content["data"]]
                listed = [len(answer["names"]) for answer in answers if answer.get("op") == "list"]
                require(listed == [stored], f"the panel listed {listed} of {stored} names")
    held = f"{COMM_OPENS} comm_opens"
    name = f"panel of {stored:,} / HTML table"
    yield Row(f"{name} of names from the store", figures["show_panel"], figures["show_stored"], at_most=2.0, held=held)
    yield Row(f"{name} of names in memory", figures["show_panel"], figures["show_table"])
