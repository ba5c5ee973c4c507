"""The words of the magics' lines, and the grammar of `%connect`'s for argparse; `%secret`'s is in `secret_arguments`."""

from __future__ import annotations

import argparse
import os
import shlex
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any, NoReturn

from flowfile_nb.core.expression import expression
from flowfile_nb.core.names import nearest
from flowfile_nb.errors import UsageError

CONNECT_OPTIONS = ["--save", "--replace", "--no-test", "--as", "--timeout", "--debug"]
SAVED_OPTIONS = [*CONNECT_OPTIONS[1:], "--file", "--trust", "--edit", "--delete", "--export", "-x", "--share", "--unshare"]
_WAYS = "to list them:  %connect   to close one:  %connect -x {name}   to forget one:  %connect {name} --delete"
# What people type elsewhere, each with our line for it. What goes by one word in other tools may be any of three here.
CONNECT_ELSEWHERE = {
    **dict.fromkeys(
        ("list", "ls", "show", "--list", "close", "disconnect", "--disconnect", "delete", "remove", "rm", "forget"), _WAYS
    ),
    **dict.fromkeys(("edit",), "%connect {name} --edit"),
    **dict.fromkeys(("export",), "%connect {name} --export"),
    **dict.fromkeys(("open", "use"), "%connect {name}"),
    **dict.fromkeys(("status", "info", "-l"), "%connect   lists them, and says which are open"),
    **dict.fromkeys(("test", "check", "ping"), "%connect {name}   opens it and tries it"),
    **dict.fromkeys(
        ("import", "load"), "from a file:  %connect NAME --file PATH   another tool's settings:  %secret import PATH"
    ),
    **dict.fromkeys(
        ("rename", "mv"), "%connect {name} --edit   then save that cell under the other name, and delete the first"
    ),
    **dict.fromkeys(("add", "new", "create", "save"), "%%connect {name} --save   and its description in the lines below"),
}
HELP = {"help", "-h", "--help"}
# The parts of argparse's messages that name only what we have defined.
_OUR_WORDS = expression(r"the following arguments are required: .+|argument [^:]+: (?:expected|not allowed with) .+")
_NOT_KNOWN = "an option is unknown, or there is a word too many"
_NO_NUMBER = expression(r"argument (--[a-z-]+): invalid (?:int|float) value")


# What says the same elsewhere.
_OPTIONS_ELSEWHERE = {
    **dict.fromkeys(("--force", "--overwrite"), ("--replace", "--overwrite", "--yes")),
    **dict.fromkeys(("--replace",), ("--overwrite",)),
    **dict.fromkeys(("--with", "--to", "--from", "--team"), ("--group",)),
    **dict.fromkeys(("-y", "--no-input", "--confirm"), ("--yes",)),
    "-n": ("--dry-run", "--last"),
    **{f"-{option[2]}": (option,) for option in ("--edit", "--save", "--timeout")},
}


def option_meant(words: Sequence[str], known: Iterable[str]) -> str | None:
    """
    Return the option that the first unknown one may have meant: a short form, a beginning, another tool's word, a typo.

    >>> option_meant(["prod_pw", "-f"], ["--file", "--force"]), option_meant(["--overwrite"], ["--replace"])
    (None, '--replace')
    >>> option_meant(["edit"], ["--edit", "--export"])
    '--edit'
    >>> option_meant(["--gen=20"], ["--generate", "--env"]), option_meant(["--sav"], ["--save", "--as"])
    ('--generate', '--save')
    """
    options = [option for option in known if option.startswith("--")]
    for word in (word.partition("=")[0] for word in words if word.startswith("-")):
        if word in options:
            continue
        begun = [option for option in options if option.lstrip("-").startswith(word.lstrip("-"))]
        same = [option for option in _OPTIONS_ELSEWHERE.get(word, ()) if option in options]
        found = same[0] if same else begun[0] if len(begun) == 1 else None
        if found is None and word.startswith("--") and (near := nearest(word[2:], [option[2:] for option in options])):
            found = f"--{near}"
        return found
    # As a word without its hyphens.
    return next((f"--{word}" for word in words if f"--{word}" in options), None)


class _Parser(argparse.ArgumentParser):
    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        known, others = self.parse_known_args(args, namespace)
        if others:
            raise UsageError(f"{self.prog}  was not understood: {_NOT_KNOWN}", hint=self._meant(others))
        return known

    def _meant(self, words: list[str]) -> str:
        """Return the option that one of these may have meant. They are not quoted: one might be a value."""
        hint = self.epilog or "%secret?  is the help page"
        return f"did you mean {near}?   {hint}" if (near := option_meant(words, self._option_string_actions)) else hint

    def error(self, message: str) -> NoReturn:
        # argparse quotes what it did not understand, which might be a value: only our own words are shown.
        what = message if _OUR_WORDS.fullmatch(message) else _NOT_KNOWN
        if found := _NO_NUMBER.match(message):
            what = f"{found[1]} takes a number"
        raise UsageError(f"{self.prog}  was not understood: {what}", hint=self.epilog or "%secret?  is the help page")


def parser_of(prog: str, example: str) -> argparse.ArgumentParser:
    """Return the grammar of a line that begins with *prog*, empty yet; *example* is the hint where a line does not fit."""
    return _Parser(prog, add_help=False, allow_abbrev=False, epilog=example)


def split(line: str) -> list[str]:
    """
    Split a line into words as a shell does; quotes keep a name with spaces together.

    Left out are a comment, and the semicolon that ends a line whose output nobody wants to see.

    Raises:
        UsageError: If a quote is not closed.
    """
    if line.isidentifier():
        # Most lines of `%%connect`, and half of `%secret`'s.
        return [line]
    # Imported here, for the other lines.
    from flowfile_nb.core.cell_source import without_comment

    try:
        # On Windows a backslash is part of a path, not an escape.
        line = without_comment(line).rstrip().removesuffix(";")
        return shlex.split(line.replace("\\", "\\\\") if os.name == "nt" else line)
    except ValueError:
        raise UsageError("a quote on this line is not closed", hint='%secret get "a name with spaces"') from None


class ConnectArguments(argparse.Namespace):
    """What a line of `%connect` or `%%connect` asks for. With a name and nothing else it asks for what stands here."""

    name: Any = None
    save = replace = debug = trust = yes = write = manage = False
    test = True
    close = edit = delete = False
    as_: str | None = None
    timeout: float | None = None
    file: str | None = None
    export: str | None = None
    share: str | None = None
    unshare: str | None = None


def connect_arguments(words: list[str]) -> ConnectArguments:
    """
    Return what the words of a `%connect` or `%%connect` line ask for.

    Raises:
        UsageError: If they are not understood.
    """
    if len(words) == 1 and words[0].isidentifier():
        # Most cells: argparse has nothing to find out, and its grammar need not be made.
        return ConnectArguments(name=words[0])
    arguments: ConnectArguments = _connect_parser().parse_args(words, ConnectArguments())
    return arguments


@lru_cache(maxsize=1)  # made once: it takes longer than opening SQLite
def _connect_parser() -> argparse.ArgumentParser:
    parser = parser_of("%connect", "%%connect NAME [--save]   or   %connect [NAME | -x NAME];   %connect?  is the help page")
    parser.add_argument("name", nargs="?")
    parser.add_argument("--save", action="store_true")
    parser.add_argument("--replace", action="store_true")
    parser.add_argument("--no-test", dest="test", action="store_false")
    parser.add_argument("--as", dest="as_", metavar="FORM")
    parser.add_argument("--timeout", type=float, metavar="SECONDS")
    parser.add_argument("--debug", action="store_true")
    parser.add_argument("--file", metavar="PATH")
    parser.add_argument("--trust", action="store_true")
    parser.add_argument("--yes", action="store_true")
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--manage", action="store_true")
    verb = parser.add_mutually_exclusive_group()
    verb.add_argument("-x", "--close", action="store_true")
    verb.add_argument("--edit", action="store_true")
    verb.add_argument("--delete", action="store_true")
    verb.add_argument("--export", nargs="?", const="", metavar="PATH")
    verb.add_argument("--share", nargs="?", const="", metavar="GROUP")
    verb.add_argument("--unshare", metavar="GROUP")
    return parser
