"""The grammar of `%secret`'s lines, for argparse; and the refusal of a value on a line."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from flowfile_nb.core.cell_source import ADDING, CHANGING, passphrase_on_line, value_on_line
from flowfile_nb.core.names import quoted
from flowfile_nb.errors import ValueOnLineError
from flowfile_nb.notebook.arguments import option_meant, parser_of

OPTIONS = {
    "set": ["--replace", "--if-missing", "--file", "--env", "--generate"],
    "undo": ["--yes"],
    "delete": ["--yes"],
    "import": ["--all", "--as", "--clean", "--delete", "--dry-run", "--env", "--keyring", "--prefix", "--replace", "--yes"],
    "scan": ["--fix", "--staged"],
    "log": ["--last", "--clear", "--yes"],
    "backup": ["--overwrite", "--passphrase-env"],
    "restore": ["--replace", "--yes", "--passphrase-env"],
    "rotate-key": ["--dry-run", "--backup", "--passphrase-env", "--no-backup", "--new-key-env", "--yes"],
    "doctor": ["--fix"],
    "share": ["--group", "--write", "--yes"],
    "unshare": ["--group"],
    "groups": ["--description", "--role", "--yes"],
}
GENERATED_LENGTH = 32
LOG_LINES = 30
# What people type elsewhere for one of our verbs.
ELSEWHERE = {
    **dict.fromkeys(("ls", "show", "search", "find"), "list"),
    **dict.fromkeys(ADDING, "set"),
    **dict.fromkeys(CHANGING, "set --replace"),
    **dict.fromkeys(("generate", "gen"), "set --generate"),
    **dict.fromkeys(("rm", "remove"), "delete"),
    **dict.fromkeys(("mv", "move"), "rename"),
    **dict.fromkeys(("history", "audit"), "log"),
    **dict.fromkeys(("status", "check", "info"), "doctor"),
}
SHOWING = {"show", "reveal", "print", "view", "cat", "read"}
"""What people type elsewhere to see a value."""


def refuse_value(words: list[str]) -> None:
    """
    Let a `%secret` line pass only if it holds no value.

    Raises:
        ValueOnLineError: If the words also give a value.
    """
    if verb := passphrase_on_line(words):
        raise ValueOnLineError(
            "a passphrase is never typed on the line, and a path with spaces needs quotes; nothing was done",
            hint=f"%secret {verb} {_VERBS[verb][0]}   asks for it, hidden.  Delete it from this cell, if it is there",
        )
    name = value_on_line(words)
    if name is not None:
        if near := option_meant(words[1:], OPTIONS["set"]):
            raise ValueOnLineError(
                "%secret set  was not understood: an option is unknown. Nothing was stored; the history does not keep the line",
                hint=f"did you mean {near}?   %secret set {_VERBS['set'][0]}",
            )
        if "<" in words:
            raise ValueOnLineError(
                "a value is never typed on the line, and a line of %secret is none of a shell; nothing was stored",
                hint=f"%secret set {quoted(name)} --file PATH   takes it from a file",
            )
        words = [*words, "--replace"] if words[0] in CHANGING else words
        kept = "".join(f" {option}" for option in ("--replace", "--if-missing") if option in words)
        # What stands behind it may be the rest of a name, and is not repeated: it may be a value as well.
        quotes = "" if f"{name}=" in " ".join(words) else f'  A name with spaces needs quotes:  %secret set "{name} …"{kept}'
        named = quoted(name) if name.strip() else "NAME"
        raise ValueOnLineError(
            "a value is never typed on the line: it would stay in the notebook and in the history. Nothing was stored",
            hint=f"%secret set {named}{kept}   asks for it, hidden.  Delete the value from this cell, too.{quotes}",
        )


def secret_parser(verb: str) -> argparse.ArgumentParser:
    """Return the grammar of a verb of `%secret`."""
    usage, add = _VERBS[verb]
    parser = parser_of(f"%secret {verb}", f"%secret {verb} {usage}".rstrip())
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
    parser.add_argument("--yes", action="store_true")
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
    "rotate-key": ("[--dry-run] [--backup PATH] [--passphrase-env VAR] [--no-backup [--yes]] [--new-key-env VAR]", _rotate_key),
    "doctor": ("[--fix]", _doctor),
    "share": ("NAME [--group GROUP [--write]]", _share),
    "unshare": ("NAME --group GROUP", _unshare),
    "groups": ("[create | add | remove | role | leave | delete]", _groups),
}
VERBS = tuple(_VERBS)
