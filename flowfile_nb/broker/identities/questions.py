"""
In which order those who vouch are asked about callers, so that nobody's worthless tokens make others wait.

Whoever vouches is asked anew for every request, several at a time. Three queues wait for that: of tokens that were recognised a
while ago, of places from which few were refused, and of places from which many just were; behind a proxy, all come from one
place. Each takes turns among its tokens or places, and takes so many of one and no more. That a token was recognised before
says when it is asked about again, never what the answer is.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import secrets
import time
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import NamedTuple

from flowfile_nb.errors import LimitError

AT_ONCE = 10
_OF_NEW = 8
"""The rest is kept for tokens that were recognised before."""
_OF_SUSPECTS = 2
_PER_TOKEN = 256
_PER_PLACE = 1024
PER_SUSPECT = 64
FORGIVEN = 5
"""Refusals within `_SUSPECT_S` that make no place suspect: a token runs out while its owner works."""
_SUSPECT_S = 10.0
_WAIT_S = 10.0
_KNOWN_S = 3600.0
_KEPT = 10_000
"""Of how many tokens, and places, is remembered what became of them."""


class _Turn(NamedTuple):
    """One request that waits: what it stands under in its queue, and what is fulfilled with the queue when it is its turn."""

    key: object
    begins: asyncio.Future[_Queue]


class _Queue:
    """
    Requests that wait, by token or place.

    Args:
        per_key: How many may wait of one.
        at_once: How many of the queue's may be asked about at the same time.
    """

    def __init__(self, per_key: int, at_once: int) -> None:
        self.per_key, self.at_once = per_key, at_once
        self.running = 0
        self.waiting: OrderedDict[object, deque[_Turn]] = OrderedDict()

    def add(self, turn: _Turn) -> None:
        """Let a request wait. Raises LimitError if too many of its kind do."""
        waiting = self.waiting.setdefault(turn.key, deque())
        if len(waiting) >= self.per_key:
            raise _too_many()
        waiting.append(turn)

    def next(self) -> _Turn | None:
        """Take out the next one, of another token or place than the last; None if there is none, or none may begin."""
        if not self.waiting or self.running >= self.at_once:
            return None
        key, waiting = next(iter(self.waiting.items()))
        turn = waiting.popleft()
        if waiting:
            self.waiting.move_to_end(key)
        else:
            del self.waiting[key]
        return turn

    def remove(self, turn: _Turn) -> None:
        """Forget one that does not wait any more."""
        waiting = self.waiting.get(turn.key, deque())
        with suppress(ValueError):
            waiting.remove(turn)
        if not waiting:
            self.waiting.pop(turn.key, None)


class Questions:
    """
    Who is asked about next. Belongs to one event loop at a time.

    Args:
        now: A clock, in seconds.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._key = secrets.token_bytes(32)
        self._recognised: OrderedDict[bytes, float] = OrderedDict()
        self._refused: OrderedDict[str, deque[float]] = OrderedDict()
        self._known = _Queue(_PER_TOKEN, AT_ONCE)
        self._new = _Queue(_PER_PLACE, _OF_NEW)
        self._suspect = _Queue(PER_SUSPECT, _OF_SUSPECTS)

    def __repr__(self) -> str:
        return "<Questions>"

    @asynccontextmanager
    async def turn(self, place: str, token: str) -> AsyncIterator[None]:
        """
        Wait until whoever vouches may be asked about a token; within, he is asked.

        Args:
            place: Where the request comes from (`guests.place_of`).
            token: What it comes with. It is not kept.

        Raises:
            LimitError: If too many wait already from there, or the turn does not come.
        """
        queue = await self._begun(place, self._print(token))
        try:
            yield
        finally:
            queue.running -= 1
            self._begin_next()

    def recognise(self, token: str) -> None:
        """Take in that a token was good: the next request with it does not wait behind strangers'."""
        known = self._print(token)
        self._recognised[known] = self._now()
        self._recognised.move_to_end(known)
        while len(self._recognised) > _KEPT:
            self._recognised.popitem(last=False)

    def refuse(self, place: str, token: str) -> None:
        """Take in that a token was not good, and where it came from."""
        self._recognised.pop(self._print(token), None)
        self._refused.setdefault(place, deque(maxlen=FORGIVEN + 1)).append(self._now())
        self._refused.move_to_end(place)
        while len(self._refused) > _KEPT:
            self._refused.popitem(last=False)
        if self._is_suspect(place):
            self._put_back(place)

    def _is_suspect(self, place: str) -> bool:
        times = self._refused.get(place)
        return times is not None and len(times) > FORGIVEN and self._now() - times[0] < _SUSPECT_S

    def _put_back(self, place: str) -> None:
        """Have those that wait behind others, from a place that has become suspect; too many of them no longer wait."""
        for turn in self._new.waiting.pop(place, ()):
            try:
                self._suspect.add(turn)
            except LimitError as error:
                if not turn.begins.done():
                    turn.begins.set_exception(error)

    async def _begun(self, place: str, token: bytes) -> _Queue:
        begins: asyncio.Future[_Queue] = asyncio.get_running_loop().create_future()
        if self._now() - self._recognised.get(token, float("-inf")) < _KNOWN_S:
            turn = _Turn(token, begins)
            self._known.add(turn)
        else:
            turn = _Turn(place, begins)
            (self._suspect if self._is_suspect(place) else self._new).add(turn)
        self._begin_next()
        try:
            await asyncio.wait({begins}, timeout=_WAIT_S)
        except BaseException:
            self._leave(turn)
            raise
        if not begins.done():
            self._leave(turn)
            raise _too_many()
        return begins.result()

    def _leave(self, turn: _Turn) -> None:
        """Give up a turn that nobody waits for any more, whether it has begun or not."""
        begins = turn.begins
        if begins.done() and not begins.cancelled() and begins.exception() is None:
            begins.result().running -= 1
            self._begin_next()
            return
        begins.cancel()
        for queue in (self._known, self._new, self._suspect):
            queue.remove(turn)

    def _begin_next(self) -> None:
        queues = (self._known, self._new, self._suspect)
        while sum(queue.running for queue in queues) < AT_ONCE:
            for queue in queues:
                turn = queue.next()
                if turn is not None:
                    break
            else:
                return
            queue.running += 1
            turn.begins.set_result(queue)

    def _print(self, token: str) -> bytes:
        return hmac.digest(self._key, token.encode(), hashlib.sha256)


def _too_many() -> LimitError:
    return LimitError(
        "too many callers whom the broker does not know yet wait to be recognised", hint="try again in a few seconds"
    )
