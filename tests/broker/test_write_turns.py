"""Who writes next: in the order in which they asked, and what takes something back before the others."""

from __future__ import annotations

import threading

import pytest

from flowfile_nb.broker.write_turns import WriteTurns
from tests.support.processes import until


def served(asked: list[bool]) -> list[int]:
    """Have threads ask for a turn one after the other while it is taken, each with its `first`; return who got it when."""
    turns, order = WriteTurns(), list[int]()
    threads = []

    def take(number: int) -> None:
        with turns.turn(first=asked[number]):
            order.append(number)

    with turns.turn():
        for number in range(len(asked)):
            threads.append(threading.Thread(target=take, args=(number,)))
            threads[-1].start()
            until(lambda: turns.waiting == len(threads))
        assert order == []
    for thread in threads:
        thread.join(10)
    return order


def test_turns_come_in_the_order_in_which_they_were_asked_for() -> None:
    """Nobody is overtaken by who has come later."""
    assert served([False] * 5) == [0, 1, 2, 3, 4]


def test_what_goes_first_goes_before_all_who_wait() -> None:
    """Whoever waited before it waits for one more."""
    assert served([False, False, False, True]) == [3, 0, 1, 2]


def test_nobody_waits_for_ever_behind_those_who_go_first() -> None:
    """After each of them one of the others has a turn."""
    assert served([True, True, True, False, False]) == [0, 3, 1, 4, 2]


def test_a_turn_ends_with_an_error_too() -> None:
    """Whoever fails while it is his turn leaves it to the next."""
    turns = WriteTurns()

    with pytest.raises(ZeroDivisionError), turns.turn():
        _ = 1 / 0

    with turns.turn():
        assert turns.waiting == 0
