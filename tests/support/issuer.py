"""An OpenID Connect issuer on this machine: a discovery document, its public keys, and tokens signed with the private ones."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import get_default_algorithms

from tests.support.http_server import Answer, Request, Server, running

AUDIENCE = "flowfile-nb"


def new_key(algorithm: str = "RS256", bits: int = 2048) -> Any:
    """Return a private key for an algorithm."""
    if algorithm.startswith("ES"):
        return ec.generate_private_key({"ES256": ec.SECP256R1, "ES384": ec.SECP384R1, "ES512": ec.SECP521R1}[algorithm]())
    return ed25519.Ed25519PrivateKey.generate() if algorithm == "EdDSA" else rsa.generate_private_key(65537, bits)


class Issuer:
    """
    Somebody who vouches.

    Args:
        server: Answers for it.
        path: Behind which it stands, as a realm does.
    """

    def __init__(self, server: Server, path: str = "/realms/team") -> None:
        self.url = f"{server.url}{path}"
        self.server = server
        self.discovery: dict[str, Any] = {"issuer": self.url, "jwks_uri": f"{self.url}/certs"}
        self.answers: dict[str, Answer] = {}
        """What is said at a path in the place of what belongs there."""
        self._private: dict[str, tuple[Any, str]] = {}
        self.published: list[dict[str, Any]] = []
        self.add_key("first")
        server.answer = self._answer
        self._path = path

    @property
    def asked(self) -> list[str]:
        """The paths that were asked for."""
        return [one.path for one in self.server.requests]

    def add_key(self, key_id: str, algorithm: str = "RS256", key: Any = None, **facts: Any) -> None:
        """Make a key pair, and publish its public half."""
        key = key or new_key(algorithm)
        self._private[key_id] = key, algorithm
        public = get_default_algorithms()[algorithm].to_jwk(key.public_key(), as_dict=True)
        self.published.append({**public, "kid": key_id, "use": "sig", **facts})

    def withdraw_key(self, key_id: str) -> None:
        """Publish a key no longer."""
        self.published = [one for one in self.published if one["kid"] != key_id]

    def claims(self, user: str = "bob", **changes: Any) -> dict[str, Any]:
        """Return what a good token says; a claim of None is left out."""
        now = int(time.time())
        claims = {"iss": self.url, "aud": AUDIENCE, "sub": f"id-of-{user}", "preferred_username": user}
        claims |= {"iat": now, "nbf": now, "exp": now + 300, "groups": ["analysts"], **changes}
        return {name: claim for name, claim in claims.items() if claim is not None}

    def token(self, user: str = "bob", key_id: str = "first", headers: dict[str, Any] | None = None, **changes: Any) -> str:
        """Return a token that the issuer has signed."""
        key, algorithm = self._private[key_id]
        facts = {"kid": key_id, **(headers or {})}
        facts = {name: fact for name, fact in facts.items() if fact is not None}
        return jwt.encode(self.claims(user, **changes), key, algorithm, headers=facts)

    def _answer(self, request: Request) -> Answer:
        if request.path in self.answers:
            return self.answers[request.path]
        documents = {
            f"{self._path}/.well-known/openid-configuration": self.discovery,
            f"{self._path}/certs": {"keys": self.published},
        }
        if request.path not in documents:
            return Answer(404)
        return Answer(200, {"Content-Type": "application/json"}, json.dumps(documents[request.path]).encode())


@contextmanager
def running_issuer(**options: Any) -> Iterator[Issuer]:
    """Start one, and stop it at the end."""
    with running(**options) as server:
        yield Issuer(server)
