"""Many members at once, and very large results, over HTTP: every answer is right, and the front stays small."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import pytest

from flowfile_nb.errors import LimitError
from flowfile_nb.team import dbapi
from notebooks.throwaway import Postgres
from tests.attacks.trying import prepare
from tests.support.front import House, running_house
from tests.support.kernel_side import connected, join, require_two_lines
from tests.support.processes import peak_memory

pytestmark = [pytest.mark.e2e, pytest.mark.alone]

MEMBERS, QUERIES = 50, 20
FRONT_BYTES = 100_000_000
# Each answer has words of its own, and a number of them that no other answer has.
WORDS = "SELECT %s || '-' || g AS word, pg_backend_pid() AS session FROM generate_series(1, %s) AS g"
GIGABYTE = "SELECT repeat('x', 10000) AS text, generate_series(1, 100000) AS number"
VALUE_BYTES = 250_000_000
ONE_VALUE = f"SELECT repeat('x', {VALUE_BYTES}) AS text"
# An answer that comes is what is asked for; how soon is the machine's affair, up to this.
_PATIENCE_S = 20


@pytest.fixture(scope="module")
def house(postgres: Postgres) -> Iterator[House]:
    """A broker whose sessions may take four gigabytes, with `warehouse` shared among the analysts."""
    with running_house(prepare(postgres), options=["--memory-mib", "4096"]) as house:
        house.share()
        yield house


class Finding(NamedTuple):
    """What one member found: words that are not his own, and the database's sessions that he was in."""

    wrong: list[str]
    sessions: set[int]


def test_fifty_members_at_once(house: House) -> None:
    """Each of a thousand answers is its asker's own and whole, no session serves two members, and the front stays small."""
    tokens = join(house, *(f"member-{number}" for number in range(MEMBERS)))
    together = threading.Barrier(MEMBERS)

    def ask(name: str) -> Finding:
        wrong, sessions = [], set()
        first = 1 + QUERIES * list(tokens).index(name)
        together.wait()
        with connected(house.front.url, tokens[name]) as connection:
            for count in range(first, first + QUERIES):
                rows = connection.execute(WORDS, [f"{name}:{count}", count]).fetchall()
                if [word for word, _ in rows] != [f"{name}:{count}-{g}" for g in range(1, count + 1)]:
                    wrong.append(f"{name}:{count} got {len(rows)} rows, {rows[:1]}")
                sessions |= {session for _, session in rows}
        return Finding(wrong, sessions)

    with ThreadPoolExecutor(MEMBERS) as pool:
        found = list(pool.map(ask, tokens))

    assert [wrong for one in found for wrong in one.wrong] == []
    shared = [session for session, users in Counter(session for one in found for session in one.sessions).items() if users > 1]
    assert shared == []
    complete = Counter(entry["caller"] for entry in _audit(house) if entry.get("state") == "complete")
    assert {name: complete[name] for name in tokens} == dict.fromkeys(tokens, QUERIES)
    assert _front_bytes(house) < FRONT_BYTES


def test_a_gigabyte_disturbs_nobody(house: House) -> None:
    """While one member reads a gigabyte another one's small statements are answered, and the front stays small."""
    tokens = join(house, "reads-much", "asks-little")

    with (
        connected(house.front.url, tokens["reads-much"]) as large,
        connected(house.front.url, tokens["asks-little"]) as small,
        ThreadPoolExecutor(1) as pool,
    ):
        _ask_once(small)
        reading = pool.submit(_count, large)
        waits = [_ask_once(small)]
        while not reading.done():
            waits.append(_ask_once(small))
        rows, size = reading.result()

    assert (rows, size) == (100_000, 1_000_000_000)
    assert len(waits) > 10
    assert max(waits) < _PATIENCE_S
    assert _front_bytes(house) < FRONT_BYTES


def test_a_value_of_a_quarter_gigabyte(house: House) -> None:
    """One value of 250 MB arrives whole where sessions have the memory for it; others are answered, the front stays small."""
    tokens = join(house, "reads-a-lot", "asks-a-little")

    with (
        connected(house.front.url, tokens["reads-a-lot"]) as large,
        connected(house.front.url, tokens["asks-a-little"]) as small,
        ThreadPoolExecutor(1) as pool,
    ):
        _ask_once(small)
        reading = pool.submit(lambda: large.execute(ONE_VALUE).fetch_arrow_table())
        waits = [_ask_once(small)]
        while not reading.done():
            waits.append(_ask_once(small))
        [value] = reading.result().column("text")

    assert len(memoryview(value.as_buffer())) == VALUE_BYTES
    assert max(waits) < _PATIENCE_S
    assert _front_bytes(house) < FRONT_BYTES


def test_a_value_that_does_not_fit_a_session(postgres: Postgres) -> None:
    """With the usual limits that value is refused in two lines; its reader's next statement and everybody else's go on."""
    with running_house(prepare(postgres)) as house:
        house.share()
        tokens = join(house, "reads-a-lot", "asks-a-little")
        with (
            connected(house.front.url, tokens["reads-a-lot"]) as large,
            connected(house.front.url, tokens["asks-a-little"]) as small,
        ):
            # Two rows: where one would be enough, another version's driver might manage it.
            running = small.execute("SELECT repeat('x', 1000) AS text, generate_series(1, 300000) AS number")
            with pytest.raises(LimitError) as refused:
                large.execute(ONE_VALUE.replace(str(VALUE_BYTES), str(4 * VALUE_BYTES))).fetch_arrow_table()

            require_two_lines(refused.value)
            assert large.execute("SELECT 1").fetchall() == [(1,)]
            assert running.fetch_arrow_table().num_rows == 300_000
        assert _front_bytes(house) < FRONT_BYTES


def _ask_once(connection: dbapi.Connection) -> float:
    """Ask a small question; return for how many seconds the answer was waited for."""
    start = time.monotonic()
    assert connection.execute("SELECT 1").fetchall() == [(1,)]
    return time.monotonic() - start


def _count(connection: dbapi.Connection) -> tuple[int, int]:
    """Read a gigabyte; return how many rows and how many characters came."""
    rows = size = 0
    for batch in connection.execute(GIGABYTE).fetch_record_batch():
        rows += batch.num_rows
        size += len(batch.column("text").buffers()[2] or b"")
    return rows, size


def _front_bytes(house: House) -> int:
    assert house.front.process is not None
    return peak_memory(house.front.process.pid)


def _audit(house: House) -> list[dict[str, object]]:
    lines = (house.front.directory / "audit.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]
