"""Tab completion for groups: their verbs, names, members and roles."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from flowfile_nb import session
from flowfile_nb.core.names import quoted
from flowfile_nb.notebook.groups_verb import ACTIONS, ROLES


def complete_groups(before: Sequence[str]) -> Iterable[str]:
    """Return what can stand after these words of a `%secret` line."""
    if before[-1] == "--role":
        return ROLES
    if before[-1] == "--group":
        return group_names()
    words = [word for word in before[1:] if not word.startswith("-")]
    if not words:
        return ACTIONS
    if len(words) == 1:
        return group_names()
    if words[0] == "role" and len(words) == 3:
        return ROLES
    return _members(words[1]) if words[0] in {"remove", "role"} else []


def group_names() -> list[str]:
    """Return the groups that the caller may know of; none without a team."""
    team = session.team_in_use()
    return [] if team is None else [quoted(group.name) for group in team.sharing.groups()]


def _members(group: str) -> list[str]:
    team = session.team_in_use()
    known = [] if team is None else team.sharing.groups()
    return [quoted(member.name) for one in known if one.name == group for member in one.members]
