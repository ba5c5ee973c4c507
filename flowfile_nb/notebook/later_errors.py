"""
How a cell shows an error of a connection that was opened earlier: what happened, where in the cell, what to do.

Of a database it is what that said of a statement; of a filesystem or an API, which connection and which secret it was. Only
for exceptions that went through a connection of ours; what is raised is what the library raises. `%tb` shows the whole
traceback, and so does the cell itself after `%xmode Verbose`.
"""

from __future__ import annotations

import linecache
import sys
from collections.abc import Callable
from pathlib import Path
from sysconfig import get_path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types import TracebackType

    from IPython.core.interactiveshell import InteractiveShell

    from flowfile_nb.connections.told import Told

TELLING = ("flowfile_nb.connections.statements", "flowfile_nb.connections.later")
"""The modules that know of such errors, if they are loaded."""
_PACKAGE = "flowfile_nb"
_STANDARD = get_path("stdlib")
_INSTALLED = {"dist-packages", "site-packages"}


def show(shell: InteractiveShell, show_all: Callable[[], None]) -> None:
    """Have the traceback of the exception that is being handled shown, short where it is a connection's."""
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
    """Return what is shown of an error; None of one that is not a connection's."""
    try:
        told = _told_of(error)
        return None if told is None or error is None else "\n".join(_lines(shell, error, told))
    except Exception:  # noqa: BLE001 - whatever goes wrong here, the error itself is shown
        return None


def _told_of(error: BaseException | None) -> Told | None:
    # Where nothing was opened of the kind, nothing is looked for, and no library loaded for it.
    for module in map(sys.modules.get, TELLING):
        if module is not None and (told := module.told_of(error)) is not None:
            found: Told = told
            return found
    return None


def _lines(shell: InteractiveShell, error: BaseException, told: Told) -> list[str]:
    lines = [f"{type(error).__name__}: {told.said}"]
    if told.statement:
        lines += ["in the statement:", *(f"    {line}" for line in told.statement.split("\n"))]
    if place := _place(shell, error.__traceback__):
        lines.append(place)
    remedy = told.remedy.replace("NAME", _variable(shell, told.bound()))
    return [*lines, f"hint: {remedy}{';  ' if remedy else ''}%tb  shows the whole traceback"]


def _variable(shell: InteractiveShell, bound: Any) -> str:
    """Return the variable that an object is bound to."""
    found = (name for name, item in list(shell.user_ns.items()) if item is bound and not name.startswith("_"))
    return next(found, "NAME") if bound is not None else "NAME"


def _of_library(name: str) -> bool:
    """Return whether a file is Python's or a library's; compiled code names its source by half of a path."""
    return name.startswith(("<", _STANDARD)) or name.endswith((".pxi", ".pyx")) or bool(_INSTALLED & set(Path(name).parts))


def _place(shell: InteractiveShell, traceback: TracebackType | None) -> str:
    """Return the line that asked the database: the innermost one that is not a library's."""
    found = ""
    while traceback is not None:
        name, number = traceback.tb_frame.f_code.co_filename, traceback.tb_lineno
        ours = str(traceback.tb_frame.f_globals.get("__name__")).partition(".")[0] == _PACKAGE
        cell = shell.compile.format_code_name(name)
        if cell is not None or not (ours or _of_library(name)):
            where = " ".join(cell) if cell is not None else name
            found = f"{where}, line {number}:  {linecache.getline(name, number).strip()}"
        traceback = traceback.tb_next
    return found
