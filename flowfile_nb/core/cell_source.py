"""
Values typed into a cell's source where they do not belong, found so that they stay out of the input history.

The magics refuse such a line; this module takes the value out of the text that IPython is about to remember.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from itertools import pairwise

from flowfile_nb.core.expression import expression

REMOVED = "[removed by flowfile_nb]"
VERBS = (
    *("get", "set", "undo", "list", "rename", "delete", "env", "import", "scan", "log"),
    *("backup", "restore", "rotate-key", "doctor", "share", "unshare", "groups"),
)
ADDING = ("add", "new", "create", "store", "save")
CHANGING = ("update", "edit", "change", "replace")
"""What people type elsewhere for `set`, and for `set --replace`; a value behind it is one all the same."""
_SETTING = {"set", *ADDING, *CHANGING}

# Text in quotes, an escaped character, or a comment: `# ` behind white space. `#hunter2` is a value that somebody has typed.
_COMMENT = expression(r"""("(?:\\.|[^"\\])*"|'[^']*'|\\.)|(?:^|(?<=\s))#(?:\s.*|$)""", re.DOTALL)
# In each, no text can be read in two ways: trying all of them would take for ever.
# `%secret …`, also behind `x =` or `%time`; automagic's bare `secret set …`; and the call that IPython makes of either.
# Mistyped (`%secrets`, `% secret`, `%sercet`, `!secret`) it is no magic, and what stands behind it is a value all the same.
_LINE = expression(
    r"(?m)(?:%[ \t]*[Ss][ecrtECRT]{4,6}s?|![ \t]*secret|^[ \t]*secret)[ \t]+(?P<args>(?:[^\\\n]|\\[\s\S]|\\\Z)*)$"
)
# There is no `%%secret`: what stands below it was meant for the magic.
_BELOW = expression(r"(?P<line>\A\s*%%[ \t]*[Ss][ecrtECRT]{4,6}s?\b[^\n]*\n)[\s\S]*\S[\s\S]*")
_CALL = expression(r"run_line_magic\(\s*(['\"])secret\1\s*,\s*(['\"])(?P<args>(?:\\.|(?!\2)[^\\\n])*)\2")
# The same of `%connect …` and `%%connect …`; `connect = …` and `connect(…)` are Python.
_CONNECT_LINE = expression(r"(?m)(?:%connect|^[ \t]*connect)[ \t]+(?P<args>(?![=(])[^\n]*)$")
_CONNECT_CALL = expression(r"run_(?:line|cell)_magic\(\s*(['\"])connect\1\s*,\s*(['\"])(?P<args>(?:\\.|(?!\2)[^\\\n])*)\2")
_VARIABLE = expression(r"|\w+|\$\w+|\$?\{\w+\}|%\w+%")
_DESCRIPTION = expression(r"://|:[^\s/@]*@")
# Not the magic.
_OURS = expression(r"(?<!%)\b(?:connect|secrets?)\b")


def without_comment(line: str) -> str:
    """
    Return a magic's line without the comment at its end.

    >>> without_comment('get "a # b"  # the new one')
    'get "a # b"  '
    """
    return _COMMENT.sub(lambda found: found[1] or "", line)


def value_on_line(words: Sequence[str]) -> str | None:
    """
    Return the name for which the words of a `%secret` line also give a value, or None where they give none.

    >>> value_on_line(["set", "prod_pw", "hunter2"])
    'prod_pw'
    >>> value_on_line(["prod_pw=hunter2"])
    'prod_pw'
    >>> value_on_line(["set", "prod_pw", "--replace"]) is None
    True
    """
    setting = bool(words) and words[0] in _SETTING
    if words[:1] == ["env"] and "=" in "".join(words[-1:]) and len(words) in {2, 3}:
        # `%secret env PGPASSWORD=hunter2`, as IPython's `%env` takes it.
        return words[1].partition("=")[0]
    options = {"--file", "--env", "--generate"}
    rest = list(words[1:] if setting else words)
    names = [
        word for before, word in zip(["", *rest], rest, strict=False) if not word.startswith("--") and before not in options
    ]
    if not names:
        return None
    if setting and any(_no_variable(word, after) for word, after in zip(rest, [*rest[1:], ""], strict=True)):
        return names[0].partition("=")[0]
    name, equals, _ = names[0].partition("=")
    if name and equals and (setting or len(words) == 1):
        return name
    if len(names) > 1 and (setting or names[1].startswith("=")):
        return name
    return None


def passphrase_on_line(words: Sequence[str]) -> str | None:
    """
    Return the verb for which the words of a `%secret` line also give a passphrase, or may; None where they give none.

    >>> passphrase_on_line(["backup", "all.backup", "hunter2"]), passphrase_on_line(["backup", "all.backup", "--overwrite"])
    ('backup', None)
    """
    if not words or words[0] not in {"backup", "restore", "rotate-key"}:
        return None
    names = [word for before, word in pairwise(words) if word[:1] != "-" and not before.endswith("-env")]
    options = {word.partition("=")[0] for word in words if word.startswith("-")}
    given = options & {"--passphrase", "--password", "-p"} or (len(names) > 1 and words[0] != "rotate-key")
    return words[0] if given else None


def _name_of_no_verb(words: Sequence[str]) -> str | None:
    """Return the first word of a line that is refused because it is no verb: the next may be a value."""
    return words[0] if len(words) > 1 and words[0] not in VERBS and words[0].isprintable() else None


def _no_variable(word: str, after: str) -> bool:
    """Return whether an option names no environment variable, whichever way one might write it, and so may give a value."""
    option, equals, given = word.partition("=")
    return option == "--env" and _VARIABLE.fullmatch(given if equals else after) is None


def description_on_line(line: str) -> bool:
    """
    Return whether what follows `%connect` is, or holds, what belongs into the body of a cell, and so may hold a password.

    >>> description_on_line("postgresql://app:hunter2@db/sales --save"), description_on_line("warehouse --save")
    (True, False)
    """
    return ":" in line and _DESCRIPTION.search(line) is not None


def may_call_ours(cell: str) -> bool:
    r"""
    Return whether code may call our `connect`, or use our `secrets`.

    >>> may_call_ours("%%connect warehouse\nsqlite://"), may_call_ours("engine = fnb.connect('sqlite://')")
    (False, True)
    """
    return _OURS.search(cell) is not None


def hide_values(cell: str) -> str:
    """
    Return *cell* with the value part of each refused `%secret` or `%connect` line, and what is below `%%secret`, made a note.

    >>> hide_values("%secret set prod_pw hunter2")
    '%secret set prod_pw [removed by flowfile_nb]'
    >>> hide_values("%connect postgresql://app:hunter2@db/sales")
    '%connect [removed by flowfile_nb]'
    """

    def hide_description(match: re.Match[str]) -> str:
        args = match["args"]
        return match[0].replace(args, REMOVED) if description_on_line(args) else match[0]

    def begins_line(match: re.Match[str]) -> bool:
        # In the body of `%%connect` a reference stands before other words.
        return not match.string[: match.start()].rpartition("\n")[2].strip() and match[0].startswith("%")

    def hide(match: re.Match[str]) -> str:
        args = match["args"]
        words = _words(without_comment(args.replace("\\\n", " ")))
        found = (value_on_line(words), passphrase_on_line(words), _name_of_no_verb(words) if begins_line(match) else None)
        # An empty one is one, too: of `%secret set =hunter2 x`.
        name = next((name for name in found if name is not None), None)
        if name is None:
            return match[0]
        start = match.start("args") - match.start()
        verb = f"{first} " if (first := args.split()[0]) in _SETTING else ""
        tail = match[0][start + len(args) :]
        return f"{match[0][:start]}{verb}{name} {REMOVED}{tail}"

    cell = _BELOW.sub(rf"\g<line>{REMOVED}", _CALL.sub(hide, _LINE.sub(hide, cell)))
    return _CONNECT_CALL.sub(hide_description, _CONNECT_LINE.sub(hide_description, cell))


def _words(args: str) -> list[str]:
    try:
        return shlex.split(args)
    except ValueError:
        return args.split()
