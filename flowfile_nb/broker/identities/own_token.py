"""Tokens that the broker itself has issued: `python -m flowfile_nb token add NAME`."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from flowfile_nb.broker.identities import bearer
from flowfile_nb.broker.model import Caller, PeerCredentials
from flowfile_nb.broker.routes import MANAGE
from flowfile_nb.broker.threads import in_thread


class TokenIdentity:
    """
    Tokens of the broker's own, by their hash in its store.

    Args:
        caller_of_token: Returns whose a token is that reaches for a scope, or raises NotAllowedError.
        prefix: What they begin with. Any other token is left to the next way.
    """

    def __init__(self, caller_of_token: Callable[[str, str], Caller], prefix: str) -> None:
        self._caller_of_token = caller_of_token
        self._prefix = prefix

    async def caller(
        self, headers: Mapping[str, str], peer: PeerCredentials | None, scope: str, place: str = ""
    ) -> Caller | None:
        """Return whose token it is; None without one of ours. Raises NotAllowedError for one that is not good."""
        token = bearer(headers)
        if token is None or not token.startswith(self._prefix):
            return None
        return await in_thread(self._caller_of_token, token, scope, changes=scope == MANAGE)
