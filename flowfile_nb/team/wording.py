"""What is said of shares: with whom, for what, and why there is no value of a shared secret to see."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from flowfile_nb.backend import TeamConnection
from flowfile_nb.core.names import quoted
from flowfile_nb.errors import NotAllowedError
from flowfile_nb.team.entries import MAY, SecretEntry


def require_own(name: str, entries: Iterable[SecretEntry]) -> None:
    """Let pass what is not another's among *entries*. Raises NotAllowedError: to the broker it is none of the caller's."""
    for entry in entries:
        if entry.name == name and not entry.own:
            what = f"{name!r} is {entry.owner}'s, and shared with you to be used; nothing was changed"
            raise NotAllowedError(what, hint=f"ask {entry.owner}")


def why_brokered(entry: SecretEntry, connections: Iterable[TeamConnection]) -> str:
    """
    Return two lines: why there is no value of a shared secret to see, and how to work with it.

    Args:
        entry: What the broker tells of it.
        connections: What can be opened by name; those that use it are named.
    """
    through = f" with {_joined(entry.groups)}" if entry.groups else " with you"
    why = (
        f"{entry.name!r} is {entry.shared_by or entry.owner}'s and shared{through} to be used, not seen: "
        "the broker uses it, and its value never comes to this kernel"
    )
    users = [one.name for one in connections if entry.name in one.secrets]
    if users:
        return f"{why}\nopen a connection that uses it:  " + "   ".join(f"%connect {quoted(name)}" for name in users)
    target = f", which has to lead to {_joined(entry.targets)}" if entry.targets else ""
    return f"{why}\nwrite  %secret {quoted(entry.name)}  in the place of the password or key in a  %%connect NAME  cell{target}"


def with_whom(groups: Iterable[str], writers: Collection[str]) -> str:
    """Return the groups that something is shared with, and what each may: `analysts (reads), loaders (reads and writes)`."""
    return ", ".join(f"{group} ({MAY['write' if group in writers else 'read']})" for group in groups)


def _joined(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
