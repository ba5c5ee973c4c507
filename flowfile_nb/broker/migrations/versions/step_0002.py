"""Removals from groups outlast the groups, and whether those who vouch speak of the same users."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table of removals by a group's name; a store that has users goes on taking one name for one user."""
    op.create_table(
        "nb_past_revocations",
        sa.Column("group_name", sa.String(), nullable=False),
        sa.Column("user_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("revoked_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("group_name", "user_id"),
    )
    op.execute("INSERT INTO nb_facts (name, fact) SELECT 'same_users', 'hub,host' WHERE EXISTS (SELECT 1 FROM users)")
