"""The grammar of the magics' lines, for argparse; and the refusal of a value on a line."""

from __future__ import annotations

import argparse
import os
import re
import shlex
from collections.abc import Mapping
from typing import NoReturn

from flowfile_nb.core.cell_source import value_on_line, without_comment
from flowfile_nb.errors import UsageError, ValueOnLineError

VERBS = ("get", "set", "list", "rename", "delete", "env", "scan", "doctor")
OPTIONS = {
    "set": ["--replace", "--if-missing", "--file", "--env", "--generate"],
    "delete": ["--yes"],
    "scan": ["--fix", "--staged"],
}
GENERATED_LENGTH = 32
# What people type elsewhere for one of our verbs.
ELSEWHERE = {"ls": "list", "show": "list", "add": "set", "create": "set", "rm": "delete", "remove": "delete", "mv": "rename"}
HELP = {"help", "-h", "--help"}
# The parts of argparse's messages that name only what we have defined.
_OUR_WORDS = re.compile(r"the following arguments are required: .+|argument [^:]+: (?:expected|not allowed with) .+")


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        # argparse quotes what it did not understand, which might be a value: only our own words are shown.
        what = message if _OUR_WORDS.fullmatch(message) else "an option is unknown, or there is a word too many"
        raise UsageError(f"{self.prog}  was not understood: {what}", hint=self.epilog or "%secret?  is the help page")


def _parser(prog: str, example: str) -> _Parser:
    return _Parser(prog, add_help=False, allow_abbrev=False, epilog=example)


def split(line: str) -> list[str]:
    """
    Split a line into words as a shell does; quotes keep a name with spaces together, and a comment at the end is left out.

    Raises:
        UsageError: If a quote is not closed.
    """
    try:
        # On Windows a backslash is part of a path, not an escape.
        line = without_comment(line)
        return shlex.split(line.replace("\\", "\\\\") if os.name == "nt" else line)
    except ValueError:
        raise UsageError("a quote on this line is not closed", hint='%secret get "a name with spaces"') from None


def refuse_value(words: list[str]) -> None:
    """
    Let a `%secret` line pass only if it holds no value.

    Raises:
        ValueOnLineError: If the words also give a value.
    """
    name = value_on_line(words)
    if name is not None:
        raise ValueOnLineError(
            "a value is never typed on the line: it would stay in the notebook and in the history. Nothing was stored",
            hint=f"%secret set {name}   asks for it, hidden.  Delete the value from this cell, too",
        )


def secret_parsers() -> Mapping[str, argparse.ArgumentParser]:
    """Return the grammar of each verb of `%secret`."""
    parsers = {verb: _parser(f"%secret {verb}", f"%secret {verb}") for verb in VERBS}
    parsers["get"].epilog = "%secret get NAME"
    parsers["get"].add_argument("name")
    parsers["set"].epilog = "%secret set NAME [--replace | --if-missing] [--file PATH | --env VAR | --generate [LENGTH]]"
    parsers["set"].add_argument("name")
    existing = parsers["set"].add_mutually_exclusive_group()
    existing.add_argument("--replace", action="store_true")
    existing.add_argument("--if-missing", action="store_true")
    source = parsers["set"].add_mutually_exclusive_group()
    source.add_argument("--file", metavar="PATH")
    source.add_argument("--env", metavar="VAR")
    source.add_argument("--generate", nargs="?", type=int, const=GENERATED_LENGTH, metavar="LENGTH")
    parsers["rename"].epilog = "%secret rename OLD NEW"
    parsers["rename"].add_argument("old")
    parsers["rename"].add_argument("new")
    parsers["delete"].epilog = "%secret delete NAME [NAME …] [--yes]"
    parsers["delete"].add_argument("names", nargs="+")
    parsers["delete"].add_argument("--yes", action="store_true")
    parsers["env"].epilog = "%secret env NAME [VAR]"
    parsers["env"].add_argument("name")
    parsers["env"].add_argument("variable", nargs="?")
    parsers["scan"].epilog = "%secret scan [PATH …] [--fix]   or   %secret scan --staged"
    parsers["scan"].add_argument("paths", nargs="*")
    parsers["scan"].add_argument("--fix", action="store_true")
    parsers["scan"].add_argument("--staged", action="store_true")
    return parsers


def connect_parser() -> argparse.ArgumentParser:
    """Return the grammar of `%connect` and `%%connect`."""
    parser = _parser("%connect", "%%connect NAME [--save] [--no-test]   or   %connect [NAME | -x NAME]")
    parser.add_argument("name", nargs="?")
    parser.add_argument("--save", action="store_true")
    parser.add_argument("--no-test", dest="test", action="store_false")
    parser.add_argument("--as", dest="as_", metavar="FORM")
    parser.add_argument("-x", "--close", action="store_true")
    return parser
