"""`FLOWFILE_SECRET_<NAME>` in this kernel's environment: what is stored under that name is not what is used."""

from __future__ import annotations

import os
from collections.abc import Iterable

from flowfile_nb import session
from flowfile_nb.core.names import environment_variable
from flowfile_nb.errors import NoSuchSecretError


def overriding(name: str) -> str | None:
    """Return the variable that is used in place of what is stored under *name*; None where none is set."""
    variable = environment_variable(name)
    return variable if variable in os.environ else None


def tell_of_override(name: str) -> None:
    """Say that a variable is used and not what is stored under *name*, and how to end that; nothing where none is set."""
    if variable := overriding(name):
        print(f"In this kernel {variable} is used in its place. To end that:  {unset(variable)}")


def tell_of_rest(name: str) -> None:
    """Say that a variable still gives a secret that is not stored under *name* any more; nothing where none is set."""
    if variable := overriding(name):
        print(f"In this kernel {variable} still gives a secret {name}. To end that:  {unset(variable)}")


def require_in_store(names: Iterable[str]) -> None:
    """
    Let pass what no variable alone gives: there is nothing in the store then that could be changed.

    Raises:
        NoSuchSecretError: Of the first that one gives.
    """
    for name in names:
        if (variable := overriding(name)) and name not in session.backend().names():
            raise NoSuchSecretError(
                f"nothing is stored as {name!r}: {variable} gives it", hint=f"to end that:  {unset(variable)}"
            )


def unset(variable: str) -> str:
    """Return the line that takes a variable out of this kernel's environment."""
    return f"import os; del os.environ[{variable!r}]"
