"""The table of `%connect`: what is open, and what can be opened by name."""

from __future__ import annotations

import os
from pathlib import Path

from flowfile_nb import session
from flowfile_nb.backend import Known, SecretBackend, TeamConnection
from flowfile_nb.connections import project_file, saved
from flowfile_nb.connections.saved import Definition
from flowfile_nb.connections.toml_text import printable
from flowfile_nb.core.names import quoted
from flowfile_nb.errors import ConnectionSpecError, UsageError
from flowfile_nb.notebook.table import Table, age
from flowfile_nb.notebook.variable import variable_of_flowfiles

_HEADER = ("name", "state", "kind", "target", "secrets", "last used", "from")


def connections_table(backend: SecretBackend, folder: Path, file: Path | None = None) -> Table:
    """
    Return the table; its note names the secrets that are missing, with the commands that add them.

    Args:
        backend: Has the saved definitions.
        folder: The notebook's, where a project's file is looked for.
        file: Another file instead: then only that is shown.
    """
    notes = []
    try:
        known = saved.definitions(backend, folder, file)
    except (UsageError, ConnectionSpecError) as error:
        if file is not None:
            raise
        # A project's file that cannot be read hides nothing else.
        known = saved.own(backend)
        notes.append(str(error))
    uses = backend.used_connections()
    # The secrets of a shared one are its owner's to have.
    needed = [name for definition in known if not definition.shared for name in definition.outline.secrets]
    missing = set(backend.missing(needed))
    seen: set[str] = set()
    bound: set[str] = set()
    rows = []
    for definition in known:
        rows.append(_row(definition, uses, missing, hidden=definition.name in seen))
        seen.add(definition.name)
        bound.add(variable_of(definition))
    if file is None:
        rows += [_row_of_open(name) for name in session.opened if name not in bound]
    if missing:
        notes.append("Secrets that are missing here; each command asks for one:")
        notes += [f"    %secret set {printable(quoted(name))}" for name in sorted(missing)]
    if not rows:
        notes.append("No connections yet:  %%connect?  shows how to open one")
    return Table(_HEADER, rows, "\n".join(notes))


def variable_of(definition: Definition) -> str:
    """Return the variable that a definition is bound to."""
    foreign = definition.flowfiles is not None or definition.shared
    return variable_of_flowfiles(definition.name) if foreign else definition.name


def _row(definition: Definition, uses: dict[tuple[str, str], Known], missing: set[str], *, hidden: bool) -> tuple[str, ...]:
    outline = definition.outline
    missing = set() if definition.shared else missing
    known = uses.get((definition.origin, definition.name))
    state = "open" if variable_of(definition) in session.opened and not hidden else ""
    if hidden:
        state = "hidden by your saved one"
    elif not state and definition.origin and (known is None or known.digest != definition.digest):
        state = "asks first"
    return (
        printable(definition.name),
        state,
        outline.kind,
        outline.target if not outline.problem else f"cannot be opened: {outline.problem}",
        ", ".join(printable(name) + (" (missing)" if name in missing else "") for name in outline.secrets),
        age(known.used_at if known else None),
        _from(definition),
    )


def _row_of_open(name: str) -> tuple[str, ...]:
    connection = session.opened[name]
    return (name, "open", connection.scheme, connection.target, ", ".join(connection.secrets), "", "a cell")


def _from(definition: Definition) -> str:
    if definition.flowfiles is not None:
        return "saved in Flowfile"
    if definition.team is not None:
        return _from_team(definition.team)
    if not definition.origin:
        return "saved"
    return printable(near(Path(definition.origin)))


def _from_team(team: TeamConnection) -> str:
    groups = ", ".join(map(printable, team.groups))
    if team.own:
        return f"saved; shared with {groups}" if groups else "saved"
    may = "reads and writes" if team.access == "write" else "reads only"
    return f"shared by {printable(team.owner)}" + (f" with {groups}" if groups else "") + f"; brokered, {may}"


def near(path: Path) -> str:
    """Return a path as seen from the notebook's folder, where that says more than the whole one."""
    try:
        return os.path.relpath(path) if path.name == project_file.FILE_NAME else str(path)
    except ValueError:
        # On another drive of Windows.
        return str(path)
