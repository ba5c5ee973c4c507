"""What `%connect` and `%%connect` do."""

from __future__ import annotations

import os
import sys
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flowfile_nb import session
from flowfile_nb.connecting import open_definition
from flowfile_nb.connections.definition import Definition
from flowfile_nb.core.names import quoted, suggest
from flowfile_nb.errors import (
    ConnectionFailedError,
    LiteralPasswordError,
    UsageError,
)
from flowfile_nb.notebook.arguments import CONNECT_ELSEWHERE, HELP, ConnectArguments, connect_arguments, split
from flowfile_nb.notebook.variable import require_free, require_variable, variable_of

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from flowfile_nb.connections import Opened
    from flowfile_nb.connections.outline import Outline
    from flowfile_nb.notebook.table import Table

# Files and memory are there sooner than the thread that would say that they are waited for.
_QUICK = {"duckdb", "sqlite"}


def connect(shell: InteractiveShell, line: str, cell: str | None) -> Any:
    """Run `%connect` or `%%connect`; the help page is in `extension.connect`."""
    words = split(line)
    if words[:1] and words[0] in HELP:
        # Imported here: the other magic has it.
        from flowfile_nb.notebook.magics import show_help

        return show_help(shell, "connect")
    if _describes(line):
        raise LiteralPasswordError(
            "a connection is described below the line, not on it; nothing was opened, and the line is not kept in the history",
            hint="%%connect warehouse   and in the next line the URL, with  %secret NAME  in the password's place",
        )
    if cell is None and _is_a_verb(words):
        name = quoted(words[1]) if len(words) > 1 else "NAME"
        raise UsageError(
            "%connect has options where other tools have verbs", hint=CONNECT_ELSEWHERE[words[0]].replace("{name}", name)
        )
    return _run(shell, connect_arguments(words), cell)


def _describes(line: str) -> bool:
    """Return whether a description stands on the line, where it does not belong."""
    if line.isidentifier():
        return False
    # Imported here: most lines have a name and nothing else.
    from flowfile_nb.core.cell_source import description_on_line

    return description_on_line(line)


def _is_a_verb(words: list[str]) -> bool:
    """Return whether a line begins as another tool's would, and is not about a connection of that name."""
    if not words or words[0] not in CONNECT_ELSEWHERE or any(word.startswith("-") for word in words[1:]):
        return False
    return (
        len(words) == 2 or words[0] == "rename" or (len(words) == 1 and words[0] not in session.backend().connection_bodies())
    )


def _run(shell: InteractiveShell, args: ConnectArguments, cell: str | None) -> Any:
    """Run one line, with the cell below it if there is one."""
    _require_sense(args, cell)
    if args.export is not None:
        from flowfile_nb.notebook.keeping import export

        return export(args, _folder())
    if args.share is not None or args.unshare is not None:
        return _share(args)
    if args.name is None:
        # Imported here, as what exports below: most lines open a connection, and do not wait for it.
        from flowfile_nb.notebook.connect_table import connections_table

        return connections_table(session.backend(), _folder(), _file(args))
    if args.close:
        _close(shell, args.name)
    elif cell is not None:
        definition = Definition(args.name, cell.strip())
        _open(shell, args, definition, "%%connect")
        if args.save:
            from flowfile_nb.notebook.keeping import keep
            from flowfile_nb.notebook.saved_verbs import note

            keep(args, definition, _folder())
            note(definition)
    else:
        _of_saved(shell, args)
    return None


def _of_saved(shell: InteractiveShell, args: ConnectArguments) -> None:
    from flowfile_nb.notebook import saved_verbs

    if args.edit:
        saved_verbs.edit(shell, args, _folder(), _file(args))
    elif args.delete:
        saved_verbs.delete(args, _folder(), _file(args))
    else:
        definition = saved_verbs.chosen(args, _folder(), _file(args))
        _open(shell, args, definition, "%connect")
        saved_verbs.note(definition)


def _require_sense(args: ConnectArguments, cell: str | None) -> None:
    shares = args.share is not None or args.unshare is not None
    if args.name is None and (cell is not None or args.save or args.close or args.edit or args.delete or shares):
        said = {"-x": args.close, "--edit": args.edit, "--delete": args.delete, "--share GROUP": args.share is not None}
        said["--unshare GROUP"] = args.unshare is not None
        option = next((option for option, is_said in said.items() if is_said and cell is None), None)
        of_cell = "%%connect warehouse   in the first line of the cell"
        raise UsageError(
            "a connection needs a name", hint=of_cell if option is None else f"%connect NAME {option}   to list them:  %connect"
        )
    if cell is not None and (args.close or args.edit or args.delete or args.export is not None or args.file or shares):
        raise UsageError("this option is for a line, not for a cell", hint=f"%connect {args.name or 'NAME'}   with one % sign")
    if cell is None and args.save:
        is_open = args.name in session.opened
        raise UsageError(
            "there is nothing to save: --save is for a cell",
            hint=f"{'run its cell again with' if is_open else 'describe it:'}  %%connect {args.name} --save",
        )
    if (args.write or args.manage) and not args.share:
        raise UsageError("--write and --manage say what a share allows", hint="%connect NAME --share GROUP --write")
    if args.timeout is not None and not 0 < args.timeout <= 86_400:
        raise UsageError("a timeout is a number of seconds, up to a day", hint="--timeout 30")


def _folder() -> Path:
    """Return the notebook's folder: front ends start a kernel there."""
    return Path.cwd()


def _file(args: ConnectArguments) -> Path | None:
    return Path(args.file).expanduser() if args.file else None


def _open(shell: InteractiveShell, args: ConnectArguments, definition: Definition, magic: str) -> None:
    variable = variable_of(definition)
    require_variable(variable)
    require_free(shell, variable, magic, replace=args.replace)
    outline = definition.located.outline
    new_file = _new_file(outline.target)
    try:
        with _waiting(outline):
            connection = open_definition(definition, test=args.test, as_=args.as_, timeout_s=args.timeout, debug=args.debug)
    except KeyboardInterrupt:
        raise ConnectionFailedError(
            f"interrupted while {args.name} was being opened; nothing was bound",
            hint="--timeout SECONDS  limits the waiting;  --no-test  does not open it now",
        ) from None
    if variable in session.opened:
        session.close(variable)
    connection.described = definition, os.getcwd()
    session.opened[variable] = connection
    shell.user_ns[variable] = connection.native
    told = [_told(connection, variable, tested=args.test)]
    if connection.note:
        told.append(connection.note.replace("{variable}", variable))
    if new_file is not None and new_file.exists():
        told.append(f"{new_file} was not there: it is a new, empty file.")
    # One write; `print` makes two, and a kernel's take as long as reading a secret.
    sys.stdout.write("\n".join([*told, ""]))


def _waiting(outline: Outline) -> AbstractContextManager[None]:
    if outline.kind.partition("+")[0] in _QUICK:
        return nullcontext()
    from flowfile_nb.waiting import said_if_slow

    return said_if_slow(outline.target)


def _told(connection: Opened, variable: str, *, tested: bool) -> str:
    if not tested:
        return f"Bound (not tested): {variable} = {connection.target}"
    did, why = connection.untried or ("Connected", "")
    return f"{did}: {variable} = {connection.target}" + (f" ({why})" if why else "")


def _new_file(target: str) -> Path | None:
    """Return the database's file if it is not there, where opening makes it: so does a typo in its name."""
    kind, _, path = target.partition(":///")
    is_file = kind.partition("+")[0] in {"sqlite", "duckdb"} and path not in {"", ":memory:"}
    return Path(path) if is_file and not os.path.exists(path) else None


def _close(shell: InteractiveShell, name: str) -> None:
    if name not in session.opened and (near := suggest(name, session.opened)):
        raise UsageError(
            f"no open connection is named {name!r}", hint=f"did you mean  %connect -x {near}?  List them:  %connect"
        )
    bound = session.opened[name].native if name in session.opened else None
    session.close(name)
    # Something else may have the name by now.
    if shell.user_ns.get(name) is bound:
        del shell.user_ns[name]
    print(f"Closed {name}.")


def _share(args: ConnectArguments) -> Table | None:
    # Imported here: only a team shares.
    from flowfile_nb.notebook.share_verbs import share_connection, unshare

    if args.unshare is not None:
        unshare("connection", args.name, args.unshare)
        return None
    return share_connection(args)
