"""
What a kernel's processes write to file descriptors 1 and 2, masked on its way into the server's own log.

ipykernel shows such output in the notebook, and echoes the bytes to where the kernel's own stdout and stderr lead: the terminal
or the log of the server. It has a descriptor for that, whose number others have as well: a stream's `fileno()`, the handler of
the kernel's own log. So a pipe is put under this number, and whoever has it writes into that, since whenever he has it.
"""

from __future__ import annotations

import atexit
import os
import select
import threading
from _thread import start_new_thread
from contextlib import suppress
from typing import Any

from flowfile_nb.core.redaction import Redactor
from flowfile_nb.core.streams import ByteMasker
from flowfile_nb.notebook.messages import WITHHELD
from flowfile_nb.notebook.output_hook import MOMENT_S, SHORT_CHARACTERS

_READ_BYTES = 65536
_ATTRIBUTE = "_original_stdstream_copy"
_MARK = "_flowfile_nb_echo"


class Echo:
    """
    A pipe before the place to which one of ipykernel's streams echoes.

    Args:
        stream: An `ipykernel.iostream.OutStream`.
        redactor: The values to mask.
    """

    def __init__(self, stream: Any, redactor: Redactor) -> None:
        self._stream = stream
        # Bytes: a piece may end inside of a character.
        self._masker = ByteMasker(redactor)
        self._number: int = getattr(stream, _ATTRIBUTE)
        self._log = os.dup(self._number)
        self._read, self._write = os.pipe()
        self._asked, self._ask = os.pipe()
        self._passed_on = threading.Event()
        self._process = os.getpid()

    @staticmethod
    def of(stream: Any, redactor: Redactor) -> Echo | None:
        """Return the echo of a stream, not yet installed, or None where it has none, or has one already."""
        # What stands in a stream's place may hand on all that it is asked for, and keeps to itself what is set.
        own = getattr(stream, "__dict__", {})
        return Echo(stream, redactor) if isinstance(own.get(_ATTRIBUTE), int) and _MARK not in own else None

    def install(self) -> None:
        """Put the pipe in."""
        # Not a `Thread`: starting one waits until it runs, and whoever reads the first value waits for two.
        start_new_thread(self._pump, ())
        os.dup2(self._write, self._number, inheritable=False)
        os.close(self._write)
        setattr(self._stream, _MARK, True)
        # The last that a kernel writes is for the log, too, and no thread passes it on any more. What runs at the exit and was
        # registered before the first value comes after this, and writes there itself.
        atexit.register(self.uninstall)

    def uninstall(self) -> None:
        """Put back what was there, and wait until all that was written has gone through."""
        if self._process != os.getpid():
            # A forked child that exits: the pipe is its parent's.
            return
        atexit.unregister(self.uninstall)
        # Where somebody has closed it since, or put another file there, that stays.
        with suppress(OSError):
            if os.path.sameopenfile(self._number, self._read):
                os.dup2(self._log, self._number, inheritable=False)
        delattr(self._stream, _MARK)
        os.write(self._ask, b".")
        self._passed_on.wait(timeout=1)

    def _pump(self) -> None:
        try:
            self._pass_on()
        finally:
            for number in (self._read, self._log, self._asked, self._ask):
                os.close(number)
            self._passed_on.set()

    def _pass_on(self) -> None:
        """Pass on what comes. Asked for the end, say so when nothing is left; children that have the pipe may write on."""
        # Not `select`: that knows no number over 1,023.
        poll = select.poll()
        reading, asked = True, False
        for number in (self._read, self._asked):
            poll.register(number, select.POLLIN)
        while reading or not asked:
            ready = [number for number, _ in poll.poll(self._patience_ms(asked))]
            if self._asked in ready:
                asked = True
                poll.unregister(self._asked)
                continue
            data = os.read(self._read, _READ_BYTES) if ready else b""
            try:
                masked = self._masker.feed(data) if data else self._masker.release()
            except Exception:  # noqa: BLE001 - nothing that may hold a value goes out
                masked = WITHHELD.encode()
            self._out(masked)
            if ready and not data:
                reading = False
                poll.unregister(self._read)
            elif asked and not ready:
                self._passed_on.set()

    def _patience_ms(self, asked: bool) -> float | None:
        """Return how long to wait for more: not at all, a moment, or for as long as it takes."""
        if asked and not self._passed_on.is_set():
            return 0
        return MOMENT_S * 1000 if self._masker.held and len(self._masker.begun) < SHORT_CHARACTERS else None

    def _out(self, data: bytes) -> None:
        while data:
            try:
                data = data[os.write(self._log, data) :]
            except OSError:
                return
