"""
What a kernel's processes write to file descriptors 1 and 2, masked on its way into the notebook.

A thread of ipykernel reads it by 1,000 bytes, makes text of each piece by itself, and writes that to the stream. A character
that is cut there is lost, and a value without it is not found; and what the kernel itself prints comes between the pieces of a
value, or the next cell's output does. So this way is masked by itself, in bytes, before it joins the others in the stream.
"""

from __future__ import annotations

import os
import sys
import threading
from codecs import getincrementaldecoder
from typing import Any

from flowfile_nb.core.redaction import Redactor
from flowfile_nb.core.streams import ByteMasker
from flowfile_nb.notebook.messages import WITHHELD
from flowfile_nb.notebook.output_hook import MOMENT_S, later

_READ_BYTES = 65536
_ATTRIBUTE = "_should_watch"


class Watched:
    """
    What the watching thread of one of ipykernel's streams asks whether to go on, and which goes on in its place.

    The thread cannot be stopped without losing what it has just read, and what it writes with, `stream.write`, IPython sets
    anew around each cell. Its loop is `while bts and self._should_watch`: there, with a piece in its hands, it is taken over.

    Args:
        stream: An `ipykernel.iostream.OutStream` that watches a file descriptor.
    """

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._masker: ByteMasker | None = None
        self._decoder = getincrementaldecoder("utf-8")("replace")
        self._taken_over = False
        # Reentrant: a finalizer may write while this thread does.
        self._lock = threading.RLock()
        self._more = threading.Condition(self._lock)

    @staticmethod
    def of(stream: Any, redactor: Redactor) -> Watched:
        """Return what masks a stream with *redactor* from now on; the one that has taken over its thread, if there is one."""
        there = getattr(stream, _ATTRIBUTE)
        watched = there if hasattr(there, "mask_with") else Watched(stream)
        watched.mask_with(redactor)
        return watched

    def mask_with(self, redactor: Redactor) -> None:
        """Mask what *redactor* knows."""
        self._masker = ByteMasker(redactor)

    def install(self) -> None:
        """Take over the thread as soon as it has read something."""
        setattr(self._stream, _ATTRIBUTE, self)

    def uninstall(self) -> None:
        """Let out what is held back, and leave the thread alone; one that is taken over passes on all as it is."""
        with self._lock:
            self.release()
            self._masker = None
            if not self._taken_over:
                setattr(self._stream, _ATTRIBUTE, True)

    def release(self) -> None:
        """Let out what is held back."""
        with self._lock:
            if self._held() and not self._stream.closed:
                self._pass_on(b"", last=True)

    def end_cell(self) -> None:
        """Let out what is held back, after a moment: what was written at the end of a cell may still be on its way."""
        with self._more:
            self._more.wait_for(lambda: not self._held(), MOMENT_S)
            self.release()

    def __bool__(self) -> bool:
        """Return whether to go on: yes; but to the thread itself no, after its work has been done here to the end."""
        if threading.get_ident() != self._stream.watch_fd_thread.ident:
            return True
        read = sys._getframe(1).f_locals.get("bts")  # noqa: SLF001 - nobody else has what it has read
        if not isinstance(read, bytes):
            return True
        with self._lock:
            self._taken_over = True
        while read and self._is_on():
            self._take(read)
            os.write(self._stream.fileno(), read)
            read = os.read(self._stream._fid, _READ_BYTES)  # noqa: SLF001 - as its own loop does
        return False

    def _held(self) -> bytes:
        return b"" if self._masker is None else self._masker.held

    def _is_on(self) -> bool:
        # Set to False where the stream is closed.
        return getattr(self._stream, _ATTRIBUTE) is not False

    def _take(self, data: bytes) -> None:
        with self._lock:
            self._pass_on(data)
            held = self._held()

        def release() -> None:
            with self._lock:
                # If more came meanwhile, that has its own moment.
                if self._held() == held:
                    self.release()

        if held:
            later(self._stream.pub_thread, release)

    def _pass_on(self, data: bytes, *, last: bool = False) -> None:
        masker = self._masker
        try:
            masked = data if masker is None else masker.release() if last else masker.feed(data)
            text = self._decoder.decode(masked)
        except Exception:  # noqa: BLE001 - nothing that may hold a value goes out
            text = WITHHELD
        if text:
            self._stream.write(text)
        self._more.notify_all()
