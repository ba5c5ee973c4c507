"""Parameters as literals of SQL, put in the places of a statement: drivers bind too many types otherwise than users mean."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from flowfile_nb.broker.engines import StatementError

_SHOWN = 200
# As every driver of this style reads them, also between quotes and in comments: `%%` is one `%`.
_PLACE = re.compile(r"%(?:(?P<percent>%)|(?P<next>s)|\((?P<name>[^)]+)\)s|)")


def filled(statement: str, parameters: Any, literal: Callable[[Any], str]) -> str:
    """
    Return *statement* with its places, `%s` or `%(name)s`, filled; as it is where *parameters* is None.

    Raises:
        StatementError: If places and parameters do not fit each other.
    """
    if parameters is None:
        return statement
    row = iter([] if isinstance(parameters, Mapping) else parameters)

    def fill(place: re.Match[str]) -> str:
        if place["percent"]:
            return "%"
        try:
            if place["next"]:
                return literal(next(row))
            if place["name"]:
                return literal(parameters[place["name"]])
        except (StopIteration, KeyError, TypeError):
            raise StatementError(f"no value was given for the statement's {place[0][:_SHOWN]}", clean=True) from None
        raise StatementError("a lone % in a statement with parameters", "write %% for one per cent sign, %s for a value")

    text = _PLACE.sub(fill, statement)
    if next(row, row) is not row:
        raise StatementError("more values were given than the statement has places for")
    return text
