"""What `%connect` keeps for others to open: a description under a name (`--save`), and saved ones in a file (`--export`)."""

from __future__ import annotations

from pathlib import Path

from flowfile_nb import session
from flowfile_nb.connections import project_file, saved
from flowfile_nb.connections.definition import Definition
from flowfile_nb.errors import UsageError
from flowfile_nb.notebook.arguments import ConnectArguments
from flowfile_nb.notebook.connection_rows import near
from flowfile_nb.notebook.prompt import confirm


def keep(args: ConnectArguments, definition: Definition, folder: Path) -> None:
    """Save what a cell describes, and say what it replaces; its relative paths begin in *folder*."""
    backend = session.backend()
    before = backend.connection_bodies().get(args.name)
    has_paths = saved.keep(backend, args.name, definition.text, folder)
    replaced = "" if before is None else saved.in_place_of(Definition(args.name, before), definition, folder)
    print(f"Saved{replaced}. In another notebook:  %connect {args.name}" + (f" --as {args.as_}" if args.as_ else ""))
    if has_paths:
        print(f"Its relative paths are saved whole: they lead below {folder} from every folder.")
    if session.team_in_use() is not None:
        from flowfile_nb.notebook.share_verbs import not_for_others_yet

        if told := not_for_others_yet(args.name):
            print(told)


def export(args: ConnectArguments, folder: Path) -> None:
    """Write one saved definition, or all, into a project's file, whose place is found from *folder*."""
    backend = session.backend()
    bodies = backend.connection_bodies()
    if args.name is not None and args.name not in bodies:
        if shared := next((one for one in backend.team_connections() if one.name == args.name), None):
            raise UsageError(f"{args.name!r} is {shared.owner}'s: only its owner exports it", hint="ask its owner")
        raise UsageError(f"no saved connection is named {args.name!r}", hint="list them:  %connect")
    chosen = [Definition(name, body) for name, body in bodies.items() if args.name in {None, name}]
    if not chosen:
        raise UsageError("there are no saved connections to export", hint="save one:  %%connect NAME --save")
    path = Path(args.export).expanduser() if args.export else project_file.place_for(folder)
    if path.suffix != ".toml":
        raise UsageError("connections are exported to a .toml file", hint="to export one:  %connect NAME --export")
    _require_agreed_change(args, chosen, path)
    saved.export(backend, chosen, path)
    names = ", ".join(definition.name for definition in chosen)
    print(f"{near(path)} describes {names}, with references only: it can be committed.")


def _require_agreed_change(args: ConnectArguments, chosen: list[Definition], path: Path) -> None:
    there = project_file.read(path) if path.exists() else {}
    others = [item.name for item in chosen if item.name in there and there[item.name] != saved.parts_of(item, path)]
    if others and not args.yes:
        line = ["%connect", *filter(None, [args.name, "--export", args.export]), "--yes"]
        if not confirm(f"{path} describes {', '.join(others)} in another way. Replace?", otherwise=" ".join(line)):
            raise UsageError(f"{path.name} was not changed", hint="--export PATH  names another file")
