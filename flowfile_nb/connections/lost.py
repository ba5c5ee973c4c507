"""
What a database says, in a later cell, of a connection that a library keeps open by itself: ADBC's, Ibis's, DuckDB's.

That it was lost, or that the server refuses it. What it says of a statement is nobody's here: that is shown as ever.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from flowfile_nb.connections import dialects
from flowfile_nb.connections.access import Access
from flowfile_nb.connections.causes import chain
from flowfile_nb.connections.failures import USE, with_secrets

if TYPE_CHECKING:
    from sqlalchemy.engine import URL

Explain = Callable[[BaseException], tuple[str, str] | None]

OPEN_AGAIN = "run the cell again that opens it;  %connect NAME  if it is saved"
# PostgreSQL's classes of what is about a connection, and not about a statement (postgresql.org, "Error Codes").
_STATES = ("08", "28", "53300", "57P")
# (what is said, what happened)
_SAID = (
    (
        (
            r"closed the connection|terminating connection|lost connection|gone away|connection reset|broken pipe"
            r"|could not (?:send|receive) data|connection has been closed|eof detected"
        ),
        "the server has closed the connection",
    ),
    (r"connection is closed|no connection to the server|connection (?:not|is not) open", "the connection is closed"),
)


def lost(error: BaseException) -> str:
    """Return what has happened to a connection, by what a library says of it; empty if that is about something else."""
    for one in chain(error):
        state = getattr(one, "sqlstate", None)
        if state and not state.startswith(_STATES):
            return ""
        # Without the statement, which some quote.
        text = re.sub(r"\"[^\"]*\"", '""', str(one).partition("\nQuery was:")[0]).lower()
        for said, what in _SAID:
            if re.search(said, text):
                return what
    return ""


def explaining(url: URL, secrets: list[str], access: Access, remedy: str = OPEN_AGAIN) -> Explain:
    """
    Return what explains errors of an open connection, as the method `later.EXPLAIN` does.

    Args:
        url: The description's, with references.
        secrets: The names of the secrets it uses.
        access: Tells their ages.
        remedy: What to do where the connection was lost.
    """

    def explain(error: BaseException) -> tuple[str, str] | None:
        what = "" if access.debug else lost(error)
        return (f"{USE} {dialects.place_of(url)}{with_secrets(secrets, access)}: {what}", remedy) if what else None

    return explain
