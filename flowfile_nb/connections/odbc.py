"""ODBC connection strings: `Driver={…};Server=db.example.com,1433;UID=app;PWD={…}`, in which any value may be a secret."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from flowfile_nb.core.references import fill, names_in
from flowfile_nb.errors import ConnectionSpecError, MissingDriverError

_PAIR = re.compile(r"(?P<key>[^=;{}]+)=(?P<value>\s*\{(?:[^}]|\}\})*\}\s*|[^;]*)(?:;|$)")
_MICROSOFT = re.compile(r"ODBC Driver (\d+) for SQL Server")


def filled(text: str, restore: Callable[[str], str], reveal: Callable[[str], str]) -> str:
    """
    Return a connection string with values in place of its stand-ins, each between braces, as it then means just itself.

    Args:
        text: The string with a harmless word where values will be.
        restore: Turns such a word, in a longer text too, back into references.
        reveal: Returns the value of a secret.

    >>> filled("Server=h;PWD=word", lambda text: text.replace("word", "${secret:pw}"), {"pw": "a;b}c"}.__getitem__)
    'Server=h;PWD={a;b}}c}'
    """
    done, end = [], 0
    for pair in _PAIR.finditer(text):
        value = pair["value"].strip()
        bare = value[1:-1].replace("}}", "}") if value.startswith("{") else value
        wanted = restore(bare)
        if wanted != bare and names_in(wanted):
            braced = "{" + fill(wanted, reveal).replace("}", "}}") + "}"
            done += [text[end : pair.start("value")], braced]
            end = pair.end("value")
    rest = text[end:]
    if restore(rest) != rest:
        raise ConnectionSpecError(
            "a reference stands in the ODBC string where no value is", hint="Driver={…};Server=…;UID=app;PWD=%secret NAME"
        )
    return "".join([*done, rest])


def driver_of(installed: Iterable[str]) -> str:
    """
    Return the ODBC driver for SQL Server to use, of those installed: Microsoft's newest, else FreeTDS.

    Raises:
        MissingDriverError: If there is none.
    """
    names = list(installed)
    microsoft = [(int(match[1]), name) for name in names if (match := _MICROSOFT.fullmatch(name))]
    if microsoft:
        return max(microsoft)[1]
    for name in names:
        if name.lower() == "freetds":
            return name
    raise MissingDriverError(
        "no ODBC driver for SQL Server is installed on this machine",
        hint="install Microsoft's ODBC Driver 18, or connect without ODBC:  mssql+pymssql://…",
    )
