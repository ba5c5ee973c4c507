"""Saying in a notebook what a cell waits for, once that takes long enough to wonder."""

from __future__ import annotations

import os
from _thread import allocate_lock, start_new_thread
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic, sleep

_AFTER_S = 1.0


class _Watcher:
    """
    A thread that looks when something may have to be said, and ends when nothing is waited for.

    One for what is opened or asked within a second: to start one, and to wake it at the end, is a fiftieth of the time that
    opening a database nearby takes.
    """

    def __init__(self) -> None:
        self._mutex = allocate_lock()
        self._is_watching = False
        self._unsaid: dict[object, tuple[float, str]] = {}

    def begin(self, key: object, target: str) -> None:
        with self._mutex:
            self._unsaid[key] = monotonic() + _AFTER_S, target
            if not self._is_watching:
                start_new_thread(self._watch, ())
                self._is_watching = True

    def end(self, key: object) -> None:
        with self._mutex:
            self._unsaid.pop(key, None)

    def _watch(self) -> None:
        pause = _AFTER_S
        while pause > 0:
            sleep(pause)
            with self._mutex:
                now = monotonic()
                due = [key for key, (at, _) in self._unsaid.items() if at <= now]
                targets = [self._unsaid.pop(key)[1] for key in due]
                pause = min((at for at, _ in self._unsaid.values()), default=now) - now
                self._is_watching = pause > 0
            for target in targets:
                print(f"Waiting for {target}   (to stop: interrupt the kernel)", flush=True)


_watcher = _Watcher()


@contextmanager
def said_if_slow(target: str) -> Iterator[None]:
    """
    Print what is waited for, and the way out, if the block takes more than a second.

    Args:
        target: What it is, without values.
    """
    key, watcher = object(), _watcher
    watcher.begin(key, target)
    try:
        yield
    finally:
        watcher.end(key)


def _begin_anew() -> None:
    global _watcher  # noqa: PLW0603 - the thread is the parent's
    _watcher = _Watcher()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew)
