"""`%secret log` in a team: what was done with one's own secret or connection, by whom, as the broker has written it down."""

from __future__ import annotations

import time
from argparse import Namespace
from typing import Any

from flowfile_nb.core.names import quoted
from flowfile_nb.errors import UsageError
from flowfile_nb.notebook.table import Table
from flowfile_nb.team.backend import TeamBackend

_STATEMENT = 60


def team_log(team: TeamBackend, args: Namespace) -> Table:
    """
    Return the entries, the newest first: of one secret or connection, or of all; of somebody else's, the caller's own uses.

    Raises:
        UsageError: If the record is to be deleted, which is the broker's.
        NoSuchSecretError: If the name is neither a secret nor a connection that the caller may use.
    """
    if args.clear:
        raise UsageError("the record of a team is kept by the broker, and nobody deletes it from here", hint="%secret log NAME")
    if args.last < 1:
        raise UsageError("--last takes a number from 1 on", hint="%secret log --last 100")
    entries = _with_ends(team.log(args.name))
    if args.name is not None and not entries and args.name not in {one.name for one in team.team_connections()}:
        team.require(args.name)
    rows = [_row(entry) for entry in entries[: -args.last - 1 : -1]]
    notes = []
    if len(rows) < len(entries):
        named = f" {quoted(args.name)}" if args.name is not None else ""
        notes.append(f"{len(rows):,} of {len(entries):,} entries. More:  %secret log{named} --last {len(entries)}")
    if any(row[5].startswith("SIGN ") for row in rows):
        notes.append("SIGN is a link to one object, good for a minute: what was read or written by it only the storage knows.")
    if not rows:
        notes.append("Nothing of yours is recorded" + ("." if args.name is None else " under this name."))
    return Table(("time", "who", "what", "whose", "through", "statement", "rows", "outcome"), rows, "\n".join(notes))


def _with_ends(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the entries with the end of each use in the line of its beginning; one that runs still has none."""
    found: list[dict[str, Any]] = []
    # By who ran it, too, and in their order: a caller chooses the ids, and may choose another's, or one twice.
    begun: dict[tuple[Any, Any], list[dict[str, Any]]] = {}
    for entry in entries:
        of_id = begun.setdefault((entry["caller"], entry.get("query_id")), [])
        if entry.get("query_id") and entry.get("state") != "started" and of_id:
            of_id.pop(0).update({key: entry[key] for key in ("state", "rows", "detail")})
            continue
        found.append(dict(entry))
        if entry.get("state") == "started":
            of_id.append(found[-1])
    return found


def _row(entry: dict[str, Any]) -> tuple[str, ...]:
    statement = " ".join(str(entry.get("statement") or "").split())
    state, detail = str(entry.get("state") or ""), str(entry.get("detail") or "")
    # Of a use that runs, the broker notes which of its processes it is in.
    outcome = state if state == "started" else f"{state} {detail}".strip()
    return (
        time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(float(entry["at"]))),
        str(entry["caller"]),
        str(entry["action"]),
        str(entry.get("owner") or ""),
        # A description that nobody saved is followed by the secret that it used, for the broker's own use.
        str(entry["name"]).partition(" by ")[0],
        statement if len(statement) <= _STATEMENT else statement[: _STATEMENT - 1] + "…",
        f"{entry['rows']:,}" if entry.get("statement") else "",
        outcome,
    )
