"""PEP 249's errors, which are this package's as well: a notebook shows two lines of each."""

from __future__ import annotations

from typing import Any, NoReturn

from flowfile_nb import errors
from flowfile_nb.core.spelling import spelled
from flowfile_nb.errors import FlowfileNbError, QueryError


class Warning(UserWarning):  # noqa: A001 - PEP 249's name
    """Something of importance, such as a rollback that cannot be."""


class Error(FlowfileNbError):
    """What went wrong at the database; `code` is its own code of it, such as an SQLSTATE."""

    code = ""


class InterfaceError(Error):
    """This module was used in another way than PEP 249 says."""


class DatabaseError(Error, QueryError):
    """The database did not do it."""


class DataError(DatabaseError):
    """A value is out of range, or of another form than the database takes."""


class OperationalError(DatabaseError):
    """It is not the statement: cancelled, out of time, refused by the share's being to read only."""


class IntegrityError(DatabaseError):
    """A constraint would be broken."""


class InternalError(DatabaseError):
    """The database has a trouble of its own."""


class ProgrammingError(DatabaseError):
    """The statement is not right: no such table, a syntax error."""


class NotSupportedError(DatabaseError):
    """The database does not have that."""


_BY_CODE = {
    "22": DataError,
    "23": IntegrityError,
    "26": ProgrammingError,
    "42": ProgrammingError,
    "34": ProgrammingError,
    "0A": NotSupportedError,
    "XX": InternalError,
    "25": OperationalError,
    "57": OperationalError,
}


def raise_said(facts: dict[str, Any]) -> NoReturn:
    """Raise what an error frame says: ours where it is one of ours, else one of PEP 249's, by the database's code."""
    kind, message, hint = str(facts.get("type")), spelled(str(facts.get("message"))), spelled(str(facts.get("hint") or ""))
    code = str(facts.get("code") or "")
    if kind in {"QueryError", "CancelledError"}:
        chosen = OperationalError if kind == "CancelledError" or not code else _BY_CODE.get(code[:2], DatabaseError)
        raised = chosen(message, hint=hint)
        raised.code = code
        raise raised
    known = getattr(errors, kind, None)
    fallback = errors.BrokerError
    # By name, from our own errors alone: an answer never says which code is run.
    is_ours = isinstance(known, type) and issubclass(known, FlowfileNbError)
    raise (known if is_ours and known is not None else fallback)(message, hint=hint)
