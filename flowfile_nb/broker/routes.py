"""The API, but for what needs a database: what each path takes and does. Methods of `Team` decide what the caller may."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from flowfile_nb.broker.model import Caller
from flowfile_nb.broker.schemas import DESCRIPTION, NAME, NAMED, ROLE, TEXT, WHAT, Field, Schema
from flowfile_nb.broker.team import Team
from flowfile_nb.core.wire import WIRE_VERSION

Fields = dict[str, Any]
Act = Callable[[Team, Caller, Fields], Any]
USE, MANAGE = "use", "manage"


class Route(NamedTuple):
    """What a path takes, and what it does: its result is the answer."""

    takes: Schema
    act: Any
    """An `Act`, or what `uses` has: a coroutine function of the handler and the fields."""
    scope: str = MANAGE
    """What a token has to reach for."""


def _me(team: Team, caller: Caller, fields: Fields) -> Any:
    return {
        "name": caller.name,
        "groups": sorted(group.name for group in team.groups(caller)),
        "is_admin": caller.is_admin,
        "vouched_by": caller.vouched_by,
        "wire": WIRE_VERSION,
    }


def _rows(rows: Iterable[Any]) -> list[dict[str, Any]]:
    return [row._asdict() for row in rows]


def _put_secret(team: Team, caller: Caller, fields: Fields) -> Any:
    return {"replaced": team.put_secret(caller, fields["name"], fields["value"], replace=fields["replace"])}


def _groups(team: Team, caller: Caller, fields: Fields) -> Any:
    return {"groups": [{**one._asdict(), "members": _rows(one.members)} for one in team.groups(caller, every=caller.is_admin)]}


def _set_member(team: Team, caller: Caller, fields: Fields) -> Any:
    group, user, role = fields["group"], fields["user"], fields["role"]
    known = next((one for one in team.groups(caller, every=caller.is_admin) if one.name == group), None)
    if known is not None and any(member.name == user for member in known.members):
        team.set_role(caller, group, user, role)
        return {"seen": True}
    return {"seen": team.add_member(caller, group, user, role)}


_FLAG = Field(bool, required=False, default=False)
SHARE: Schema = {"what": WHAT, "name": NAME, "group": NAME}

TEAM_ROUTES: dict[tuple[str, str], Route] = {
    ("GET", "me"): Route({}, _me, USE),
    ("GET", "secrets"): Route({}, lambda team, caller, _: {"secrets": _rows(team.secrets(caller))}, USE),
    ("PUT", "secrets"): Route({"name": NAME, "value": TEXT, "replace": _FLAG}, _put_secret),
    ("POST", "secrets/reveal"): Route(NAMED, lambda team, caller, given: {"value": team.reveal_own(caller, given["name"])}),
    ("POST", "secrets/rename"): Route(
        {"old": NAME, "new": NAME},
        lambda team, caller, given: {"connections": team.rename_secret(caller, given["old"], given["new"])},
    ),
    ("POST", "secrets/delete"): Route(NAMED, lambda team, caller, given: team.delete_secret(caller, given["name"])),
    ("GET", "connections"): Route({}, lambda team, caller, _: {"connections": _rows(team.connections(caller))}, USE),
    ("PUT", "connections"): Route(
        {"name": NAME, "body": DESCRIPTION},
        lambda team, caller, given: {"fixed": team.save_connection(caller, given["name"], given["body"])},
    ),
    ("POST", "connections/delete"): Route(NAMED, lambda team, caller, given: team.delete_connection(caller, given["name"])),
    ("POST", "connections/body"): Route(
        NAMED, lambda team, caller, given: {"body": team.connection_body(caller, given["name"])}, USE
    ),
    ("GET", "shares"): Route(
        {"what": WHAT, "name": NAME},
        lambda team, caller, given: {"shares": _rows(team.shares(caller, given["what"], given["name"]))},
        USE,
    ),
    ("POST", "shares/delete"): Route(
        SHARE, lambda team, caller, given: team.unshare(caller, given["what"], given["name"], given["group"])
    ),
    ("GET", "groups"): Route({}, _groups, USE),
    ("POST", "groups"): Route(
        {"name": NAME, "description": Field(required=False, default="")},
        lambda team, caller, given: team.create_group(caller, given["name"], given["description"]),
    ),
    ("POST", "groups/delete"): Route(NAMED, lambda team, caller, given: team.delete_group(caller, given["name"])),
    ("POST", "groups/leave"): Route(NAMED, lambda team, caller, given: team.leave(caller, given["name"])),
    ("PUT", "groups/members"): Route({"group": NAME, "user": NAME, "role": ROLE}, _set_member),
    ("POST", "groups/members/delete"): Route(
        {"group": NAME, "user": NAME}, lambda team, caller, given: team.remove_member(caller, given["group"], given["user"])
    ),
    ("GET", "log"): Route(
        {"name": NAME._replace(required=False, default="")},
        lambda team, caller, given: {"entries": _rows(team.log(caller, given["name"]))},
        USE,
    ),
}
