"""Finding known values in output."""

from __future__ import annotations

import base64
import json
import random
import re
import time
from collections.abc import Callable, Iterator

from flowfile_nb.core.encodings import patterns_of
from flowfile_nb.core.redaction import Redactor
from flowfile_nb.core.search import Matcher
from tests.benchmarks.measure import Effort, Row, rounds
from tests.benchmarks.places import require

_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
_HOLD_UP_S = 0.05


def redaction(effort: Effort) -> Iterator[Row]:
    """
    Searching 1 MB of output for 10 and for 1,000 secrets, and registering 1,000.

    Against a masker as Airflow's: one stdlib `re` alternation of the raw values, so it looks for a seventh of what ours finds.
    A third of the text are log lines, a third JSON, a third base64; no secret is in what is timed. Goals: 0.03 and 0.0002 of
    its time. Registering 1,000 secrets, with the text masked after it, holds a cell up for 50 ms at most, and for less than
    building the large database on the spot would.
    """
    size = effort.pick(1_000_000, 250_000, 20_000)
    for count, at_most, times in ((10, 0.03, effort.pick(50, 20, 1)), (1_000, 0.0002, effort.pick(5, 3, 1))):
        yield _search(count, size, times, at_most)
    yield from _register(effort.pick(1_000, 1_000, 50), effort.pick(15, 5, 1))


def _search(count: int, size: int, times: int, at_most: float) -> Row:
    values = _values(count)
    redactor = _knowing(values)
    masker = re.compile("|".join(map(re.escape, values)))
    text = _text(size)
    data = text.encode()
    require(redactor.mask(text) is text, "a secret was found where there is none")
    found = sum(_finds_all_forms(redactor, value) for value in values[:10])
    ours, peer = rounds(
        times,
        lambda _: _clocked(lambda: require(not redactor.hits(data), "a secret was found where there is none")),
        lambda _: _clocked(lambda: require(masker.sub("***", text) == text, "Airflow's found one")),
    )
    return Row(
        f"search {size:,} bytes for {count:,} secrets in all encodings / Airflow-like, raw only",
        ours,
        peer,
        at_most=at_most,
        held=f"{found} of {found} encoded ones found",
    )


def _finds_all_forms(redactor: Redactor, value: str) -> int:
    forms = (
        value,
        json.dumps(value)[1:-1],
        repr(value.encode())[2:-1],
        base64.b64encode(f"user:{value}:".encode()).decode(),
        value.encode().hex(),
    )
    for form in forms:
        require("[secret:" in redactor.mask(f"before {form} after"), "a secret was not found")
    return len(forms)


def _register(count: int, times: int) -> Iterator[Row]:
    values = _values(count)
    later: list[float] = []

    def register(_: int) -> float:
        redactor = Redactor()
        seconds = _clocked(lambda: _learn(redactor, values))
        # What other cells feel while the large database is being built.
        later.append(max(_clocked(lambda: redactor.mask("x" * 100)) for _ in range(300)))
        redactor.wait()
        return seconds

    def build(_: int) -> float:
        return _clocked(lambda: Matcher([*{form: None for value in values for form in patterns_of(value)}], "hyperscan"))

    ours, peer = rounds(times, register, build)
    yield Row(f"register {count:,} secrets and mask / build one hyperscan database of them", ours, peer, at_most=1.0)
    longest = [max(pair) for pair in zip(ours, later, strict=True)]
    yield Row(
        f"register {count:,} secrets: longest hold-up / {_HOLD_UP_S * 1000:.0f} ms", longest, [_HOLD_UP_S] * times, at_most=1.0
    )


def _learn(redactor: Redactor, values: list[str]) -> None:
    for number, value in enumerate(values):
        redactor.learn(f"name_{number}", value)
    require(redactor.mask(f"{values[-1]:>100}").endswith(f"[secret:name_{len(values) - 1}]"), "a value was not masked")


def _knowing(values: list[str]) -> Redactor:
    redactor = Redactor()
    _learn(redactor, values)
    redactor.wait()
    return redactor


def _clocked(action: Callable[[], object]) -> float:
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def _values(count: int) -> list[str]:
    """Half of them tokens, 30 % passwords with odd characters, 20 % DSNs."""
    chance = random.Random(count)
    values = []
    for number in range(count):
        token = "".join(chance.choices(_LETTERS, k=24))
        odd = "".join(chance.choices(_LETTERS + "!\"'\\@/:%& ", k=20))
        dsn = f"postgresql://user{number}:{token}@db{number}.example.com:5432/sales"
        values.append(token if number % 10 < 5 else odd if number % 10 < 8 else dsn)
    return values


def _text(size: int) -> str:
    chance = random.Random(size)
    third = size // 3
    lines = (
        f"2026-01-{chance.randrange(10, 29)} 09:{chance.randrange(10, 59)}:07,{chance.randrange(999)} INFO sqlalchemy.engine "
        f"SELECT customer_id, amount FROM orders WHERE status = 'open' [generated in {chance.random():.5f}s]\n"
        for _ in range(third // 100)
    )
    rows = [
        {
            "id": number,
            "name": f"penguin {number}",
            "island": "Torgersen",
            "species": "Adelie",
            "mass_g": chance.randrange(3000, 5000),
        }
        for number in range(third // 80)
    ]
    image = base64.b64encode(chance.randbytes(third * 3 // 4 + 3)).decode()
    return "".join(lines)[:third] + json.dumps(rows)[:third] + image[:third]
