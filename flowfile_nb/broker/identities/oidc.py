"""Callers whom an OpenID Connect issuer knows (Keycloak, Entra, Okta …), by a token that it has signed for this broker."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from flowfile_nb.broker.identities import bearer
from flowfile_nb.broker.identities.issuer import ALGORITHMS, IssuerKeys
from flowfile_nb.broker.model import Caller, PeerCredentials
from flowfile_nb.errors import NotAllowedError

_SIGNED = re.compile(r"[\w-]+\.[\w-]*\.[\w-]*", re.ASCII)
# What a header may say that the token is: an ID token, or an access token (RFC 9068). Others are for something else, such as
# telling of a logout.
_TYPES = {"jwt", "at+jwt", "application/at+jwt"}
_CLOCKS_DIFFER_S = 30
_FETCH = "get a new one from the issuer;  FLOWFILE_NB_TEAM_TOKEN_FILE  is read anew for each request"


class Claims(NamedTuple):
    """What a token's claims have to be, and which of them say who calls."""

    audience: str
    """For whom: a token that the issuer made for another service is refused."""
    user: str = "sub"
    """The claim that is the user's name here. `sub` is the one that every issuer keeps for one person; another is as good as
    the issuer keeps people from choosing it."""
    groups: str = ""
    """The claim with the names of his groups; empty where the issuer's do not count."""


class OidcIdentity:
    """
    Users of an OpenID Connect issuer.

    Only what the issuer has signed with a key pair counts. A token cannot say where its key is (`jku`, `x5u`, `jwk`): the
    issuer's discovery document alone does.

    Args:
        keys: The issuer's.
        claims: What is asked of a token.
    """

    def __init__(self, keys: IssuerKeys, claims: Claims) -> None:
        self._keys = keys
        self._claims = claims

    def __repr__(self) -> str:
        return f"OidcIdentity({self._keys.issuer!r})"

    async def ask_issuer(self) -> int:
        """Ask the issuer for its keys; return how many it has. Raises BrokerError."""
        return await self._keys.ask()

    async def caller(
        self, headers: Mapping[str, str], peer: PeerCredentials | None, scope: str, place: str = ""
    ) -> Caller | None:
        """
        Return who calls; None without a signed token.

        Raises:
            NotAllowedError: If the token is not good, or not for this broker.
            BrokerError: If the issuer does not answer.
        """
        token = bearer(headers)
        if token is None or not _SIGNED.fullmatch(token):
            return None
        said = await self._verified(token)
        name = said.get(self._claims.user)
        if not isinstance(name, str) or not name:
            raise NotAllowedError(
                f"this token does not say who calls: it has no claim {self._claims.user!r}",
                hint="the broker's administrator looks at --oidc-user-claim, or has the issuer add that claim",
            )
        if self._claims.user == "email" and said.get("email_verified") is not True:
            raise NotAllowedError("the issuer has not verified this token's address", hint="have the issuer verify it")
        return Caller(name, self._groups(said), vouched_by="oidc", ends_at=float(said["exp"]) + _CLOCKS_DIFFER_S)

    def _groups(self, said: Mapping[str, Any]) -> frozenset[str]:
        groups = said.get(self._claims.groups, []) if self._claims.groups else []
        if not isinstance(groups, list) or not all(isinstance(one, str) for one in groups):
            raise NotAllowedError(
                f"this token's claim {self._claims.groups!r} is no list of names",
                hint="the broker's administrator looks at --oidc-groups-claim",
            )
        return frozenset(groups)

    async def _verified(self, token: str) -> dict[str, Any]:
        import jwt

        try:
            header = jwt.get_unverified_header(token)
        except jwt.PyJWTError:
            raise NotAllowedError("this token was not understood", hint=_FETCH) from None
        algorithm = header.get("alg")
        if algorithm not in ALGORITHMS:
            raise NotAllowedError(
                "this token is not signed with a key pair of its issuer's",
                hint=f"the issuer signs with one of {', '.join(ALGORITHMS)}",
            )
        if str(header.get("typ", "jwt")).lower() not in _TYPES or "crit" in header:
            raise NotAllowedError("this token is not one that says who calls", hint="send an ID token, or an access token")
        key = await self._keys.key(algorithm, header.get("kid"))
        try:
            said: dict[str, Any] = jwt.decode(
                token,
                key,
                # The one that the key was found for, which is on our own list.
                algorithms=[algorithm],
                audience=self._claims.audience,
                issuer=self._keys.issuer,
                leeway=_CLOCKS_DIFFER_S,
                options={"require": ["iss", "aud", "exp"], "enforce_minimum_key_length": True},
            )
        except jwt.PyJWTError as error:
            message, hint = _why(error, self._claims.audience)
            raise NotAllowedError(message, hint=hint) from None
        return said


def _why(error: Exception, audience: str) -> tuple[str, str]:
    """Return message and hint for a token that did not hold. Not in the library's words, which may repeat a claim."""
    import jwt

    later = ("this token does not hold yet", "compare the clocks of the issuer and of the broker's host")
    said: dict[type[Exception], tuple[str, str]] = {
        jwt.InvalidSignatureError: ("this token's signature does not hold", _FETCH),
        jwt.ExpiredSignatureError: ("this token has expired", _FETCH),
        jwt.ImmatureSignatureError: later,
        jwt.InvalidIssuedAtError: later,
        jwt.InvalidAudienceError: (
            "this token is not for the team's broker",
            f"have the issuer make one for the audience {audience!r}",
        ),
        jwt.InvalidIssuerError: ("this token is from another issuer than the one that vouches here", _FETCH),
        jwt.MissingRequiredClaimError: ("this token lacks one of the claims iss, aud and exp", "have the issuer add it"),
        jwt.InvalidKeyError: (
            "the issuer's key is too short to be trusted",
            "it needs an RSA key of 2048 bits or more",
        ),
    }
    return said.get(type(error), ("this token does not hold", _FETCH))
