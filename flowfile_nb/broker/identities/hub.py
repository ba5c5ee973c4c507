"""
Callers whom JupyterHub knows, by the token that every kernel of theirs has.

The Hub is asked for every request. Its own helper class keeps what it was told for five minutes, and for ever with
`cache_max_age=0`: a token that was taken back stays good there.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from flowfile_nb.broker.identities import bearer
from flowfile_nb.broker.identities.questions import Questions
from flowfile_nb.broker.model import Caller, PeerCredentials
from flowfile_nb.broker.running import SilentError
from flowfile_nb.errors import BrokerError, NotAllowedError

_TIMEOUT_S = 5.0
GRACE_S = 15.0
"""How long a query that runs goes on while the Hub says nothing. A new one is refused at once."""


class HubIdentity:
    """
    Users of a JupyterHub.

    Args:
        api_url: Of the Hub, such as `http://127.0.0.1:8081/hub/api`.
        service: The broker's name there. A token counts only if it may call that service.
        own_token: The broker's own, with which it asks who is still in a group (`read:users:name`, `read:users:groups`).
            Without one, a Hub group that somebody has left ends his next query, not the one that runs.
        grace_s: How long a query that runs goes on while the Hub says nothing.
    """

    def __init__(self, api_url: str, service: str, own_token: str = "", grace_s: float = GRACE_S) -> None:
        self._api = api_url.rstrip("/")
        self._scopes = {"access:services", f"access:services!service={service}"}
        self._own_token = own_token
        self._grace_s = grace_s
        self._silent_since: dict[str, float] = {}
        self._questions = Questions()

    def __repr__(self) -> str:
        return f"HubIdentity({self._api!r})"

    @property
    def watches(self) -> bool:
        """Whether `now` can be asked."""
        return bool(self._own_token)

    async def caller(
        self, headers: Mapping[str, str], peer: PeerCredentials | None, scope: str, place: str = ""
    ) -> Caller | None:
        """
        Return who calls; None without a token.

        Raises:
            NotAllowedError: If the Hub does not know the token, it is no user's, or it may not call this service.
            LimitError: If too many wait for the Hub already from that place.
            BrokerError: If the Hub does not answer, or not as a Hub does.
        """
        token = bearer(headers)
        if token is None:
            return None
        async with self._questions.turn(place, token):
            try:
                caller = await self._recognised(token)
            except NotAllowedError:
                self._questions.refuse(place, token)
                raise
            self._questions.recognise(token)
        # It answers: a silence that ends what runs begins after this.
        self._silent_since.pop(caller.name, None)
        return caller

    async def _recognised(self, token: str) -> Caller:
        """Return whose token it is, as the Hub says now. Raises as `caller`."""
        status, said = await self._ask("user", token)
        if status in {401, 403, 404}:
            raise NotAllowedError("the Hub does not know this token", hint="log in again, or restart your server from the Hub")
        if status != 200:
            raise _no_answer()
        if said.get("kind") != "user":
            raise NotAllowedError("only a user's own token is taken here, not a service's", hint="call from a notebook")
        scopes = said.get("scopes")
        if not isinstance(scopes, list) or not self._scopes & {scope for scope in scopes if isinstance(scope, str)}:
            raise NotAllowedError(
                "this token may not call the broker",
                hint="the Hub's administrator adds access:services!service=… to c.Spawner.server_token_scopes and to a role",
            )
        return _caller(said)

    async def now(self, name: str) -> Caller | None:
        """
        Return a user as the Hub has him now; None if it has him no more.

        Raises:
            SilentError: If the Hub does not answer.
            BrokerError: If it has not answered for longer than the grace.
        """
        try:
            status, said = await self._ask(f"users/{quote(name, safe='')}", self._own_token, alone=True)
            if status == 404:
                self._silent_since.pop(name, None)
                return None
            if status != 200:
                raise _no_answer()
            caller = _caller({"kind": "user", **said})
        except BrokerError:
            if time.monotonic() - self._silent_since.setdefault(name, time.monotonic()) > self._grace_s:
                raise
            raise SilentError from None
        self._silent_since.pop(name, None)
        return caller

    async def _ask(self, path: str, token: str, *, alone: bool = False) -> tuple[int, dict[str, Any]]:
        """Return the Hub's answer. With *alone* it shares no connections with those who call with tokens of any kind."""
        from tornado.httpclient import AsyncHTTPClient, HTTPRequest

        client = AsyncHTTPClient(force_instance=alone)
        request = HTTPRequest(
            f"{self._api}/{path}",
            headers={"Authorization": f"token {token}", "Accept": "application/json"},
            connect_timeout=_TIMEOUT_S,
            request_timeout=_TIMEOUT_S,
            follow_redirects=False,
        )
        try:
            answer = await client.fetch(request, raise_error=False)
            said = json.loads(answer.body) if answer.code == 200 else {}
        except Exception:  # noqa: BLE001 - whatever keeps the Hub's answer away, and not in its words: they may hold the token
            raise _no_answer() from None
        finally:
            if alone:
                client.close()
        if not isinstance(said, dict):
            raise _no_answer()
        return answer.code, said


def _caller(said: Mapping[str, Any]) -> Caller:
    name, groups = said.get("name"), said.get("groups", [])
    if not isinstance(name, str) or not name or not isinstance(groups, list) or not all(isinstance(one, str) for one in groups):
        raise _no_answer()
    return Caller(name, frozenset(groups), said.get("admin") is True, "hub")


def _no_answer() -> BrokerError:
    return BrokerError(
        "JupyterHub does not answer, so the broker cannot know who calls; nothing was done",
        hint="try again when the Hub is back",
    )
