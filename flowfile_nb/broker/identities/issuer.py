"""The keys of an OpenID Connect issuer: found by its discovery document, and asked for anew as it changes them."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from flowfile_nb.broker.sockets import is_near
from flowfile_nb.errors import BrokerError, NotAllowedError, UsageError

_TIMEOUT_S = 5.0
_MAX_ANSWER_BYTES = 1024 * 1024
FRESH_S = 300.0
"""How long keys are taken without asking the issuer whether it has withdrawn one."""
USABLE_S = 3600.0
"""How long they are taken while the issuer does not answer."""
_ASK_AGAIN_AFTER_S = 10.0
# Key type and curve that an algorithm needs. Signatures with a shared secret (HS…) are not among them: whoever can check one
# can make one.
_KINDS: dict[str, tuple[str, str | None]] = {
    **dict.fromkeys(("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"), ("RSA", None)),
    "ES256": ("EC", "P-256"),
    "ES384": ("EC", "P-384"),
    "ES512": ("EC", "P-521"),
    "EdDSA": ("OKP", "Ed25519"),
}
ALGORITHMS = tuple(_KINDS)


class IssuerKeys:
    """
    The public keys with which an issuer's tokens are verified.

    Args:
        issuer: Its URL, as its tokens have it in `iss`.
        fresh_s: After how long it is asked anew.
        usable_s: How long its keys are taken while it does not answer.
        ask_again_after_s: How long it is left in peace after it was asked, whatever keys callers name.

    Raises:
        UsageError: If the URL is none, or would have keys come over a network in clear.
    """

    def __init__(
        self,
        issuer: str,
        fresh_s: float = FRESH_S,
        usable_s: float = USABLE_S,
        ask_again_after_s: float = _ASK_AGAIN_AFTER_S,
    ) -> None:
        if not _is_safe(issuer):
            raise UsageError(
                "the issuer is no https address: whoever is on the way could give keys of his own for it",
                hint="--oidc-issuer https://login.example.com/realms/team,  just as its tokens have it in `iss`",
            )
        self.issuer = issuer
        self._fresh_s, self._usable_s, self._ask_again_after_s = fresh_s, usable_s, ask_again_after_s
        self._keys: list[Mapping[str, Any]] = []
        self._fetched_at = self._asked_at = float("-inf")
        self._one_at_a_time = asyncio.Lock()

    async def key(self, algorithm: str, key_id: str | None) -> Any:
        """
        Return the key (of PyJWT) for a token's header.

        Args:
            algorithm: One of `ALGORITHMS`.
            key_id: Which key; None is enough where the issuer has one alone of that kind.

        Raises:
            NotAllowedError: If the issuer has no such key.
            BrokerError: If it does not answer, and what it said last is too old.
        """
        if time.monotonic() - self._fetched_at >= self._fresh_s:
            await self._ask_unless_just_asked()
        found = self._find(algorithm, key_id)
        if found is None:
            # It may have a new one since.
            await self._ask_unless_just_asked()
            found = self._find(algorithm, key_id)
        if found is None:
            raise NotAllowedError(
                "this token is signed with a key that its issuer does not have",
                hint=f"get a new one; one that the issuer has just begun to use is known here after {_ASK_AGAIN_AFTER_S:.0f} s",
            )
        return found

    async def ask(self) -> int:
        """Ask the issuer for its keys now; return how many there are to verify with. Raises BrokerError."""
        # Who needs a key meanwhile waits for these.
        async with self._one_at_a_time:
            return await self._ask()

    async def _ask(self) -> int:
        self._asked_at = time.monotonic()
        found = await self._get(f"{self.issuer.rstrip('/')}/.well-known/openid-configuration", "discovery document")
        if found.get("issuer") != self.issuer:
            raise self._no_answer("its discovery document names another issuer")
        address = found.get("jwks_uri")
        if not isinstance(address, str) or not _is_safe(address):
            raise self._no_answer("its discovery document names no https address for its keys")
        keys = (await self._get(address, "keys")).get("keys")
        if not isinstance(keys, list):
            raise self._no_answer("its keys are of another form")
        # All at once: a key that is not there any more is not taken any more.
        self._keys = [key for key in keys if isinstance(key, dict) and _verifies(key)]
        self._fetched_at = time.monotonic()
        return len(self._keys)

    async def _ask_unless_just_asked(self) -> None:
        async with self._one_at_a_time:
            # Whatever callers put into a header of theirs, the issuer is not asked more often than this.
            if time.monotonic() - self._asked_at >= self._ask_again_after_s:
                try:
                    await self._ask()
                except BrokerError:
                    if time.monotonic() - self._fetched_at >= self._usable_s:
                        raise
            elif time.monotonic() - self._fetched_at >= self._usable_s:
                raise self._no_answer("it was asked a moment ago")

    def _find(self, algorithm: str, key_id: str | None) -> Any:
        import jwt

        kind, curve = _KINDS[algorithm]
        fitting = [
            key
            for key in self._keys
            if key.get("kty") == kind
            and (curve is None or key.get("crv") == curve)
            and key.get("alg") in {None, algorithm}
            and (key_id is None or key.get("kid") == key_id)
        ]
        if len(fitting) != 1:
            # None, or several of which the token does not say which.
            return None
        try:
            return jwt.PyJWK(dict(fitting[0]), algorithm)
        except jwt.PyJWTError:
            return None

    async def _get(self, url: str, what: str) -> dict[str, Any]:
        from tornado.httpclient import AsyncHTTPClient, HTTPRequest

        client = AsyncHTTPClient(force_instance=True, defaults=None, max_body_size=_MAX_ANSWER_BYTES)
        request = HTTPRequest(
            url,
            headers={"Accept": "application/json"},
            connect_timeout=_TIMEOUT_S,
            request_timeout=_TIMEOUT_S,
            # Wherever else it leads, that is not the issuer.
            follow_redirects=False,
        )
        try:
            answer = await client.fetch(request, raise_error=False)
            said = json.loads(answer.body) if answer.code == 200 else None
        except Exception as error:  # noqa: BLE001 - whatever keeps the answer away
            raise self._no_answer(f"its {what} could not be read ({type(error).__name__})") from None
        finally:
            client.close()
        if answer.code in range(300, 400):
            raise self._no_answer(f"its {what} is said to be elsewhere (status {answer.code}), which is not followed")
        if not isinstance(said, dict):
            raise self._no_answer(f"its {what} could not be read (status {answer.code})")
        return said

    def _no_answer(self, why: str) -> BrokerError:
        return BrokerError(
            f"the issuer {self.issuer} does not answer as one, so the broker cannot know who calls: {why}",
            hint="try again when it is back; the broker's administrator looks at --oidc-issuer",
        )


def _is_safe(url: str) -> bool:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return False
    if not parts.hostname or parts.username is not None or parts.query or parts.fragment:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and is_near(parts.hostname))


def _verifies(key: Mapping[str, Any]) -> bool:
    """Return whether a key is one to verify signatures with."""
    operations = key.get("key_ops")
    return key.get("use") in {None, "sig"} and (operations is None or (isinstance(operations, list) and "verify" in operations))
