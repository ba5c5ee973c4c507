"""Who calls: the ways of knowing it, each asked anew for every request."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from flowfile_nb.broker.model import Caller, Identity, PeerCredentials
from flowfile_nb.errors import NotAllowedError

_TOKEN = re.compile(r"[\x21-\x2b\x2d-\x7e]{1,16384}")


async def identify(
    identities: Sequence[Identity], headers: Mapping[str, str], peer: PeerCredentials | None, scope: str, place: str = ""
) -> Caller:
    """
    Return who calls: what the first way says that applies to the request.

    Raises:
        NotAllowedError: If a credential is not good, or there is none. A bad one is not passed over for another way.
        LimitError: If too many wait to be asked about.
        BrokerError: If whoever vouches does not answer.
    """
    for identity in identities:
        if (caller := await identity.caller(headers, peer, scope, place)) is not None:
            return caller
    raise NotAllowedError(
        "the broker does not know who calls",
        hint="send a token in the header Authorization, or come by the broker's unix socket",
    )


def bearer(headers: Mapping[str, str]) -> str | None:
    """
    Return the token of the header `Authorization: Bearer TOKEN` (or `token TOKEN`, as JupyterHub writes it), if it is there.

    Nothing else counts: a URL ends in logs, and a cookie is sent by pages that its owner only visits.

    Raises:
        NotAllowedError: If the header is there and is of another form.
    """
    given = headers.get("Authorization")
    if given is None:
        return None
    kind, _, token = given.partition(" ")
    # A second header of the same name arrives joined by a comma.
    if kind.lower() not in {"bearer", "token"} or not _TOKEN.fullmatch(token):
        raise NotAllowedError("the header Authorization was not understood", hint="Authorization: Bearer TOKEN")
    return token
