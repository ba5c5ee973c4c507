"""A large answer of a shared API through a whole broker: the front has no more of it than a frame."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from flowfile_nb.core import wire
from notebooks.throwaway import Postgres
from tests.attacks.trying import prepare
from tests.support.front import House, running_house
from tests.support.http_server import Answer
from tests.support.lent_api import asked, shared

pytestmark = pytest.mark.e2e

_MIB = 1024 * 1024


@pytest.fixture
def house(postgres: Postgres) -> Iterator[House]:
    """A broker, and its team."""
    with running_house(prepare(postgres)) as house:
        house.renew()
        yield house


def test_a_large_answer_takes_no_memory_in_the_front(house: House) -> None:
    """500 MB come whole; the front stays under 100 MB."""
    with shared(house) as server:
        server.answer = lambda request: Answer(body=(bytes(_MIB) for _ in range(500)))
        size, decoder, end = 0, wire.Decoder(), None
        with asked(house.bob, "/v1/all") as response:
            for data in response.iter_raw():
                for frame in decoder.feed(data):
                    size += len(frame.data) if frame.kind == wire.BODY else 0
                    end = frame
        decoder.finish()

    assert (size, end and end.kind) == (500 * _MIB, wire.END)
    assert house.front.process is not None
    lines = Path(f"/proc/{house.front.process.pid}/status").read_text().splitlines()
    [peak] = [int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM")]
    print(f"front: {peak:.0f} MB at most")
    assert peak < 100
