"""Sessions of the broker without its web front: in an event loop of their own, asked from the test's thread."""

from __future__ import annotations

import asyncio
import itertools
import queue
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple, TypeVar

import pyarrow as pa

from flowfile_nb.broker.limits import Limits
from flowfile_nb.broker.model import Access, Order, Outcome, Target
from flowfile_nb.broker.sessions import Sessions
from flowfile_nb.core import wire
from flowfile_nb.core.parameters import from_json
from notebooks.throwaway import Postgres

T = TypeVar("T")
OnFrame = Callable[[wire.Frame], Any]


def order_for(server: Postgres, access: Access = "read", caller: str = "bob", **changes: Any) -> Order:
    """
    Return what the policy hands on when *caller* uses a connection of his own.

    Of his own, as the login of these tests is a superuser, which is not lent.
    """
    target = Target("postgresql", server.host, server.port, server.database, server.user, "")
    return Order(caller, caller, "warehouse", "grant 1", target, server.password, access)._replace(**changes)


class Answer(NamedTuple):
    """What a reader got, and what the audit gets."""

    outcome: Outcome
    frames: list[wire.Frame]

    @property
    def last(self) -> dict[str, Any]:
        """What the last frame says."""
        return self.frames[-1].facts()

    @property
    def table(self) -> Any:
        """The rows, as an Arrow table; an error is raised as what it is."""
        assert self.frames[-1].kind == wire.END, self.last
        return pa.ipc.open_stream(b"".join(one.data for one in self.frames if one.kind == wire.ARROW)).read_all()

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The rows."""
        return list(self.table.to_pylist())


class Broker:
    """Sessions in a thread's event loop."""

    def __init__(self, limits: Limits) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self._thread.start()
        self.sessions: Sessions = self.do(_made(limits))
        self._ids = itertools.count()

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine in the loop, and return what it returns."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(120)

    def ask(self, order: Order, statement: str, parameters: Any = None, query_id: str = "") -> Answer:
        """Run one statement to its end."""
        return self.begin(order, statement, parameters, query_id)()

    def begin(
        self,
        order: Order,
        statement: str,
        parameters: Any = None,
        query_id: str = "",
        on_frame: OnFrame = id,
        *,
        keep: bool = True,
    ) -> Callable[[], Answer]:
        """
        Start one statement; what is returned waits for its end.

        *on_frame* runs in the loop, and may be a coroutine. Without *keep* only the last frame is kept.
        """

        async def run() -> Answer:
            decoder = wire.Decoder()
            frames: list[wire.Frame] = []

            async def take(data: bytes) -> None:
                for one in decoder.feed(data):
                    if not keep:
                        frames.clear()
                    frames.append(one)
                    waited = on_frame(one)
                    if asyncio.iscoroutine(waited):
                        await waited

            outcome = await self.sessions.run(query_id or f"q{next(self._ids)}", order, statement, parameters, take)
            return Answer(outcome, frames)

        future = asyncio.run_coroutine_threadsafe(run(), self.loop)
        return lambda: future.result(120)

    def stop(self) -> None:
        """End all."""
        self.do(self.sessions.close())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()


class DirectCall:
    """The client's `QueryCall` without HTTP: straight to the sessions, through JSON as the real one."""

    def __init__(self, broker: Broker, order: Order) -> None:
        self.broker, self.order = broker, order
        self.bodies: list[dict[str, Any]] = []

    def open(self, body: dict[str, Any]) -> Iterator[bytes]:
        """Run a statement; its answer's bytes come as they are read, a few at a time."""
        self.bodies.append(body)
        pieces: queue.Queue[bytes | None] = queue.Queue(maxsize=16)
        gone = threading.Event()

        async def send(data: bytes) -> None:
            while pieces.full():
                if gone.is_set():
                    raise ConnectionResetError
                await asyncio.sleep(0.002)
            pieces.put_nowait(data)

        async def run() -> None:
            parameters = from_json(body["parameters"])
            await self.broker.sessions.run(body["id"], self.order, body["statement"], parameters, send)
            while pieces.full() and not gone.is_set():
                await asyncio.sleep(0.002)
            if not gone.is_set():
                pieces.put_nowait(None)

        future = asyncio.run_coroutine_threadsafe(run(), self.broker.loop)
        try:
            while (piece := pieces.get(timeout=60)) is not None:
                yield piece
        finally:
            gone.set()
            future.result(60)

    def cancel(self, query_id: str) -> bool:
        """Cancel what runs."""
        return self.broker.do(self.broker.sessions.cancel(query_id, self.order.caller))


@contextmanager
def running_broker(limits: Limits | None = None) -> Iterator[Broker]:
    """Sessions that are ended when the block is left."""
    broker = Broker(limits or Limits())
    try:
        yield broker
    finally:
        broker.stop()


async def _made(limits: Limits) -> Sessions:
    return Sessions(limits)
