"""Tokens of the broker's own, for where no Hub vouches. Only their hashes are kept."""

from __future__ import annotations

import hashlib
import hmac
import secrets as random
from collections.abc import Sequence

from sqlalchemy import bindparam, delete, select, update

from flowfile_nb.broker.desk import Desk
from flowfile_nb.broker.directory import make_user, user_named
from flowfile_nb.broker.model import Caller
from flowfile_nb.broker.quotas import require_room
from flowfile_nb.broker.shown import LogEntry, TokenInfo
from flowfile_nb.broker.tables import tokens, users
from flowfile_nb.errors import NotAllowedError, UsageError

PREFIX = "fnbt_"
"""What a token begins with, so that scanners can tell one."""
USE = "use"
"""To see what one may use, and to use it."""
MANAGE = "manage"
"""To change and share too, and to read one's own values."""
_SCOPES = (USE, MANAGE)
_NOTED_EVERY_S = 60
# Put together once: each request needs it.
_OF_HASH = (
    select(tokens, users.c.username, users.c.is_admin, users.c.disabled)
    .join(users, users.c.id == tokens.c.user_id)
    .where(tokens.c.hash == bindparam("digest"))
)


class TokensDesk(Desk):
    """The part of `Team` that its administrator uses at the command line, and that knows a token's user."""

    def issue_token(
        self, user: str, *, name: str = "", scopes: Sequence[str] = _SCOPES, lifetime_s: int | None = None, by: str = "operator"
    ) -> str:
        """
        Make a token for a user, who is made too if he was never here. Its text is not shown again.

        Args:
            user: Whose.
            name: What it is for.
            scopes: `use`, `manage`, or both.
            lifetime_s: How long it holds; for ever if not given.
            by: Who makes it, for the audit.
        """
        if not scopes or not set(scopes) <= set(_SCOPES):
            raise UsageError(f"a token's scopes are of {', '.join(_SCOPES)}", hint="--scope use")
        if lifetime_s is not None and lifetime_s <= 0:
            raise UsageError("a token holds for more than no time", hint="--days 90")
        text = f"{PREFIX}{random.token_urlsafe(32)}"
        now = int(self._now())
        with self._store.writing() as connection:
            user_id = make_user(connection, user)
            most, hint = self._quotas.tokens_per_user, "revoke some:  python -m flowfile_nb token list"
            require_room(connection, tokens.c.user_id == user_id, most, f"tokens of {user!r}", hint)
            row = {
                "user_id": user_id,
                "name": name,
                "hash": _hash(text),
                "scopes": sorted(set(scopes)),
                "created_at": now,
                "expires_at": None if lifetime_s is None else now + lifetime_s,
            }
            connection.execute(tokens.insert().values(row))
            self._audit.record(LogEntry(self._now(), by, "operator", "issue token", user, name, ""), connection)
        return text

    def revoke_token(self, token_id: int, *, by: str = "operator") -> bool:
        """Make a token worthless at once, for what runs by it too; return whether there was one of that id."""
        with self._store.writing(policy=True, first=True) as connection:
            gone = connection.execute(delete(tokens).where(tokens.c.id == token_id)).rowcount > 0
            self._audit.record(LogEntry(self._now(), by, "operator", "revoke token", "", str(token_id), ""), connection)
        return gone

    def tokens(self, user: str | None = None) -> list[TokenInfo]:
        """Return the tokens of a user, or of all."""
        query = select(tokens, users.c.username).join(users, users.c.id == tokens.c.user_id).order_by(tokens.c.id)
        if user is not None:
            query = query.where(users.c.username == user)
        with self._store.reading() as connection:
            return [
                TokenInfo(row.id, row.username, row.name, row.scopes, row.created_at, row.expires_at, row.last_used_at)
                for row in connection.execute(query)
            ]

    def caller_of_token(self, text: str, scope: str = USE) -> Caller:
        """
        Return whose a token is.

        It has 256 random bits, so that a plain hash of it can be looked up: nothing can be learned from how long that takes.

        Raises:
            NotAllowedError: If there is no such token, it has expired, was revoked, or does not reach for *scope*.
        """
        digest = _hash(text)
        with self._store.asking() as connection:
            row = connection.execute(_OF_HASH, {"digest": digest}).one_or_none()
        now = self._now()
        holds = row is not None and hmac.compare_digest(row.hash, digest) and not row.disabled
        if row is None or not holds or (row.expires_at is not None and row.expires_at <= now):
            raise NotAllowedError(
                "the broker does not know this token: it is no token, has expired or was revoked",
                hint="ask the broker's administrator for a new one, set FLOWFILE_NB_TEAM_TOKEN, and restart the kernel",
            )
        if scope not in row.scopes:
            raise NotAllowedError(f"this token is not for that: it does not reach for {scope!r}", hint="use one that does")
        if row.last_used_at is None or now - row.last_used_at >= _NOTED_EVERY_S:
            with self._store.noting() as connection:
                connection.execute(update(tokens).where(tokens.c.id == row.id).values(last_used_at=int(now)))
        return Caller(row.username, is_admin=bool(row.is_admin), vouched_by=f"token:{row.id}", ends_at=row.expires_at)

    def set_admin(self, user: str, is_admin: bool, *, by: str = "operator") -> None:
        """Let a user make groups and run them all, or take that back; he is made if he was never here."""
        self._set(user, "is_admin", is_admin, by)

    def shut_out(self, user: str, shut: bool = True, *, by: str = "operator") -> None:
        """Refuse a user everything, at once also what runs; or let him in again. What is his stays."""
        self._set(user, "disabled", shut, by)

    def _set(self, user: str, column: str, fact: bool, by: str) -> None:
        with self._store.writing(policy=True, first=True) as connection:
            if user_named(connection, user) is None:
                make_user(connection, user)
            connection.execute(update(users).where(users.c.username == user).values({column: fact}))
            detail = column if fact else f"not {column}"
            self._audit.record(LogEntry(self._now(), by, "operator", "set user", "", user, "", detail=detail), connection)


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()
