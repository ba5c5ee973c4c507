"""How much one use may take, and how much one user may keep, so that nobody's is another's trouble."""

from __future__ import annotations

from dataclasses import dataclass

MIB = 1024 * 1024


@dataclass(frozen=True)
class Limits:
    """What one session and one query may take. The front holds them, whatever a statement sets in the database."""

    memory_bytes: int = 1024 * MIB
    """Of one session's process. A value that needs more ends that process and no other."""
    query_s: float = 3600
    """From the statement's arrival to its last row, the reader's own time included."""
    result_bytes: int = 64 * 1024 * MIB
    """Of one result, as Arrow."""
    statement_bytes: int = 1 * MIB
    sessions_per_caller: int = 8
    sessions: int = 200
    idle_s: float = 600
    """After which a session that nobody uses is ended."""
    connect_s: float = 15
    cancel_s: float = 3
    """How long a database has to take back a cancelled statement, before its session's process is killed."""
    heartbeat_s: float = 3
    connections: int = 4000
    """Of all callers to the broker. A descriptor each, beside those of the sessions."""
    connections_per_caller: int = 256
    large_requests_per_caller: int = 2
    """How many requests of one caller with a body of some size are read at once; the others wait."""
    silent_per_place: int = 256
    """How many connections from one address, or of one user of this host, may be open on which nothing was said yet."""
    stranger_s: float = 10
    """How long a connection is kept open on which nobody has said who calls."""


@dataclass(frozen=True)
class Quotas:
    """What one user may keep. The operator sets it for all; what is there already stays when it is lowered."""

    secrets_per_user: int = 1_000
    connections_per_user: int = 1_000
    shares_per_user: int = 5_000
    """Those that he has made, whosesoever what is shared is."""
    groups_per_user: int = 1_000
    """Those that he has made."""
    members_per_group: int = 5_000
    tokens_per_user: int = 1_000
    secret_bytes: int = 512 * 1024
    """Of one value, in UTF-8."""
