"""Errors as answers: a status, and what happened in words that hold no value."""

from __future__ import annotations

import logging
import secrets
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from flowfile_nb import errors
from flowfile_nb.errors import (
    BrokerError,
    ConnectionFailedError,
    FlowfileNbError,
    GroupError,
    LimitError,
    MissingDriverError,
    NoSuchConnectionError,
    NoSuchGroupError,
    NoSuchSecretError,
    NotAllowedError,
    SecretExistsError,
    StoreError,
)

_log = logging.getLogger("flowfile_nb.broker")
_STATUSES: list[tuple[tuple[type[FlowfileNbError], ...], int]] = [
    ((NoSuchSecretError, NoSuchConnectionError, NoSuchGroupError), 404),
    ((NotAllowedError,), 403),
    ((SecretExistsError, GroupError), 409),
    ((LimitError,), 429),
    ((ConnectionFailedError,), 502),
    ((BrokerError, StoreError, MissingDriverError), 503),
]
"""The first that fits; anything else of ours is 400: the request."""


def status_of(error: FlowfileNbError) -> int:
    """Return the status of an error."""
    return next((status for kinds, status in _STATUSES if isinstance(error, kinds)), 400)


def as_answer(error: FlowfileNbError) -> dict[str, dict[str, str]]:
    """Return the body that says an error; the kernel raises it again by the name of its class."""
    return {"error": {"type": type(error).__name__, "message": error.message, "hint": error.hint}}


def error_of(facts: Mapping[str, Any]) -> FlowfileNbError:
    """Return the error that a session's error frame says; by name, from our own alone."""
    kind = getattr(errors, str(facts.get("type")), BrokerError)
    if not (isinstance(kind, type) and issubclass(kind, FlowfileNbError)):
        kind = BrokerError
    return kind(str(facts.get("message", "")), hint=str(facts.get("hint", "")))


@contextmanager
def told_of(connection: str) -> Iterator[None]:
    """Have an error say of which saved connection it is, where a secret of several is shared; without a name as it is."""
    try:
        yield
    except FlowfileNbError as error:
        if not connection:
            raise
        raise type(error)(f"saved connection {connection!r}: {error.message}", hint=error.hint) from error


def unforeseen(error: BaseException) -> BrokerError:
    """
    Return what a caller is told of a failure that nobody has foreseen.

    The log gets its type and where it arose, not its text, which can hold whatever was worked on.
    """
    reference = secrets.token_hex(4)
    frames = " < ".join(f"{frame.name}:{frame.lineno}" for frame in reversed(traceback.extract_tb(error.__traceback__)[-6:]))
    _log.error("reference %s: %s at %s", reference, type(error).__name__, frames)
    return BrokerError(f"the broker failed (reference {reference})", hint="its administrator finds the reference in its log")
