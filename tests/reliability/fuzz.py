"""
Texts that nobody would write, through every parser: `python -m tests.reliability fuzz --minutes 10`.

A third of the time goes to texts of one repeated word, which show what takes longer than its length explains; a third to what
Hypothesis puts together from each grammar's own words; and a third to atheris, where it is installed, which goes after the
branches that a text reaches. What was found once is kept in `findings.py`, which the ordinary tests run.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from itertools import product
from pathlib import Path
from typing import Any

import hypothesis
from hypothesis import strategies as st

from flowfile_nb.errors import FlowfileNbError
from tests.reliability.counts import Plan, Tally
from tests.reliability.targets import TARGETS, Target

HANG_S = 20
"""Processor time in which any text has to be answered: some thousand times what it takes."""
_SHORT, _LONG, _FEW = 4_000, 16_000, 20
# Four times the length may take four times as long, and some for what is not exact; not the square, which is sixteen times.
_GROWTH, _NOTICED_S = 10, 0.1


class HangError(AssertionError):
    """A text was not answered in time."""


def fuzz(minutes: float, plan: Plan, only: Sequence[str] = ()) -> Iterator[Tally]:
    """Fuzz the targets, all together for so many minutes; each yields its lines of the table."""
    chosen = {name: target for name, target in TARGETS.items() if not only or name in only}
    guided = find_spec("atheris") is not None
    each_s = minutes * 60 / len(chosen) / (3 if guided else 2)
    for name, target in chosen.items():
        yield grown(name, target, each_s, plan)
        yield by_hypothesis(name, target, each_s, plan)
        if guided:
            yield by_atheris(name, each_s, plan)
        else:
            yield Tally(f"fuzz {name}, atheris", note="not tried: atheris is not installed")


def texts(pieces: Sequence[str]) -> st.SearchStrategy[str]:
    """Return texts put together from words of a grammar and from anything."""
    return st.lists(st.sampled_from(pieces) | st.text(max_size=6), max_size=24).map("".join)


def by_hypothesis(name: str, target: Target, seconds: float, plan: Plan) -> Tally:
    """Try what Hypothesis makes of a target's words for some seconds; it gives the smallest text it finds for a fault."""
    tally = Tally(f"fuzz {name}, Hypothesis")
    end = time.monotonic() + seconds
    round_number = 0

    def tried(text: str) -> None:
        tally.tried += 1
        answered(target.check, text)

    settings = hypothesis.settings(
        max_examples=plan.pick(1_000, 150),
        deadline=None,
        database=None,
        suppress_health_check=list(hypothesis.HealthCheck),
        print_blob=False,
    )
    while not tally.wrong and (time.monotonic() < end or not round_number):
        test = hypothesis.given(texts(target.pieces))(tried)
        try:
            hypothesis.seed(f"{plan.seed} {name} {round_number}")(settings(test))()
        except Exception as error:
            tally.wrong.append(_described(error))
        round_number += 1
    return tally


def grown(name: str, target: Target, seconds: float, plan: Plan) -> Tally:
    """Try long texts of one word repeated between two others, for some seconds: none takes longer than its length explains."""
    tally = Tally(f"grow {name}")
    numbers = plan.random(f"grow {name}")
    pairs = list(product(("", *target.pieces), target.pieces))
    numbers.shuffle(pairs)
    end = time.monotonic() + seconds
    for (first, repeated), last in product(pairs, ("", *numbers.sample(target.pieces, min(len(target.pieces), 3)))):
        if tally.tried >= _FEW and time.monotonic() > end:
            break
        short, long = (first + repeated * (size // len(repeated)) + last for size in (_SHORT, _LONG))
        tally.tried += 1
        try:
            if _seconds(target, long) > _NOTICED_S:
                quick = min(_seconds(target, short) for _ in range(3))
                slow = min(_seconds(target, long) for _ in range(3))
                if slow > _NOTICED_S and slow > _GROWTH * quick:
                    tally.wrong.append(
                        f"{first!r} + {repeated!r} * n + {last!r}: {quick:.3f} s, four times as long {slow:.3f} s"
                    )
        except Exception as error:
            tally.wrong.append(f"{first!r} + {repeated!r} * {_LONG // len(repeated)} + {last!r}: {_described(error)}")
    return tally


def by_atheris(name: str, seconds: float, plan: Plan) -> Tally:
    """Let atheris look for texts that reach new branches, in a process of its own."""
    tally = Tally(f"fuzz {name}, atheris")
    with tempfile.TemporaryDirectory(prefix="flowfile_nb_fuzz_") as folder:
        words = Path(folder, "words")
        words.write_text("".join(f'"{_escaped(piece)}"\n' for piece in TARGETS[name].pieces), encoding="ascii")
        command = [
            *(sys.executable, "-m", "tests.reliability.guided", name),
            *(
                f"-max_total_time={max(1, round(seconds))}",
                f"-timeout={HANG_S}",
                f"-dict={words}",
                f"-artifact_prefix={folder}/",
            ),
            *("-print_final_stats=1", f"-seed={plan.seed % 2**31 + 1}", "-max_len=400"),
        ]
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
        found = sorted(path for path in Path(folder).iterdir() if path != words)
        counts = [line for line in done.stderr.splitlines() if "number_of_executed_units" in line]
        tally.tried = int(counts[-1].rpartition(" ")[2]) if counts else 0
        for path in found:
            text = path.read_bytes().decode("utf-8", errors="surrogateescape")
            try:
                answered(TARGETS[name].check, text)
                tally.wrong.append(f"{text!r} failed in atheris alone ({path.name.partition('-')[0]})")
            except Exception as error:
                tally.wrong.append(f"{text!r}: {_described(error)}")
        if done.returncode and not found:
            tally.wrong.append(f"atheris ended with {done.returncode}: {done.stderr[-300:]}")
    return tally


def answered(check: Callable[[str], Any], text: str) -> None:
    """
    Call *check*; an error of ours is an answer, too.

    Raises:
        HangError: If it takes longer than any text may.
        AssertionError: If something does not hold. Any other exception is one that should not have come out.
    """
    with _limited():
        try:
            check(text)
        except FlowfileNbError as error:
            raise AssertionError(f"{type(error).__name__} is no answer of this parser: {error}") from error


@contextmanager
def _limited() -> Iterator[None]:
    """Interrupt what uses too much processor time; other programs on the machine do not count."""

    def stop(*_: object) -> None:
        raise HangError(f"no answer after {HANG_S} s of processor time")

    if not hasattr(signal, "setitimer"):
        yield
        return
    before = signal.signal(signal.SIGVTALRM, stop)
    signal.setitimer(signal.ITIMER_VIRTUAL, HANG_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def _seconds(target: Target, text: str) -> float:
    start = time.process_time()
    answered(target.check, text)
    return time.process_time() - start


def _described(error: Exception) -> str:
    notes = " ".join(getattr(error, "__notes__", ()))
    return f"{type(error).__name__}: {str(error)[:300]} {notes[:500]}".strip()


def _escaped(piece: str) -> str:
    return "".join(f"\\x{byte:02x}" for byte in piece.encode("utf-8", errors="surrogatepass"))
