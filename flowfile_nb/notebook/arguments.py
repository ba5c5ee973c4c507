"""The grammar of the magics' lines, for argparse; and the refusal of a value on a line."""

from __future__ import annotations

import argparse
import os
import re
import shlex
from collections.abc import Callable
from difflib import get_close_matches
from functools import lru_cache
from typing import Any, NoReturn

from flowfile_nb.core.cell_source import value_on_line, without_comment
from flowfile_nb.core.names import quoted
from flowfile_nb.errors import UsageError, ValueOnLineError

OPTIONS = {
    "set": ["--replace", "--if-missing", "--file", "--env", "--generate"],
    "undo": ["--yes"],
    "delete": ["--yes"],
    "import": ["--all", "--as", "--clean", "--delete", "--dry-run", "--env", "--keyring", "--prefix", "--replace", "--yes"],
    "scan": ["--fix", "--staged"],
    "log": ["--last", "--clear", "--yes"],
    "backup": ["--overwrite", "--passphrase-env"],
    "restore": ["--replace", "--yes", "--passphrase-env"],
    "rotate-key": ["--dry-run", "--backup", "--passphrase-env", "--no-backup", "--new-key-env"],
    "doctor": ["--fix"],
    "share": ["--group", "--write", "--yes"],
    "unshare": ["--group"],
    "groups": ["--description", "--role", "--yes"],
}
CONNECT_OPTIONS = ["--save", "--replace", "--no-test", "--as", "--timeout", "--debug"]
SAVED_OPTIONS = [*CONNECT_OPTIONS[1:], "--file", "--trust", "--edit", "--delete", "--export", "-x", "--share", "--unshare"]
GENERATED_LENGTH = 32
LOG_LINES = 30
# What people type elsewhere for one of our verbs.
ELSEWHERE = {
    **dict.fromkeys(("ls", "show"), "list"),
    **dict.fromkeys(("add", "new", "create"), "set"),
    **dict.fromkeys(("rm", "remove"), "delete"),
    "mv": "rename",
}
_WAYS = "to list them:  %connect   to close one:  %connect -x {name}   to forget one:  %connect {name} --delete"
# The same for `%connect`, each with its line. What goes by one word in other tools may be any of three here.
CONNECT_ELSEWHERE = {
    **dict.fromkeys(
        ("list", "ls", "show", "--list", "close", "disconnect", "--disconnect", "delete", "remove", "rm", "forget"), _WAYS
    ),
    **dict.fromkeys(("edit",), "%connect {name} --edit"),
    **dict.fromkeys(("export",), "%connect {name} --export"),
    **dict.fromkeys(("open", "use"), "%connect {name}"),
    **dict.fromkeys(("add", "new", "create", "save"), "%%connect {name} --save   and its description in the lines below"),
}
HELP = {"help", "-h", "--help"}
# The parts of argparse's messages that name only what we have defined.
_OUR_WORDS = re.compile(r"the following arguments are required: .+|argument [^:]+: (?:expected|not allowed with) .+")
_NOT_KNOWN = "an option is unknown, or there is a word too many"
_NO_NUMBER = re.compile(r"argument (--[a-z-]+): invalid (?:int|float) value")


class _Parser(argparse.ArgumentParser):
    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        known, others = self.parse_known_args(args, namespace)
        if others:
            raise UsageError(f"{self.prog}  was not understood: {_NOT_KNOWN}", hint=self._meant(others))
        return known

    def _meant(self, words: list[str]) -> str:
        """Return the option that one of these may have meant. They are not quoted: one might be a value."""
        options = [option for option in self._option_string_actions if option.startswith("--")]
        near = [found for word in words if word.startswith("--") for found in get_close_matches(word, options, 1)]
        hint = self.epilog or "%secret?  is the help page"
        return f"did you mean {near[0]}?   {hint}" if near else hint

    def error(self, message: str) -> NoReturn:
        # argparse quotes what it did not understand, which might be a value: only our own words are shown.
        what = message if _OUR_WORDS.fullmatch(message) else _NOT_KNOWN
        if found := _NO_NUMBER.match(message):
            what = f"{found[1]} takes a number"
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
        kept = "".join(f" {option}" for option in ("--replace", "--if-missing") if option in words)
        # What stands behind it may be the rest of a name, and is not repeated: it may be a value as well.
        quotes = "" if f"{name}=" in " ".join(words) else f'  A name with spaces needs quotes:  %secret set "{name} …"{kept}'
        raise ValueOnLineError(
            "a value is never typed on the line: it would stay in the notebook and in the history. Nothing was stored",
            hint=f"%secret set {quoted(name)}{kept}   asks for it, hidden.  Delete the value from this cell, too.{quotes}",
        )


@lru_cache(maxsize=1)  # made once: it takes longer than opening SQLite
def connect_parser() -> argparse.ArgumentParser:
    """Return the grammar of `%connect` and `%%connect`."""
    parser = _parser("%connect", "%%connect NAME [--save]   or   %connect [NAME | -x NAME];   %connect?  is the help page")
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


def secret_parser(verb: str) -> argparse.ArgumentParser:
    """Return the grammar of a verb of `%secret`."""
    usage, add = _VERBS[verb]
    parser = _parser(f"%secret {verb}", f"%secret {verb} {usage}".rstrip())
    add(parser)
    return parser


def _no_arguments(parser: argparse.ArgumentParser) -> None:
    pass


def _name(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name")


def _set(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name")
    existing = parser.add_mutually_exclusive_group()
    existing.add_argument("--replace", action="store_true")
    existing.add_argument("--if-missing", action="store_true")
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--file", metavar="PATH")
    source.add_argument("--env", metavar="VAR")
    source.add_argument("--generate", nargs="?", type=int, const=GENERATED_LENGTH, metavar="LENGTH")


def _undo(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name")
    parser.add_argument("--yes", action="store_true")


def _rename(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("old")
    parser.add_argument("new")


def _delete(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("names", nargs="+")
    parser.add_argument("--yes", action="store_true")


def _env(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name")
    parser.add_argument("variable", nargs="?")


def _import(parser: argparse.ArgumentParser) -> None:
    from flowfile_nb.importing.options import add_options

    add_options(parser)


def _scan(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("paths", nargs="*")
    parser.add_argument("--fix", action="store_true")
    parser.add_argument("--staged", action="store_true")


def _log(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", nargs="?")
    parser.add_argument("--last", type=int, default=LOG_LINES, metavar="N")
    parser.add_argument("--clear", action="store_true")
    parser.add_argument("--yes", action="store_true")


def _backup(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("path")
    parser.add_argument("--overwrite", action="store_true")
    parser.add_argument("--passphrase-env", metavar="VAR")


def _restore(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("path")
    parser.add_argument("--replace", action="store_true")
    parser.add_argument("--yes", action="store_true")
    parser.add_argument("--passphrase-env", metavar="VAR")


def _rotate_key(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--dry-run", action="store_true")
    parser.add_argument("--backup", metavar="PATH")
    parser.add_argument("--passphrase-env", metavar="VAR")
    parser.add_argument("--no-backup", dest="backup_first", action="store_false")
    parser.add_argument("--new-key-env", metavar="VAR")


def _doctor(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--fix", action="store_true")


def _share(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name")
    parser.add_argument("--group", metavar="GROUP")
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--yes", action="store_true")


def _unshare(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name")
    parser.add_argument("--group", metavar="GROUP", required=True)


def _groups(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("words", nargs="*")
    parser.add_argument("--description", metavar="TEXT", default="")
    parser.add_argument("--role")
    parser.add_argument("--yes", action="store_true")


_VERBS: dict[str, tuple[str, Callable[[argparse.ArgumentParser], None]]] = {
    "get": ("NAME", _name),
    "set": ("NAME [--replace | --if-missing] [--file PATH | --env VAR | --generate [LENGTH]]", _set),
    "undo": ("NAME [--yes]", _undo),
    "list": ("", _no_arguments),
    "rename": ("OLD NEW", _rename),
    "delete": ("NAME [NAME …] [--yes]", _delete),
    "env": ("NAME [VAR]", _env),
    "import": ("", _import),
    "scan": ("[PATH …] [--fix]   or   %secret scan --staged", _scan),
    "log": ("[NAME] [--last N]   or   %secret log --clear [--yes]", _log),
    "backup": ("PATH [--overwrite] [--passphrase-env VAR]", _backup),
    "restore": ("PATH [--replace] [--yes] [--passphrase-env VAR]", _restore),
    "rotate-key": ("[--dry-run] [--backup PATH] [--passphrase-env VAR] [--no-backup] [--new-key-env VAR]", _rotate_key),
    "doctor": ("[--fix]", _doctor),
    "share": ("NAME [--group GROUP [--write]]", _share),
    "unshare": ("NAME --group GROUP", _unshare),
    "groups": ("[create | add | remove | role | leave | delete]", _groups),
}
VERBS = tuple(_VERBS)
