"""
Trying connections out beside what the kernel does: each in a thread of its own, so that nothing waits for a silent server.

A driver that waits cannot be stopped from outside. It ends by itself, within the time that opening may take; a trial that was
given up is not heard of again.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextvars import copy_context
from itertools import count

from flowfile_nb.connecting import open_definition
from flowfile_nb.connections.definition import Definition
from flowfile_nb.errors import FlowfileNbError

Tell = Callable[[int, dict[str, str]], None]


class Trials:
    """
    The trials of one panel.

    Args:
        tell: Called once for each trial that was not given up, in its thread: with `text`, or with `message` and `hint`.
    """

    def __init__(self, tell: Tell) -> None:
        self._tell = tell
        self._numbers = count(1)
        self._waited_for: set[int] = set()
        self._mutex = threading.Lock()

    def begin(self, definition: Definition) -> int:
        """Begin to open a connection and to close it again; return the trial's number."""
        number = next(self._numbers)
        self._waited_for.add(number)
        # In the context of the question, which is what the kernel sends the answer as a reply to.
        run = copy_context().run
        threading.Thread(
            target=run, args=(self._try, number, definition), name=f"trial of a connection {number}", daemon=True
        ).start()
        return number

    def give_up(self, number: int) -> None:
        """Do not wait for a trial any longer."""
        with self._mutex:
            self._waited_for.discard(number)

    def _try(self, number: int, definition: Definition) -> None:
        said = _outcome(definition)
        with self._mutex:
            waited_for = number in self._waited_for
            self._waited_for.discard(number)
        if waited_for:
            self._tell(number, said)


def _outcome(definition: Definition) -> dict[str, str]:
    start = time.perf_counter()
    try:
        connection = open_definition(definition)
        took_s = time.perf_counter() - start
        did, why = connection.untried or ("Connected to", "")
        place = f"{connection.target} ({why})" if why else connection.target
        text = f"{did} {place} in {took_s:.1f} s. {connection.note}".rstrip()
        connection.close()
    except FlowfileNbError as error:
        return {"message": error.message, "hint": error.hint}
    except Exception as error:  # noqa: BLE001 - whatever a third party's family raises: its text can hold anything
        return {"message": f"That did not work: {type(error).__name__}.", "hint": "%secret doctor"}
    return {"text": text}
