"""What `%connect` and `%%connect` do with a parsed line."""

from __future__ import annotations

from argparse import Namespace
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flowfile_nb import session
from flowfile_nb.backend import TeamConnection
from flowfile_nb.connecting import open_definition
from flowfile_nb.connections import Opened, saved
from flowfile_nb.connections.opening import require_all
from flowfile_nb.connections.saved import Definition
from flowfile_nb.core.names import quoted, suggest
from flowfile_nb.errors import ConnectionFailedError, NoPromptError, NotAllowedError, StoreError, UsageError
from flowfile_nb.notebook.prompt import confirm
from flowfile_nb.notebook.variable import require_free, require_variable, variable_of
from flowfile_nb.notebook.waiting import said_if_slow

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from flowfile_nb.notebook.table import Table


def run(shell: InteractiveShell, args: Namespace, cell: str | None) -> Any:
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
    elif args.edit:
        _edit(shell, args)
    elif args.delete:
        _delete(args)
    elif cell is not None:
        definition = Definition(args.name, cell.strip())
        _open(shell, args, definition, "%%connect")
        if args.save:
            from flowfile_nb.notebook.keeping import keep

            keep(args, definition, _folder())
            _note(definition)
    else:
        _open_saved(shell, args)
    return None


def _require_sense(args: Namespace, cell: str | None) -> None:
    shares = args.share is not None or args.unshare is not None
    if args.name is None and (cell is not None or args.save or args.close or args.edit or args.delete or shares):
        raise UsageError("a connection needs a name", hint="%%connect warehouse   in the first line of the cell")
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


def _file(args: Namespace) -> Path | None:
    return Path(args.file).expanduser() if args.file else None


def _open_saved(shell: InteractiveShell, args: Namespace) -> None:
    backend = session.backend()
    in_team = session.team_in_use() is not None
    try:
        definition = saved.find(backend, args.name, _folder(), _file(args), in_team=in_team)
    except UsageError:
        if args.name in session.opened and not args.file and not session.opened[args.name].shared_as:
            raise UsageError(
                f"{args.name} is open, and not saved", hint=f"to keep it, run its cell with  %%connect {args.name} --save"
            ) from None
        raise
    saved.require_understood(definition)
    if not saved.is_agreed(backend, definition):
        # Before anybody reads and answers for nothing.
        require_all(definition.outline.secrets, backend.require)
        _agree(args, definition)
    _open(shell, args, definition, "%connect")
    _note(definition)


def _note(definition: Definition) -> None:
    # A store that cannot be written, as in a container, does not stand in the way: nothing depends on it.
    with suppress(StoreError):
        saved.opened(session.backend(), definition)


def _agree(args: Namespace, definition: Definition) -> None:
    """Let a project's definition pass only after it was read; somebody else may have written it."""
    if not args.trust:
        print(saved.question(definition))
        again = f"%connect {quoted(args.name)} --trust" + (f" --file {quoted(args.file)}" if args.file else "")
        try:
            agreed = confirm("Open it?", otherwise=f"after reading it:  {again}")
        except NoPromptError as error:
            raise NoPromptError(
                f"nobody can be asked whether {args.name} may be opened: this is a headless run; nothing was opened",
                hint=error.hint,
            ) from None
        if not agreed:
            raise UsageError(f"{args.name} was not opened", hint=f"%connect {quoted(args.name)} --edit  puts it into a cell")
    # Where that cannot be kept, the next kernel asks again.
    with suppress(StoreError):
        saved.agree(session.backend(), definition)


def _open(shell: InteractiveShell, args: Namespace, definition: Definition, magic: str) -> None:
    variable = variable_of(definition)
    require_variable(variable)
    require_free(shell, variable, magic, replace=args.replace)
    outline = definition.located.outline
    new_file = _new_file(outline.target)
    try:
        with said_if_slow(outline.kind, outline.target):
            connection = open_definition(definition, test=args.test, as_=args.as_, timeout_s=args.timeout, debug=args.debug)
    except KeyboardInterrupt:
        raise ConnectionFailedError(
            f"interrupted while {args.name} was being opened; nothing was bound",
            hint="--timeout SECONDS  limits the waiting;  --no-test  does not open it now",
        ) from None
    if variable in session.opened:
        session.close(variable)
    session.opened[variable] = connection._replace(described=saved.said_by(definition, _folder()))
    shell.user_ns[variable] = connection.native
    print(_told(connection, variable, tested=args.test))
    if connection.note:
        print(connection.note)
    if new_file is not None and new_file.exists():
        print(f"{new_file} was not there: it is a new, empty file.")


def _told(connection: Opened, variable: str, *, tested: bool) -> str:
    if not tested:
        return f"Bound (not tested): {variable} = {connection.target}"
    did, why = connection.untried or ("Connected", "")
    return f"{did}: {variable} = {connection.target}" + (f" ({why})" if why else "")


def _new_file(target: str) -> Path | None:
    """Return the database's file if it is not there, where opening makes it: so does a typo in its name."""
    kind, _, path = target.partition(":///")
    file = Path(path)
    is_file = kind.partition("+")[0] in {"sqlite", "duckdb"} and path not in {"", ":memory:"}
    return file if is_file and not file.exists() else None


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


def _edit(shell: InteractiveShell, args: Namespace) -> None:
    definition = saved.find(session.backend(), args.name, _folder(), _file(args))
    if definition.flowfiles is not None:
        raise UsageError(
            f"{args.name} is saved in Flowfile, and is edited there", hint="to describe one here:  %%connect NAME --save"
        )
    set_next_input: Any = shell.set_next_input
    set_next_input(cell_of(definition), replace=False)


def cell_of(definition: Definition) -> str:
    """Return the cell that describes a connection; for one of Flowfile's, which has no description, the line that opens it."""
    if definition.flowfiles is not None:
        return f"%connect {quoted(definition.name)}"
    option = "" if definition.origin else " --save"
    # Run in the notebook's folder it is to lead to the same files.
    text = definition.located.text if definition.team is None else session.team().connection_body(definition.team)
    return f"%%connect {definition.name}{option}\n{text}"


def _delete(args: Namespace) -> None:
    backend = session.backend()
    if args.name not in backend.connection_bodies():
        # Says what the name may have meant, or where it is.
        definition = saved.find(backend, args.name, _folder(), _file(args))
        if definition.flowfiles is not None:
            raise UsageError(f"{args.name} is not saved here: it is saved in Flowfile", hint="delete it in Flowfile")
        if definition.team is not None:
            _delete_shared(args, definition.team)
            return
        raise UsageError(
            f"{args.name} is not saved here: it is described in {definition.origin}", hint="delete its table from that file"
        )
    own = next((one for one in backend.team_connections() if one.own and one.name == args.name), None)
    shared = f"shared with {', '.join(own.groups)}, who lose it" if own is not None and own.groups else ""
    question = f"Delete the saved connection {args.name}? Its secrets stay." + (f" It is {shared}." if shared else "")
    if not args.yes and not confirm(question, otherwise=f"%connect {quoted(args.name)} --delete --yes"):
        print(f"Kept {args.name}.")
        return
    backend.delete_connection(args.name)
    print(f"Deleted {args.name}." + (f" It was {shared}." if shared else ""))
    if own is not None:
        from flowfile_nb.notebook.share_verbs import tell_of_useless

        tell_of_useless(own.secrets)


def _delete_shared(args: Namespace, shared: TeamConnection) -> None:
    """Delete somebody else's, which the broker lets those do who may manage it."""
    if shared.permission != "manage":
        raise NotAllowedError(
            f"{args.name!r} is {shared.owner}'s, and shared with you to be used: nothing was deleted",
            hint=f"ask {shared.owner};  %connect -x {quoted(args.name)}  closes it here",
        )
    question = f"Delete {args.name}, which is {shared.owner}'s, for everybody?"
    if args.yes or confirm(question, otherwise=f"%connect {quoted(args.name)} --delete --yes"):
        session.backend().delete_connection(args.name)
        print(f"Deleted {args.name}.")
    else:
        print(f"Kept {args.name}.")


def _share(args: Namespace) -> Table | None:
    # Imported here: only a team shares.
    from flowfile_nb.notebook.share_verbs import share_connection, unshare

    if args.unshare is not None:
        unshare("connection", args.name, args.unshare)
        return None
    return share_connection(args)
