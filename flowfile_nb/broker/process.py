"""A worker's process, as the front sees it: what goes in, what comes out, and its end."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
import json
import os
import secrets
import sys
from collections.abc import AsyncIterator, Mapping
from dataclasses import asdict
from typing import Any

from flowfile_nb.broker.limits import Limits
from flowfile_nb.broker.model import Order
from flowfile_nb.core import wire

# Nothing of the front's environment: neither its token, nor the master key, nor what a driver would read there.
_ENVIRONMENT = {
    "PATH": "/usr/bin:/bin",
    "LANG": "C.UTF-8",
    # Where drivers look for certificates and passwords of the broker's own user: for no caller's use.
    "HOME": "/nonexistent",
    # Address space is what the limit counts: allocators and thread pools reserve much of it.
    "ARROW_DEFAULT_MEMORY_POOL": "system",
    "MALLOC_ARENA_MAX": "2",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
}
_PIPE_BYTES = 256 * 1024
_KEY = secrets.token_bytes(32)


def fingerprint(order: Order) -> bytes:
    """Return what two orders share if one's session is good for the other; it tells nothing of the value."""
    known = json.dumps([order.target._asdict(), order.value], sort_keys=True, default=str)
    return hmac.digest(_KEY, known.encode("utf-8", "surrogatepass"), hashlib.sha256)


class WorkerProcess:
    """
    One process, used for one statement at a time.

    Args:
        process: Started, and told its target.
        order: The last use; without the value.
        fingerprint: Of target and value.
    """

    def __init__(self, process: asyncio.subprocess.Process, order: Order, fingerprint: bytes) -> None:
        self._process = process
        self.order = order
        self.fingerprint = fingerprint
        self._decoder = wire.Decoder()
        self._number = 0
        self._early: list[wire.Frame] = []
        self._reading = asyncio.Lock()
        self.idle_since = 0.0

    @classmethod
    async def start(cls, order: Order, limits: Limits) -> WorkerProcess:
        """Start a process for the order's target; it connects with its first statement."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-I", "-m", "flowfile_nb.broker.worker"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env=_ENVIRONMENT,
            cwd=os.path.abspath(os.sep),
            start_new_session=True,
            limit=_PIPE_BYTES,
        )
        worker = cls(process, order._replace(value=""), fingerprint(order))
        first = {"target": order.target._asdict(), "value": order.value, "lent": order.caller != order.owner}
        try:
            await worker._tell({**first, "limits": asdict(limits)})
        except BaseException:
            worker.kill()
            raise
        return worker

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether the process has not ended."""
        return self._process.returncode is None

    async def ask(self, message: Mapping[str, Any]) -> None:
        """Send a statement, or another question; `frames` has the answer."""
        self._number += 1
        self._decoder = wire.Decoder()
        self._early = []
        await self._tell({**message, "id": self._number})

    async def taken(self) -> None:
        """
        Return when the process has taken the statement up.

        Raises:
            WireError: If it ended before: the statement has not been run.
        """
        while not self._early:
            self._early = await self._read()

    async def frames(self) -> AsyncIterator[wire.Frame]:
        """
        Return the frames of the answer, up to its end; may be left and taken up again.

        Raises:
            WireError: If the process ends before.
        """
        early, self._early = self._early, []
        for frame in early:
            yield frame
        while not self._decoder.ended:
            for frame in await self._read():
                yield frame

    async def stop(self, within_s: float) -> bool:
        """Have the statement cancelled in the database, and let its rest go; return whether the session is of use after."""
        try:
            await self._tell({"cancel": self._number})
            await asyncio.wait_for(self._drained(), within_s)
        except (asyncio.TimeoutError, OSError, wire.WireError):
            self.kill()
            return False
        return self.alive

    def kill(self) -> None:
        """End the process at once. PostgreSQL notices within a second, also in the middle of a statement."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()

    async def ended(self) -> int:
        """Wait for the end of the process; return its status, negative for a signal's number."""
        assert self._process.stdout is not None
        # What is in the pipe first: asyncio does not see the end of a process whose output waits to be read.
        async with self._reading:
            while await self._process.stdout.read(_PIPE_BYTES):
                pass
        return await self._process.wait()

    async def _drained(self) -> None:
        async for _ in self.frames():
            pass

    async def _read(self) -> list[wire.Frame]:
        assert self._process.stdout is not None
        async with self._reading:
            data = await self._process.stdout.read(_PIPE_BYTES)
        if not data:
            self._decoder.finish()
        return self._decoder.feed(data)

    async def _tell(self, message: Mapping[str, Any]) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(message).encode() + b"\n")
        await self._process.stdin.drain()
