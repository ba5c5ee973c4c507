"""What `%connect` does with a definition that is saved, or a project's: beside opening it, which `connect_verb` does."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flowfile_nb import session
from flowfile_nb.connections import saved
from flowfile_nb.connections.definition import Definition
from flowfile_nb.connections.opening import require_all
from flowfile_nb.connections.spec import read_spec
from flowfile_nb.core.names import quoted
from flowfile_nb.errors import FlowfileNbError, LiteralPasswordError, NoPromptError, NotAllowedError, StoreError, UsageError
from flowfile_nb.notebook.arguments import ConnectArguments
from flowfile_nb.notebook.prompt import confirm

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from flowfile_nb.backend import TeamConnection


def chosen(args: ConnectArguments, folder: Path, file: Path | None) -> Definition:
    """
    Return what `%connect NAME` opens, once it may be opened.

    Args:
        args: The line's.
        folder: The notebook's.
        file: The project's file that was named, if one was.

    Raises:
        UsageError: If there is none of that name, or nobody agrees to it; NoSuchSecretError, if it needs what is not there.
    """
    backend = session.backend()
    in_team = session.team_in_use() is not None
    try:
        definition = saved.find(backend, args.name, folder, file, in_team=in_team)
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
    return definition


def _agree(args: ConnectArguments, definition: Definition) -> None:
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


def note(definition: Definition) -> None:
    """Keep that a definition was opened now."""
    # A store that cannot be written, as in a container, does not stand in the way: nothing depends on it.
    with suppress(StoreError):
        saved.opened(session.backend(), definition)


def edit(shell: InteractiveShell, args: ConnectArguments, folder: Path, file: Path | None) -> None:
    """Put the cell that describes a connection below this one; the arguments are as in `chosen`."""
    definition = saved.find(session.backend(), args.name, folder, file, to_open=False)
    if definition.flowfiles is not None:
        raise UsageError(
            f"{args.name} is saved in Flowfile, and is edited there", hint="to describe one here:  %%connect NAME --save"
        )
    set_next_input: Any = shell.set_next_input
    set_next_input(cell_of(definition), replace=False)


def cell_of(definition: Definition) -> str:
    """
    Return the cell that describes a connection; for one of Flowfile's, which has no description, the line that opens it.

    Raises:
        UsageError: If a project's file has a password in it in clear, which would go on into the notebook.
    """
    if definition.flowfiles is not None:
        return f"%connect {quoted(definition.name)}"
    if definition.origin:
        _require_no_literal(definition)
    option = "" if definition.origin else " --save"
    # Run in the notebook's folder it is to lead to the same files.
    text = definition.located.text if definition.team is None else session.team().connection_body(definition.team)
    return f"%%connect {definition.name}{option}\n{text}"


def _require_no_literal(definition: Definition) -> None:
    try:
        read_spec(definition.description)
    except LiteralPasswordError:
        saved.require_understood(definition)
    except FlowfileNbError:
        # What else is wrong is mended in the cell.
        return


def delete(args: ConnectArguments, folder: Path, file: Path | None) -> None:
    """Ask, and delete what is saved here or shared to be managed; the arguments are as in `chosen`."""
    backend = session.backend()
    if args.name not in backend.connection_bodies():
        # Says what the name may have meant, or where it is.
        definition = saved.find(backend, args.name, folder, file, to_open=False)
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


def _delete_shared(args: ConnectArguments, shared: TeamConnection) -> None:
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
