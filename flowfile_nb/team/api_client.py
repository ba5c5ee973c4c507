"""
An `httpx.Client` whose requests the broker sends: the credential is attached there, and never comes here.

A redirect is an answer like any other. A client that follows redirects asks the broker anew, which sends only what the
connection's owner allows.
"""

from __future__ import annotations

import base64
import contextlib
import os
import uuid
from collections.abc import Iterator, Mapping
from typing import Any, NoReturn

import httpx

from flowfile_nb.core import wire
from flowfile_nb.core.spelling import spelled
from flowfile_nb.errors import FlowfileNbError, LimitError, NotAllowedError
from flowfile_nb.team.client import Client, Frames, error_named

MAX_BODY_BYTES = 1024 * 1024
"""Of a request. An answer may be of any length."""
_TIMEOUT_S = 60.0
# What the library adds for a connection that is not made here.
_OF_THE_CONNECTION = {"host", "connection", "accept-encoding", "content-length", "transfer-encoding"}
# Failures on the way to the API, by the library's own names: who retries those of another client retries these.
_FAILURES = {
    name: getattr(httpx, name)
    for name in (
        *("ConnectError", "ConnectTimeout", "ReadError", "ReadTimeout", "WriteError", "WriteTimeout"),
        *("RemoteProtocolError", "DecodingError"),
    )
}


class BrokeredClient(httpx.Client):
    """An `httpx.Client` to one API behind the broker. It has no value, and no connection of its own."""

    def __init__(self, client: Client, order: Mapping[str, str], base_url: httpx.URL, *, alone: bool = False) -> None:
        transport = BrokerTransport(client, order, base_url, alone=alone)
        super().__init__(transport=transport, base_url=base_url, timeout=_TIMEOUT_S, trust_env=False)
        self._order, self._base = dict(order), str(base_url)

    def __repr__(self) -> str:
        return f"<httpx.Client {self.base_url} through the broker>"

    def __reduce__(self) -> tuple[Any, ...]:
        return _reopen, (self._order, self._base)


class BrokerTransport(httpx.BaseTransport):
    """
    Sends requests by the broker.

    Args:
        client: Speaks to it.
        order: What is asked of it: `{"connection": name}`, or `{"description": text}`.
        base_url: The API's.
        alone: Whether nothing else speaks to the broker by *client*, so that it is closed with this.
    """

    def __init__(self, client: Client, order: Mapping[str, str], base_url: httpx.URL, *, alone: bool) -> None:
        self._client, self._order, self._base, self._alone = client, order, base_url, alone

    def close(self) -> None:
        """Close the way to the broker, unless other connections of this kernel's use it, too."""
        if self._alone:
            self._client.close()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """
        Have a request sent, and return when its answer begins.

        Raises:
            NotAllowedError: If it leads to another server, or its owner does not allow it.
            httpx.TransportError: If the API does not answer the broker.
            FlowfileNbError: What else the broker says.
        """
        if (request.url.scheme, request.url.host, request.url.port) != (self._base.scheme, self._base.host, self._base.port):
            raise NotAllowedError(
                "this client's requests are sent by the broker, to the API that its owner fixed and nowhere else",
                hint="ask others with a client of your own:  httpx.get(…)",
            )
        number = uuid.uuid4().hex
        answer = _Answer(self._client, number, request)
        try:
            answer.begin(self._client.open(self._body(request, number), "request"))
            status, headers = answer.status()
        except BaseException as error:
            answer.leave(cancel=isinstance(error, KeyboardInterrupt))
            raise
        return httpx.Response(status, headers=headers, stream=answer, request=request)

    def _body(self, request: httpx.Request, number: str) -> dict[str, Any]:
        content = request.read()
        if len(content) > MAX_BODY_BYTES:
            raise LimitError(
                f"the body of a request through the broker holds {MAX_BODY_BYTES:,} bytes at most", hint="send it in parts"
            )
        path, _, query = request.url.raw_path.partition(b"?")
        headers = [
            [name.decode("latin-1"), value.decode("latin-1")]
            for name, value in request.headers.raw
            if name.lower().decode("latin-1") not in _OF_THE_CONNECTION
        ]
        return {
            **self._order,
            "id": number,
            "method": request.method,
            "path": path.decode("ascii"),
            "query": query.decode("ascii"),
            "headers": headers,
            "body": base64.b64encode(content).decode(),
            "timeout_s": request.extensions.get("timeout", {}).get("read"),
        }


class _Answer(httpx.SyncByteStream):
    """An answer, while it is being read. What is cut off is an error, never a shorter answer."""

    def __init__(self, client: Client, number: str, request: httpx.Request) -> None:
        self._client, self._number, self._request = client, number, request
        self._decoder = wire.Decoder()
        self._bytes: Frames | None = None
        self._frames: Iterator[wire.Frame] = iter(())

    def begin(self, pieces: Frames) -> None:
        """Take what the broker answers."""
        self._bytes = pieces
        self._frames = self._all(pieces)

    def status(self) -> tuple[int, list[tuple[bytes, bytes]]]:
        """Wait for the answer's beginning, and return its status and headers."""
        for frame in self._frames:
            if frame.kind == wire.STATUS:
                facts = frame.facts()
                return int(facts["status"]), [(_bytes(name), _bytes(value)) for name, value in facts["headers"]]
        raise wire.WireError("the broker's answer has no beginning", hint="is it of another version?  %secret doctor")

    def __iter__(self) -> Iterator[bytes]:
        try:
            for frame in self._frames:
                if frame.kind == wire.BODY:
                    yield frame.data
        except BaseException as error:
            self.leave(cancel=isinstance(error, (KeyboardInterrupt, GeneratorExit)))
            raise

    def close(self) -> None:
        """Let go what was not read: the request is ended."""
        self.leave(cancel=not self._decoder.ended)

    def leave(self, *, cancel: bool) -> None:
        """Hang up; have what runs ended at once, where that is asked for."""
        pieces, self._bytes = self._bytes, None
        if cancel:
            # It may have ended, or the broker be gone; then there is nothing to end.
            with contextlib.suppress(FlowfileNbError):
                self._client.cancel(self._number)
        if pieces is not None:
            pieces.close()

    def _all(self, pieces: Frames) -> Iterator[wire.Frame]:
        for piece in pieces:
            for frame in self._decoder.feed(piece):
                if frame.kind == wire.ERROR:
                    self._raise(frame.facts())
                yield frame
        self._decoder.finish()

    def _raise(self, said: Mapping[str, Any]) -> NoReturn:
        message, hint = str(said.get("message", "")), str(said.get("hint", ""))
        if (failure := _FAILURES.get(str(said.get("code")))) is not None:
            raise failure(spelled(message), request=self._request)
        raise error_named(str(said.get("type")), message, hint)


def _bytes(text: str) -> bytes:
    return text.encode("latin-1")


def make_client(client: Client, order: Mapping[str, str], place: str) -> BrokeredClient:
    """
    Return a client of the API at *place*; nothing is sent yet.

    Args:
        client: Speaks to the broker.
        order: What is asked of it: `{"connection": name}`, or `{"description": text}`.
        place: Where the API is, as the broker or the description says.
    """
    url = httpx.URL(place)
    return BrokeredClient(client, order, url.copy_with(username=None, password=None, query=None, fragment=None))


def _reopen(order: Mapping[str, str], base_url: str) -> BrokeredClient:
    from flowfile_nb.team.address import address_of

    return BrokeredClient(Client(address_of(os.environ)), order, httpx.URL(base_url), alone=True)
