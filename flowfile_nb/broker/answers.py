"""What a reader gets besides rows: heartbeats, and how it ended."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import signal
import time
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

from flowfile_nb.broker.limits import MIB, Limits
from flowfile_nb.broker.model import Outcome
from flowfile_nb.core import wire
from flowfile_nb.core.spelling import spelled

_log = logging.getLogger("flowfile_nb.broker")

Send = Callable[[bytes], Awaitable[None]]


class Stop(NamedTuple):
    """Why a statement ends before its time, and what its caller is told."""

    state: Any
    kind: str
    message: str
    hint: str = ""


CANCELLED = Stop("cancelled", "CancelledError", "the statement was cancelled")
REVOKED = Stop(
    "revoked", "RevokedError", "the permission to use this connection was withdrawn; the statement was ended", "ask its owner"
)
EXPIRED = Stop(
    *("revoked", "RevokedError", "the token by which this statement was begun has run out; the statement was ended"),
    "run it again with a token that holds longer: FLOWFILE_NB_TEAM_TOKEN",
)


class Sender:
    """The way to the reader: one frame at a time, whole."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._lock = asyncio.Lock()
        self._last = time.monotonic()
        self.rows = 0
        self.bytes = 0

    async def send(self, data: bytes) -> None:
        """Send a frame, and return when the reader takes more."""
        async with self._lock:
            await self._send(data)
            self._last = time.monotonic()

    async def send_if_quiet(self, data: bytes, quiet_s: float) -> None:
        """Send a frame if nothing was sent for so long, and nothing is on its way."""
        if not self._lock.locked() and time.monotonic() - self._last >= quiet_s * 0.9:
            await self.send(data)


async def hand_on_error(frame: wire.Frame, sender: Sender) -> dict[str, Any]:
    """Hand on a worker's error, with a reference number in the place of what only the operator may read."""
    facts = frame.facts()
    detail, kind = facts["reference"], facts["type"]
    reference = ""
    if detail:
        reference = secrets.token_hex(4)
        # In one line: a server that somebody connects to could write others of its own.
        said = spelled(f"{facts['message']}: {detail}", lines=False)
        _log.warning("session failed, reference %s: %s", reference, said)
        facts["message"] += f"  (reference {reference} in the broker's log)"
    await sender.send(wire.error_frame(kind, facts["message"], facts["hint"], reference, facts["code"]))
    state = {"LimitError": "limit", "CancelledError": "cancelled"}.get(kind, "failed")
    return {"state": state, "detail": " ".join([kind, facts["code"]]).strip()}


async def ended(stop: Stop, send: Send, began: float) -> Outcome:
    """End an answer that has not begun."""
    with contextlib.suppress(Exception):
        await send(wire.error_frame(stop.kind, stop.message, stop.hint))
    return Outcome(stop.state, 0, 0, time.monotonic() - began, stop.kind)


def ended_by_itself(status: int, limits: Limits) -> Stop:
    """Return what a caller is told of a process that ended in the middle of an answer."""
    if status in {-signal.SIGABRT, -signal.SIGSEGV, -signal.SIGBUS}:
        return Stop(
            *(
                "limit",
                "LimitError",
                f"the session needed more than {limits.memory_bytes // MIB:,} MiB of memory and was ended",
            ),
            "one row or value is very large: ask for a part of it",
        )
    return Stop("failed", "BrokerError", "the session's process was ended from outside; there is no result", "run it again")
