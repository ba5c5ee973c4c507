"""The output guard of a shell without a kernel: IPython in a terminal, where all output is text on stdout and stderr."""

from __future__ import annotations

import builtins
import io
import sys
import threading
from collections.abc import Callable, Iterable
from typing import Any

from IPython.core import page

from flowfile_nb.core.redaction import Redactor
from flowfile_nb.core.streams import StreamMasker
from flowfile_nb.notebook.messages import WITHHELD, masked_tree
from flowfile_nb.notebook.output_hook import MOMENT_S, SHORT_CHARACTERS
from flowfile_nb.notebook.wrapping import Wrapping

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
        self.is_on = True
        """Whether anything is masked; whoever keeps the stream, as a logging handler does, writes on to it when it is off."""

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
        if not self.is_on:
            return int(self._stream.write(text))
        with self._lock:
            try:
                masked = self._masker.feed(text)
            except Exception:  # noqa: BLE001 - nothing that may hold a value goes out
                masked = WITHHELD
            if masked:
                self._stream.write(masked)
            held, begun = self._masker.held, self._masker.begun
        if held and len(begun) < SHORT_CHARACTERS:
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
    The guard's streams in `sys`, and its wrappers round what goes to the terminal past them: prompts and the pager.

    Args:
        redactor: The values to mask.
    """

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._streams: list[GuardedStream] = []
        self._wrappings = [Wrapping(builtins, "input", self._asking), Wrapping(page, "pager_page", self._paging)]

    @property
    def is_installed(self) -> bool:
        """Whether both streams are guarded now."""
        return all(isinstance(getattr(sys, name), GuardedStream) for name in _NAMES)

    def install(self) -> None:
        """Put everything in."""
        self.guard_streams()
        for wrapping in self._wrappings:
            wrapping.install()

    def guard_streams(self) -> None:
        """Put the streams in. To be called again before each cell: somebody may have put others in since."""
        for name in _NAMES:
            stream = getattr(sys, name)
            if stream is not None and not isinstance(stream, GuardedStream):
                self._streams = [*self._streams[-len(_NAMES) :], GuardedStream(stream, self._redactor)]
                setattr(sys, name, self._streams[-1])

    def uninstall(self) -> None:
        """Put back what was there."""
        self.release_all()
        for name in _NAMES:
            stream = getattr(sys, name)
            if isinstance(stream, GuardedStream):
                setattr(sys, name, stream._stream)  # noqa: SLF001 - the mirror image of `install`
        for stream in self._streams:
            stream.is_on = False
        for wrapping in self._wrappings:
            wrapping.uninstall()

    def release_all(self) -> None:
        """Let out what is held back: the cell has ended, or somebody is asked something."""
        for name in _NAMES:
            stream = getattr(sys, name)
            if isinstance(stream, GuardedStream):
                stream.release()

    def _asking(self, ask: Callable[[str], str]) -> Callable[[Any], str]:
        def input(prompt: Any = "") -> str:  # noqa: A001 - it is one
            # The C library writes the prompt, past sys.stdout.
            self.release_all()
            return ask(self._redactor.mask(str(prompt)))

        return input

    def _paging(self, show: Callable[..., None]) -> Callable[..., None]:
        def pager_page(text: Any, *args: Any, **options: Any) -> None:
            show(masked_tree(text, self._redactor.mask), *args, **options)

        return pager_page
