"""
One session with a database or an API in a process of its own, started by `broker.sessions` alone.

`python -I -m flowfile_nb.broker.worker` gets one target and one value as the first line of its standard input, then statements
or requests as JSON lines, and answers each with frames (`core.wire`) on its standard output. It never has the master key, the
store or another value; its memory is limited, so a value of a gigabyte ends it and nothing else; no other process of its user
can look into it.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import queue
import signal
import sys
import threading
from typing import IO, Any, cast

from flowfile_nb.broker.addresses import leads_to_nobody
from flowfile_nb.broker.api_definitions import is_api
from flowfile_nb.broker.engines import (
    Api,
    Engine,
    ExchangeError,
    LostError,
    OpeningError,
    StaleError,
    StatementError,
    StoppedError,
    api_of,
    engine_of,
)
from flowfile_nb.broker.limits import Limits
from flowfile_nb.broker.model import Target
from flowfile_nb.broker.scrubbing import Scrubber
from flowfile_nb.core import wire
from flowfile_nb.core.parameters import from_json
from flowfile_nb.errors import FlowfileNbError, NotAllowedError

_PR_SET_DUMPABLE = 4
_WARNING = "warning:"
_NO_WRITE = "this share is to read only; ask its owner to share it with --write if you need to change data"
_LARGE = "ask for a part of it, or the broker's operator for more memory"


def main() -> int:
    """Serve one session, until the standard input ends."""
    close_up()
    # Whatever a library prints must not get among the frames.
    output = os.dup(1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    first = json.loads(sys.stdin.buffer.readline() or b"{}")
    limits = Limits(**first["limits"])
    restrict(limits.memory_bytes)
    session = Session(Target(**first["target"]), first.pop("value"), limits, output, lent=first["lent"])
    threading.Thread(target=session.work, daemon=True).start()
    session.listen(sys.stdin.buffer)
    # Without waiting for what the driver's threads do: the front is gone, or wants this to end.
    os._exit(0)


def close_up() -> None:
    """Let no other process of this user read this one's memory, and leave no core file."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
    if sys.platform != "win32":
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        signal.signal(signal.SIGINT, signal.SIG_IGN)


def restrict(memory_bytes: int) -> None:
    """Take no more memory than that; what needs more fails, or ends this process."""
    if sys.platform == "linux":
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))


class Session:
    """The one connection, and the statements that come for it, one after the other."""

    def __init__(self, target: Target, value: str, limits: Limits, output: int, *, lent: bool) -> None:
        self._target, self._value, self._limits, self._lent = target, value, limits, lent
        self._scrubber = Scrubber(value)
        self._output = output
        self._engine: Engine | Api | None = None
        self._asked: queue.Queue[dict[str, Any]] = queue.Queue()
        self._cancelled: set[int] = set()

    def listen(self, lines: IO[bytes]) -> None:
        """Take what the front sends, until it sends no more."""
        for line in lines:
            message = json.loads(line)
            if "cancel" in message:
                self._cancelled.add(message["cancel"])
                if self._engine is not None:
                    # The front kills what does not stop.
                    with contextlib.suppress(Exception):
                        self._engine.cancel()
            else:
                self._asked.put(message)

    def work(self) -> None:
        """Answer statement after statement."""
        while True:
            message = self._asked.get()
            # A statement that was not answered so has not been run: another session may take it.
            self._write(wire.facts_frame(wire.HEARTBEAT, {"seconds": 0}))
            if not self.answer(message):
                os._exit(3)

    def answer(self, message: dict[str, Any]) -> bool:
        """Run one statement, or send one request, and write its frames; return whether the session is of use after it."""
        number = message["id"]
        try:
            facts = self._run(number, message)
        except (StoppedError, StatementError, ExchangeError, FlowfileNbError) as error:
            self._tell(number, error)
            if self._engine is None:
                return False
        except OpeningError as error:
            self._fail("ConnectionFailedError", str(error), "try again; if it stays so, ask its owner", detail=error.detail)
            return False
        except LostError as error:
            self._fail("ConnectionFailedError", str(error), "run it again", detail="lost")
            return False
        except MemoryError:
            self._fail("LimitError", "the result holds a value or a row that needs more memory than a session may take", _LARGE)
            return False
        except Exception as error:  # noqa: BLE001 - its text may hold anything; the operator's log gets it scrubbed
            self._fail("BrokerError", "the broker's session failed", "run it again", detail=f"{type(error).__name__}: {error}")
            return False
        else:
            self._write(wire.facts_frame(wire.END, facts))
        self._cancelled.discard(number)
        return True

    def _tell(self, number: int, error: Exception) -> None:
        """Write what went wrong, of that which leaves the session as it was."""
        if isinstance(error, StoppedError) or (number in self._cancelled and not isinstance(error, FlowfileNbError)):
            self._fail("CancelledError", "the statement was cancelled")
        elif isinstance(error, StatementError):
            hint = error.hint or (_NO_WRITE if error.read_only else "")
            self._fail("QueryError", str(error), hint, code=error.code, scrubbed=not error.clean)
        elif isinstance(error, ExchangeError):
            self._fail("ConnectionFailedError", str(error), code=error.code, detail=error.detail)
        elif isinstance(error, FlowfileNbError):
            self._fail(type(error).__name__, error.message, error.hint)

    def _run(self, number: int, message: dict[str, Any]) -> dict[str, Any]:
        try:
            return self._done(number, message)
        except StaleError:
            # Nothing has run. What opens the next one judges the account again.
            self._engine = None
            return self._done(number, message)

    def _done(self, number: int, message: dict[str, Any]) -> dict[str, Any]:
        engine = self._opened()
        if message.get("ask") == "problems":
            # Those have something more to tell whose dialect would ask for it by statements of the member's.
            first_asked: dict[str, Any] = getattr(engine, "first_asked", dict)()
            return {"problems": engine.problems(), "server": engine.server(), "first_asked": first_asked}
        if "request" in message:
            return self._exchange(cast("Api", engine), number, message["request"])
        return self._execute(cast("Engine", engine), number, message)

    def _opened(self) -> Engine | Api:
        if self._engine is None:
            make = api_of if is_api(self._target.kind) else engine_of
            # An API's session looks at each address itself.
            if make is engine_of and leads_to_nobody(self._target.host):
                raise OpeningError("nothing was sent: it leads to an address that no server of anybody's has", "metadata")
            engine: Engine | Api = make(self._target, self._value, self._limits)
            engine.open()
            if self._lent and not is_api(self._target.kind):
                _require_lendable(engine)
            self._engine = engine
        return self._engine

    def _exchange(self, api: Api, number: int, asked: dict[str, Any]) -> dict[str, Any]:
        """Send a request; hand on its answer's status and headers, then its body as it comes."""
        if number in self._cancelled:
            raise StoppedError
        size = 0
        with api.exchange(asked) as answer:
            self._write(wire.facts_frame(wire.STATUS, {"status": answer.status, "headers": answer.headers}))
            for piece in answer.pieces:
                if number in self._cancelled:
                    raise StoppedError
                for frame in wire.body_frames(piece):
                    self._write(frame)
                size += len(piece)
        return {"rows": 0, "bytes": size, "detail": f"status {answer.status}, {size:,} bytes"}

    def _execute(self, engine: Engine, number: int, message: dict[str, Any]) -> dict[str, Any]:
        import pyarrow as pa

        rows = 0
        pieces = Pieces(self._write)
        parameters = from_json(message["parameters"])
        if number in self._cancelled:
            raise StoppedError
        with engine.execute(message["statement"], parameters, message["access"]) as result:
            with pa.ipc.new_stream(pieces, result.schema) as writer:
                for batch in result.batches:
                    if number in self._cancelled:
                        raise StoppedError
                    writer.write_batch(batch)
                    pieces.flush()
                    rows += batch.num_rows
            affected = result.affected
        # Only now, that nothing can go wrong any more, the rest.
        pieces.flush()
        return {"rows": rows, "affected": affected, "bytes": pieces.bytes}

    def _fail(  # noqa: PLR0913 - what an error frame holds
        self, kind: str, message: str, hint: str = "", *, code: str = "", detail: str = "", scrubbed: bool = True
    ) -> None:
        """Write an error. The detail travels in the place of the reference, and the front takes it out."""
        texts = [self._scrubber.scrub(text) if scrubbed else text for text in (message, hint, detail)]
        self._write(wire.error_frame(kind, texts[0], texts[1], texts[2][:2048], code))

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(self._output, view) :]
        except OSError:
            # The front is gone.
            os._exit(0)


def _require_lendable(engine: Engine | Api) -> None:
    """
    Raise NotAllowedError if the account may do more than a share can hold in.

    It was asked when it was shared; since then its owner may have fixed another one, or its administrator have raised it. So
    it is asked at each opening, of which a session may have several.
    """
    if refused := [problem for problem in engine.problems() if not problem.startswith(_WARNING)]:
        raise NotAllowedError(
            f"the account of this connection is not lent: {'; '.join(refused)}",
            hint="its owner has the database's administrator make an account that may do no more than the members shall",
        )


class Pieces:
    """The file that Arrow writes to: what is written goes out as frames of a good size."""

    def __init__(self, write: Any) -> None:
        self._write = write
        self._held = bytearray()
        self.bytes = 0
        self.closed = False

    def write(self, data: Any) -> int:
        """Take a piece."""
        size = len(memoryview(data).cast("B")) if not isinstance(data, bytes) else len(data)
        self.bytes += size
        if len(self._held) + size > wire.MAX_DATA_BYTES:
            self.flush()
        if size >= wire.MAX_DATA_BYTES:
            for frame in wire.arrow_frames(data):
                self._write(frame)
        else:
            self._held += data
        return size

    def flush(self) -> None:
        """Send what is held."""
        if self._held:
            self._write(wire.frame(wire.ARROW, bytes(self._held)))
            self._held.clear()

    def close(self) -> None:
        """Do nothing: what is held is sent when it is sure that all went well."""

    def readable(self) -> bool:
        """Return False, as a file to write does."""
        return False

    def writable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return False."""
        return False


if __name__ == "__main__":
    sys.exit(main())
