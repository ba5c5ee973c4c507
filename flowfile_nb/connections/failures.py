"""What a driver's error means, in our words: its own can hold the DSN."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from urllib.parse import quote

from flowfile_nb.connections.access import Access
from flowfile_nb.connections.causes import ANOTHER, BEGIN_WITH_TLS, CLOSED, NO_SUCH, SILENT, TLS_FIRST, cause_of
from flowfile_nb.core.names import environment_variable
from flowfile_nb.core.references import fill, reference
from flowfile_nb.errors import ConnectionFailedError, FlowfileNbError

USE = "could not use"
"""How an error of a connection that was opened earlier begins."""

_LOGIN = re.compile(r"[\w+.-]+://([^/]+)@")
# What a port that waits for TLS does with a client that does not begin so, and others do, too.
_PERHAPS_TLS = {SILENT, NO_SUCH, CLOSED}


def explain(  # noqa: PLR0913 - all that is known of a connection
    error: BaseException,
    target: str,
    secrets: list[str],
    access: Access,
    server: tuple[str, int] | None = None,
    *,
    described: Callable[[str], tuple[str, str] | None] = lambda what: None,
) -> ConnectionFailedError:
    """
    Return our error for a driver's, holding nothing of its text, unless that was asked for: then masked.

    Args:
        error: What the driver, or SQLAlchemy, raised.
        target: Where the connection was to lead, without password.
        secrets: The names of the secrets it used.
        access: Tells the secrets' ages, and what to do where one is refused.
        server: Host and port of what was not greeted with TLS. Where it said nothing that is understood, it is asked whether
            it begins with that.
        described: Gets what happened, and returns the same and what to do where the description says more about it.
    """
    target = fill(target, lambda name: reference(access.present(name)))
    # SQLAlchemy wraps the driver's error, and a driver those of others, down to the system's.
    driver = getattr(error, "orig", None) or error
    what, remedy = cause_of(driver) or (
        f"the driver raised {type(error).__name__}",
        "check every part of it;  --debug  shows the driver's own words",
    )
    if server is not None and what in _PERHAPS_TLS:
        from flowfile_nb.connections.tls_probe import begins_with_tls

        if begins_with_tls(*server):
            what, remedy = TLS_FIRST, BEGIN_WITH_TLS
    if not access.remedy:
        what, remedy = described(what) or (what, remedy)
    if remedy == ANOTHER and not secrets and not access.remedy and (login := _LOGIN.match(target)):
        remedy = (
            f"no password stands in this description; write  {quote(login[1], safe='')}:%secret NAME@  in the URL,"
            "  or  password = %secret NAME"
        )
    replace = f"%secret set {access.typed(secrets[0])} --replace" if secrets else "%secret set NAME"
    if secrets and (variable := environment_variable(access.present(secrets[0]))) in os.environ:
        # It would go on giving the value, whatever is stored.
        replace = f"set or delete the variable {variable}, which gives it"
    return ConnectionFailedError(
        f"could not open {target}{with_secrets(secrets, access)}: {what}",
        hint=remedy.replace("{replace}", access.remedy or replace).replace("{file}", _path_of(target)),
        driver=access.shown(error),
    )


def _path_of(target: str) -> str:
    return "duckdb:////home/me/data.duckdb" if target.startswith("duckdb:") else "sqlite:////home/me/data.db"


def of_use(found: FlowfileNbError) -> tuple[str, str]:
    """Return what happened and what to do, where the error of opening is one of a connection that was open."""
    return found.message.replace("could not open", USE, 1), found.hint


def with_secrets(names: list[str], access: Access) -> str:
    """Return which secrets were used, each with its age, to stand behind a target; empty if none were."""
    return f" with secret {', '.join(map(access.named, names))}" if names else ""
