"""What the broker tells of secrets, connections, shares and groups, as data. No value is in it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from flowfile_nb.backend import TeamConnection
from flowfile_nb.core.spelling import spelled
from flowfile_nb.errors import BrokerError

BROKERED = "brokered"
HERE = "in this kernel"
MAY = {"read": "reads", "write": "reads and writes"}
"""What a group does with what is shared with it, by the access."""

What = Literal["secret", "connection"]


class Promise(NamedTuple):
    """What the broker promises of the uses by a share, at one kind of target."""

    access: str
    kind: str
    guarantee: str

    def __str__(self) -> str:
        return f"{MAY.get(self.access, self.access)}, at {self.kind}: {self.guarantee}"


class SecretEntry(NamedTuple):
    """What may be told of a secret."""

    name: str
    owner: str
    shared_by: str
    """Who shares it; empty for one's own."""
    groups: tuple[str, ...]
    """The groups it is shared with; of somebody else's, those through which the caller has it."""
    mode: str
    updated_at: int | None
    used_at: int | None
    targets: tuple[str, ...]
    """Where its owner lets it go, to be read."""
    writers: tuple[str, ...] = ()
    """Those of *groups* that may write with it."""
    promises: tuple[Promise, ...] = ()
    """Of one's own, of all its shares; of somebody else's, of the caller's own uses."""

    @property
    def own(self) -> bool:
        """Whether its value may be read here."""
        return self.mode != BROKERED


class Offer(NamedTuple):
    """What is shared, with whom, and for what."""

    what: What
    name: str
    group: str
    permission: str = "use"
    """`use`; for a connection also `manage`."""
    access: str = "read"
    """`read`, or `write`, which has to be confirmed."""


class Share(NamedTuple):
    """What a group may do with a secret or a connection."""

    group: str
    permission: str
    access: str
    granted_by: str


class Member(NamedTuple):
    """Somebody in a group."""

    name: str
    role: str


class Group(NamedTuple):
    """A group, as the caller sees it."""

    name: str
    description: str
    role: str
    """The caller's own; empty for an admin who is not in it."""
    members: tuple[Member, ...]


class Me(NamedTuple):
    """Who the broker takes the caller for."""

    name: str
    groups: tuple[str, ...]
    is_admin: bool
    vouched_by: str
    wire: str


def secret_entries(answer: Mapping[str, Any]) -> list[SecretEntry]:
    """Return what `GET /api/secrets` says: of each name one, an own one before a shared one. Raises BrokerError."""
    found = _all(answer, "secrets", _secret)
    first: dict[str, SecretEntry] = {}
    for entry in sorted(found, key=lambda entry: not entry.own):
        first.setdefault(entry.name, entry)
    # In the broker's order, the oldest first.
    return [entry for entry in found if first[entry.name] is entry]


def connections(answer: Mapping[str, Any]) -> list[TeamConnection]:
    """Return what `GET /api/connections` says, the own ones first; an own one hides a shared one. Raises BrokerError."""
    first: dict[str, TeamConnection] = {}
    for one in sorted(_all(answer, "connections", _connection), key=lambda one: not one.own):
        first.setdefault(one.name, one)
    return list(first.values())


def shares(answer: Mapping[str, Any]) -> list[Share]:
    """Return what `GET /api/shares` says. Raises BrokerError."""
    return _all(answer, "shares", lambda one: Share(*(str(one.get(key) or "") for key in Share._fields)))


def groups(answer: Mapping[str, Any]) -> list[Group]:
    """Return what `GET /api/groups` says. Raises BrokerError."""
    return _all(answer, "groups", _group)


def me(answer: Mapping[str, Any]) -> Me:
    """Return what `GET /api/me` says. Raises BrokerError."""
    found: Me = _all({"me": [answer]}, "me", _me)[0]
    return found


def _all(answer: Mapping[str, Any], key: str, read: Any) -> list[Any]:
    try:
        return [read(one) for one in answer[key]]
    except (KeyError, TypeError, AttributeError, ValueError):
        raise BrokerError(
            "the broker's answer was not understood: it may be of another version", hint="%secret doctor  says which it is"
        ) from None


def _secret(one: Mapping[str, Any]) -> SecretEntry:
    return SecretEntry(
        name=one["name"],
        owner=one["owner"],
        shared_by=one.get("shared_by") or "",
        groups=tuple(one.get("groups") or ()),
        mode=one["mode"],
        updated_at=_moment(one.get("updated_at")),
        used_at=_moment(one.get("used_at")),
        targets=tuple(map(spelled, one.get("targets") or ())),
        writers=tuple(one.get("writers") or ()),
        promises=tuple(Promise(*map(str, promise)) for promise in one.get("promises") or ()),
    )


def _connection(one: Mapping[str, Any]) -> TeamConnection:
    return TeamConnection(
        name=one["name"],
        owner=one["owner"],
        own=not one.get("shared_by"),
        groups=tuple(one.get("groups") or ()),
        kind=one["kind"],
        # Others have chosen the words of it.
        target=spelled(one["target"]),
        permission=one.get("permission") or "",
        access=one.get("access") or "",
        secrets=tuple(one.get("secrets") or ()),
        body=one.get("body"),
        guarantee=one.get("guarantee") or "",
        writers=tuple(one.get("writers") or ()),
        unfixed=one.get("unfixed") or "",
    )


def _group(one: Mapping[str, Any]) -> Group:
    members = tuple(Member(member["name"], member["role"]) for member in one["members"])
    return Group(one["name"], spelled(one.get("description") or ""), one.get("role") or "", members)


def _me(one: Mapping[str, Any]) -> Me:
    return Me(one["name"], tuple(one["groups"]), bool(one["is_admin"]), str(one["vouched_by"]), str(one["wire"]))


def _moment(moment: Any) -> int | None:
    return None if moment is None else int(moment)
