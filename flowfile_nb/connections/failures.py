"""What a driver's error means, in our words: its own can hold the DSN."""

from __future__ import annotations

import re

from flowfile_nb.core.names import quoted
from flowfile_nb.errors import ConnectionFailedError

_NETWORK = "check host and port, the VPN, and whether the server is up"

# (what the driver or the server says, what happened, what to do); the first that matches counts.
_CAUSES = (
    (
        r"password authentication failed|access denied for user|authentication failed|invalid password|no password supplied",
        "the server refused the user or the password{secrets}",
        "check the user name; to store another password:  {replace}",
    ),
    (
        r"invalidaccesskeyid|signaturedoesnotmatch|invalid_client|invalid_grant|expiredtoken|invalidtoken|authenticationfailed",
        "the service refused the key{secrets}",
        "check the key's id; to store another key:  {replace}",
    ),
    (
        r"database \"[^\"]*\" does not exist|unknown database",
        "the server has no database of that name",
        "check the database at the end of the URL",
    ),
    (
        r"role \"[^\"]*\" does not exist|no pg_hba\.conf entry",
        "the server does not let this user in from here",
        "check the user name, and whether the server allows it from this machine",
    ),
    (
        r"service not known|could not translate host|failed to resolve|nodename nor|getaddrinfo|unknown mysql|name resolution",
        "there is no host of that name",
        "check the host's spelling, and whether the VPN is on",
    ),
    (r"connection refused|actively refused", "nothing listens on that host and port", _NETWORK),
    (r"timed? ?out|timeout|no route to host|unreachable", "the server did not answer in time", _NETWORK),
    (
        r"certificate|ssl|tls",
        "the encrypted connection could not be set up",
        "check the TLS options:  ?sslmode=require  for PostgreSQL, ssl_ca for MySQL",
    ),
    (
        r"unable to open database file|no such file|cannot open file|is a directory|permission denied|not a database",
        "the database file cannot be opened",
        "check the path; an absolute one has four slashes:  sqlite:////home/me/data.db",
    ),
    (r"too many (clients|connections)", "the server has no connection left", "close others, or try again later"),
)


def explain(error: BaseException, target: str, secrets: list[str], remedy_of_secret: str = "") -> ConnectionFailedError:
    """
    Return our error for a driver's, holding nothing of its text.

    Args:
        error: What the driver, or SQLAlchemy, raised.
        target: Where the connection was to lead, without password.
        secrets: The names of the secrets it used.
        remedy_of_secret: What to do where the server refuses a secret, if not `%secret set NAME --replace`.
    """
    text = f"{type(error).__name__} {error}".lower()
    names = ", ".join(repr(name) for name in secrets)
    what, remedy = next(
        ((what, remedy) for pattern, what, remedy in _CAUSES if re.search(pattern, text)),
        (f"the driver raised {type(error).__name__}", "check every part of the description against the server's"),
    )
    here = f"%secret set {quoted(secrets[0])} --replace" if secrets else "%secret set NAME"
    return ConnectionFailedError(
        f"could not open {target}: " + what.format(secrets=f" (from secret {names})" if names else ""),
        hint=remedy.format(replace=remedy_of_secret or here),
    )
