"""Who takes something back waits neither in the queue of those who use nor behind those who write."""

from __future__ import annotations

import asyncio
import threading

import pytest

from flowfile_nb.broker.team import Team
from flowfile_nb.broker.threads import in_thread, on_watch
from tests.broker.conftest import ALICE
from tests.support.processes import until


@pytest.mark.parametrize("kind", ["change", "watch"])
def test_uses_that_wait_hold_up_nobody_else(kind: str) -> None:
    """Fifty that wait for a disk: what changes something, and whether what runs may go on, is asked at once."""

    async def ask() -> str:
        answered = threading.Event()
        waiting = [asyncio.ensure_future(in_thread(answered.wait, 30)) for _ in range(50)]
        try:
            other = in_thread(str, "done", changes=True) if kind == "change" else on_watch(str, "done")
            return await asyncio.wait_for(other, 10)
        finally:
            answered.set()
            await asyncio.gather(*waiting)

    assert asyncio.run(ask()) == "done"


def test_what_is_taken_back_is_written_before_what_waits(shared: Team) -> None:
    """A share that ends while five others are about to write ends first."""
    turns = shared._store._turns
    threads = []

    with turns.turn():
        for number in range(5):
            put = (ALICE, f"pw{number}", "value")
            threads.append(threading.Thread(target=shared.put_secret, args=put, kwargs={"replace": False}))
        threads.append(threading.Thread(target=shared.unshare, args=(ALICE, "connection", "warehouse", "analysts")))
        for count, thread in enumerate(threads, 1):
            thread.start()
            until(lambda count=count: turns.waiting == count)  # type: ignore[misc]
    for thread in threads:
        thread.join(10)

    assert [entry.action for entry in shared.log(ALICE)][-6:] == ["unshare", *["set"] * 5]
