"""
What a kernel's processes write to file descriptors 1 and 2, masked on its way into the server's own log.

ipykernel shows such output in the notebook, which the output hook masks, and echoes the bytes to where the kernel's own
stdout and stderr lead: the terminal or the log of the server. A stream's `fileno()` is that place, too.
"""

from __future__ import annotations

import os
import select
from _thread import allocate_lock, start_new_thread
from typing import Any

from flowfile_nb.core.redaction import Redactor
from flowfile_nb.core.streams import ByteMasker
from flowfile_nb.notebook.messages import WITHHELD
from flowfile_nb.notebook.output_hook import MOMENT_S, SHORT_CHARACTERS

_READ_BYTES = 65536
_ATTRIBUTE = "_original_stdstream_copy"
_PIPE = "_flowfile_nb_echo"


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
        self._target: int = getattr(stream, _ATTRIBUTE)
        self._read, self._write = os.pipe()
        # Children that a stream's `fileno()` is given to write here; no other child has it.
        self._pumping = allocate_lock()

    @staticmethod
    def of(stream: Any, redactor: Redactor) -> Echo | None:
        """Return the echo of a stream, not yet installed, or None where it has none, or has one already."""
        # What stands in a stream's place may hand on all that it is asked for, and keeps to itself what is set.
        own = getattr(stream, "__dict__", {})
        return Echo(stream, redactor) if isinstance(own.get(_ATTRIBUTE), int) and _PIPE not in own else None

    def install(self) -> None:
        """Put the pipe in."""
        self._pumping.acquire()
        # Not a `Thread`: starting one waits until it runs, and whoever reads the first value waits for two.
        start_new_thread(self._pump, ())
        setattr(self._stream, _ATTRIBUTE, self._write)
        setattr(self._stream, _PIPE, self._write)

    def uninstall(self) -> None:
        """Put back what was there, and wait until all that was written has gone through."""
        if getattr(self._stream, _ATTRIBUTE, None) == self._write:
            setattr(self._stream, _ATTRIBUTE, self._target)
        delattr(self._stream, _PIPE)
        os.close(self._write)
        self._pumping.acquire(timeout=1)

    def _pump(self) -> None:
        try:
            self._pass_on()
        finally:
            self._pumping.release()

    def _pass_on(self) -> None:
        while True:
            waiting = 0 < len(self._masker.held) < SHORT_CHARACTERS
            ready, _, _ = select.select([self._read], [], [], MOMENT_S if waiting else None)
            data = os.read(self._read, _READ_BYTES) if ready else b""
            try:
                masked = self._masker.feed(data) if data else self._masker.release()
            except Exception:  # noqa: BLE001 - nothing that may hold a value goes out
                masked = WITHHELD.encode()
            self._out(masked)
            if ready and not data:
                os.close(self._read)
                return

    def _out(self, data: bytes) -> None:
        while data:
            try:
                data = data[os.write(self._target, data) :]
            except OSError:
                return
