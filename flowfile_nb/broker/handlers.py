"""Requests to answers. Who calls is known before a body is read; what goes wrong inside stays inside."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from inspect import iscoroutinefunction
from typing import Any, NamedTuple

from tornado.web import RequestHandler, stream_request_body

from flowfile_nb.broker.guests import Guests, place_of
from flowfile_nb.broker.identities import identify
from flowfile_nb.broker.identities.peer import credentials_of
from flowfile_nb.broker.identities.sources import Sources
from flowfile_nb.broker.model import Caller, Identity, Sessions
from flowfile_nb.broker.refusals import as_answer, status_of, unforeseen
from flowfile_nb.broker.routes import MANAGE, Route
from flowfile_nb.broker.running import Running
from flowfile_nb.broker.schemas import MAX_BODY_BYTES, fields_of, require_fields
from flowfile_nb.broker.team import Team
from flowfile_nb.broker.threads import in_thread
from flowfile_nb.broker.turns import LARGE_BYTES, Turns
from flowfile_nb.core.wire import WIRE_VERSION
from flowfile_nb.errors import FlowfileNbError, UsageError

_RETRY_AFTER_S = 2


class Front(NamedTuple):
    """What every request needs."""

    team: Team
    sessions: Sessions
    identities: Sequence[Identity]
    running: Running
    guests: Guests
    sources: Sources
    turns: Turns
    answers: set[asyncio.Task[Any]]
    """Those under way."""


class TooLargeError(UsageError):
    """A body of more than `MAX_BODY_BYTES`."""


@stream_request_body
class ApiHandler(RequestHandler):
    """
    One path of the API.

    Args of `initialize`:
        front: As above.
        methods: What the path does, by HTTP method.
    """

    SUPPORTED_METHODS = ("GET", "POST", "PUT")

    def initialize(self, front: Front, methods: dict[str, Route]) -> None:
        """Take what the table of paths has for this one."""
        self.front = front
        self.methods = methods
        self._body = bytearray()
        self._gone: Callable[[], Any] | None = None
        self._has_turn = False

    async def prepare(self) -> None:
        """Refuse before anything is read: an unknown caller, another version, too much."""
        try:
            self.caller = await self._identified()
            if self.request.headers.get("X-Flowfile-Nb-Wire") != str(WIRE_VERSION):
                # A web page cannot send this header to another site either.
                raise UsageError(
                    f"this broker speaks version {WIRE_VERSION} of its API",
                    hint=f"send the header X-Flowfile-Nb-Wire: {WIRE_VERSION}",
                )
            if self.request.method not in self.methods:
                self._refuse(405, UsageError("this path does not take that method"))
                return
            if int(self.request.headers.get("Content-Length") or 0) > MAX_BODY_BYTES:
                raise TooLargeError(f"a request's body holds {MAX_BODY_BYTES:,} bytes at most")
            await self._take_turn()
        except FlowfileNbError as error:
            self._refuse_for(error)

    def data_received(self, chunk: bytes) -> None:
        """Take a piece of the body."""
        if self._finished:
            return
        self._body += chunk
        if len(self._body) > MAX_BODY_BYTES:
            self._body.clear()
            self._refuse_for(TooLargeError(f"a request's body holds {MAX_BODY_BYTES:,} bytes at most"))

    async def get(self) -> None:
        """Answer a question; its fields are in the URL, each once."""
        await self._answer(self._query)

    async def put(self) -> None:
        """Store or change something."""
        await self._answer(self._json)

    async def post(self) -> None:
        """Do something."""
        await self._answer(self._json)

    def on_connection_close(self) -> None:
        """End what the caller does not wait for any more."""
        self._leave_turn()
        if self._gone is not None:
            self._gone()

    def on_finish(self) -> None:
        """Let another request of the caller's be taken in."""
        self._leave_turn()

    def set_default_headers(self) -> None:
        """Let nothing on the way keep an answer, and no page show it."""
        self.set_header("Server", "flowfile-nb")
        self.set_header("Cache-Control", "no-store")
        self.set_header("X-Content-Type-Options", "nosniff")
        self.set_header("Content-Type", "application/json")

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Answer for what tornado itself refuses."""
        self.finish(as_answer(UsageError("the request was not understood")))

    def log_exception(self, *_: Any) -> None:
        """Leave the log without a request's data, which tornado would quote."""

    def begin_frames(self) -> None:
        """Begin an answer of frames (`core.wire`)."""
        self._leave_turn()
        self.set_header("Content-Type", "application/vnd.flowfile-nb.frames")
        # A proxy that collects an answer would hide the signs of life.
        self.set_header("X-Accel-Buffering", "no")

    async def send(self, data: bytes) -> None:
        """Hand on a frame, and return when the caller takes more."""
        self.write(data)
        await self.flush()

    def when_gone(self, act: Callable[[], Any]) -> None:
        """Have *act* called if the caller hangs up."""
        self._gone = act

    async def _take_turn(self) -> None:
        """Wait with a large body, and one of a length that is not said, until it is its caller's turn to be read."""
        headers = self.request.headers
        if "Transfer-Encoding" in headers or int(headers.get("Content-Length") or 0) > LARGE_BYTES:
            await self.front.turns.take(self.caller.name)
            self._has_turn = True

    def _leave_turn(self) -> None:
        """Let go what was read, and another request of the caller's be taken in."""
        # Not when the collector comes by: a handler is part of a circle.
        self._body.clear()
        if self._has_turn:
            self._has_turn = False
            self.front.turns.leave(self.caller.name)

    async def _identified(self) -> Caller:
        connection: Any = self.request.connection
        route = self.methods.get(str(self.request.method))
        stream = connection.stream
        self.front.guests.heard(stream)
        peer = credentials_of(stream.socket)
        scope = MANAGE if route is None else route.scope
        identified = identify(self.front.identities, self.request.headers, peer, scope, place_of(stream.socket))
        caller = self.front.sources.named(await identified)
        self.front.guests.introduce(stream, caller.name)
        return caller

    async def _answer(self, fields: Callable[[Route], dict[str, Any]]) -> None:
        if (task := asyncio.current_task()) is not None:
            self.front.answers.add(task)
            task.add_done_callback(self.front.answers.discard)
        route = self.methods[str(self.request.method)]
        try:
            said = await self._do(route, fields(route))
        except FlowfileNbError as error:
            self._refuse_for(error)
        except Exception as error:  # noqa: BLE001 - the last wall: what is not foreseen is not told, in the log or to the caller
            self._refuse_for(unforeseen(error))
        else:
            if not self._finished:
                self.finish({} if said is None and not self._headers_written else said)

    async def _do(self, route: Route, fields: dict[str, Any]) -> Any:
        if iscoroutinefunction(route.act):
            # What it does needs the key, and begins with that.
            return await route.act(self, fields)
        return await in_thread(self._act, route, fields, changes=route.scope == MANAGE)

    def _act(self, route: Route, fields: dict[str, Any]) -> Any:
        # Without a key nothing is answered: what cannot be kept is not begun either.
        self.front.team.require_key()
        return route.act(self.front.team, self.caller, fields)

    def _query(self, route: Route) -> dict[str, Any]:
        if self._body:
            raise UsageError("a question has no body")
        given: dict[str, Any] = {}
        for name, texts in self.request.query_arguments.items():
            if len(texts) != 1:
                raise UsageError("the request has a field twice")
            try:
                given[name] = texts[0].decode("utf-8")
            except UnicodeDecodeError:
                raise UsageError("the request is no UTF-8") from None
        return require_fields(given, route.takes)

    def _json(self, route: Route) -> dict[str, Any]:
        if self.request.query_arguments:
            # A token in a URL would be in every log on the way.
            raise UsageError("nothing is taken from the URL", hint="fields belong into the body, the token into a header")
        if self.request.headers.get("Content-Type", "").partition(";")[0].strip().lower() != "application/json":
            raise UsageError("the request's body is not declared as JSON", hint="Content-Type: application/json")
        body = bytes(self._body)
        self._body.clear()
        return fields_of(body, route.takes)

    def _refuse_for(self, error: FlowfileNbError) -> None:
        status = 413 if isinstance(error, TooLargeError) else status_of(error)
        if status == 403 and not hasattr(self, "caller"):
            status = 401
            self.set_header("WWW-Authenticate", "Bearer")
        if status in {429, 503} and not hasattr(self, "caller"):
            # Nobody was recognised, and nothing was begun: the same request may be sent again.
            self.set_header("Retry-After", str(_RETRY_AFTER_S))
        self._refuse(status, UsageError(error.message, hint=error.hint) if isinstance(error, TooLargeError) else error)

    def _refuse(self, status: int, error: FlowfileNbError) -> None:
        if self._finished:
            return
        if status in {401, 413} or not hasattr(self, "caller"):
            # The rest of a body that nobody wants is not read.
            self.set_header("Connection", "close")
        self.set_status(status)
        self.finish(as_answer(error))


class HealthHandler(RequestHandler):
    """Whether anybody is there; said to everybody."""

    def get(self) -> None:
        """Answer."""
        self.set_header("Server", "flowfile-nb")
        self.set_header("Connection", "close")
        self.finish({"ok": True})


class NothingHandler(RequestHandler):
    """Paths that are not there: the same answer for all, whoever asks."""

    def prepare(self) -> None:
        """Answer any method."""
        self.set_status(404)
        self.set_header("Server", "flowfile-nb")
        self.set_header("Connection", "close")
        self.finish(as_answer(UsageError("there is nothing at this path")))
