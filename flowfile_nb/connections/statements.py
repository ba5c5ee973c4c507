"""
What a database says of a statement, told short: SQLAlchemy's own traceback of it has two hundred lines.

An exception that went through an engine of ours is remembered as such. It is raised as it is, whatever is shown of it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary, ref

from flowfile_nb.connections.told import Told, shortened
from flowfile_nb.errors import FlowfileNbError

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection, ExceptionContext

# (what the database says, what to do); the first that matches counts. `NAME` is the engine's variable.
_REMEDIES = (
    (
        (
            r"relation \"[^\"]*\" does not exist|no such table|table \S+ (?:does not|doesn't) exist|table with name"
            r"|unknown table|table\S* .*not found|invalid object name|ora-00942"
        ),
        "check its name and schema; those that are there:  sqlalchemy.inspect(NAME).get_table_names()",
    ),
    (
        (
            r"column \S+ (?:does not|doesn't) exist|no such column|unknown column|invalid column name|ora-00904"
            r"|referenced column|column \S+ cannot be resolved"
        ),
        'check its spelling; those that are there:  sqlalchemy.inspect(NAME).get_columns("TABLE")',
    ),
    (r"allowed as placeholders|placeholders? but", "a  %  that is no placeholder is written  %%  in this statement"),
    (
        r"current transaction is aborted",
        "an earlier statement of this transaction failed: end it with  connection.rollback()",
    ),
    (
        r"read-?only",
        "this connection, or its user, only reads; to write, connect with another",
    ),
    (
        r"permission denied|access denied|command denied|not authori[sz]ed|insufficient privilege",
        "the database's user may not do that; whoever runs the database can allow it",
    ),
    (
        r"is locked|lock wait|deadlock|could not obtain lock|could not set lock",
        "another connection holds it: end its transaction, and run the cell again",
    ),
    (
        r"canceling statement|execution was interrupted|statement timeout|maximum statement execution time",
        "the database ended it: ask for less at once, or raise its own limit",
    ),
    (
        r"unique|duplicate|foreign key|not.null|check constraint|violates",
        "the data breaks a rule of the table; this statement has written nothing",
    ),
    (r"syntax|parse", "check the statement at that place"),
)
_LOST = "the connection was lost; run the cell again, or call  rollback()  of one that is held, and a new one is opened"

_told: WeakKeyDictionary[BaseException, Told] = WeakKeyDictionary()
# What was said when a connection was lost: SQLAlchemy refuses its next statements, and does not say it again.
_lost: WeakKeyDictionary[Connection, Told] = WeakKeyDictionary()


def told_of(error: BaseException | None) -> Told | None:
    """Return what can be told of an exception, or of the one that pandas has put another round; None of everybody else's."""
    from sqlalchemy.exc import PendingRollbackError, StatementError

    if error is None:
        return None
    if type(error).__module__.partition(".")[0] == "pandas" and error.__cause__ is not None:
        error = error.__cause__
    if isinstance(error, PendingRollbackError):
        connection = _connection_of(error)
        return None if connection is None else _lost.get(connection)
    # Of others there may be no weak reference.
    return _told.get(error) if isinstance(error, StatementError) else None


def _connection_of(error: BaseException) -> Connection | None:
    """Return the connection that has refused a statement: the exception does not say it, and the frames do."""
    from sqlalchemy.engine import Connection

    found, traceback = None, error.__traceback__
    while traceback is not None:
        held = traceback.tb_frame.f_locals.get("self")
        found = held if isinstance(held, Connection) else found
        traceback = traceback.tb_next
    return found


def remember(context: ExceptionContext) -> None:
    """Remember what a database says of a statement; the listener of SQLAlchemy's event `handle_error`."""
    raised = context.sqlalchemy_exception
    if raised is None:
        return
    original, statement = context.original_exception, (context.statement or "").strip()
    said = original.message if isinstance(original, FlowfileNbError) else _words(original)
    hint = original.hint if isinstance(original, FlowfileNbError) else ""
    lowered = said.lower()
    remedy = next((remedy for pattern, remedy in _REMEDIES if re.search(pattern, lowered)), "")
    quotes = any(len(line) > 5 and line.strip() in said for line in statement.splitlines())
    bound = ref(context.engine) if context.engine is not None else lambda: None
    shown = "" if quotes else shortened(statement)
    told = _told[raised] = Told(shortened(said), shown, _LOST if context.is_disconnect else hint or remedy, bound)
    if context.is_disconnect and context.connection is not None:
        _lost[context.connection] = told._replace(statement="")


def _words(error: BaseException) -> str:
    """Return what a driver's error says: PyMySQL's and pymssql's have a number before it."""
    arguments: tuple[object, ...] = error.args
    text = arguments[1] if len(arguments) > 1 and isinstance(arguments[0], int) else str(error)
    return (text.decode("utf-8", "replace") if isinstance(text, bytes) else str(text)).strip() or type(error).__name__
