"""Asking the person at the keyboard, and saying clearly when there is nobody."""

from __future__ import annotations

import getpass
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from IPython import get_ipython
from IPython.core.error import StdinNotImplementedError

from flowfile_nb.core.names import environment_variable, quoted
from flowfile_nb.errors import NoPromptError, UsageError


def ask_value(name: str) -> str:
    """
    Ask for a secret's value without echo; it goes into no output and no history.

    Raises:
        UsageError: If the cell is interrupted meanwhile, as of each question here.
        NoPromptError: In a headless run, or where a terminal cannot hide what is typed.
    """
    try:
        return _ask_hidden(f"Value of {name} (hidden): ")
    except (StdinNotImplementedError, EOFError, getpass.GetPassWarning):
        raise NoPromptError(
            f"nobody can be asked for the value of {name!r}: this is a headless run",
            hint=f"set {environment_variable(name)}, or use  %secret set {quoted(name)} --file PATH  or  --env VAR",
        ) from None


def ask_passphrase(what: str, *, twice: bool, otherwise: str) -> str:
    """
    Ask for a passphrase without echo.

    Args:
        what: What it is of.
        twice: Whether to ask a second time: what is mistyped now cannot be opened later.
        otherwise: What to do in a headless run, for the hint.

    Raises:
        UsageError: If the two are not the same.
        NoPromptError: In a headless run, or where a terminal cannot hide what is typed.
    """
    try:
        passphrase = _ask_hidden(f"{what} (hidden): ")
        if twice and _ask_hidden("The same once more: ") != passphrase:
            raise UsageError("the two passphrases are not the same; nothing was done", hint="type it again")
    except (StdinNotImplementedError, EOFError, getpass.GetPassWarning):
        raise NoPromptError("nobody can be asked for the passphrase: this is a headless run", hint=otherwise) from None
    return passphrase


def confirm(question: str, *, otherwise: str) -> bool:
    """
    Ask a question that is answered with y or n; anything but y is no.

    Args:
        question: What is asked.
        otherwise: What to do in a headless run, for the hint.

    Raises:
        NoPromptError: In a headless run.
    """
    try:
        with _answered():
            return input(f"{question} [y/N] ").strip().lower() in {"y", "yes"}
    except (StdinNotImplementedError, EOFError):
        raise NoPromptError("nobody can be asked: this is a headless run; nothing was changed", hint=otherwise) from None


def _ask_hidden(prompt: str) -> str:
    with warnings.catch_warnings():
        # Where it cannot hide the input, getpass warns and echoes; we would rather not ask.
        warnings.simplefilter("error", getpass.GetPassWarning)
        with _answered():
            return getpass.getpass(prompt)


@contextmanager
def _answered() -> Iterator[None]:
    """Ask only where somebody is, and say in two lines that a question was interrupted."""
    _require_someone()
    try:
        yield
    except KeyboardInterrupt:
        if not _in_kernel():
            # The cursor is still behind the question.
            print()
        raise UsageError(
            "interrupted at the question; what it was about was not done", hint="run the line again to be asked again"
        ) from None


def _require_someone() -> None:
    """A kernel asks its front end, and says itself when that cannot; a terminal has to be one."""
    if not _in_kernel() and not (sys.stdin and sys.stdin.isatty()):
        raise EOFError


def _in_kernel() -> bool:
    return getattr(get_ipython(), "kernel", None) is not None
