"""What the broker tells a caller of secrets, connections, groups and uses. Never a value."""

from __future__ import annotations

from typing import Literal, NamedTuple

from flowfile_nb.broker.model import Access, Permission, Role

Mode = Literal["in this kernel", "brokered"]
What = Literal["secret", "connection"]


class Promise(NamedTuple):
    """What is promised of the uses by a share, at one kind of target."""

    access: Access
    kind: str
    """Of the target: `postgresql`, `https` …"""
    guarantee: str


class SecretInfo(NamedTuple):
    """A secret that is the caller's own, or that he may use."""

    id: int
    name: str
    owner: str
    shared_by: str
    """Who shared it with the caller; empty for his own."""
    groups: list[str]
    """With which groups it is shared; of another's secret, those of the caller's through which he may use it."""
    mode: Mode
    """`in this kernel` for one's own, whose value its owner may read; `brokered` for another's."""
    updated_at: int | None
    used_at: int | None
    """By the broker, in seconds since 1970."""
    targets: list[str]
    """Where it may go: `postgresql://app@db.example.com:5432/sales`."""
    writers: list[str]
    """Those of *groups* that may write with it."""
    promises: list[Promise]
    """Of one's own, of all its shares; of another's, of the caller's own uses."""


class ConnectionInfo(NamedTuple):
    """A saved connection that is the caller's own, or that he may use."""

    name: str
    owner: str
    shared_by: str
    groups: list[str]
    kind: str
    target: str
    permission: Literal["owner", "use", "manage"]
    access: Access
    secrets: list[str]
    """Names of the secrets in its description."""
    guarantee: str
    """What statements can do by it at the database; empty for one's own, and for what is no database."""
    writers: list[str]
    """Of one's own, those of *groups* that may write with it; empty for another's, where *access* says it."""
    unfixed: str
    """The secret that its owner has to enter (again) before others can use the connection: none is fixed to its target yet."""


class ShareInfo(NamedTuple):
    """One share of a secret or a connection with a group."""

    group: str
    permission: Permission
    access: Access
    granted_by: str


class MemberInfo(NamedTuple):
    """One member of a group."""

    name: str
    role: Role


class GroupInfo(NamedTuple):
    """A group, and the caller's role in it; None for an administrator who is not in it."""

    name: str
    description: str
    role: Role | None
    members: list[MemberInfo]


class TokenInfo(NamedTuple):
    """A token of the broker's own; its text was shown once, when it was made."""

    id: int
    user: str
    name: str
    scopes: list[str]
    created_at: int
    expires_at: int | None
    last_used_at: int | None


class LogEntry(NamedTuple):
    """One line of the audit. `at` in seconds since 1970, `duration_s` in seconds; `statement` is cut and holds no value."""

    at: float
    caller: str
    vouched_by: str
    action: str
    owner: str
    name: str
    secret: str
    query_id: str = ""
    statement: str = ""
    state: str = ""
    rows: int = 0
    bytes: int = 0
    duration_s: float = 0.0
    detail: str = ""
