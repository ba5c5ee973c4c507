"""The table of `%connect`: what is open, and what can be opened by name."""

from __future__ import annotations

from pathlib import Path

from flowfile_nb.backend import SecretBackend
from flowfile_nb.connections.toml_text import printable
from flowfile_nb.core.names import quoted
from flowfile_nb.notebook.connection_rows import ConnectionRow, ConnectionRows, connection_rows
from flowfile_nb.notebook.table import Table, age

_HEADER = ("name", "state", "kind", "target", "secrets", "last used", "from")


def connections_table(backend: SecretBackend, folder: Path, file: Path | None = None) -> Table:
    """
    Return the table; its note names the secrets that are missing, with the commands that add them.

    Args and errors are those of `connection_rows`.
    """
    found = connection_rows(backend, folder, file)
    notes = [found.problem] if found.problem else []
    if found.missing:
        notes.append("Secrets that are missing here; each command asks for one:")
        notes += [f"    %secret set {printable(quoted(name))}" for name in sorted(found.missing)]
    notes += _not_yet(found)
    if not found.rows:
        notes.append("No connections yet:  %%connect?  shows how to open one")
    return Table(_HEADER, [_cells(row, found.missing_in(row)) for row in found.rows], "\n".join(notes))


def _not_yet(found: ConnectionRows) -> list[str]:
    """Return which secrets have to be entered again, and by whom, before others can use what is shared."""
    teams = [row.definition.team for row in found.rows if row.definition is not None and row.definition.team is not None]
    theirs = [tuple(map(printable, (one.name, one.owner, one.unfixed))) for one in teams if one.unfixed and not one.own]
    lines = [f"{name} cannot be used yet: its owner {owner} has to enter {secret} again." for name, owner, secret in theirs]
    if own := sorted({one.unfixed for one in teams if one.own and one.unfixed} - found.missing):
        lines.append("Others cannot use these before you have entered their secret again; each command asks for one:")
        lines += [f"    %secret set {printable(quoted(name))} --replace" for name in own]
    return lines


def _cells(row: ConnectionRow, missing: set[str]) -> tuple[str, ...]:
    # What is missing is said where the secret stands.
    pending = "" if missing.intersection(row.secrets) else row.pending
    return (
        printable(row.name),
        ", ".join(filter(None, [row.state, pending])),
        row.kind,
        row.target if not row.problem else f"cannot be opened: {row.problem}",
        ", ".join(printable(name) + (" (missing)" if name in missing else "") for name in row.secrets),
        age(row.used_at),
        row.kept,
    )
