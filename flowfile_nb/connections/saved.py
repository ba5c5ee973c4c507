"""
Definitions of connections: those that were saved, here or in Flowfile's own interface, and those of a project's file.

One that was saved here comes before Flowfile's of the same name, and both before a project's (`connections.toml`): what lies in
a repository never changes where an own name leads. A
project's is somebody else's text, and could point a secret at a server of their own. So it is shown before its first use and
after each change, as direnv does with its files; what was agreed to is kept as a digest.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flowfile_nb.connections.definition import Definition, said_by
from flowfile_nb.connections.elsewhere import elsewhere
from flowfile_nb.connections.file_paths import anchored, relative_to
from flowfile_nb.connections.spec import UrlSpec, read_spec
from flowfile_nb.connections.toml_text import printable
from flowfile_nb.core.names import quoted, suggest
from flowfile_nb.errors import ConnectionSpecError, UsageError

if TYPE_CHECKING:
    from flowfile_nb.backend import SecretBackend


def definitions(backend: SecretBackend, folder: Path, file: Path | None = None) -> list[Definition]:
    """
    Return what can be opened by name: the saved ones, Flowfile's of other names, then the project's.

    A name can be there twice; the first counts.

    Args:
        backend: Has the saved ones.
        folder: Where a project's file is looked for; the notebook's.
        file: Another file instead; then only what is in it.

    Raises:
        UsageError, ConnectionSpecError: If the file cannot be read.
    """
    # Imported here, as below: most connections are opened from a cell.
    from flowfile_nb.connections import project_file

    saved = [] if file else own(backend)
    path = file or project_file.locate(folder)
    if path is None:
        return saved
    origin = str(path.resolve())
    return [*saved, *(Definition(name, _described(parts), origin) for name, parts in project_file.read(path).items())]


def own(backend: SecretBackend) -> list[Definition]:
    """Return those that were saved here, then Flowfile's of other names, then those that others share."""
    bodies = backend.connection_bodies()
    theirs = backend.flowfile_connections()
    team = {one.name: one for one in backend.team_connections()}
    return [
        *(Definition(name, body, team=team.get(name)) for name, body in bodies.items()),
        *(Definition(name, "", flowfiles=found) for name, found in theirs.items() if name not in bodies),
        *(Definition(name, "", team=one) for name, one in team.items() if not one.own and name not in {*bodies, *theirs}),
    ]


def find(  # noqa: PLR0913 - two are for what is said where there is none
    backend: SecretBackend,
    name: str,
    folder: Path,
    file: Path | None = None,
    *,
    in_team: bool = False,
    to_open: bool = True,
) -> Definition:
    """
    Return the definition of that name.

    Args:
        backend: As in `definitions`.
        name: The name.
        folder: As in `definitions`.
        file: As in `definitions`.
        in_team: Whether it may be one that was shared.
        to_open: Whether it is to be opened: only then it helps to be told how to describe one.

    Raises:
        UsageError: If there is none; else as `definitions`.
    """
    if file is None:
        # A project's file that cannot be read does not stand in the way.
        for definition in own(backend):
            if definition.name == name:
                return definition
    known = definitions(backend, folder, file)
    for definition in known:
        if definition.name == name:
            return definition
    close = suggest(name, [definition.name for definition in known])
    meant = f"did you mean {close!r}?  " if close else ""
    if in_team:
        # Whether there is one that others may use is not said.
        raise UsageError(
            f"no connection named {name!r} is saved by you, or shared with you (any more)",
            hint=f"{meant}List yours:  %connect.  Whoever shares one can say more",
        )
    instead = _instead(name) if to_open else "List yours:  %connect"
    where, other = _looked_in(name, folder, file)
    raise UsageError(f"no saved connection is named {name!r}, {where}", hint=meant + other + instead)


def _instead(name: str) -> str:
    """Return what opens what has no definition; a name may be that of a file."""
    suffix = Path(name).suffix
    if suffix in {".db", ".duckdb", ".sqlite", ".sqlite3"}:
        return f"a file is described by its URL:  {'duckdb' if suffix == '.duckdb' else 'sqlite'}:///{name}"
    if suffix == ".toml":
        return f"one of a file is opened by its name:  %connect NAME --file {quoted(name)}"
    return f"Describe it in a cell:  %%connect {name if name.isidentifier() else 'warehouse'} --save"


def _looked_in(name: str, folder: Path, file: Path | None) -> tuple[str, str]:
    """Return in which file there is none of that name, and what to do where another file is the one that was meant."""
    from flowfile_nb.connections import project_file

    if (path := file or project_file.locate(folder)) is not None:
        return f"and none is in {path}", ""
    where = f"and no {project_file.FILE_NAME} is in {folder} (or above it in a project with .git or pyproject.toml)"
    if (other := project_file.left_out(folder)) is None:
        return where, ""
    return where, f"There is one further up:  %connect {quoted(name)} --file {quoted(os.path.relpath(other, folder))}   "


def require_understood(definition: Definition) -> None:
    """Let a definition pass that can be opened as far as it says. Raises UsageError."""
    if definition.outline.problem:
        hint = f"%connect {quoted(definition.name)} --edit  shows it"
        if definition.origin:
            file, remedy = Path(definition.origin).name, definition.outline.remedy
            hint = f"in {file}:  {remedy}" if remedy else f'mend it in {file}, where a secret is written  "${{secret:NAME}}"'
        raise UsageError(f"{definition.name} cannot be opened: {definition.outline.problem}", hint=hint)


def is_agreed(backend: SecretBackend, definition: Definition) -> bool:
    """Return whether a definition may be used without asking: a saved one, or one that was agreed to as it is."""
    known = backend.used_connections().get((definition.origin, definition.name))
    return not definition.origin or (known is not None and known.digest == definition.digest)


def agree(backend: SecretBackend, definition: Definition) -> None:
    """Keep that a definition was agreed to, as it is now."""
    backend.note_connection(definition.origin, definition.name, definition.digest)


def opened(backend: SecretBackend, definition: Definition) -> None:
    """Keep that a definition was opened now."""
    backend.note_connection(definition.origin, definition.name, definition.digest, int(time.time()))


def question(definition: Definition) -> str:
    """Return what has to be read before a project's definition is agreed to: all it says, and what it would send where."""
    outline = definition.located.outline
    lines = "\n".join(f"    {printable(line)}" for line in definition.text.splitlines() if line.strip())
    names = ", ".join(map(printable, outline.secrets))
    others = elsewhere(definition.description)
    return "\n".join(
        [
            f"{printable(definition.name)} is described in {printable(definition.origin)}, and was not used here as it is now:",
            lines,
            f"It leads to  {outline.target}  and " + (f"gives it your secret {names}." if names else "uses no secret."),
            *([f"Its options can lead it elsewhere: {', '.join(others)}."] if others else []),
        ]
    )


def keep(backend: SecretBackend, name: str, body: str, folder: Path) -> bool:
    """
    Save a definition; relative paths in it begin in *folder*, wherever it is opened. Return whether it has such paths.

    Raises:
        ConnectionSpecError, LiteralPasswordError: If it cannot be understood, or holds a password in clear.
    """
    kept = str(anchored(body, folder))
    backend.save_connection(name, kept)
    return kept != body


def in_place_of(before: Definition, now: Definition, folder: Path) -> str:
    """Return what is gone where one description replaced another, to stand behind "Saved"; empty where it said the same."""
    try:
        if said_by(before, folder) == said_by(now, folder):
            return ""
    except ConnectionSpecError:
        return ", in place of a description that cannot be understood"
    target = before.outline.target
    return f", in place of {target}" if target != now.outline.target else f", in place of another description of {target}"


def export(backend: SecretBackend, definitions: list[Definition], path: Path) -> None:
    """
    Write saved definitions into a project's file. They are one's own, so opening them from there is agreed to.

    Paths of what lies in the folder of that file are written as they are from there.

    Raises:
        UsageError, ConnectionSpecError: As `project_file.write`.
    """
    from flowfile_nb.connections import project_file

    tables = {definition.name: parts_of(definition, path) for definition in definitions}
    project_file.write(path, tables)
    for name, parts in tables.items():
        agree(backend, Definition(name, _described(parts), str(path.resolve())))


def _described(parts: Mapping[str, Any]) -> str | Mapping[str, Any]:
    url = parts.get("url")
    return url if set(parts) == {"url"} and isinstance(url, str) and "\n" not in url and "://" in url else parts


def parts_of(definition: Definition, path: Path) -> dict[str, Any]:
    """Return the table that says the same in the file *path*. Raises ConnectionSpecError if it cannot be understood."""
    spec = read_spec(relative_to(definition.description, path.resolve().parent))
    return {"url": spec.marked.restore(spec.marked.text)} if isinstance(spec, UrlSpec) else spec.parts
