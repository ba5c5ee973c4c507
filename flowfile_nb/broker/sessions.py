"""The workers: who has which, what runs in them, and how it ends."""

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
from flowfile_nb.broker.process import WorkerProcess, fingerprint
from flowfile_nb.broker.watching import still_permitted
from flowfile_nb.core import wire
from flowfile_nb.core.parameters import to_json
from flowfile_nb.errors import FlowfileNbError

# An order that was permitted longer ago than this, and still has not begun, does not come from a living front.
_RECENT_S = 60
_FAREWELL_S = 1.0


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
    One process for each caller and connection; a second one while the first is busy.

    Belongs to one event loop.

    Args:
        limits: Of each session and statement.
    """

    def __init__(self, limits: Limits | None = None) -> None:
        self._limits = limits or Limits()
        self._idle: list[WorkerProcess] = []
        self._busy: list[WorkerProcess] = []
        self._running: dict[tuple[str, str], _Running] = {}
        self._starting: dict[str, int] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._revoked: tuple[float, Callable[[Order], bool] | None] = (-_RECENT_S, None)
        self._closed = False

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
            stop = Stop("limit", "LimitError", f"a statement holds {self._limits.statement_bytes:,} bytes at most")
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
        count = 0
        for running in list(self._running.values()):
            if not await still_permitted(running.order, permitted, known):
                running.stop(why)
                count += 1
        for worker in list(self._idle):
            if not await still_permitted(worker.order, permitted, known) and worker in self._idle:
                self._drop(worker)
                count += 1
        return count

    async def close(self) -> None:
        """End all sessions and their processes."""
        self._closed = True
        for running in list(self._running.values()):
            running.stop(Stop("failed", "BrokerError", "the broker is being stopped", "run it again in a moment"))
        workers = [*self._idle, *self._busy]
        for worker in workers:
            worker.kill()
        self._idle.clear()
        for running in list(self._running.values()):
            await running.over.wait()
        # Those that were killed earlier, too: none is left behind, and none is a zombie.
        await asyncio.gather(*(worker.ended() for worker in workers), *self._tasks, return_exceptions=True)
        self._busy.clear()

    def pids(self) -> list[int]:
        """Return the process ids of the sessions, for the operator and for tests."""
        return [worker.pid for worker in (*self._idle, *self._busy)]

    async def _answer(self, query_id: str, order: Order, message: Mapping[str, Any], send: Send) -> Outcome:
        began = time.monotonic()
        if (order.caller, query_id) in self._running:
            return await ended(Stop("failed", "UsageError", "a statement of that id runs already"), send, began)
        running = self._running[order.caller, query_id] = _Running(order)
        try:
            since, permitted = self._revoked
            if permitted is not None and began - since < _RECENT_S and not await still_permitted(running.order, permitted, {}):
                # It was taken away between the front's asking and this statement's being known here.
                return await ended(REVOKED, send, began)
            worker = await self._asked(order, message)
            if isinstance(worker, Stop):
                return await ended(worker, send, began)
            return await self._run_in(worker, running, Sender(send), began)
        finally:
            del self._running[order.caller, query_id]
            running.over.set()

    async def _asked(self, order: Order, message: Mapping[str, Any]) -> WorkerProcess | Stop:
        """Return a session that has got the statement."""
        while True:
            worker = await self._worker(order)
            if isinstance(worker, Stop):
                return worker
            was_idle = worker.idle_since > 0
            try:
                await worker.ask(message)
                if was_idle:
                    await worker.taken()
            except (OSError, wire.WireError):
                worker.kill()
                self._busy.remove(worker)
                status = await worker.ended()
                if not was_idle:
                    return ended_by_itself(status, self._limits)
                # It ended while it was idle, and never took up the statement.
            else:
                return worker

    async def _worker(self, order: Order) -> WorkerProcess | Stop:
        """Return a session of the caller for the target, marked as busy: an idle one, else a new one within the limits."""
        wanted = fingerprint(order)
        for worker in list(self._idle):
            if worker.order[:3] != order[:3]:
                continue
            if worker.alive and worker.fingerprint == wanted:
                self._idle.remove(worker)
                worker.order = order._replace(value="")
                self._busy.append(worker)
                return worker
            self._drop(worker)
        if (refused := self._make_room(order)) is not None:
            return refused
        self._starting[order.caller] = self._starting.get(order.caller, 0) + 1
        try:
            worker = await WorkerProcess.start(order, self._limits)
        except OSError as error:
            return Stop(
                "failed", "BrokerError", f"the broker cannot start a session ({type(error).__name__})", "tell its operator"
            )
        finally:
            self._starting[order.caller] -= 1
        self._busy.append(worker)
        return worker

    def _make_room(self, order: Order) -> Stop | None:
        limits, caller = self._limits, order.caller
        if self._closed:
            return Stop("failed", "BrokerError", "the broker is being stopped", "run it again in a moment")
        busy = sum(worker.order.caller == caller for worker in self._busy) + self._starting.get(caller, 0)
        if busy >= limits.sessions_per_caller:
            return Stop(
                *("limit", "LimitError", f"{busy} statements of yours are running; there may be {limits.sessions_per_caller}"),
                "close results that you do not read to their end, or wait",
            )
        mine = [worker for worker in self._idle if worker.order.caller == caller]
        if busy + len(mine) >= limits.sessions_per_caller:
            self._drop(mine[0])
        if len(self._busy) + sum(self._starting.values()) >= limits.sessions:
            return Stop("limit", "LimitError", "the broker runs as many statements as it may", "run it again in a moment")
        if len(self.pids()) + sum(self._starting.values()) >= limits.sessions:
            self._drop(self._idle[0])
        return None

    def _drop(self, worker: WorkerProcess) -> None:
        self._idle.remove(worker)
        worker.kill()
        self._in_background(worker.ended())

    async def _run_in(self, worker: WorkerProcess, running: _Running, sender: Sender, began: float) -> Outcome:
        pump = asyncio.ensure_future(self._pump(worker, sender))
        beat = asyncio.ensure_future(self._beat(sender))
        finished = False
        try:
            both: set[asyncio.Future[Any]] = {pump, running.stopped}
            await asyncio.wait(both, timeout=self._limits.query_s, return_when=asyncio.FIRST_COMPLETED)
            if pump.done() and not running.stopped.done():
                end = pump.result()
                finished = isinstance(end, dict)
            elif running.stopped.done():
                end = running.stopped.result()
            else:
                end = Stop(
                    *("limit", "LimitError", f"the statement took longer than {self._limits.query_s:,.0f} s and was ended"),
                    "ask for less, or the broker's operator for more time",
                )
            beat.cancel()
            return await self._tell_end(end, pump, sender, began)
        finally:
            pump.cancel()
            beat.cancel()
            self._release(worker, finished=finished, keep=not running.taken_back)

    async def _tell_end(self, end: Any, pump: asyncio.Future[Any], sender: Sender, began: float) -> Outcome:
        if isinstance(end, dict):
            return Outcome(end["state"], sender.rows, sender.bytes, time.monotonic() - began, end["detail"])
        pump.cancel()
        await asyncio.wait({pump})
        with contextlib.suppress(Exception):
            # A reader that sleeps gets no more than this second: the revocation must not wait for it.
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

    def _release(self, worker: WorkerProcess, *, finished: bool, keep: bool) -> None:
        if finished and worker.alive and keep and not self._closed:
            self._keep(worker)
        else:
            self._in_background(self._wind_up(worker, keep=keep))

    async def _wind_up(self, worker: WorkerProcess, *, keep: bool) -> None:
        """Have a statement cancelled that nobody waits for any more."""
        of_use = await worker.stop(self._limits.cancel_s)
        if of_use and keep and not self._closed:
            self._keep(worker)
            return
        worker.kill()
        await worker.ended()
        if worker in self._busy:
            self._busy.remove(worker)

    def _keep(self, worker: WorkerProcess) -> None:
        self._busy.remove(worker)
        worker.idle_since = time.monotonic()
        self._idle.append(worker)
        asyncio.get_running_loop().call_later(self._limits.idle_s, self._end_if_idle, worker, worker.idle_since)

    def _end_if_idle(self, worker: WorkerProcess, since: float) -> None:
        if worker in self._idle and worker.idle_since == since:
            self._drop(worker)

    def _in_background(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
