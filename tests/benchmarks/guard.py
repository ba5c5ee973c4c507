"""What the output guard costs a kernel: the same output with it and without, alternating in one kernel."""

from __future__ import annotations

import json
from collections.abc import Iterator

from tests.benchmarks.kernel import running_kernel
from tests.benchmarks.measure import Effort, Row
from tests.benchmarks.places import inside_own, new_home, require

_SETUP = """
import json, sys, time
import flowfile_nb as fnb
from IPython.display import display
from flowfile_nb import session

values = [fnb.secrets[name].get_secret_value() for name in fnb.secrets]
guard = vars(get_ipython())["_flowfile_nb"].guard
print("warm up")
# What is built behind the scenes for many secrets is there before anything is timed.
for index in (session.redactor()._index, guard._search._rewritten):
    index and index.wait()
rows = (f"<tr><td>{number}</td><td>a cell with some text, number {number * 7919 % 10007}</td></tr>" for number in range(20_000))
html = "\\n".join(rows)[:1_000_000]
small = html[:1_000]

def lines(count):
    for number in range(count):
        print("2026-11-24 08:00:00 INFO worker", number, "did some work that is worth a line of output")
    sys.stdout.flush()

def displays(count):
    for _ in range(count):
        display({"text/html": html}, raw=True)

def messages(count):
    for _ in range(count):
        display({"text/html": small}, raw=True)

def measure(action, count, on):
    (guard.install if on else guard.uninstall)()
    start, cpu = time.perf_counter(), time.process_time()
    action(count)
    wall, cpu = time.perf_counter() - start, time.process_time() - cpu
    (guard.uninstall if on else bool)()
    return wall, cpu
guard.uninstall()
"""


def guard(effort: Effort) -> Iterator[Row]:
    """
    Lines, large displays and small messages, guard on against off. Goals: lines 1.02, 1 MB 1.07 and 1.17, 1 KB 1.12.

    Wall time for lines and 1 MB displays; processor time of the kernel for small messages, whose wall time is the scheduler's.
    With 10 and with 1,000 secrets that the kernel has read. Checked each time: nothing is masked that is no secret.
    """
    rounds_, lines, displays, messages = effort.pick((15, 100_000, 40, 2_000), (5, 100_000, 20, 1_000), (1, 100, 1, 2))
    for stored, large in ((10, 1.07), (effort.pick(1_000, 1_000, 20), 1.17)):
        with new_home() as home:
            inside_own("tests.benchmarks.places:make_store", home, count=stored)
            with running_kernel(home) as run:
                run("%load_ext flowfile_nb")
                run(_SETUP)
                for action, count, goal, what in (
                    ("lines", lines, 1.02, f"{lines:,} printed lines"),
                    ("displays", displays, large, f"{displays} displays of 1 MB"),
                    ("messages", messages, 1.12, f"{messages:,} displays of 1 KB, processor time"),
                ):
                    figures: dict[bool, list[float]] = {True: [], False: []}
                    for number in range(rounds_ + 1):
                        for on in (True, False) if number % 2 else (False, True):
                            sent = run(f"print('\\n' + json.dumps(measure({action}, {count}, {on})))")
                            wall, cpu = json.loads(sent.stdout.splitlines()[-1])
                            require("[secret" not in sent.stdout, "something was masked that is no secret")
                            if number:
                                figures[on].append(cpu if action == "messages" else wall)
                    yield Row(f"guard with {stored:,} secrets: {what}, on / off", figures[True], figures[False], at_most=goal)
