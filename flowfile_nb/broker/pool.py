"""Which processes there are, who has which, and who may have one more."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping
from typing import Any

from flowfile_nb.broker.answers import Stop, ended_by_itself
from flowfile_nb.broker.limits import Limits
from flowfile_nb.broker.model import Order
from flowfile_nb.broker.process import WorkerProcess, fingerprint
from flowfile_nb.core import wire


class Pool:
    """
    One process for each caller and connection; a second one while the first is busy.

    Belongs to one event loop.

    Args:
        limits: Of each process, each caller, and all.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._idle: list[WorkerProcess] = []
        self._busy: list[WorkerProcess] = []
        self._starting: dict[str, int] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._closed = False

    @property
    def idle(self) -> list[WorkerProcess]:
        """Those that run nothing, but may be used again by whom they are for."""
        return list(self._idle)

    def pids(self) -> list[int]:
        """Return the process ids of the sessions, for the operator and for tests."""
        return [worker.pid for worker in (*self._idle, *self._busy)]

    async def ask(self, order: Order, message: Mapping[str, Any]) -> WorkerProcess | Stop:
        """Return a process, marked as busy, that has got a statement; or why there is none."""
        while True:
            worker = await self._take(order)
            if isinstance(worker, Stop):
                return worker
            was_idle = worker.idle_since > 0
            try:
                await worker.ask(message)
                if was_idle:
                    # A process that hangs, and a database that is not heard of any more, are given up here.
                    await asyncio.wait_for(worker.taken(), self._limits.connect_s)
            except (OSError, wire.WireError, asyncio.TimeoutError):
                worker.kill()
                self._busy.remove(worker)
                status = await worker.ended()
                if not was_idle:
                    return ended_by_itself(status, self._limits)
                # It ended while it was idle, or hung, and never took up the statement.
            except BaseException:
                # Nobody waits for it any more.
                self.release(worker, finished=False, keep=False)
                raise
            else:
                return worker

    def close(self) -> None:
        """End all processes, and start no more."""
        self._closed = True
        for worker in (*self._idle, *self._busy):
            worker.kill()
            self._in_background(worker.ended())
        self._idle.clear()

    async def closed(self) -> None:
        """Return when all processes have ended: those that were killed earlier, too. None is left as a zombie."""
        while self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)
        self._busy.clear()

    async def _take(self, order: Order) -> WorkerProcess | Stop:
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
            self.drop(worker)
        if (refused := self._make_room(order)) is not None:
            return refused
        self._starting[order.caller] = self._starting.get(order.caller, 0) + 1
        try:
            worker = await WorkerProcess.start(order, self._limits)
        except OSError as error:
            # Of a program and a folder of the operator's own; nothing of the order is in it.
            logging.getLogger("flowfile_nb.broker").warning("no session could be started: %s", error)
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
            self.drop(mine[0])
        if len(self._busy) + sum(self._starting.values()) >= limits.sessions:
            return Stop("limit", "LimitError", "the broker runs as many statements as it may", "run it again in a moment")
        if len(self.pids()) + sum(self._starting.values()) >= limits.sessions:
            self.drop(self._idle[0])
        return None

    def drop(self, worker: WorkerProcess) -> None:
        """End a process that is idle."""
        self._idle.remove(worker)
        worker.kill()
        self._in_background(worker.ended())

    def release(self, worker: WorkerProcess, *, finished: bool, keep: bool) -> None:
        """Take back a process: whether its answer was read to the end, and whether its caller may use it again."""
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
            self.drop(worker)

    def _in_background(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
