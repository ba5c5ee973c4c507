"""A line to the database that is lost without a word: the kernel of this host is asked to look after it."""

from __future__ import annotations

import os
from pathlib import Path

from flowfile_nb.broker.model import Order
from notebooks.throwaway import Postgres
from tests.support.broker import Broker

_KEEPALIVE = "02"
_TICKS_S = 100
"""Of the kernel's timers in /proc, in a second (`USER_HZ`)."""


def timers(pid: int, port: int) -> list[tuple[str, float]]:
    """Return the timer of each connection of a process's network to a port: its kind, and in how many seconds it ends."""
    rows = [line.split() for line in Path(f"/proc/{pid}/net/tcp").read_text("ascii").splitlines()[1:]]
    inodes = {os.readlink(link) for link in Path(f"/proc/{pid}/fd").iterdir() if link.is_symlink()}
    mine = [row for row in rows if row[2].endswith(f":{port:04X}") and f"socket:[{row[9]}]" in inodes]
    return [(kind, int(when, 16) / _TICKS_S) for kind, _, when in (row[5].partition(":") for row in mine)]


def test_a_silent_line_is_asked_for_a_sign_of_life(broker: Broker, order: Order, postgres: Postgres) -> None:
    """Ten seconds after the last word, where it would be two hours."""
    broker.ask(order, "SELECT 1")
    [pid] = broker.sessions.pids()

    [(kind, due_s)] = timers(pid, postgres.port)

    assert kind == _KEEPALIVE
    assert 0 < due_s <= 10
