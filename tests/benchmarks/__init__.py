"""
How fast, against what: `python -m tests.benchmarks` prints every figure of the project as a ratio within one run.

A time by itself says more about the machine than about the code, so each one stands beside a peer's, measured alternately in
the same run. Benchmarks assert what must always hold (nothing lost, nothing doubled) and print what depends on the day.
"""
