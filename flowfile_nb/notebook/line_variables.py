"""
Variables on a line of `%secret`, which puts none into it: `$name` is no name, and `$pw` would be a value in clear.

Those of the environment, too, from which an option takes a value.
"""

from __future__ import annotations

import os
import re
from collections.abc import Container

from flowfile_nb import session
from flowfile_nb.core.expression import expression
from flowfile_nb.core.names import quoted, suggest
from flowfile_nb.errors import UsageError

# What IPython would put a variable's content for, in the lines of other magics.
_VARIABLE = expression(r"\$\{?([A-Za-z_]\w*)\}?|\{+([^{}]*)\}+")
_REFERENCE = expression(r"\$\{secret:([^}]*)\}")
_IN_QUOTES = expression(r"""(?:"(?:\\.|[^"\\])*"|'[^']*'|\\.)""")
_OF_ENVIRONMENT = expression(r"--[a-z-]*env[ =]+\S+")


def require_written_out(line: str, words: list[str], namespace: Container[str]) -> None:
    """
    Let a line of `%secret` pass that has no variable in it, outside of quotes and of the name of what is stored.

    Args:
        line: The line as it was typed.
        words: Its words.
        namespace: The variables that there are.

    Raises:
        UsageError: Otherwise: how the line is written with what the variable stands for.
    """
    bare = _OF_ENVIRONMENT.sub("", _IN_QUOTES.sub("", line))
    if _REFERENCE.search(bare):
        raise UsageError(
            "a line of %secret takes a name, and that is a reference, which stands for the value; nothing was done",
            hint=f"%secret {_REFERENCE.sub(lambda found: quoted(found[1]), line.strip())}",
        )
    found = _VARIABLE.search(bare)
    if found is None or any(found[0] in word and word in session.secrets for word in words):
        return
    raise UsageError(
        f"variables are not put into a line of %secret: it would be {found[0]!r} itself; nothing was done",
        hint=f"write what it stands for{_by_call(line, namespace)};  in quotes it is taken as it is",
    )


def _by_call(line: str, namespace: Container[str]) -> str:
    """Return the line as a call that puts its variables in; empty where there is none, or it would be no line of code."""
    meant = [(found[1] or found[2]).partition(".")[0].partition("[")[0] for found in _VARIABLE.finditer(line)]
    text = _VARIABLE.sub(lambda found: f"{{{found[1] or found[2]}}}", line.strip())
    if not all(name in namespace for name in meant) or "\\" in text or ('"' in text and "'" in text):
        return ""
    quote = "'" if '"' in text else '"'
    return f', or  get_ipython().run_line_magic("secret", f{quote}{text}{quote})'


def of_variable(words: list[str], namespace: Container[str]) -> str:
    """Return how the variable is stored that stands in the place of a value; empty where no variable does."""
    if len(words) != 3 or words[0] != "set":
        return ""
    name, value = (_VARIABLE.fullmatch(word) for word in words[1:])
    variable = (value[1] or value[2]) if value else ""
    # What only looks like one may be the value itself, and is not repeated.
    if variable not in namespace:
        return ""
    key = (name[1] or name[2]) if name else repr(words[1])
    return stored_in_python(key, variable)


def stored_in_python(key: str, variable: str) -> str:
    """Return how the value of a variable is stored under a name; both are code."""
    return f"the value of a variable is stored in Python:  import flowfile_nb as fnb;  fnb.secrets[{key}] = {variable}"


def name_in(word: str) -> str:
    """
    Return the name of the variable in a word, whichever way one may have written it.

    >>> name_in("$PW"), name_in("${PW}"), name_in("%PW%"), name_in("PW")
    ('PW', 'PW', 'PW', 'PW')
    """
    return re.sub(r"^\W+|\W+$", "", word)


def from_environment(name: str, otherwise: str) -> str:
    """
    Return what an environment variable holds that a line names.

    Args:
        name: The word behind the option. It is not repeated: it may be a value.
        otherwise: What was not done, for the message.

    Raises:
        UsageError: If there is no such variable, or it is empty.
    """
    if value := os.environ.get(name):
        return value
    if name in os.environ:
        raise UsageError(f"the environment variable {name!r} is empty; {otherwise}", hint="set it before the kernel starts")
    written = name_in(name)
    if written != name and written in os.environ:
        hint = f"its name alone:  {written}"
    elif near := suggest(written, os.environ):
        hint = f"did you mean {near}?"
    else:
        hint = "set it before the kernel starts"
    raise UsageError(f"there is no environment variable of that name; {otherwise}", hint=hint)
