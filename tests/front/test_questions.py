"""In which order the Hub is asked about those who call: each place by turns, and nobody who has left."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from flowfile_nb.broker.identities import questions as module
from flowfile_nb.broker.identities.questions import FORGIVEN, PER_SUSPECT, Questions
from flowfile_nb.errors import LimitError

_NEW_AT_ONCE = 8


class Asker:
    """Asks about tokens, and holds each question until it is told to let it go."""

    def __init__(self) -> None:
        self.clock = 0.0
        self.questions = Questions(lambda: self.clock)
        self.begun: list[str] = []
        self._held: dict[str, asyncio.Event] = {}

    async def ask(self, place: str, token: str) -> None:
        """Ask about one."""
        self._held[token] = asyncio.Event()
        async with self.questions.turn(place, token):
            self.begun.append(token)
            await self._held[token].wait()

    async def begin(self, place: str, *tokens: str) -> list[asyncio.Task[None]]:
        """Have them wait; return when each waits, or has its turn."""
        tasks = [asyncio.ensure_future(self.ask(place, token)) for token in tokens]
        await settled()
        return tasks

    async def end(self, token: str) -> None:
        """Let one question go."""
        self._held[token].set()
        await settled()

    async def end_all(self, *tasks: asyncio.Task[None]) -> None:
        """Let all go, also those whose turn comes by that."""
        while not all(task.done() for task in tasks):
            for held in self._held.values():
                held.set()
            await settled()


async def settled() -> None:
    """Let the loop do what it has to do now."""
    for _ in range(10):
        await asyncio.sleep(0)


def done(work: Coroutine[Any, Any, None]) -> None:
    """Run a test's coroutine."""
    asyncio.run(work)


def test_places_take_turns() -> None:
    """Who is alone at his address waits for one of those of a crowd, not for all of them."""

    async def run() -> None:
        asker = Asker()
        crowd = await asker.begin("crowd", *(f"crowd {number}" for number in range(20)))
        single = await asker.begin("single", "single")
        assert len(asker.begun) == _NEW_AT_ONCE

        await asker.end("crowd 0")
        await asker.end("crowd 1")

        assert "single" in asker.begun
        await asker.end_all(*crowd, *single)

    done(run())


def test_who_has_left_is_not_asked_about() -> None:
    """Whether his turn had come or not, the next one gets it."""

    async def run() -> None:
        asker = Asker()
        tasks = await asker.begin("crowd", *map(str, range(_NEW_AT_ONCE + 3)))
        for number in (_NEW_AT_ONCE, 0):
            tasks[number].cancel()
        await settled()

        assert asker.begun == [*map(str, range(_NEW_AT_ONCE)), str(_NEW_AT_ONCE + 1)]
        await asker.end_all(*tasks)
        assert asker.begun[-1] == str(_NEW_AT_ONCE + 2)

    done(run())


def test_a_place_is_suspect_for_a_while() -> None:
    """A few refusals are forgiven; after more, who waits there waits behind others, and some are turned away; not for ever."""

    async def run() -> None:
        asker = Asker()
        for _ in range(FORGIVEN):
            asker.questions.refuse("here", "worthless")
        tasks = await asker.begin("here", *map(str, range(_NEW_AT_ONCE + PER_SUSPECT + 5)))
        assert len(asker.begun) == _NEW_AT_ONCE

        asker.questions.refuse("here", "worthless")
        await settled()
        turned_away = [task.exception() for task in tasks if task.done()]
        await asker.end_all(*tasks)
        asker.clock = 10.0
        again = await asker.begin("here", *map(str, range(_NEW_AT_ONCE)))

        assert [type(error) for error in turned_away] == [LimitError] * 5
        assert asker.begun[-_NEW_AT_ONCE:] == [*map(str, range(_NEW_AT_ONCE))]
        await asker.end_all(*again)

    done(run())


def test_a_token_that_was_refused_is_known_no_more() -> None:
    """Only who is known still goes before those who wait."""

    async def run() -> None:
        asker = Asker()
        for token in ("good", "taken back"):
            asker.questions.recognise(token)
        asker.questions.refuse("elsewhere", "taken back")
        tasks = await asker.begin("here", *map(str, range(20)))

        tasks += await asker.begin("here", "good", "taken back")

        assert asker.begun[_NEW_AT_ONCE:] == ["good"]
        await asker.end_all(*tasks)

    done(run())


def test_a_turn_that_does_not_come(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for ever, and who has given up takes no place."""

    async def run() -> None:
        asker = Asker()
        held = await asker.begin("here", *map(str, range(_NEW_AT_ONCE)))
        monkeypatch.setattr(module, "_WAIT_S", 0)

        with pytest.raises(LimitError) as late:
            await asker.ask("here", "late")

        assert "try again" in late.value.hint
        await asker.end_all(*held)
        assert "late" not in asker.begun

    done(run())
