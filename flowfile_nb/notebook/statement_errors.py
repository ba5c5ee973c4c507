"""
How a cell shows an error that the database has with a statement: what it said, where in the cell, what to do.

Only for exceptions that went through a connection of ours; what is raised is what SQLAlchemy or pandas raises. `%tb` shows the
whole traceback, and so does the cell itself after `%xmode Verbose`.
"""

from __future__ import annotations

import linecache
import sys
from collections.abc import Callable
from pathlib import Path
from sysconfig import get_path
from typing import TYPE_CHECKING, Any

from flowfile_nb import session
from flowfile_nb.connections.statements import Told, told_of

if TYPE_CHECKING:
    from types import TracebackType

    from IPython.core.interactiveshell import InteractiveShell

_STANDARD = get_path("stdlib")
_INSTALLED = {"dist-packages", "site-packages"}


def show(shell: InteractiveShell, show_all: Callable[[], None]) -> None:
    """Have the traceback of the exception that is being handled shown, short where it is the database's."""
    error = sys.exc_info()[1]
    text = _text(shell, error)
    if error is None or text is None or getattr(shell.InteractiveTB, "mode", "") == "Verbose":
        show_all()
        return
    # IPython's own protocol for an exception that says how it is shown; for this once.
    error._render_traceback_ = lambda: [text]  # type: ignore[attr-defined]
    try:
        show_all()
    finally:
        del error._render_traceback_  # type: ignore[attr-defined]


def _text(shell: InteractiveShell, error: BaseException | None) -> str | None:
    """Return what is shown of an error; None of one that is not the database's."""
    try:
        told = told_of(error)
        return None if told is None or error is None else "\n".join(_lines(shell, error, told))
    except Exception:  # noqa: BLE001 - whatever goes wrong here, the error itself is shown
        return None


def _lines(shell: InteractiveShell, error: BaseException, told: Told) -> list[str]:
    lines = [f"{type(error).__name__}: {told.said}"]
    if told.statement:
        lines += ["in the statement:", *(f"    {line}" for line in told.statement.split("\n"))]
    if place := _place(shell, error.__traceback__):
        lines.append(place)
    remedy = told.remedy.replace("NAME", _variable(told.engine()))
    return [*lines, f"hint: {remedy}{';  ' if remedy else ''}%tb  shows the whole traceback"]


def _variable(engine: Any) -> str:
    """Return the variable that an engine is bound to."""
    return next((name for name, one in session.opened.items() if engine is not None and one.native is engine), "engine")


def _place(shell: InteractiveShell, traceback: TracebackType | None) -> str:
    """Return the line that asked the database: the innermost one that is not a library's."""
    found = ""
    while traceback is not None:
        name, number = traceback.tb_frame.f_code.co_filename, traceback.tb_lineno
        cell = shell.compile.format_code_name(name)
        if cell is not None or not (name.startswith(("<", _STANDARD)) or _INSTALLED & set(Path(name).parts)):
            where = " ".join(cell) if cell is not None else name
            found = f"{where}, line {number}:  {linecache.getline(name, number).strip()}"
        traceback = traceback.tb_next
    return found
