"""Keys that look like a credential's with a typing mistake in them."""

from __future__ import annotations

from functools import lru_cache

# What a credential is called in the descriptions that are known here, each with how many mistakes there may be in it.
_NAMES = {
    **dict.fromkeys(("access_key", "account_key", "credentials", "passphrase", "password", "private_key", "secret_key"), 2),
    **dict.fromkeys(("client_secret", "secret_access_key", "session_token", "access_token", "sas_token", "sslpassword"), 2),
    **dict.fromkeys(("api_key", "passwd", "secret", "token"), 1),
}


# Each description is read several times, and few keys are unusual.
@lru_cache(maxsize=512)
def meant_credential(key: str) -> str | None:
    """
    Return the name of a credential that *key*, or its end, is a typing mistake or two away from; None if there is none.

    >>> meant_credential("pasword"), meant_credential("sasl.passwrod"), meant_credential("tokne"), meant_credential("passfile")
    ('password', 'sasl_password', 'token', None)
    """
    words = key.lower().replace(".", "_").replace("-", "_").split("_")
    for start in range(len(words)):
        end = "_".join(words[start:])
        # `max_tokens` is a number of them.
        found = [
            (mistakes, name)
            for name, most in _NAMES.items()
            if end != f"{name}s" and (mistakes := mistakes_in(end, name)) <= most
        ]
        if found:
            return "_".join([*words[:start], min(found)[1]])
    return None


def is_authorization(header: str) -> bool:
    """
    Return whether a header's name is `Authorization` with a typing mistake or two in it, or as it is spelt in England.

    >>> is_authorization("Authorisation"), is_authorization("Authorizaton"), is_authorization("Author")
    (True, True, False)
    """
    return mistakes_in(header.lower(), "authorization") <= 2


def mistakes_in(one: str, other: str) -> int:
    """Return how many letters are missing, too many, wrong, or two of them the wrong way round (optimal string alignment)."""
    if abs(len(one) - len(other)) > 2:
        return 3
    before: list[int] = []
    line = list(range(len(other) + 1))
    for row, letter in enumerate(one, 1):
        last, line, older = line, [row], before
        for column, its in enumerate(other, 1):
            cost = min(last[column] + 1, line[column - 1] + 1, last[column - 1] + (letter != its))
            if row > 1 and column > 1 and letter == other[column - 2] and one[row - 2] == its:
                cost = min(cost, older[column - 2] + 1)
            line.append(cost)
        before = last
    return line[-1]
