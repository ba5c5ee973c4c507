"""`%secret groups`: who is in which group, and changing that."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple

from flowfile_nb import session
from flowfile_nb.core.names import quoted
from flowfile_nb.errors import UsageError
from flowfile_nb.notebook.prompt import confirm
from flowfile_nb.notebook.table import Table
from flowfile_nb.team.sharing import Sharing

ROLES = ("member", "manager", "owner")
_LIST = "%secret groups   lists them"


def groups(args: Namespace) -> Table | None:
    """Return the groups, or change one."""
    action, *words = args.words or [""]
    sharing = session.team().sharing
    if not action:
        return _table(sharing)
    known = ACTIONS.get(action)
    if known is None:
        raise UsageError(f"%secret groups has no verb {action!r}", hint=f"verbs are {', '.join(ACTIONS)};  {_LIST}")
    if not known.least <= len(words) <= known.most or (args.role and action != "add"):
        raise UsageError(f"%secret groups {action}  was not understood", hint=f"%secret groups {action} {known.usage}")
    known.run(sharing, words, args)
    return None


def _table(sharing: Sharing) -> Table:
    rows = [
        (
            group.name,
            group.role,
            ", ".join(member.name + ("" if member.role == "member" else f" ({member.role})") for member in group.members),
            group.description,
        )
        for group in sharing.groups()
    ]
    note = "" if rows else "You are in no group. An admin creates one:  %secret groups create GROUP"
    return Table(("group", "you are", "members", "description"), rows, note)


def _create(sharing: Sharing, words: list[str], args: Namespace) -> None:
    sharing.create(words[0], args.description)
    print(f"Created {words[0]}. Put somebody in:  %secret groups add {quoted(words[0])} USER")


def _delete(sharing: Sharing, words: list[str], args: Namespace) -> None:
    question = f"Delete the group {words[0]}? All that is shared with it is not shared any more."
    if _agreed(args, question, f"%secret groups delete {quoted(words[0])} --yes"):
        sharing.delete(words[0])
        print(f"Deleted {words[0]}.")
    else:
        print(f"Kept {words[0]}.")


def _add(sharing: Sharing, words: list[str], args: Namespace) -> None:
    group, *users = words
    role = _role(args.role or "member")
    for user in users:
        seen = sharing.set_member(group, user, role)
        print(f"{user} is in {group}" + ("." if role == "member" else f", as {role}."))
        if not seen:
            again = f"%secret groups remove {quoted(group)} {quoted(user)}"
            print(f"The broker has never seen {user}: whoever comes by that name will be in it. If it is mistyped:  {again}")


def _remove(sharing: Sharing, words: list[str], args: Namespace) -> None:
    group, *users = words
    for user in users:
        sharing.remove_member(group, user)
        print(f"{user} is not in {group} any more; what they ran by its shares was ended.")


def _change_role(sharing: Sharing, words: list[str], args: Namespace) -> None:
    group, user, role = words
    sharing.set_member(group, user, _role(role))
    print(f"{user} is {role} of {group} now.")


def _leave(sharing: Sharing, words: list[str], args: Namespace) -> None:
    question = f"Leave {words[0]}? What is shared with it cannot be used by you then."
    if _agreed(args, question, f"%secret groups leave {quoted(words[0])} --yes"):
        sharing.leave(words[0])
        print(f"You have left {words[0]}.")
    else:
        print(f"You are in {words[0]} still.")


def _role(role: str) -> str:
    if role not in ROLES:
        raise UsageError("there is no such role in a group", hint=f"roles are {', '.join(ROLES)}")
    return role


def _agreed(args: Namespace, question: str, again: str) -> bool:
    return args.yes or confirm(question, otherwise=again)


class Action(NamedTuple):
    """A verb of `%secret groups`."""

    usage: str
    least: int
    """How many words it takes."""
    most: int
    run: Callable[[Sharing, list[str], Namespace], None]


_MANY = 100
ACTIONS: Mapping[str, Action] = MappingProxyType(
    {
        "create": Action("GROUP [--description TEXT]", 1, 1, _create),
        "add": Action("GROUP USER [USER …] [--role ROLE]", 2, _MANY, _add),
        "remove": Action("GROUP USER [USER …]", 2, _MANY, _remove),
        "role": Action("GROUP USER ROLE", 3, 3, _change_role),
        "leave": Action("GROUP [--yes]", 1, 1, _leave),
        "delete": Action("GROUP [--yes]", 1, 1, _delete),
    }
)
