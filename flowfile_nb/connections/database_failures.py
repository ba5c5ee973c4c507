"""What opening a database has failed for, where its description says more about that than the driver's error does."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import quote

from flowfile_nb.connections import dialects
from flowfile_nb.connections.access import Access
from flowfile_nb.connections.causes import BAD_VALUE, NO_DATABASE, NO_HOST, REFUSED
from flowfile_nb.connections.failures import explain
from flowfile_nb.core.names import nearest
from flowfile_nb.core.references import names_in

if TYPE_CHECKING:
    from sqlalchemy.engine import URL

    from flowfile_nb.errors import ConnectionFailedError

# libpq's options that take one of a few words (postgresql.org, "Parameter Key Words").
_WORDS = {
    "channel_binding": ("disable", "prefer", "require"),
    "gssencmode": ("disable", "prefer", "require"),
    "load_balance_hosts": ("disable", "random"),
    "sslmode": ("disable", "allow", "prefer", "require", "verify-ca", "verify-full"),
    "sslnegotiation": ("postgres", "direct"),
    "target_session_attrs": ("any", "read-write", "read-only", "primary", "standby", "prefer-standby"),
}
_PASSWORDS = {"passfile", "password", "service"}
_BAD_WORD = re.compile(r"invalid (\w+) value")
_BAD_NUMBER = re.compile(r"invalid integer value .* for connection option \"(\w+)\"")


def explain_opening(
    error: BaseException, url: URL, secrets: list[str], access: Access, beside: Iterable[str] = ()
) -> ConnectionFailedError:
    """
    Return our error for what a database's driver raised when it was to open a connection; see `failures.explain`.

    Args:
        error: What was raised.
        url: The description's, with references.
        secrets: The names of the secrets it used.
        access: As of `explain`.
        beside: The names of the driver's arguments that do not stand in the URL.
    """
    options = {*beside, *url.query}
    # The hint about a refused password is about the first of them.
    of_password = names_in(str(url.password or ""))
    ordered = sorted(secrets, key=lambda name: name not in of_password)
    found = partial(_found, error, url, options, access)
    return explain(error, dialects.place_of(url), ordered, access, dialects.server_of(url), described=found)


def _found(error: BaseException, url: URL, options: set[str], access: Access, what: str) -> tuple[str, str] | None:
    """Return what happened and what to do, where the description says more about a cause; else None."""
    is_postgres = url.get_backend_name() == "postgresql"
    if what == REFUSED and url.password is None and not options & _PASSWORDS and "PGPASSWORD" not in os.environ:
        return what, _without_password(url, access)
    if what == NO_HOST and (names := names_in(url.host or "")):
        return (
            what,
            f"the reference stands in the host's place; a password stands before the @:  {_password(access.typed(names[0]))}",
        )
    if what == NO_DATABASE and is_postgres and not url.database and not options & {"dbname", "service"}:
        taken = "that is called as the user" if not os.environ.get("PGDATABASE") else "that the variable PGDATABASE names"
        return (
            f"the description names no database; PostgreSQL then takes the one {taken}, and there is none",
            f'add it to the end of the URL:  @{_server(url)}/DATABASE,  or  database = "DATABASE"',
        )
    if what == BAD_VALUE and is_postgres:
        return _of_option(str(error), url)
    return None


def _without_password(url: URL, access: Access) -> str:
    user = url.username or ""
    if names := names_in(user):
        return (
            f"the reference stands in the user's place; a password stands behind the user:  {_password(access.typed(names[0]))}"
        )
    if not user:
        return "no user and no password stand in this description; write  user:%secret NAME@  before the host in the URL"
    return (
        f"no password stands in this description; write  {quote(user, safe='')}:%secret NAME@  in the URL,"
        "  or  password = %secret NAME"
    )


def _password(typed: str) -> str:
    """Return how a secret is written as a password, in both forms of a description."""
    return f"user:%secret {typed}@host,  or  password = %secret {typed}"


def _server(url: URL) -> str:
    host = f"[{url.host}]" if url.host and ":" in url.host else url.host or ""
    return f"{host}:{url.port}" if url.port else host


def _of_option(said: str, url: URL) -> tuple[str, str] | None:
    """Return which of libpq's options has a value that it does not take, and those that it takes; no value is quoted."""
    if number := _BAD_NUMBER.search(said):
        return f"the value of the option {number[1]} is not a number", f"write it without quotes and units:  {number[1]}=10"
    word = _BAD_WORD.search(said)
    if word is None or word[1] not in _WORDS:
        return None
    option, allowed = word[1], _WORDS[word[1]]
    given = url.query.get(option)
    meant = nearest(given, allowed) if isinstance(given, str) and not names_in(given) else None
    guess = f"did you mean  {option}={meant}?  " if meant else ""
    return f"the option {option} has no such value", f"{guess}It is one of  {', '.join(allowed)}"
