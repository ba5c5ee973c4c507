"""What can be told of the connections that are open, saved, or described in a project: for `%connect` and for the panel."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from flowfile_nb import session
from flowfile_nb.backend import Known, SecretBackend, TeamConnection
from flowfile_nb.connections import project_file, saved
from flowfile_nb.connections.definition import Definition, said_by
from flowfile_nb.connections.toml_text import printable
from flowfile_nb.errors import ConnectionSpecError, UsageError
from flowfile_nb.notebook.variable import variable_of

_OTHER = "other than the open one"


class ConnectionRow(NamedTuple):
    """One connection. Names are as they are stored; what is shown of them has to be printable."""

    name: str
    state: str
    """`open`, `asks first`, `hidden by your saved one`, `other than the open one`, or empty."""
    kind: str
    target: str
    problem: str
    """Why it cannot be opened; empty if it can."""
    secrets: tuple[str, ...]
    used_at: int | None
    """When it was last opened, in seconds since 1970."""
    definition: Definition | None
    """None for one that is open and not saved, or not as it is open."""
    also: str = ""
    """The path of a project's file that says the same under this name; empty if there is none."""

    @property
    def pending(self) -> str:
        """What it is before its owner has entered its secret (again): `not for others yet`, or `not usable yet`; else empty."""
        team = self.definition.team if self.definition is not None else None
        if team is None or not team.unfixed:
            return ""
        return "not for others yet" if team.own else "not usable yet"

    @property
    def kept(self) -> str:
        """Where it is kept: `saved`, `saved in Flowfile`, the project's file, `a cell`; `saved, connections.toml` for both."""
        return ", ".join(filter(None, [self._kept, printable(near(Path(self.also))) if self.also else ""]))

    @property
    def _kept(self) -> str:
        if self.definition is None:
            return "a cell"
        if self.definition.flowfiles is not None:
            return "saved in Flowfile"
        if self.definition.team is not None:
            return _kept_by(self.definition.team)
        return printable(near(Path(self.definition.origin))) if self.definition.origin else "saved"


class ConnectionRows(NamedTuple):
    """All of them, in the order in which a name is looked for."""

    rows: list[ConnectionRow]
    missing: set[str]
    """The secrets that some need and this store has not."""
    problem: str
    """Why a project's file could not be read; empty if it could, or there is none."""

    def missing_in(self, row: ConnectionRow) -> set[str]:
        """Return which of a row's secrets are missing; of a shared one none, since they are its owner's."""
        return set() if row.definition is not None and row.definition.shared else self.missing


def connection_rows(backend: SecretBackend, folder: Path, file: Path | None = None) -> ConnectionRows:
    """
    Return what there is.

    Args:
        backend: Has the saved definitions.
        folder: The notebook's, where a project's file is looked for.
        file: Another file instead: then only what is in that.

    Raises:
        UsageError, ConnectionSpecError: If *file* cannot be read.
    """
    problem = ""
    try:
        known = saved.definitions(backend, folder, file)
    except (UsageError, ConnectionSpecError) as error:
        if file is not None:
            raise
        # A project's file that cannot be read hides nothing else.
        known, problem = saved.own(backend), str(error)
    uses = backend.used_connections()
    seen: set[str] = set()
    rows: list[ConnectionRow] = []
    shown_open = set()
    names = {definition.name for definition in known}
    for definition in known:
        if definition.origin and definition.name in seen and (same := _same_as(definition, rows)) is not None:
            rows[same] = rows[same]._replace(also=definition.origin)
            continue
        row = _row(definition, uses, hidden=definition.name in seen)
        if row.state == _OTHER:
            # What the variable is bound to comes first; the saved one is what the next `%connect NAME` opens.
            rows.append(_row_of_open(variable_of(definition), names))
        if row.state in {"open", _OTHER}:
            shown_open.add(variable_of(definition))
        rows.append(row)
        seen.add(definition.name)
    if file is None:
        rows += [_row_of_open(name, names) for name in session.opened if name not in shown_open]
    # The secrets of a shared one are its owner's to have.
    needed = [name for row in rows if row.definition and not row.definition.shared for name in row.secrets]
    return ConnectionRows(rows, set(backend.missing(needed)), problem)


def _same_as(definition: Definition, rows: list[ConnectionRow]) -> int | None:
    """Return which row is of a saved definition that has the name of a project's, and says the same."""
    for index, row in enumerate(rows):
        if row.name == definition.name and row.definition is not None:
            with suppress(ConnectionSpecError):
                return index if said_by(row.definition, Path.cwd()) == said_by(definition, Path.cwd()) else None
    return None


def _kept_by(team: TeamConnection) -> str:
    """Return where a team's broker keeps it: whose it is, with whom it is shared, and what it may."""
    if team.own:
        # Imported here: without a team nothing is shared.
        from flowfile_nb.team.wording import with_whom

        return f"saved; shared with {printable(with_whom(team.groups, team.writers))}" if team.groups else "saved"
    groups = ", ".join(map(printable, team.groups))
    may = "reads and writes" if team.access == "write" else "reads only"
    return f"shared by {printable(team.owner)}" + (f" with {groups}" if groups else "") + f"; brokered, {may}"


def near(path: Path) -> str:
    """Return a path as seen from the notebook's folder, where that says more than the whole one."""
    try:
        return os.path.relpath(path) if path.name == project_file.FILE_NAME else str(path)
    except ValueError:
        # On another drive of Windows.
        return str(path)


def _row(definition: Definition, uses: dict[tuple[str, str], Known], *, hidden: bool) -> ConnectionRow:
    outline = definition.outline
    known = uses.get((definition.origin, definition.name))
    state = ""
    if hidden:
        state = "hidden by your saved one"
    elif variable_of(definition) in session.opened:
        state = "open" if _is_as_opened(definition) else _OTHER
    elif definition.origin and (known is None or known.digest != definition.digest):
        state = "asks first"
    used_at = known.used_at if known else None
    return ConnectionRow(
        definition.name, state, outline.kind, outline.target, outline.problem, outline.secrets, used_at, definition
    )


def _is_as_opened(definition: Definition) -> bool:
    """Return whether the variable of a definition is bound to what the definition says now."""
    try:
        described = session.opened[variable_of(definition)].described
        return described is not None and said_by(definition, Path.cwd()) == said_by(described[0], Path(described[1]))
    except ConnectionSpecError:
        return False


def _row_of_open(name: str, known: set[str]) -> ConnectionRow:
    connection = session.opened[name]
    state = "not shared any more" if connection.shared_as and connection.shared_as not in known else "open"
    return ConnectionRow(name, state, connection.scheme, connection.target, "", tuple(connection.secrets), None, None)
