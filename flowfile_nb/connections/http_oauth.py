"""OAuth 2 client credentials (RFC 6749, section 4.4): an access token for a client's id and secret, kept until it expires."""

from __future__ import annotations

import base64
import hashlib
import threading
import time
from collections.abc import Mapping
from typing import Any, NamedTuple, NoReturn
from urllib.parse import quote_plus, urlencode

import httpx

from flowfile_nb.connections.access import Access
from flowfile_nb.connections.failures import explain
from flowfile_nb.core.references import fill, names_in
from flowfile_nb.errors import ConnectionFailedError

_MARGIN_S = 30  # a token this close to its end might end on the way


class _Token:
    """An access token that shows nothing of itself and is not copied into another process."""

    __slots__ = ("bought_with", "text", "until")

    def __init__(self, text: str, until: float, bought_with: bytes) -> None:
        self.text, self.until, self.bought_with = text, until, bought_with

    def __repr__(self) -> str:
        return "<access token>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("an access token is not pickled")


class Grant(NamedTuple):
    """What a connection's access tokens are asked for with. Texts hold references."""

    token_url: str
    client_id: str
    client_secret: str
    extra: Mapping[str, str]
    """`scope`, `audience`: what else the server wants in the form."""
    in_body: bool
    """Whether id and secret go into the form; else they are the user and password of HTTP's basic authentication."""
    timeout_s: float

    @property
    def texts(self) -> tuple[str, ...]:
        """All that may hold a reference."""
        return (self.client_id, self.client_secret, *self.extra.values())


class ClientCredentials:
    """
    Fetches and keeps the access token of one connection.

    The client's secret is read for each request: a deleted one stops the connection, and a replaced one buys a new token.
    """

    def __init__(self, grant: Grant) -> None:
        self.grant = grant
        self._kept: _Token | None = None
        self._lock = threading.Lock()

    def token(self, reveal: Access, transport: httpx.BaseTransport) -> str:
        """
        Return a token that is still good.

        Raises:
            ConnectionFailedError: If the server does not answer, refuses, or answers something else.
        """
        with self._lock:
            credentials = [fill(text, reveal) for text in self.grant.texts]
            bought_with = hashlib.sha256(repr(credentials).encode()).digest()
            if self._kept is None or self._kept.bought_with != bought_with or time.monotonic() >= self._kept.until:
                self._kept = None
                self._kept = self._buy(reveal, transport, bought_with)
            return self._kept.text

    def forget(self, token: str) -> None:
        """Fetch another the next time, unless that was done meanwhile."""
        with self._lock:
            if self._kept is not None and self._kept.text == token:
                self._kept = None

    def _buy(self, reveal: Access, transport: httpx.BaseTransport, bought_with: bytes) -> _Token:
        asked_at = time.monotonic()
        try:
            response = transport.handle_request(self._request(reveal))
            status, body = response.status_code, response.read()
            response.close()
        except httpx.TransportError as error:
            raise explain(error, self.grant.token_url, names_in(self.grant.client_secret), reveal) from None
        except KeyboardInterrupt:
            raise KeyboardInterrupt from None
        if status in {400, 401, 403}:
            raise self._refused(status, reveal)
        answer = _json(body) if status == 200 else {}
        text, lasts_s = answer.get("access_token"), answer.get("expires_in", float("inf"))
        bearer = str(answer.get("token_type", "bearer")).lower() == "bearer"
        if not isinstance(text, str) or not text.isascii() or not text.isprintable() or not bearer:
            raise ConnectionFailedError(
                f"{self.grant.token_url} answered {status}, without a bearer token", hint="check token_url in the description"
            )
        reveal.learn("access token", text)
        try:
            until = asked_at + float(lasts_s) - _MARGIN_S
        except (TypeError, ValueError):
            until = float("inf")
        return _Token(text, until, bought_with)

    def _request(self, reveal: Access) -> httpx.Request:
        client_id, client_secret = fill(self.grant.client_id, reveal), fill(self.grant.client_secret, reveal)
        form = {"grant_type": "client_credentials", **{key: fill(text, reveal) for key, text in self.grant.extra.items()}}
        headers = {"Accept": "application/json", "Content-Type": "application/x-www-form-urlencoded"}
        if self.grant.in_body:
            form |= {"client_id": client_id, "client_secret": client_secret}
        else:
            # Form-encoded first, as section 2.3.1 says: an id may hold a colon.
            pair = f"{quote_plus(client_id)}:{quote_plus(client_secret)}"
            headers["Authorization"] = "Basic " + base64.b64encode(pair.encode()).decode()
        timeout = dict.fromkeys(("connect", "read", "write", "pool"), self.grant.timeout_s)
        return httpx.Request(
            "POST", self.grant.token_url, headers=headers, content=urlencode(form).encode(), extensions={"timeout": timeout}
        )

    def _refused(self, status: int, reveal: Access) -> ConnectionFailedError:
        other = "basic" if self.grant.in_body else "body"
        name = next(iter(names_in(self.grant.client_secret)), "NAME")
        return ConnectionFailedError(
            f"{self.grant.token_url} refused the client's id or secret {reveal.label(name)}: it answered {status}",
            hint=f'store it anew:  %secret set {reveal.typed(name)} --replace   or try  client_auth = "{other}"',
        )


def _json(body: bytes) -> dict[str, Any]:
    import json

    try:
        answer = json.loads(body)
    except ValueError:
        return {}
    return answer if isinstance(answer, dict) else {}
