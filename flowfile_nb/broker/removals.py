"""
Who was removed from a group here stays removed, whatever the Hub or an issuer says of its own group of that name.

Also when the group is deleted, or called otherwise, and another of its name is made: only to be taken in again ends it.
"""

from __future__ import annotations

from sqlalchemy import Connection, delete, select

from flowfile_nb.broker.database import insert
from flowfile_nb.broker.tables import past_revocations, revocations


def remove_for_good(connection: Connection, group_id: int, user_id: int, at: int) -> None:
    """Note that a user was removed from a group."""
    row = {"group_id": group_id, "user_id": user_id, "revoked_at": at}
    connection.execute(insert(connection, revocations).values(row).on_conflict_do_nothing())


def let_in_again(connection: Connection, group_id: int, user_id: int) -> None:
    """Forget that a user was removed from a group."""
    connection.execute(delete(revocations).where(revocations.c.group_id == group_id, revocations.c.user_id == user_id))


def keep_removals(connection: Connection, group_id: int, name: str) -> None:
    """Keep who was removed from a group for the next group of its name."""
    for row in connection.execute(select(revocations).where(revocations.c.group_id == group_id)).all():
        past = {"group_name": name, "user_id": row.user_id, "revoked_at": row.revoked_at}
        connection.execute(insert(connection, past_revocations).values(past).on_conflict_do_nothing())


def take_removals_over(connection: Connection, group_id: int, name: str) -> None:
    """Let those be removed from a group that has just got its name who were from the one before."""
    named = past_revocations.c.group_name == name
    for row in connection.execute(select(past_revocations).where(named)).all():
        remove_for_good(connection, group_id, row.user_id, row.revoked_at)
    connection.execute(delete(past_revocations).where(named))
