"""Whether a connection may be bound to a name, so that nothing is lost by it."""

from __future__ import annotations

import builtins
import keyword
import re
from types import ModuleType
from typing import TYPE_CHECKING

from flowfile_nb import session
from flowfile_nb.errors import NoPromptError, UsageError

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from flowfile_nb.connections.definition import Definition


def variable_like(name: str) -> str:
    """
    Return a variable for a name that may be none: Flowfile's are free text, and those of a file's tables may have hyphens.

    >>> variable_like("the sales (2026)"), variable_like("sales-db"), variable_like("2026"), variable_like("_sales")
    ('the_sales_2026', 'sales_db', 'connection_2026', '_sales')
    """
    if _is_variable(name):
        return name
    found = re.sub(r"\W+", "_", name).strip("_")
    return found if _is_variable(found) else f"connection_{found}"


def variable_of(definition: Definition) -> str:
    """Return the variable that a definition is bound to."""
    foreign = definition.flowfiles is not None or definition.shared or definition.origin
    return variable_like(definition.name) if foreign else definition.name


def require_variable(name: str) -> None:
    """
    Let *name* pass only if it can be a variable.

    Raises:
        UsageError: Otherwise.
    """
    if not _is_variable(name):
        raise UsageError(f"{name!r} cannot be the name of a variable", hint=f"%%connect {variable_like(name)}")


def _is_variable(name: str) -> bool:
    return name.isidentifier() and not keyword.iskeyword(name)


def require_free(shell: InteractiveShell, name: str, magic: str, *, replace: bool) -> None:
    """
    Let *name* pass if nothing else is bound to it, or if that may be replaced: *replace*, or who is asked says so.

    *magic* is how the line began: `%connect`, or `%%connect` of a cell.

    Raises:
        UsageError: If it must not be replaced.
        NoPromptError: If it would have to be asked in a headless run.
    """
    bound = shell.user_ns.get(name)
    if isinstance(bound, ModuleType):
        raise UsageError(f"{name} is an imported module here; nothing was connected", hint="choose another name")
    ours = name in session.opened and bound is session.opened[name].native
    if replace or ours or (name not in shell.user_ns and not hasattr(builtins, name)):
        return
    what = "is a variable of this notebook" if name in shell.user_ns else "is a function of Python's own"
    # Imported here: most names are free.
    from flowfile_nb.notebook.prompt import confirm

    try:
        agreed = confirm(f"{name} {what}. Replace it?", otherwise="")
    except NoPromptError:
        agreed = False
    if not agreed:
        raise UsageError(f"{name} {what}; nothing was connected", hint=f"choose another name, or  {magic} {name} --replace")
