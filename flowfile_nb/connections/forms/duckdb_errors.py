"""
What DuckDB's errors say where it reads through a filesystem of ours: it tells Python's exception as a text of its own.

So what the filesystem raised is remembered as what can be told of it; the exception itself would keep all its frames alive.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable
from functools import wraps
from time import monotonic
from typing import Any, NamedTuple

from flowfile_nb.connections.failures import of_use
from flowfile_nb.connections.later import ALL, Teller
from flowfile_nb.connections.object_storage import ObjectStorage
from flowfile_nb.errors import FlowfileNbError

# What DuckDB asks a filesystem for, and a file.
_OF_FILESYSTEM = (
    "exists",
    "glob",
    "info",
    "isdir",
    "isfile",
    "ls",
    "makedirs",
    "mkdir",
    "modified",
    "mv",
    "open",
    "rm",
    "size",
)
_OF_FILE = ("close", "read", "write")
# As many threads of DuckDB's may each have had one.
_REMEMBERED = 16
# After which DuckDB has raised what was raised here: the same text may later be another connection's.
_RAISES_WITHIN_S = 5.0


def explain_errors(connection: Any, filesystem: Any, storage: ObjectStorage) -> None:
    """
    Have DuckDB's errors with a filesystem explained, for as long as that is there.

    Args:
        connection: DuckDB's, which the user has.
        filesystem: That which DuckDB reads through, and nobody else.
        storage: What made it.
    """
    errors = _Errors(storage, storage.target(filesystem))
    filesystem.teller = teller = Teller(connection, errors.told_of)
    for name in _OF_FILESYSTEM:
        setattr(filesystem, name, _watched(getattr(filesystem, name), errors, teller))
    filesystem.open = _opening(filesystem.open, errors, teller)


class _Raised(NamedTuple):
    text: str
    """What DuckDB's text has of it."""
    told: tuple[str, str]
    at: float
    """On the monotonic clock, in seconds."""


class _Errors:
    """What one filesystem has raised."""

    def __init__(self, storage: ObjectStorage, place: str) -> None:
        self._storage, self._place = storage, place
        self._scheme = storage.grammar.scheme
        self._raised: deque[_Raised] = deque(maxlen=_REMEMBERED)
        self._asked: deque[str] = deque(maxlen=_REMEMBERED)

    def asked(self, *about: Any) -> None:
        """Remember what DuckDB asks about: a path without the scheme."""
        self._asked += [one.rpartition("://")[2].strip("/") for one in about[:1] if isinstance(one, str)]

    def remember(self, error: Exception) -> None:
        text = f"{type(error).__name__}: {str(error).strip()}".partition("\n")[0]
        told = self._ours(error) if isinstance(error, FlowfileNbError) else self._storage.later(error, self._listing)
        self._raised.append(_Raised(text, told or ALL, monotonic()))

    def told_of(self, error: BaseException) -> tuple[str, str] | None:
        """Return what can be told of DuckDB's error, as a `Teller` does."""
        text = str(error)
        absent = re.match(rf"IO Error: No files found .*\"{self._scheme}:///*(?P<path>.*)\"", text)
        if absent is not None:
            if absent["path"] not in self._asked:
                return None
            said = text.partition("\n")[0].partition(": ")[2]
            return self._storage.later(FileNotFoundError(said), self._listing) or ALL
        since = monotonic() - _RAISES_WITHIN_S
        told = next((one.told for one in reversed(self._raised) if one.text in text and one.at >= since), None)
        if told is not None:
            self._raised.clear()
        return told

    def _ours(self, error: FlowfileNbError) -> tuple[str, str]:
        said, hint = of_use(error)
        return (said if self._place in said else f"{said}   (in {self._place})"), hint

    def _listing(self, where: str) -> str:
        return f"NAME.sql(\"FROM glob('{self._scheme}://{where.rstrip('/')}/**')\")"


def _watched(plain: Callable[..., Any], errors: _Errors, teller: Teller) -> Callable[..., Any]:
    @wraps(plain)
    def asked(*arguments: Any, **options: Any) -> Any:
        teller.used()
        errors.asked(*arguments)
        try:
            return plain(*arguments, **options)
        except Exception as error:
            errors.remember(error)
            raise

    return asked


def _opening(plain: Callable[..., Any], errors: _Errors, teller: Teller) -> Callable[..., Any]:
    @wraps(plain)
    def opened(*arguments: Any, **options: Any) -> Any:
        file = plain(*arguments, **options)
        for name in _OF_FILE:
            setattr(file, name, _watched(getattr(file, name), errors, teller))
        return file

    return opened
