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
from flowfile_nb.session import backend

names = list(secrets)

def show_panel():
    start = time.perf_counter()
    shown = panel()
    display(shown)
    # What the front end sends as soon as it has drawn the empty panel.
    shown._handle_custom_msg({"op": "list", "id": 1}, [])
    return time.perf_counter() - start

def show_table():
    start = time.perf_counter()
    display(HTML("<table>" + "".join(f"<tr><td>{escape(name)}</td></tr>" for name in names) + "</table>"))
    return time.perf_counter() - start

def show_columns():
    start = time.perf_counter()
    rows = zip(*backend().describe())
    display(HTML("<table>" + "".join(f"<tr>{''.join(f'<td>{escape(str(cell))}</td>' for cell in row)}</tr>" for row in rows)
        + "</table>"))
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

    Ours is creating, showing and answering the front end's question for the list, which reads owner and time of each secret
    from the store. There are three tables: of all that the panel lists, of the names alone, and of names that are in memory
    already. All three are read by our own code, so what makes reading faster makes the goal harder.
    """
    stored, count = effort.pick((10_000, 25), (10_000, 7), (50, 1))
    figures: dict[str, list[float]] = {"show_panel": [], "show_columns": [], "show_stored": [], "show_table": []}
    with new_home() as home:
        inside_own("tests.benchmarks.places:make_store", home, count=stored)
        with running_kernel(home) as run:
            run(_SETUP)
            # The first panel imports ipywidgets and anywidget.
            run("show_panel()")
            for number in range(count):
                order = list(figures)[number % 4 :] + list(figures)[: number % 4]
                sent = run(_ROUND.format(", ".join(order)))
                for name, seconds in zip(order, json.loads(sent.stdout), strict=True):
                    figures[name].append(seconds)
                opens = len(sent.of_type("comm_open"))
                require(opens == COMM_OPENS, f"the panel opened {opens} comms")
                answers = [content["data"]["content"] for content in sent.of_type("comm_msg") if "content" in content["data"]]
                listed = [len(answer["columns"][0]) for answer in answers if answer.get("op") == "list"]
                require(listed == [stored], f"the panel listed {listed} of {stored} names")
    held = f"{COMM_OPENS} comm_opens"
    name = f"panel of {stored:,} / HTML table"
    yield Row(f"{name} of the same columns", figures["show_panel"], figures["show_columns"], at_most=2.0, held=held)
    yield Row(f"{name} of names from the store", figures["show_panel"], figures["show_stored"], at_most=2.0, held=held)
    yield Row(f"{name} of names in memory", figures["show_panel"], figures["show_table"], at_most=2.0, held=held)
