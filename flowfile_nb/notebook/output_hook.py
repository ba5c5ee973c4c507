"""
The output guard's place in a kernel: the session through which each of its messages goes, on every socket.

`Session.serialize` turns every message into bytes. The bytes are searched; only where something is found is the message gone
through, masked and turned into bytes again. `Session.send` is above it: streams are masked there, because a value may be cut
in two by a flush, and what goes out with nothing held back is known there only.
"""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any

from flowfile_nb.core.json_search import JsonSearch
from flowfile_nb.core.redaction import Redactor
from flowfile_nb.core.streams import StreamMasker
from flowfile_nb.notebook.messages import LEFT_ALONE, WITHHELD, masked_content, masked_metadata, withheld_content
from flowfile_nb.notebook.wrapping import Wrapping

# Of what begins like a value less than this goes out after a moment: nearly every text ends like some value begins.
SHORT_CHARACTERS = 4
MOMENT_S = 0.1
# The streams of how many cells are remembered: a thread may print for a cell that ended long ago.
_CELLS = 64
# The packed metadata of most messages.
_NOTHING = b"{}"


class _Way:
    """How what was held back of a stream is sent later."""

    __slots__ = ("ident", "name", "parent", "socket")

    def __init__(self, socket: Any, parent: Any, ident: Any, name: str) -> None:
        self.socket = socket
        self.parent = parent
        self.ident = ident
        self.name = name


class _Stream:
    """One stream of one cell."""

    def __init__(self, masker: StreamMasker) -> None:
        self.masker = masker
        self.way: _Way | None = None


class OutputHook:
    """
    The wrappers round a kernel's session.

    Args:
        session: A `jupyter_client.session.Session`.
        redactor: The values to mask.
        search: Finds them in packed messages.

    Raises:
        TypeError: If *session* is none that can be wrapped.
    """

    def __init__(self, session: Any, redactor: Redactor, search: JsonSearch) -> None:
        if not callable(getattr(session, "send", None)) or not callable(getattr(session, "serialize", None)):
            raise TypeError("the kernel's session has no send and serialize")
        self._session = session
        self._redactor = redactor
        self._search = search
        self._on = False
        self._send: Callable[..., Any] = session.send
        self._serialize: Callable[..., list[bytes]] = session.serialize
        self._wrappings = [
            Wrapping(session, "send", lambda _: self.send),
            Wrapping(session, "serialize", lambda _: self.serialize),
        ]
        self._process = os.getpid()
        self._reset()

    def _reset(self) -> None:
        # Reentrant: a finalizer may print while this thread sends.
        self._lock = threading.RLock()
        # By cell, then by name: at the end of each cell only its own are looked at.
        self._streams: OrderedDict[str, dict[str, _Stream]] = OrderedDict()
        self._ended: OrderedDict[str, None] = OrderedDict()

    @property
    def is_installed(self) -> bool:
        """Whether the session's messages go through this hook, whatever else has been wrapped round it since."""
        return self._on and "send" in vars(self._session) and "serialize" in vars(self._session)

    def install(self) -> None:
        """Put the wrappers in."""
        self._on = True
        for wrapping in self._wrappings:
            wrapping.install()

    def uninstall(self) -> None:
        """Let out what is held back, and take the wrappers out; one that was wrapped by others since lets all through."""
        self.release_all()
        for wrapping in self._wrappings:
            wrapping.uninstall()
        self._on = False

    # The two wrappers

    def send(  # noqa: PLR0913, PLR0917 - the signature of Session.send
        self,
        stream: Any,
        msg_or_type: Any,
        content: Any = None,
        parent: Any = None,
        ident: Any = None,
        buffers: Any = None,
        track: bool = False,
        header: Any = None,
        metadata: Any = None,
    ) -> Any:
        """Send a message as `Session.send` does, with values masked."""
        if not self._on:
            return self._send(stream, msg_or_type, content, parent, ident, buffers, track, header, metadata)
        whole = msg_or_type if isinstance(msg_or_type, Mapping) else None
        kind = _kind(whole, msg_or_type, header)
        if kind == "stream":
            message = whole or self._session.msg(kind, content=content, parent=parent, header=header, metadata=metadata)
            return self._send_stream(stream, message, ident)
        if kind == "status" and (whole["content"] if whole else content or {}).get("execution_state") == "idle":
            self._end(_parent_id(whole["parent_header"] if whole else parent))
        elif kind == "input_request":
            self.release_all()
        elif kind == "clear_output":
            self._forget(_parent_id(whole["parent_header"] if whole else parent))
        buffers = buffers or (whole or {}).get("buffers")
        if buffers:
            buffers = [self._masked_buffer(buffer) for buffer in buffers]
        return self._send(stream, msg_or_type, content, parent, ident, buffers, track, header, metadata)

    def serialize(self, msg: Any, ident: Any = None) -> list[bytes]:
        """Turn a message into bytes as `Session.serialize` does, with values masked; without its text where that fails."""
        parts = self._serialize(msg, ident)
        if not self._on:
            return parts
        kind = msg["header"]["msg_type"]
        if kind in LEFT_ALONE:
            return parts
        packed_metadata, packed_content = parts[-2:]
        try:
            in_metadata = packed_metadata != _NOTHING and self._search.finds(packed_metadata)
            if not in_metadata and not self._search.finds(packed_content):
                return parts
            unpack = self._session.unpack
            content, metadata = unpack(packed_content), unpack(packed_metadata)
            mask = self._redactor.mask
            changed = {"content": masked_content(kind, content, mask), "metadata": masked_metadata(metadata, mask)}
            if changed["content"] is content and changed["metadata"] is metadata:
                return parts
        except Exception:  # noqa: BLE001 - whatever went wrong: nothing that may hold a value goes out
            content = msg.get("content")
            changed = {"content": withheld_content(kind, content), "metadata": {}}
        return self._serialize({**msg, **changed}, ident)

    # Streams

    def _send_stream(self, socket: Any, message: Any, ident: Any) -> Any:
        content = message["content"]
        name, parent = content["name"], message["parent_header"]
        with self._guarded():
            stream = self._stream(name, _parent_id(parent))
            stream.way = _Way(socket, parent, ident, name)
            try:
                text = stream.masker.feed(content["text"])
            except Exception:  # noqa: BLE001 - as in `serialize`
                text = WITHHELD
            sent = message
            if text:
                sent = self._send(socket, {**message, "content": {**content, "text": text}}, ident=ident)
            self._wait(stream, _parent_id(parent))
        return sent

    def release_all(self) -> None:
        """Let out all that is held back."""
        with self._guarded():
            for streams in list(self._streams.values()):
                self._release_each(streams)

    def _end(self, cell: str) -> None:
        """Let out what a cell's streams hold back, for nothing more comes; and what comes all the same, after a moment."""
        with self._guarded():
            self._ended[cell] = None
            while len(self._ended) > _CELLS:
                self._ended.popitem(last=False)
            self._release_each(self._streams.get(cell, {}))

    def _forget(self, cell: str) -> None:
        """Drop what a cell's streams hold back, for the front end is told to clear it; the rest of it is masked still."""
        with self._guarded():
            for stream in self._streams.get(cell, {}).values():
                stream.masker = stream.masker.continued()

    def _stream(self, name: str, cell: str) -> _Stream:
        streams = self._streams.setdefault(cell, {})
        self._streams.move_to_end(cell)
        while len(self._streams) > _CELLS:
            _, oldest = self._streams.popitem(last=False)
            self._release_each(oldest)
        if name not in streams:
            # A process goes on writing while the next cell begins: what it wrote last is that cell's.
            before = next((cell[name] for cell in reversed(self._streams.values()) if name in cell), None)
            streams[name] = _Stream(before.masker.continued() if before else StreamMasker(self._redactor))
        return streams[name]

    def _release_each(self, streams: Mapping[str, _Stream]) -> None:
        for stream in list(streams.values()):
            self._release(stream)

    def _release(self, stream: _Stream) -> None:
        way = stream.way
        if way is None or not stream.masker.held:
            return
        try:
            text = stream.masker.release()
        except Exception:  # noqa: BLE001 - as in `serialize`
            text = WITHHELD
        content = {"name": way.name, "text": text}
        self._send(way.socket, self._session.msg("stream", content, parent=way.parent), ident=way.ident)

    def _wait(self, stream: _Stream, cell: str) -> None:
        """Have what is held back let out after a moment, if little of a value has come or its cell has ended."""
        held = stream.masker.held
        # With what is out already: a value may come character by character.
        if not held or (len(stream.masker.begun) >= SHORT_CHARACTERS and cell not in self._ended):
            return

        def release() -> None:
            with self._guarded():
                # If more came meanwhile, that has its own moment.
                if stream.masker.held == held:
                    self._release(stream)

        later(stream.way.socket if stream.way else None, release)

    def _guarded(self) -> AbstractContextManager[bool]:
        if self._process != os.getpid():
            # In a forked child the lock may be held for ever by a thread that is not here.
            self._process = os.getpid()
            self._reset()
        return self._lock

    def _masked_buffer(self, buffer: Any) -> Any:
        try:
            data = bytes(buffer)
            hits = self._redactor.find(data)
            if not hits:
                return buffer
            masked = bytearray(data)
            for hit in hits:
                # Of the same length: what else is in the buffer has its place by number.
                size = hit.end - hit.start
                masked[hit.start : hit.end] = self._redactor.mask_of(hit.name)[:size].ljust(size, b"*")
            return bytes(masked)
        except Exception:  # noqa: BLE001 - as in `serialize`
            return bytes(len(memoryview(buffer).cast("B")))


def _kind(whole: Any, msg_or_type: Any, header: Any) -> str:
    if whole is not None:
        return str(whole["header"]["msg_type"])
    return str(msg_or_type or (header or {}).get("msg_type"))


def _parent_id(parent: Any) -> str:
    """Return which request a message answers: *parent* is that request, or its header, or nothing."""
    return str((parent or {}).get("header", parent or {}).get("msg_id", ""))


def later(socket: Any, action: Callable[[], None]) -> None:
    """Call *action* after a moment: in the thread that sends the kernel's output, where there is one."""
    loop = getattr(socket, "io_loop", None)
    if loop is not None and hasattr(socket, "schedule"):
        socket.schedule(lambda: loop.call_later(MOMENT_S, action))
        return
    timer = threading.Timer(MOMENT_S, action)
    timer.daemon = True
    timer.start()
