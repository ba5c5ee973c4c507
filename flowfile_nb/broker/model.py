"""What the broker's parts hand each other. Plain data, and the two ports between the web front and what it stands before."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Literal, NamedTuple, Protocol

Access = Literal["read", "write"]
"""What a share allows at the target: one statement in a read-only transaction, or anything the account may do."""
Permission = Literal["use", "manage"]
"""Flowfile's words. A secret is shared for `use` only; who may `manage` a connection may edit and delete it."""
Role = Literal["owner", "manager", "member"]
"""Of a member in a group."""


class Caller(NamedTuple):
    """Who calls, as whoever vouches for it says: the Hub, the kernel of this host, or a token of our own."""

    name: str
    groups: frozenset[str] = frozenset()
    """Names of groups in which the Hub has them; our own memberships are in the store."""
    is_admin: bool = False
    vouched_by: str = "token"
    """`hub`, `peer`, `token`, `oidc`: for the audit."""
    ends_at: float | None = None
    """Until when that is vouched for, in seconds since 1970: a token's end, an `exp`. What runs then is ended."""


class Target(NamedTuple):
    """Where a credential may go. An owner fixes it; a credential that is asked for another target is refused."""

    kind: str
    """`postgresql`, `mysql`, `https` …: a kind of `connections.families`."""
    host: str
    port: int
    database: str
    username: str
    tls: str
    """`verify-full`, `require`, `disable` …, in the words of the kind; empty where the kind has none."""
    options: Mapping[str, Any] = {}
    """Further keys of the description that lead or may lead the credential somewhere, by name; none holds a value."""


class Definition(NamedTuple):
    """One credential and where it goes."""

    target: Target
    secret: str
    """The name of the secret, as its owner knows it."""


class Order(NamedTuple):
    """One permitted use: all that a worker needs, and who asked for it. It lives in the front's memory for one call only."""

    caller: str
    owner: str
    connection: str
    """Names the session: a caller's uses of one connection share one worker."""
    grant: str
    """Names the permission that was used, so that revoking it ends what runs; the same for every use by that permission."""
    target: Target
    value: str
    access: Access
    secret_id: int = 0
    """Of the credential's row in the store."""
    secret: str = ""
    """Its name, as its owner knows it."""
    used_at: int | None = None
    """When the store says that it was last used, in seconds since 1970."""

    def __repr__(self) -> str:
        return f"Order({self.caller!r}, {self.connection!r} of {self.owner!r}, {self.access})"


class Outcome(NamedTuple):
    """How a use ended, for the audit."""

    state: Literal["complete", "failed", "cancelled", "revoked", "limit"]
    rows: int
    bytes: int
    duration_s: float
    detail: str = ""
    """The kind of failure; no text of a driver's, no value."""


class Sessions(Protocol):
    """The workers: one process for each caller and connection."""

    async def run(
        self,
        query_id: str,
        order: Order,
        statement: str,
        parameters: Sequence[Any] | Mapping[str, Any] | None,
        send: Callable[[bytes], Awaitable[None]],
    ) -> Outcome:
        """
        Run one statement, and hand on its frames (`core.wire`) as they come, at the reader's pace.

        The last frame is an end or an error; nothing is raised for what goes wrong in the worker or at the database.
        """

    async def request(
        self, query_id: str, order: Order, asked: Mapping[str, Any], send: Callable[[bytes], Awaitable[None]]
    ) -> Outcome:
        """
        Send one request to an API, and hand on its answer's frames as `run` does.

        Args:
            query_id: What `cancel` takes.
            order: The permitted use, towards an API.
            asked: What `api_rules.permitted` returned.
            send: Hands on a frame, and returns when the reader takes more.
        """

    async def ask(self, order: Order, question: str = "problems") -> dict[str, Any]:
        """Connect, and return the `server` and the login's `problems`; of a failure `error`, as an error frame has it."""

    async def cancel(self, query_id: str, caller: str) -> bool:
        """Cancel what *caller* runs under that id, in the database too; return whether there was any."""

    async def revoke(self, permitted: Callable[[Order], bool]) -> int:
        """End every session whose order is not permitted any more, cutting what it runs; return how many."""

    async def expire(self, vouched_for: Callable[[Order], bool]) -> int:
        """End every session for whose caller nobody vouches any more, as `revoke`, and say so; return how many."""

    async def close(self) -> None:
        """End all sessions and their processes."""


class Identity(Protocol):
    """One way of knowing who calls."""

    async def caller(
        self, headers: Mapping[str, str], peer: PeerCredentials | None, scope: str, place: str = ""
    ) -> Caller | None:
        """
        Return who calls, or None where this way does not apply to the request.

        *scope* is what the request needs, where a credential may be for less than all: `use` or `manage`; *place* is where
        it comes from, for those who have many to ask about at once.

        Raises:
            NotAllowedError: If the credential is there and is not good.
            LimitError: If too many wait to be asked about. The request is refused then.
            BrokerError: If whoever vouches does not answer. The request is refused then.
        """


class PeerCredentials(NamedTuple):
    """What the kernel of this host says of the process at the other end of a unix socket."""

    pid: int
    uid: int
    gid: int
