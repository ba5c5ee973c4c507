"""What runs now, by whom: so that it ends when it is not allowed any more."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Protocol

from flowfile_nb.broker.model import Caller, Order, Sessions
from flowfile_nb.broker.threads import on_watch
from flowfile_nb.errors import BrokerError

_log = logging.getLogger("flowfile_nb.broker")
_ASK_HUB_EVERY_S = 0.5
_LOOK_AT_CLOCK_EVERY_S = 0.25


class Watched(Protocol):
    """What is asked of `Team`."""

    def subscribe(self, callback: Callable[[], None]) -> None:
        """Call *callback* whenever what is allowed may have changed."""

    def permitted(self, order: Order) -> bool:
        """Return whether what was permitted still is."""

    def vouched_for(self, order: Order) -> bool:
        """Return whether the time has not run out for which somebody vouches for an order's caller."""

    def has_ended(self, caller: Caller) -> bool:
        """Return whether the time has run out for which somebody vouches for a caller."""

    def observe(self, name: str, vouched_by: str, caller: Caller | None) -> None:
        """Take in what whoever vouches says of a caller now."""


class Hub(Protocol):
    """What is asked of `HubIdentity`."""

    async def now(self, name: str) -> Caller | None:
        """Return a user as the Hub has him now."""


class Running:
    """
    The callers whose statements run, and the ways by which these end early.

    The store changes, the Hub's groups do, or a token runs out.

    Args:
        team: Says what is permitted.
        sessions: Runs, and cuts.
        hub: Asked for the groups of those who run something; None where nobody is to be asked.
        every_s: How often.
    """

    def __init__(self, team: Watched, sessions: Sessions, hub: Hub | None = None, every_s: float = _ASK_HUB_EVERY_S) -> None:
        self._team = team
        self._sessions = sessions
        self._hub = hub
        self._every_s = every_s
        self._callers: Counter[str] = Counter()
        self._for_a_time: Counter[Caller] = Counter()
        self._changed = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin to watch; within the loop that runs the sessions."""
        loop = asyncio.get_running_loop()

        def changed() -> None:
            # From the thread that hears of the store's changes, which may outlive the loop.
            if not loop.is_closed():
                loop.call_soon_threadsafe(self._changed.set)

        self._team.subscribe(changed)
        self._tasks = [loop.create_task(self._again_and_again(look)) for look in (self._follow_store, self._follow_clock)]
        if self._hub is not None:
            self._tasks.append(loop.create_task(self._again_and_again(partial(self._follow_hub, self._hub))))

    async def stop(self) -> None:
        """Watch no longer."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @contextmanager
    def by(self, caller: Caller) -> Iterator[None]:
        """Count what happens within as a statement of the caller's."""
        name = caller.name if caller.vouched_by == "hub" else ""
        self._callers[name] += 1
        if caller.ends_at is not None:
            self._for_a_time[caller] += 1
        try:
            yield
        finally:
            self._callers[name] -= 1
            self._for_a_time[caller] -= 1
            self._for_a_time += Counter()

    async def _again_and_again(self, look: Callable[[], Awaitable[None]]) -> None:
        """Look for ever. What goes wrong in that ends all that runs: whether it may go on cannot be known then."""
        while True:
            try:
                await look()
            except Exception as error:  # noqa: BLE001 - a watch that is over would leave every revocation unheard
                _log.error("what was taken back cannot be followed (%s); all that runs is ended", type(error).__name__)
                await self._end_all()

    async def _end_all(self) -> None:
        try:
            await self._sessions.revoke(_nothing)
        except Exception as error:  # noqa: BLE001 - the next look tries again
            _log.error("what runs could not be ended (%s)", type(error).__name__)

    async def _follow_store(self) -> None:
        await self._changed.wait()
        self._changed.clear()
        await self._sessions.revoke(self._team.permitted)

    async def _follow_clock(self) -> None:
        # Looked at instead of waited for: the host's clock may be set, and a newer token may hold longer.
        await asyncio.sleep(_LOOK_AT_CLOCK_EVERY_S)
        if any(self._team.has_ended(caller) for caller in self._for_a_time):
            await self._sessions.expire(self._team.vouched_for)

    async def _follow_hub(self, hub: Hub) -> None:
        await asyncio.sleep(self._every_s)
        await asyncio.gather(*(self._look_after(hub, name) for name in +self._callers if name))

    async def _look_after(self, hub: Hub, name: str) -> None:
        try:
            now = await hub.now(name)
        except BrokerError:
            # For longer than the grace nobody vouches any more.
            now = None
        except SilentError:
            return
        await on_watch(self._team.observe, name, "hub", now)


def _nothing(order: Order) -> bool:
    return False


class SilentError(Exception):
    """Whoever vouches says nothing, and has not for long: what runs may go on."""
