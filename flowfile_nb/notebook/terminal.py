"""The output guard of a shell without a kernel: IPython in a terminal, where all output is text on stdout and stderr."""

from __future__ import annotations

import builtins
import io
import sys
import threading
from collections.abc import Callable, Iterable
from typing import Any

from flowfile_nb.core.redaction import Redactor
from flowfile_nb.core.streams import StreamMasker
from flowfile_nb.notebook.messages import WITHHELD
from flowfile_nb.notebook.output_hook import MOMENT_S, SHORT_CHARACTERS

_NAMES = ("stdout", "stderr")


class GuardedStream:
    """
    A text stream through which another one is written to, with values masked; all else is the other's own.

    Args:
        stream: The stream that is written to.
        redactor: The values to mask.
    """

    def __init__(self, stream: Any, redactor: Redactor) -> None:
        self._stream = stream
        self._masker = StreamMasker(redactor)
        # Reentrant: a finalizer may print while this thread does.
        self._lock = threading.RLock()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    @property
    def buffer(self) -> Any:
        """Where bytes are written, masked as the text that they are."""
        return _GuardedBuffer(self, self._stream.buffer)

    def write(self, text: str) -> int:
        """Write *text*; what may be the beginning of a value waits for what follows."""
        if not isinstance(text, str):
            raise TypeError(f"write() argument must be str, not {type(text).__name__}")
        with self._lock:
            try:
                masked = self._masker.feed(text)
            except Exception:  # noqa: BLE001 - nothing that may hold a value goes out
                masked = WITHHELD
            if masked:
                self._stream.write(masked)
            held = self._masker.held
        if 0 < len(held) < SHORT_CHARACTERS:
            timer = threading.Timer(MOMENT_S, self._release_if, (held,))
            timer.daemon = True
            timer.start()
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write each of *lines*."""
        for line in lines:
            self.write(line)

    def release(self) -> None:
        """Let out what is held back."""
        with self._lock:
            if self._masker.held:
                self._stream.write(self._masker.release())
                self._stream.flush()

    def _release_if(self, held: str) -> None:
        with self._lock:
            if self._masker.held == held and not getattr(self._stream, "closed", False):
                self.release()


class _GuardedBuffer(io.RawIOBase):
    def __init__(self, text: GuardedStream, raw: Any) -> None:
        self._text = text
        self._raw = raw

    def __getattr__(self, name: str) -> Any:
        return getattr(self._raw, name)

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        data = bytes(data)
        self._text.write(data.decode("utf-8", "replace"))
        return len(data)

    def flush(self) -> None:
        self._text.flush()


class TerminalHook:
    """
    The guard's streams in `sys`, and its `input`.

    Args:
        redactor: The values to mask.
    """

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._input: Callable[..., str] = builtins.input

    @property
    def is_installed(self) -> bool:
        """Whether both streams are guarded now."""
        return all(isinstance(getattr(sys, name), GuardedStream) for name in _NAMES)

    def install(self) -> None:
        """Put the streams in. To be called again before each cell: somebody may have put others in since."""
        for name in _NAMES:
            stream = getattr(sys, name)
            if stream is not None and not isinstance(stream, GuardedStream):
                setattr(sys, name, GuardedStream(stream, self._redactor))
        if builtins.input != self._ask:
            self._input = builtins.input
            builtins.input = self._ask

    def uninstall(self) -> None:
        """Put back what was there."""
        self.release_all()
        for name in _NAMES:
            stream = getattr(sys, name)
            if isinstance(stream, GuardedStream):
                setattr(sys, name, stream._stream)  # noqa: SLF001 - the mirror image of `install`
        if builtins.input == self._ask:
            builtins.input = self._input

    def release_all(self) -> None:
        """Let out what is held back: the cell has ended, or somebody is asked something."""
        for name in _NAMES:
            stream = getattr(sys, name)
            if isinstance(stream, GuardedStream):
                stream.release()

    def _ask(self, prompt: Any = "") -> str:
        # At a terminal the prompt is written by the C library, past sys.stdout.
        self.release_all()
        return self._input(self._redactor.mask(str(prompt)))
