"""
What the panel's tabs Groups and Sharing ask, in a team. `panel` has the rules; no value is in any message.

    {op: "groups"}                             → {op: "groups", me: {name, admin},
                                                  groups: [{name, description, role, members: [{name, role}]}]}
    {op: "create_group", group, description}   → {op: "done", text}
    {op: "delete_group" | "leave_group", group}
    {op: "set_member", group, user, role}
    {op: "remove_member", group, user}
    {op: "sharing"}                            → {op: "sharing", groups: [name, …],
                                                  own: [{what, name, places, promises, shares: [{group, permission,
                                                         access}]}],
                                                  shared: [{what, name, owner, groups, places, access, promises}]}
    {op: "share", what, name, group, permission, access, confirmed}
                                               → {op: "done", text}, or {op: "confirm", text} for a share that may write
    {op: "unshare", what, name, group}         → {op: "done", text}
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from flowfile_nb import session
from flowfile_nb.errors import WriteShareError
from flowfile_nb.team.entries import Offer, SecretEntry, What

_Message = Mapping[str, Any]


def _groups(message: _Message) -> dict[str, Any]:
    team = session.team()
    groups = [{**group._asdict(), "members": [one._asdict() for one in group.members]} for group in team.sharing.groups()]
    me = team.me()
    return {"op": "groups", "me": {"name": me.name, "admin": me.is_admin}, "groups": groups}


def _create_group(message: _Message) -> dict[str, Any]:
    session.team().sharing.create(message["group"], message["description"])
    return _done(f"Created {message['group']}.")


def _delete_group(message: _Message) -> dict[str, Any]:
    session.team().sharing.delete(message["group"])
    return _done(f"Deleted {message['group']}, and all shares with it.")


def _leave_group(message: _Message) -> dict[str, Any]:
    session.team().sharing.leave(message["group"])
    return _done(f"You have left {message['group']}.")


def _set_member(message: _Message) -> dict[str, Any]:
    session.team().sharing.set_member(message["group"], message["user"], message["role"])
    return _done(f"{message['user']} is {message['role']} of {message['group']}.")


def _remove_member(message: _Message) -> dict[str, Any]:
    session.team().sharing.remove_member(message["group"], message["user"])
    return _done(f"{message['user']} is not in {message['group']} any more; what they ran by its shares was ended.")


def _sharing(message: _Message) -> dict[str, Any]:
    team = session.team()
    secrets, connections = team.entries(), team.team_connections()
    own = [
        {**_own("secret", entry.name, _places(entry), entry.groups), "promises": "\n".join(map(str, entry.promises))}
        for entry in secrets
        if entry.own
    ]
    own += [_own("connection", one.name, [one.target], one.groups) for one in connections if one.own]
    shared: list[dict[str, Any]] = [
        {
            "what": "secret",
            "name": entry.name,
            "owner": entry.shared_by or entry.owner,
            "groups": entry.groups,
            "places": _places(entry),
            "access": "write" if entry.writers else "read",
            "promises": "\n".join(map(str, entry.promises)),
        }
        for entry in secrets
        if not entry.own
    ]
    shared += [
        {
            "what": "connection",
            "name": one.name,
            "owner": one.owner,
            "groups": one.groups,
            "places": [one.target],
            "access": one.access,
            "promises": one.guarantee,
        }
        for one in connections
        if not one.own
    ]
    return {"op": "sharing", "own": own, "shared": shared, "groups": [group.name for group in team.sharing.groups()]}


def _places(entry: SecretEntry) -> list[str]:
    return list(entry.targets)


def _own(what: What, name: str, places: list[str], groups: tuple[str, ...]) -> dict[str, Any]:
    # Asked for only where there are any: most of what one has is not shared.
    shares = session.team().sharing.shares(what, name) if groups else []
    return {"what": what, "name": name, "places": places, "shares": [one._asdict() for one in shares]}


def _share(message: _Message) -> dict[str, Any]:
    offer = Offer(message["what"], message["name"], message["group"], message["permission"], message["access"])
    try:
        session.team().sharing.share(offer, confirmed=message["confirmed"])
    except WriteShareError as error:
        return {"op": "confirm", "text": error.message}
    may = "read and write" if offer.access == "write" else "read"
    return _done(f"{offer.name} is shared with {offer.group}, to {may} with it.")


def _unshare(message: _Message) -> dict[str, Any]:
    session.team().sharing.unshare(message["what"], message["name"], message["group"])
    return _done(f"{message['name']} is not shared with {message['group']} any more; what ran by that was ended.")


def _done(text: str) -> dict[str, Any]:
    return {"op": "done", "text": text}


OPERATIONS: dict[str, Callable[[_Message], dict[str, Any]]] = {
    "groups": _groups,
    "create_group": _create_group,
    "delete_group": _delete_group,
    "leave_group": _leave_group,
    "set_member": _set_member,
    "remove_member": _remove_member,
    "sharing": _sharing,
    "share": _share,
    "unshare": _unshare,
}
