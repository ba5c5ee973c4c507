"""Callers whom an OpenID Connect issuer vouches for: what a token has to be, and every way to make one that it is not."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import jwt
import pytest
import trustme
from cryptography.hazmat.primitives import serialization

from flowfile_nb.broker.identities.issuer import IssuerKeys
from flowfile_nb.broker.identities.oidc import Claims, OidcIdentity
from flowfile_nb.broker.model import Caller
from flowfile_nb.errors import BrokerError, NotAllowedError, UsageError
from flowfile_nb.team.address import Address, address_of
from flowfile_nb.team.client import Client
from notebooks.throwaway import Postgres
from tests.support.front import House, running_house
from tests.support.http_server import Answer, running
from tests.support.issuer import AUDIENCE, Issuer, new_key, running_issuer

NAMED = Claims(AUDIENCE, "preferred_username", "groups")


@pytest.fixture(scope="module")
def issuer() -> Iterator[Issuer]:
    """Somebody who vouches, and the same for all tests that only look."""
    with running_issuer() as issuer:
        yield issuer


@pytest.fixture(scope="module")
def house(reader: Postgres, issuer: Issuer) -> Iterator[House]:
    """A broker that takes the issuer's word, with a connection that the analysts share."""
    claims = ["--oidc-user-claim", "preferred_username", "--oidc-groups-claim", "groups"]
    options = ["--oidc-issuer", issuer.url, "--oidc-audience", AUDIENCE, *claims, "--admin", "ada"]
    with running_house(reader, options=options) as house:
        house.share()
        yield house


@pytest.fixture
def own() -> Iterator[Issuer]:
    """An issuer that a test may change."""
    with running_issuer() as issuer:
        yield issuer


def ask(identity: OidcIdentity, token: str) -> Caller | None:
    """Return who calls with a token."""
    return asyncio.run(identity.caller({"Authorization": f"Bearer {token}"}, None, "use"))


def identity_of(issuer: Issuer, claims: Claims = NAMED, **times: float) -> OidcIdentity:
    """Return the way of knowing an issuer's users."""
    return OidcIdentity(IssuerKeys(issuer.url, **times), claims)


def test_whom_the_issuer_vouches_for(house: House, issuer: Issuer) -> None:
    """Name and groups are those of the token; only a name that the operator gave is an admin."""
    dora, ada = (house.member(issuer.token(name)).get("me").json() for name in ("dora", "ada"))

    assert (dora["name"], dora["groups"], dora["is_admin"], dora["vouched_by"]) == ("dora", ["analysts"], False, "oidc")
    assert ada["is_admin"] is True


def test_a_group_of_the_issuers_uses_what_is_shared_with_it(house: House, issuer: Issuer) -> None:
    """Somebody in the issuer's group `analysts` reads; somebody who is not is told of nothing."""
    inside, outside = house.member(issuer.token("dora")), house.member(issuer.token("eve", groups=["others"]))

    assert inside.rows("select 1 as one") == [{"one": 1}]
    refused = outside.query("select 1")

    assert getattr(refused, "status_code", 200) == 404


@pytest.mark.parametrize("algorithm", ["RS256", "PS384", "ES256", "ES384", "ES512", "EdDSA"])
def test_key_pairs_of_every_kind(own: Issuer, algorithm: str) -> None:
    """What issuers sign with is understood, an access token by its own type too, for one of several audiences."""
    own.add_key("another", algorithm)

    token = own.token(key_id="another", headers={"typ": "at+jwt"}, aud=["account", AUDIENCE])

    assert ask(identity_of(own), token)._replace(ends_at=None) == Caller("bob", frozenset({"analysts"}), False, "oidc")


def test_a_token_without_the_name_of_a_key(own: Issuer) -> None:
    """It is enough where the issuer has one key; of two it is not tried which fits."""
    token = own.token(headers={"kid": None})
    assert ask(identity_of(own), token)
    own.add_key("second")

    with pytest.raises(NotAllowedError, match="a key that its issuer does not have"):
        ask(identity_of(own), token)


def unsigned(issuer: Issuer) -> str:
    return jwt.encode(issuer.claims(), None, "none", headers={"kid": "first"})


def packed(header: dict[str, Any], claims: dict[str, Any], signature: bytes = b"x") -> str:
    parts = (json.dumps(header).encode(), json.dumps(claims).encode(), signature)
    return b".".join(base64.urlsafe_b64encode(part).rstrip(b"=") for part in parts).decode()


def signed_with_the_public_key(issuer: Issuer) -> str:
    """The old trick: a signature with a shared secret, and for that the public key, which everybody has."""
    import hashlib
    import hmac

    public = jwt.PyJWK(issuer.published[0]).key.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    unsigned_part = packed({"alg": "HS256", "typ": "JWT", "kid": "first"}, issuer.claims()).rpartition(".")[0]
    proof = hmac.new(public, unsigned_part.encode(), hashlib.sha256).digest()
    return f"{unsigned_part}.{base64.urlsafe_b64encode(proof).rstrip(b'=').decode()}"


def changed(issuer: Issuer) -> str:
    """A good token, whose claims were changed afterwards."""
    header, _, signature = issuer.token().split(".")
    claims = base64.urlsafe_b64encode(json.dumps(issuer.claims("alice")).encode()).rstrip(b"=").decode()
    return f"{header}.{claims}.{signature}"


def own_key(issuer: Issuer, headers: dict[str, Any]) -> str:
    """A token that somebody signed with a key pair of his own, and a header that says so."""
    return jwt.encode(issuer.claims("alice"), OWN, "RS256", headers={"kid": "first", **headers})


OWN = new_key()
PUBLIC = jwt.algorithms.RSAAlgorithm.to_jwk(OWN.public_key(), as_dict=True)
ATTACKS: dict[str, tuple[Callable[[Issuer], str], str]] = {
    "no signature": (unsigned, "key pair"),
    "alg none, another spelling": (lambda one: packed({"alg": "nOnE"}, one.claims(), b""), "key pair"),
    "no alg": (lambda one: packed({"typ": "JWT"}, one.claims()), "understood|key pair"),
    "alg of another type": (lambda one: packed({"alg": ["RS256"]}, one.claims()), "understood|key pair"),
    "HS256 with the public key": (signed_with_the_public_key, "key pair"),
    "claims changed": (changed, "signature"),
    "signature cut off": (lambda one: one.token().rpartition(".")[0] + ".", "signature"),
    "another's key": (lambda one: own_key(one, {}), "signature"),
    "jwk in the header": (lambda one: own_key(one, {"jwk": PUBLIC}), "signature"),
    "jku in the header": (lambda one: own_key(one, {"jku": "http://127.0.0.1:9/keys"}), "signature"),
    "x5u in the header": (lambda one: own_key(one, {"x5u": "http://127.0.0.1:9/chain"}), "signature"),
    "kid that is a path": (lambda one: own_key(one, {"kid": "../../../../dev/null"}), "a key that its issuer"),
    "kid that is SQL": (lambda one: own_key(one, {"kid": "x' UNION SELECT 'key"}), "a key that its issuer"),
    "kid of a URL": (lambda one: own_key(one, {"kid": "http://127.0.0.1:9/key"}), "a key that its issuer"),
    "kid that is no text": (lambda one: packed({"alg": "RS256", "kid": ["first"]}, one.claims()), "understood"),
    "another kind of key": (lambda one: packed({"alg": "ES256", "kid": "first"}, one.claims()), "a key that its issuer"),
    "expired": (lambda one: one.token(exp=int(time.time()) - 60), "has expired"),
    "expiry that is no number": (lambda one: one.token(exp="tomorrow"), "token does not hold"),
    "not yet": (lambda one: one.token(nbf=int(time.time()) + 600), "not hold yet"),
    "made in the future": (lambda one: one.token(iat=int(time.time()) + 600), "not hold yet"),
    "for ever": (lambda one: one.token(exp=None), "lacks one of the claims"),
    "for nobody": (lambda one: one.token(aud=None), "lacks one of the claims|not for the team"),
    "from nobody": (lambda one: one.token(iss=None), "lacks one of the claims|another issuer"),
    "for another": (lambda one: one.token(aud="payroll"), "not for the team"),
    "for one whose name begins so": (lambda one: one.token(aud=f"{AUDIENCE}-2"), "not for the team"),
    "from another": (lambda one: one.token(iss="https://login.example.com"), "another issuer"),
    "from one whose name begins so": (lambda one: one.token(iss=f"{one.url}/"), "another issuer"),
    "told of a logout": (lambda one: one.token(headers={"typ": "logout+jwt"}), "not one that says who"),
    "with what must be understood": (lambda one: one.token(headers={"crit": ["b64"], "b64": False}), "not one that says who"),
    "nobody's name": (lambda one: one.token(preferred_username=None), "who calls"),
    "a name that is none": (lambda one: one.token(preferred_username=["alice"]), "who calls"),
    "groups that are none": (lambda one: one.token(groups="analysts"), "no list of names"),
    "encrypted, five parts": (lambda one: f"{one.token()}.x.y", "does not know who calls"),
    "nothing between the dots": (lambda one: "a..", "not understood"),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_tokens_that_are_not_good(house: House, issuer: Issuer, attack: str) -> None:
    """Each is refused with its reason, before anything else is done; nothing of the token is repeated."""
    make, reason = ATTACKS[attack]
    token = make(issuer)

    answer = house.member(token).get("me")

    assert answer.status_code == 401, answer.text
    assert re.search(reason, answer.json()["error"]["message"])
    assert not any(part in answer.text for part in token.split(".") if len(part) > 8)
    assert "127.0.0.1:9" not in house.front.log.read_text()


def test_a_key_that_is_too_short(own: Issuer) -> None:
    """An RSA key that can be factored vouches for nobody."""
    own.add_key("short", key=new_key(bits=1024))

    with pytest.warns(jwt.warnings.InsecureKeyLengthWarning):
        token = own.token(key_id="short")

    with pytest.raises(NotAllowedError, match="too short"):
        ask(identity_of(own), token)


@pytest.mark.parametrize("facts", [{"use": "enc"}, {"key_ops": ["encrypt"]}, {"alg": "PS256"}, {"kty": "oct"}])
def test_keys_that_are_for_something_else(own: Issuer, facts: dict[str, Any]) -> None:
    """A published key verifies only what it is published for."""
    own.add_key("other", **facts)

    with pytest.raises(NotAllowedError, match="a key that its issuer does not have"):
        ask(identity_of(own), own.token(key_id="other"))


def test_an_address_that_the_issuer_has_not_verified(own: Issuer) -> None:
    """By the claim `email` anybody could be anybody who can write an address into a form."""
    by_email = identity_of(own, Claims(AUDIENCE, "email"))

    assert ask(by_email, own.token(email="bob@example.com", email_verified=True)).name == "bob@example.com"
    for verified in (False, None, "true"):
        with pytest.raises(NotAllowedError, match="not verified"):
            ask(by_email, own.token(email="bob@example.com", email_verified=verified))


def test_by_default_the_name_is_the_one_that_nobody_chooses(own: Issuer) -> None:
    """The subject counts where the operator says nothing else, and no groups of the issuer's."""
    assert ask(identity_of(own, Claims(AUDIENCE)), own.token())._replace(ends_at=None) == Caller("id-of-bob", vouched_by="oidc")


def test_a_new_key_counts_at_once_and_a_withdrawn_one_no_longer(own: Issuer) -> None:
    """The issuer is asked again for a key that is not known, and for all of them when they are no longer fresh."""
    identity = identity_of(own, fresh_s=3600, ask_again_after_s=0)
    assert ask(identity, own.token())
    own.add_key("second")
    assert ask(identity, own.token(key_id="second"))
    own.withdraw_key("first")
    ask(identity, own.token(key_id="second"))

    with pytest.raises(NotAllowedError, match="a key that its issuer does not have"):
        ask(identity_of(own, fresh_s=0, ask_again_after_s=0), own.token(key_id="first"))


def test_the_issuer_is_left_in_peace(own: Issuer) -> None:
    """Whoever sends a hundred names of keys has the issuer asked once; a good token is still taken."""
    identity = identity_of(own)

    async def crowd() -> list[Any]:
        calls = [
            identity.caller({"Authorization": f"Bearer {own_key(own, {'kid': f'k{number}'})}"}, None, "use")
            for number in range(100)
        ]
        return await asyncio.gather(*calls, return_exceptions=True)

    refused = asyncio.run(crowd())

    assert {type(one) for one in refused} == {NotAllowedError}
    assert len(own.asked) == 2
    assert ask(identity, own.token())


def test_who_calls_while_the_issuer_is_asked_waits_for_it(own: Issuer) -> None:
    """As at the start of a broker: its keys come once, for him, too."""
    identity = identity_of(own)

    async def both() -> tuple[int, Caller | None]:
        at_the_start = asyncio.ensure_future(identity.ask_issuer())
        await asyncio.sleep(0)
        caller = await identity.caller({"Authorization": f"Bearer {own.token()}"}, None, "use")
        return await at_the_start, caller

    count, caller = asyncio.run(both())

    assert count == 1
    assert caller is not None
    assert len(own.asked) == 2


def test_an_issuer_that_is_down(own: Issuer) -> None:
    """Its keys are taken for a while; without any, or with old ones, the broker says that it cannot know who calls."""
    patient = identity_of(own, fresh_s=0, ask_again_after_s=0)
    impatient = identity_of(own, fresh_s=0, usable_s=0, ask_again_after_s=0)
    token = own.token()
    assert ask(patient, token)
    assert ask(impatient, token)
    own.server.answer = lambda _: Answer(503)

    assert ask(patient, token)
    for identity in (impatient, identity_of(own)):
        with pytest.raises(BrokerError, match="cannot know who calls"):
            ask(identity, token)


def test_an_issuer_that_leads_elsewhere(own: Issuer) -> None:
    """Neither its discovery document nor its keys are taken from where a redirect points, nor from another issuer's word."""
    found = "/realms/team/.well-known/openid-configuration"
    with running() as elsewhere:
        for path in (found, "/realms/team/certs"):
            own.answers = {path: Answer(302, {"Location": f"{elsewhere.url}{path}"})}
            with pytest.raises(BrokerError, match="not followed"):
                ask(identity_of(own), own.token())
        own.answers = {}
        for change in (
            {"issuer": elsewhere.url},
            {"jwks_uri": "http://keys.example.com/certs"},
            {"jwks_uri": "file:///etc/passwd"},
        ):
            before = dict(own.discovery)
            own.discovery |= change
            with pytest.raises(BrokerError, match="discovery document names"):
                ask(identity_of(own), own.token())
            own.discovery = before
        assert not elsewhere.requests


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"keys": {}}', b'{"keys": [1, null, {"kty": []}]}', b"x" * 2_000_000])
def test_keys_that_are_none(own: Issuer, body: bytes) -> None:
    """Whatever an issuer says in the place of keys, nobody is vouched for."""
    own.answers = {"/realms/team/certs": Answer(200, {}, body)}

    with pytest.raises((BrokerError, NotAllowedError)):
        ask(identity_of(own), own.token())


def test_an_issuer_whose_certificate_nobody_vouches_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """By https the issuer has to prove who it is, before its keys count."""
    authority = trustme.CA()
    with running_issuer(tls=authority) as issuer, pytest.raises(BrokerError, match="could not be read"):
        ask(identity_of(issuer), issuer.token())


@pytest.mark.parametrize(
    "url",
    ["http://login.example.com", "login.example.com", "https://", "https://me:pw@host", "https://host/?x", "ftp://localhost"],
)
def test_issuers_that_are_refused(url: str) -> None:
    """In clear anybody on the way could give keys of his own."""
    with pytest.raises(UsageError, match="no https address"):
        IssuerKeys(url)


@pytest.mark.parametrize("given", [["--oidc-issuer", "https://login.example.com"], ["--oidc-audience", "x"]])
def test_an_issuer_needs_an_audience(tmp_path: Path, given: list[str]) -> None:
    """One without the other would take tokens that are for other services, so that the broker does not start."""
    import subprocess
    import sys

    done = subprocess.run(
        [sys.executable, "-m", "flowfile_nb", "serve", "--directory", str(tmp_path), "--port", "0", *given],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 2
    assert "hint: --oidc-issuer URL --oidc-audience AUD" in done.stderr


def test_a_kernel_sends_the_token_that_its_file_has_now(house: House, issuer: Issuer, tmp_path: Path) -> None:
    """A token that runs out after minutes is renewed in a file; each request takes the one that is there, and it is masked."""
    file = tmp_path / "token"
    learnt: list[tuple[str, str]] = []
    address = address_of({"FLOWFILE_NB_TEAM": house.front.url, "FLOWFILE_NB_TEAM_TOKEN_FILE": str(file)})
    client = Client(address, lambda name, value: learnt.append((name, value)))
    first, second = issuer.token("dora"), issuer.token("emil")

    file.write_text(f"{first}\n")
    assert client.get("api/me")["name"] == "dora"
    file.write_text(issuer.token("dora", exp=int(time.time()) - 60))
    with pytest.raises(NotAllowedError, match="expired") as error:
        client.get("api/me")
    file.write_text(second)
    assert client.get("api/me")["name"] == "emil"

    assert "FLOWFILE_NB_TEAM_TOKEN_FILE" in error.value.hint
    assert [value for _, value in learnt][::2] == [first, second]
    assert first not in repr(client) + repr(address) + str(address)
    client.close()


def test_a_token_that_another_user_may_have_written_is_not_sent(house: House, issuer: Issuer, tmp_path: Path) -> None:
    """With his token, what is stored here would be his to read."""
    file = tmp_path / "token"
    file.write_text(issuer.token("dora"))
    client = Client(address_of({"FLOWFILE_NB_TEAM": house.front.url, "FLOWFILE_NB_TEAM_TOKEN_FILE": str(file)}))
    with closing(client):
        file.chmod(0o646)
        with pytest.raises(BrokerError, match="could be another user's"):
            client.get("api/me")
        file.chmod(0o640)
        assert client.get("api/me")["name"] == "dora"
        if os.geteuid() == 0:
            os.chown(file, 1234, -1)
            with pytest.raises(BrokerError, match="could be another user's"):
                client.get("api/me")


@pytest.mark.parametrize(
    ("text", "why"), [(None, "No such file"), ("", "a token alone"), ("a b", "a token alone"), ("ä", "no text")]
)
def test_a_file_without_a_token(tmp_path: Path, text: str | None, why: str) -> None:
    """Nothing is sent then, and it is said what is wrong with the file."""
    if text is not None:
        (tmp_path / "token").write_text(text, encoding="utf-8")
    client = Client(Address("http://127.0.0.1:9/", "", "", "FLOWFILE_NB_TEAM_TOKEN_FILE", str(tmp_path / "token")))

    with pytest.raises(BrokerError, match=why):
        client.get("api/me")
    client.close()
