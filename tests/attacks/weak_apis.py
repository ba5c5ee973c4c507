"""Weaknesses of a broker that sends requests to HTTP APIs; see `weak`."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx

from flowfile_nb.broker import api_definitions, api_rules
from flowfile_nb.broker.engines import ExchangeError, http_api
from flowfile_nb.broker.scrubbing import Scrubber
from flowfile_nb.core.streams import ByteMasker
from tests.attacks.replacing import put


def any_path() -> None:
    """A request goes to whatever path it names."""
    put(api_rules, "require_path", lambda path: path)
    put(api_rules, "_require_below", lambda target, path: None)


def joins_urls() -> None:
    """A path is joined to the API's URL, as a browser does with a link."""
    any_path()

    def url(self: Any, path: str, query: str) -> httpx.URL:
        target = self._target
        return httpx.URL(scheme=target.kind, host=target.host, port=target.port, path="/").join(path)

    put(http_api.HttpApi, "_url", url)


def any_method() -> None:
    """Whoever may ask may ask by any method."""
    put(api_rules, "_require_method", lambda target, access, method: None)


def any_header() -> None:
    """Whatever headers a member sends go on."""
    put(api_rules, "_header", lambda target, pair: pair)


def any_query() -> None:
    """Whatever query a member sends goes on."""
    put(api_rules, "_require_query", lambda target, query: None)


def any_body() -> None:
    """Whatever body a member sends goes on, by any method."""
    put(api_rules, "_require_no_body", lambda method, body: None)
    put(api_rules, "_require_no_override", lambda headers, body: None)


def hands_on_echoes() -> None:
    """An answer is handed on as it is."""

    def headers(self: Any, response: httpx.Response, method: str) -> list[tuple[str, str]]:
        return [(name, value) for name, value in response.headers.multi_items() if name.lower() not in http_api._KEPT]

    put(http_api.HttpApi, "_pieces", lambda self, response: response.iter_raw())
    put(http_api.HttpApi, "_headers", headers)


def masks_pieces() -> None:
    """Each piece of an answer is looked through by itself."""

    def pieces(self: Any, response: httpx.Response) -> Iterator[bytes]:
        for piece in response.iter_raw():
            masker = ByteMasker(self._redactor)
            yield masker.feed(piece) + masker.release()

    put(http_api.HttpApi, "_pieces", pieces)


def holds_prefixes() -> None:
    """Of an answer that is held back which begins like the credential, and nothing else."""
    put(http_api, "ByteMasker", lambda redactor, always_hold=False: ByteMasker(redactor))


def follows_redirects() -> None:
    """A redirect is followed at the broker, with all that the request had."""
    real = http_api._Watched.handle_request

    def handle(self: Any, request: httpx.Request) -> httpx.Response:
        response = real(self, request)
        if not response.has_redirect_location:
            return response
        response.read()
        headers = [(name, value) for name, value in request.headers.raw if name.lower() != b"host"]
        again = httpx.Request(request.method, response.headers["Location"], headers=headers, content=request.read())
        return real(self, again)

    put(http_api._Watched, "handle_request", handle)


def any_address() -> None:
    """A credential goes to whatever address its owner, or his name server, says."""
    for module in (api_definitions, http_api):
        put(module, "refusal_of", lambda host, *, pinned: "")


def hands_on_cookies() -> None:
    """A member gets the session that the API has begun for the credential."""
    put(http_api, "_KEPT", http_api._KEPT - {"set-cookie"})


def tells_errors() -> None:
    """What the library says of a failure is told as it is."""

    @contextmanager
    def told(mask: Any) -> Iterator[None]:
        try:
            yield
        except httpx.TransportError as error:
            raise ExchangeError(str(error)) from None

    put(http_api, "_translated", told)
    put(Scrubber, "scrub", lambda self, text: text)


def inflates_at_once() -> None:
    """A compressed answer is inflated in one piece."""

    def decoded(encoding: str, pieces: Iterable[bytes]) -> Iterator[bytes]:
        yield zlib.decompress(b"".join(pieces), wbits=zlib.MAX_WBITS | 32)

    put(http_api, "decoded", decoded)


API_WEAKNESSES: tuple[Callable[[], None], ...] = (
    *(any_path, joins_urls, any_method, any_header, any_query, any_body, hands_on_echoes, masks_pieces, holds_prefixes),
    *(follows_redirects, any_address, hands_on_cookies, tells_errors, inflates_at_once),
)
