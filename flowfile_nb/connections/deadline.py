"""A limit on opening, and a way out of it, where a driver has none: it waits in C, or its own limit is not for all of it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")

# The driver says better what was wrong, so its own limit comes first.
_GRACE_S = 0.5
_PIECE_S = 0.2


def within(limit_s: float, open_: Callable[[], T], close: Callable[[T], Any]) -> T:
    """
    Return what *open_* returns; it runs in a thread, so that an interrupt is heard and the limit holds whatever it does.

    Args:
        limit_s: How long to wait.
        open_: Opens something. What it raises is raised here.
        close: Is called with what was opened after nobody waited for it any more.

    Raises:
        TimeoutError: If it takes longer. The thread ends when *open_* does.
        KeyboardInterrupt: At once, if that comes.
    """
    opened: list[T] = []
    failed: list[BaseException] = []
    done, mutex = threading.Event(), threading.Lock()
    is_awaited = True

    def run() -> None:
        try:
            thing = open_()
        except BaseException as error:  # noqa: BLE001 - raised again by who waits
            failed.append(error)
            done.set()
            return
        with mutex:
            if is_awaited:
                opened.append(thing)
                done.set()
                return
        close(thing)

    end = time.monotonic() + limit_s + _GRACE_S
    try:
        # Starting waits, too, and can be interrupted.
        threading.Thread(target=run, name="flowfile_nb opens a connection", daemon=True).start()
        # In pieces: one interrupt can come just before the waiting begins, and on Windows none is heard during it.
        while not done.wait(_PIECE_S) and time.monotonic() < end:
            pass
    except BaseException:
        with mutex:
            is_awaited = False
        for thing in opened:
            close(thing)
        raise
    with mutex:
        is_awaited = done.is_set()
    if not is_awaited:
        raise TimeoutError("timed out")
    if failed:
        raise failed[0]
    return opened[0]
