"""
The broker's answer to a query, as frames: what the worker writes, the front hands on and the kernel reads.

A frame is `[kind: 1 byte][length: 4 bytes, big endian][data]`. The kinds: `A` a piece of an Arrow IPC stream, `H` a heartbeat
(JSON), `Z` the end (JSON: rows and bytes), `E` an error (JSON); of an HTTP API's answer `S` its status and headers (JSON), and
`B` a piece of its body. An answer ends with `Z` or `E` and with nothing else: a proxy may swallow a broken connection, and
Arrow takes a stream that stops between two batches for a whole one.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from flowfile_nb.errors import FlowfileNbError

WIRE_VERSION = 1
ARROW, HEARTBEAT, END, ERROR, STATUS, BODY = b"A", b"H", b"Z", b"E", b"S", b"B"
MAX_DATA_BYTES = 256 * 1024
"""Of one frame. Whoever hands frames on has no more than one of them in memory."""

_KINDS = {ARROW, HEARTBEAT, END, ERROR, STATUS, BODY}
_HEADER = struct.Struct(">cI")


class WireError(FlowfileNbError):
    """An answer that is not whole, or no answer of ours: nothing of it counts as a result."""


class Frame(NamedTuple):
    """One frame."""

    kind: bytes
    data: bytes

    def facts(self) -> dict[str, Any]:
        """
        Return what a frame of JSON says.

        Raises:
            WireError: If it is no JSON object.
        """
        try:
            facts = json.loads(self.data)
        except ValueError:
            facts = None
        if not isinstance(facts, dict):
            raise WireError("the broker's answer holds a frame that cannot be read", hint="is there a proxy in between?")
        return facts


def frame(kind: bytes, data: bytes) -> bytes:
    """Return one frame of at most `MAX_DATA_BYTES`."""
    if len(data) > MAX_DATA_BYTES:
        raise WireError(f"a frame holds {MAX_DATA_BYTES} bytes at most")
    return _HEADER.pack(kind, len(data)) + data


def arrow_frames(data: bytes | memoryview) -> Iterator[bytes]:
    """Return a piece of an Arrow stream, of any length, as frames."""
    return _frames(ARROW, data)


def body_frames(data: bytes) -> Iterator[bytes]:
    """Return a piece of an API's answer, of any length, as frames."""
    return _frames(BODY, data)


def _frames(kind: bytes, data: bytes | memoryview) -> Iterator[bytes]:
    whole = memoryview(data)
    for start in range(0, len(whole), MAX_DATA_BYTES):
        yield frame(kind, bytes(whole[start : start + MAX_DATA_BYTES]))


def facts_frame(kind: bytes, facts: Mapping[str, Any]) -> bytes:
    """Return a frame of JSON."""
    return frame(kind, json.dumps(facts, ensure_ascii=False).encode("utf-8", "replace"))


def error_frame(kind: str, message: str, hint: str = "", reference: str = "", code: str = "") -> bytes:
    """
    Return the frame that ends an answer with an error.

    Args:
        kind: Name of the class in `errors`, by which the other side raises it again.
        message: What happened. Text that is too long for a frame is cut.
        hint: The next move.
        reference: What the operator finds in his log.
        code: The database's own code of the error, such as an SQLSTATE.
    """
    facts = {"type": kind, "message": message[:8192], "hint": hint[:2048], "reference": reference, "code": code}
    return facts_frame(ERROR, facts)


class Decoder:
    """
    One answer, read as it comes, in pieces of any length.

    >>> decoder = Decoder()
    >>> [f.kind for f in decoder.feed(facts_frame(END, {"rows": 0, "bytes": 0}))]
    [b'Z']
    >>> decoder.finish()
    """

    def __init__(self) -> None:
        self._held = b""
        self._ended = False

    @property
    def ended(self) -> bool:
        """Whether the end, or an error, has come."""
        return self._ended

    def feed(self, data: bytes) -> list[Frame]:
        """
        Return the frames that are complete now.

        Raises:
            WireError: If this is no answer of ours: an unknown kind, a frame that is too long, data after the end.
        """
        self._held += data
        found: list[Frame] = []
        position = 0
        while len(self._held) - position >= _HEADER.size and not self._ended:
            kind, length = _HEADER.unpack_from(self._held, position)
            if kind not in _KINDS or length > MAX_DATA_BYTES:
                raise WireError("this is no answer of a broker", hint="is there a proxy in between, or another service?")
            end = position + _HEADER.size + length
            if len(self._held) < end:
                break
            found.append(Frame(kind, self._held[position + _HEADER.size : end]))
            position = end
            self._ended = kind in {END, ERROR}
        self._held = self._held[position:]
        if self._ended and self._held:
            raise WireError("the broker's answer goes on after its end", hint="is there a proxy in between?")
        return found

    def finish(self) -> None:
        """
        Say that no more comes.

        Raises:
            WireError: If the end has not come: what was read is a part, and must not be taken for the whole.
        """
        if not self._ended:
            raise WireError(
                "the broker's answer was cut off before its end; what came is not the whole result",
                hint="run it again; if it happens again, ask who runs the broker",
            )
