"""`%secret rename`: what follows the new name by itself, and what is to be done about what cannot."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path

from flowfile_nb import session
from flowfile_nb.connections import Opened, saved
from flowfile_nb.connections.definition import Definition
from flowfile_nb.connections.present_names import follow_rename
from flowfile_nb.connections.toml_text import printable
from flowfile_nb.core.names import quoted
from flowfile_nb.core.references import reference
from flowfile_nb.errors import ConnectionSpecError, UsageError
from flowfile_nb.notebook.connection_rows import near
from flowfile_nb.notebook.delete_verb import shared_with
from flowfile_nb.notebook.meant import require_stored
from flowfile_nb.notebook.overriding import require_in_store, tell_of_override, tell_of_rest


def rename(args: Namespace) -> None:
    """Rename a secret, and say which connections follow, which do not, and how they are brought to it."""
    require_stored([args.old], ["rename", args.old, args.new])
    require_in_store([args.old])
    if args.new == args.old:
        raise UsageError("the new name is the old one; nothing was renamed", hint=f"%secret rename {quoted(args.old)} NEW")
    followed = session.backend().rename(args.old, args.new)
    follow_rename(args.old, args.new)
    print(f"Renamed {args.old} to {args.new}.")
    if followed:
        print(f"{', '.join(followed)} now {'use' if len(followed) > 1 else 'uses'} it by the new name.")
    tell_of_override(args.new)
    tell_of_rest(args.old)
    for line in _left_to_do(args.old, args.new, followed):
        print(line)


def _left_to_do(old: str, new: str, followed: list[str]) -> Iterator[str]:
    backend = session.backend()
    # Flowfile's own refer to the secret itself, not to its name.
    theirs = backend.flowfile_connections()
    behind = [name for name in backend.used_by(old) if name not in theirs]
    for name in behind:
        yield f"{name} is saved with the old name still:  %connect {quoted(name)} --edit"
    projects = _in_project(old)
    for definition in projects:
        yield (
            f"{printable(near(Path(definition.origin)))} describes {printable(definition.name)} with the old name:"
            f"  write  {reference(new)}  there, or  %connect {quoted(definition.name)} --edit"
        )
    variables = [variable for variable, one in session.opened.items() if old in one.secrets and _follows(one)]
    for variable in variables:
        session.opened[variable].follow(old, new)
    if variables:
        yield f"{', '.join(variables)} {'stay' if len(variables) > 1 else 'stays'} open, and from now on by the new name."
    for variable in variables:
        if variable not in {*followed, *behind, *(definition.name for definition in projects)}:
            yield f"In the cell that opens {variable}, write  {reference(new)}"
    if groups := shared_with(new):
        yield (
            f"It is shared with {groups}. Connections that you share go on;"
            " in those that members have described themselves they write the new name:  %connect NAME --edit"
        )


def _follows(connection: Opened) -> bool:
    """Return whether a connection refers to a secret by its name here: a broker's by its owner's, Flowfile's to the secret."""
    is_flowfiles = connection.described is not None and connection.described[0].flowfiles is not None
    return not connection.is_brokered and not is_flowfiles


def _in_project(name: str) -> list[Definition]:
    """Return what the project's file describes with a secret; nothing of one that cannot be read."""
    try:
        known = saved.definitions(session.backend(), Path.cwd())
    except (UsageError, ConnectionSpecError):
        return []
    return [definition for definition in known if definition.origin and name in definition.outline.secrets]
