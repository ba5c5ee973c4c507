"""What runs in the workers, and how it ends."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from flowfile_nb.broker.answers import CANCELLED, EXPIRED, REVOKED, Send, Sender, Stop, ended, ended_by_itself, hand_on_error
from flowfile_nb.broker.limits import Limits
from flowfile_nb.broker.model import Order, Outcome
from flowfile_nb.broker.pool import Pool
from flowfile_nb.broker.process import WorkerProcess
from flowfile_nb.broker.watching import still_permitted
from flowfile_nb.core import wire
from flowfile_nb.core.parameters import to_json
from flowfile_nb.errors import FlowfileNbError

# An order that was permitted longer ago than this, and still has not begun, does not come from a living front.
_RECENT_S = 60
_FAREWELL_S = 1.0
_SHORTER = "leave out what it does not need, or ask in several"


class _Running:
    """One statement on its way."""

    def __init__(self, order: Order) -> None:
        self.order = order._replace(value="")
        self.stopped: asyncio.Future[Stop] = asyncio.get_running_loop().create_future()
        self.over = asyncio.Event()

    def stop(self, why: Stop) -> None:
        if not self.stopped.done():
            self.stopped.set_result(why)

    @property
    def taken_back(self) -> bool:
        """Whether it was ended since its caller may not go on."""
        return self.stopped.done() and self.stopped.result() in {REVOKED, EXPIRED}


class Sessions:
    """
    Statements and requests, each in a process of its caller's.

    Belongs to one event loop.

    Args:
        limits: Of each session and statement.
    """

    def __init__(self, limits: Limits | None = None) -> None:
        self._limits = limits or Limits()
        self._pool = Pool(self._limits)
        self._running: dict[tuple[str, str], _Running] = {}
        self._revoked: tuple[float, Callable[[Order], bool] | None] = (-_RECENT_S, None)

    async def run(
        self,
        query_id: str,
        order: Order,
        statement: str,
        parameters: Sequence[Any] | Mapping[str, Any] | None,
        send: Send,
    ) -> Outcome:
        """Run one statement; see `model.Sessions`."""
        if len(statement.encode("utf-8", "replace")) > self._limits.statement_bytes:
            stop = Stop("limit", "LimitError", f"a statement holds {self._limits.statement_bytes:,} bytes at most", _SHORTER)
            return await ended(stop, send, time.monotonic())
        try:
            written = to_json(parameters)
        except FlowfileNbError as error:
            return await ended(Stop("failed", type(error).__name__, error.message, error.hint), send, time.monotonic())
        return await self._answer(
            query_id, order, {"statement": statement, "parameters": written, "access": order.access}, send
        )

    async def request(self, query_id: str, order: Order, asked: Mapping[str, Any], send: Send) -> Outcome:
        """Send one request to an API; see `model.Sessions`."""
        return await self._answer(query_id, order, {"request": dict(asked)}, send)

    async def ask(self, order: Order, question: str = "problems") -> dict[str, Any]:
        """
        Connect, and return what is known of the server and of the login: `server`, `problems` (as in `Engine.problems`).

        Of a failure: `error`, as the facts of an error frame.
        """
        facts: dict[str, Any] = {}

        async def take(data: bytes) -> None:
            for frame in wire.Decoder().feed(data):
                if frame.kind == wire.END:
                    facts.update(frame.facts())
                elif frame.kind == wire.ERROR:
                    facts["error"] = frame.facts()

        await self._answer(secrets.token_hex(8), order, {"ask": question}, take)
        return facts

    async def cancel(self, query_id: str, caller: str) -> bool:
        """Cancel what *caller* runs under that id; return whether there was any."""
        running = self._running.get((caller, query_id))
        if running is None:
            return False
        running.stop(CANCELLED)
        return True

    async def revoke(self, permitted: Callable[[Order], bool]) -> int:
        """End every session whose order is not permitted any more. What cannot be asked is not permitted."""
        self._revoked = (time.monotonic(), permitted)
        return await self._end(permitted, REVOKED)

    async def expire(self, vouched_for: Callable[[Order], bool]) -> int:
        """End every session for whose caller nobody vouches any more."""
        return await self._end(vouched_for, EXPIRED)

    async def _end(self, permitted: Callable[[Order], bool], why: Stop) -> int:
        known: dict[tuple[Any, ...], bool] = {}

        async def end_running(running: _Running) -> bool:
            if await still_permitted(running.order, permitted, known):
                return False
            running.stop(why)
            return True

        async def end_idle(worker: WorkerProcess) -> bool:
            if await still_permitted(worker.order, permitted, known) or worker not in self._pool.idle:
                return False
            self._pool.drop(worker)
            return True

        # Side by side: nobody's end waits for all others to be asked about.
        count = sum(await asyncio.gather(*(end_running(one) for one in self._running.values())))
        # Then those whose statement has ended meanwhile, too.
        return count + sum(await asyncio.gather(*(end_idle(worker) for worker in self._pool.idle)))

    async def close(self) -> None:
        """End all sessions and their processes."""
        for running in list(self._running.values()):
            running.stop(Stop("failed", "BrokerError", "the broker is being stopped", "run it again in a moment"))
        self._pool.close()
        for running in list(self._running.values()):
            await running.over.wait()
        await self._pool.closed()

    def pids(self) -> list[int]:
        """Return the process ids of the sessions, for the operator and for tests."""
        return self._pool.pids()

    async def _answer(self, query_id: str, order: Order, message: Mapping[str, Any], send: Send) -> Outcome:
        began = time.monotonic()
        if (order.caller, query_id) in self._running:
            return await ended(Stop("failed", "UsageError", "a statement of that id runs already"), send, began)
        running = self._running[order.caller, query_id] = _Running(order)
        sender = Sender(send)
        # From the beginning: also the start of a process may take longer than a reader's patience with silence.
        beat = asyncio.ensure_future(self._beat(sender))
        try:
            since, permitted = self._revoked
            if permitted is not None and began - since < _RECENT_S and not await still_permitted(running.order, permitted, {}):
                # It was taken away between the front's asking and this statement's being known here.
                return await ended(REVOKED, send, began)
            end = await self._end_of(order, message, running, sender)
            beat.cancel()
            return await self._told(end, sender, began)
        finally:
            beat.cancel()
            del self._running[order.caller, query_id]
            running.over.set()

    async def _end_of(
        self, order: Order, message: Mapping[str, Any], running: _Running, sender: Sender
    ) -> dict[str, Any] | Stop:
        """Have a statement answered; return how that ended, or what has ended it before."""
        work = asyncio.ensure_future(self._work(order, message, running, sender))
        both: set[asyncio.Future[Any]] = {work, running.stopped}
        try:
            await asyncio.wait(both, timeout=self._limits.query_s, return_when=asyncio.FIRST_COMPLETED)
            if running.stopped.done():
                return running.stopped.result()
            if work.done():
                return work.result()
            return Stop(
                *("limit", "LimitError", f"the statement took longer than {self._limits.query_s:,.0f} s and was ended"),
                "ask for less, or the broker's operator for more time",
            )
        finally:
            work.cancel()
            await asyncio.wait({work})

    async def _work(self, order: Order, message: Mapping[str, Any], running: _Running, sender: Sender) -> dict[str, Any] | Stop:
        worker = await self._pool.ask(order, message)
        if isinstance(worker, Stop):
            return worker
        finished = False
        try:
            end = await self._pump(worker, sender)
            finished = isinstance(end, dict)
            return end
        finally:
            # The database is told before the reader, who may be asleep.
            self._pool.release(worker, finished=finished, keep=not running.taken_back)

    @staticmethod
    async def _told(end: dict[str, Any] | Stop, sender: Sender, began: float) -> Outcome:
        if isinstance(end, dict):
            return Outcome(end["state"], sender.rows, sender.bytes, time.monotonic() - began, end["detail"])
        with contextlib.suppress(Exception):
            await asyncio.wait_for(sender.send(wire.error_frame(end.kind, end.message, end.hint)), _FAREWELL_S)
        return Outcome(end.state, sender.rows, sender.bytes, time.monotonic() - began, end.kind)

    async def _pump(self, worker: WorkerProcess, sender: Sender) -> dict[str, Any] | Stop:
        """Hand on the answer. Returns how it ended, or why it has to be ended."""
        detail = ""
        try:
            async for frame in worker.frames():
                if frame.kind == wire.ERROR:
                    return await hand_on_error(frame, sender)
                if frame.kind in {wire.ARROW, wire.BODY}:
                    sender.bytes += len(frame.data)
                    if sender.bytes > self._limits.result_bytes:
                        return Stop(
                            *("limit", "LimitError", f"the result is larger than {self._limits.result_bytes:,} bytes"),
                            "ask for fewer rows or columns",
                        )
                elif frame.kind == wire.END:
                    sender.rows, detail = frame.facts().get("rows", 0), str(frame.facts().get("detail", ""))
                await sender.send(wire.frame(*frame))
        except wire.WireError:
            worker.kill()
            return ended_by_itself(await worker.ended(), self._limits)
        except Exception as error:  # noqa: BLE001 - whatever the reader's connection raises: it is gone
            return Stop("cancelled", "CancelledError", f"the reader is gone ({type(error).__name__})")
        return {"state": "complete", "detail": detail}

    async def _beat(self, sender: Sender) -> None:
        began = time.monotonic()
        while True:
            await asyncio.sleep(self._limits.heartbeat_s)
            await sender.send_if_quiet(
                wire.facts_frame(wire.HEARTBEAT, {"seconds": round(time.monotonic() - began), "bytes": sender.bytes}),
                self._limits.heartbeat_s,
            )
