"""Speaking to the broker: requests and their errors, and the frames of a running query."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from flowfile_nb import errors
from flowfile_nb.core.spelling import spelled
from flowfile_nb.errors import BrokerError, FlowfileNbError, MissingDriverError, NotAllowedError
from flowfile_nb.team.address import TOKEN, TOKEN_FILE, Address

WIRE = "1"
"""Which version of the API and of the frames is spoken here."""
_CONNECT_S = 10.0
_SILENCE_S = 30.0
# A running query sends a sign of life every three seconds, so that silence means that the broker, or the way to it, is gone.
_NO_SIGN_OF_LIFE_S = 15.0
# Whoever gives up a query is not kept by a broker that cannot be reached; that hears of it by the hanging up as well.
_CANCEL_S = 5.0
# What the broker may raise here. By name, from this list alone: an answer never says which code is run.
_ERRORS: dict[str, type[FlowfileNbError]] = {
    name: kind for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, FlowfileNbError)
}


class Client:
    """
    One broker, as one caller sees it. Threads may share it; a forked child gets connections of its own.

    Args:
        address: Where it is, and the caller's token.
        learn: Has a token that a file gave masked in outputs, by the name of the variable that names the file.
    """

    def __init__(self, address: Address, learn: Callable[[str, str], None] | None = None) -> None:
        self.address = address
        self._learn = learn
        self._learnt = ""
        self._lock = threading.Lock()
        self._pid = 0
        self._http: Any = None

    def __repr__(self) -> str:
        return f"Client({self.address.shown!r})"

    def get(self, path: str, **query: str) -> dict[str, Any]:
        """Return the answer to a question. Raises what the broker says; BrokerError if it says nothing that is understood."""
        return self._ask("GET", path, params=query)

    def put(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Have something stored or changed. Raises as `get`."""
        return self._ask("PUT", path, **_as_json(body))

    def post(self, path: str, body: Mapping[str, Any], *, timeout_s: float = _SILENCE_S) -> dict[str, Any]:
        """Have something done, and wait no longer than that for the answer. Raises as `get`."""
        return self._ask("POST", path, **_as_json(body), timeout=_timeout(timeout_s))

    def open(self, body: Mapping[str, Any], what: str = "query") -> Frames:
        """
        Begin a query, or a request to an API; its frames come as bytes, cut anywhere.

        Args:
            body: As `POST /api/query` takes it; `id` is what `cancel` takes.
            what: `query` or `request`.

        Raises as `get`, for what the broker refuses before the query begins. Reading the frames raises BrokerError where they
        stop coming.
        """
        http = self._session()
        options = {**_as_json(body), "timeout": _timeout(_NO_SIGN_OF_LIFE_S)}
        response = self._send(http.build_request("POST", f"api/{what}", **options), stream=True)
        if response.status_code != 200:
            try:
                response.read()
            except _network_errors() as error:
                raise self._gone(error) from None
            finally:
                response.close()
            raise _refusal(response)
        return Frames(response, self._gone)

    def cancel(self, query_id: str) -> bool:
        """Cancel a query of this caller's; return whether there was any. Raises as `get`."""
        return bool(self.post("api/query/cancel", {"id": query_id}, timeout_s=_CANCEL_S).get("cancelled"))

    def close(self) -> None:
        """Close the connections; the next request opens new ones."""
        with self._lock:
            if self._http is not None and self._pid == os.getpid():
                self._http.close()
            self._http = None

    def _ask(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        response = self._send(self._session().build_request(method, path, **options))
        if response.status_code != 200:
            raise _refusal(response)
        try:
            answer = response.json()
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            raise _not_understood(response.status_code)
        return answer

    def _send(self, request: Any, *, stream: bool = False) -> Any:
        if token := self._token():
            request.headers["Authorization"] = f"Bearer {token}"
        try:
            return self._session().send(request, stream=stream)
        except _network_errors() as error:
            raise self._gone(error) from None

    def _token(self) -> str:
        token = self.address.current_token()
        if self.address.token_file and self._learn is not None and token != self._learnt:
            self._learn(self.address.token_from, token)
            self._learnt = token
        return token

    def _gone(self, error: BaseException) -> BrokerError:
        """Return what is said of a broker that does not answer. Not in the library's words: they can quote a request."""
        import httpx

        what = "does not answer"
        if isinstance(error, (httpx.ConnectError, httpx.ConnectTimeout)):
            what = "cannot be reached"
        elif isinstance(error, httpx.TimeoutException):
            what = f"has said nothing for {error.request.extensions['timeout']['read']:.0f} seconds"
        elif isinstance(error, (httpx.RemoteProtocolError, httpx.ReadError)):
            what = "has hung up"
        return BrokerError(
            f"the team's broker at {self.address.shown} {what}",
            hint="ask whoever runs it, and try again;  %secret doctor  says whether it is there",
        )

    def _session(self) -> Any:
        """Return the pool of connections of this process: those that came over a fork are the parent's."""
        with self._lock:
            if self._http is None or self._pid != os.getpid():
                self._http, self._pid = self._new(), os.getpid()
            return self._http

    def _knock(self) -> None:
        """Try the unix socket once, so that it is said what is wrong: it is not there, nobody listens, or it is not for us."""
        import socket

        with socket.socket(socket.AF_UNIX) as probe:
            try:
                probe.connect(self.address.socket)
            except OSError as error:
                raise BrokerError(
                    f"the team's broker at {self.address.shown} cannot be reached: {error.strerror or error}",
                    hint="ask whoever runs it, and try again;  %secret doctor  says whether it is there",
                ) from None

    def _new(self) -> Any:
        try:
            import httpx
        except ModuleNotFoundError:
            raise MissingDriverError(
                "speaking to a team's broker needs the library httpx", hint="pip install 'flowfile-nb[team]'"
            ) from None
        if self.address.socket:
            self._knock()
        import ssl

        headers = {"X-Flowfile-Nb-Wire": WIRE, "Accept-Encoding": "identity"}
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=4)
        # OpenSSL's own list of authorities, which SSL_CERT_FILE replaces.
        verify: Any = ssl.create_default_context() if self.address.url.startswith("https:") else False
        return httpx.Client(
            base_url=self.address.url,
            headers=headers,
            transport=httpx.HTTPTransport(verify=verify, uds=self.address.socket or None, limits=limits, trust_env=False),
            timeout=_timeout(_SILENCE_S),
            # Neither a proxy of the environment's nor a redirect gets the token.
            trust_env=False,
            follow_redirects=False,
        )


class Frames:
    """
    The frames of one query, as bytes cut anywhere. Closing it before its end hangs up, which ends the query.

    Args:
        response: The answer, whose body has not been read.
        gone: Returns what is said of a broker that hung up.
    """

    def __init__(self, response: Any, gone: Any) -> None:
        self._response = response
        self._pieces: Iterator[bytes] = response.iter_raw()
        self._gone = gone

    def __iter__(self) -> Frames:
        return self

    def __next__(self) -> bytes:
        try:
            return next(self._pieces)
        except StopIteration:
            self.close()
            raise
        except _network_errors() as error:
            self.close()
            raise self._gone(error) from None
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Hang up, if there is more to come."""
        self._response.close()


def error_named(kind: str, message: str, hint: str) -> FlowfileNbError:
    """Return the error that the broker names; one of its own where the name is none of ours."""
    return _ERRORS.get(kind, BrokerError)(spelled(message), hint=spelled(hint))


def _timeout(silence_s: float) -> Any:
    import httpx

    return httpx.Timeout(silence_s, connect=min(silence_s, _CONNECT_S))


def _as_json(body: Mapping[str, Any]) -> dict[str, Any]:
    # Not by the library's own way: it stumbles over half of a surrogate pair, which a name may have.
    return {"content": json.dumps(body).encode(), "headers": {"Content-Type": "application/json"}}


def _network_errors() -> tuple[type[BaseException], ...]:
    import httpx

    return httpx.TransportError, httpx.StreamError, httpx.DecodingError


def _refusal(response: Any) -> FlowfileNbError:
    """Return the error that an answer stands for."""
    try:
        said = response.json()["error"]
        kind, message, hint = said["type"], str(said["message"]), str(said.get("hint") or "")
    except (ValueError, KeyError, TypeError):
        return _not_understood(response.status_code)
    if not isinstance(kind, str):
        return _not_understood(response.status_code)
    if response.status_code == 401:
        return NotAllowedError(
            spelled(message), hint=spelled(hint) or f"the broker takes the token in {TOKEN} (or {TOKEN_FILE}), or the Hub's"
        )
    return error_named(kind, message, hint)


def _not_understood(status: int) -> BrokerError:
    if status in {404, 405}:
        return BrokerError(
            "what answers there is no broker, or one of another version", hint="ask whoever runs it;  %secret doctor"
        )
    # Its text is not shown: who knows whose it is.
    return BrokerError(f"the broker's answer was not understood (status {status})", hint="ask whoever runs it;  %secret doctor")
