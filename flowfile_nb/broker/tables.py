"""
The tables of the broker's store: Flowfile's own, as its catalog has them, and ours beside.

Source of Flowfile's: 0.23.3, `flowfile_core/database/models.py`. What it has no column for stands in tables whose names begin
with `nb_`, so that a row of Flowfile's can be copied from and to a catalog as it is.
"""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    func,
)

metadata = MetaData()
SECRET = "secret"  # noqa: S105 - a type of resource, in Flowfile's words
CONNECTION = "nb_connection"
"""Of `resource_grants`. Flowfile's `database_connection` means rows of its own table."""

users = Table(
    "users",
    metadata,
    Column("id", Integer, primary_key=True, index=True),
    Column("username", String, unique=True, index=True),
    Column("email", String, unique=True, index=True),
    Column("full_name", String),
    Column("hashed_password", String),
    Column("disabled", Boolean, default=False),
    Column("is_admin", Boolean, default=False),
    Column("must_change_password", Boolean, default=True),
)
groups = Table(
    "user_groups",
    metadata,
    Column("id", Integer, primary_key=True, index=True),
    Column("name", String, nullable=False, unique=True, index=True),
    Column("description", Text),
    Column("created_by", Integer, ForeignKey("users.id"), nullable=False),
    Column("created_at", DateTime, server_default=func.now(), nullable=False),
    Column("updated_at", DateTime, server_default=func.now(), nullable=False),
)
memberships = Table(
    "user_group_memberships",
    metadata,
    Column("id", Integer, primary_key=True, index=True),
    Column("group_id", Integer, ForeignKey("user_groups.id"), nullable=False, index=True),
    Column("user_id", Integer, ForeignKey("users.id"), nullable=False, index=True),
    Column("role", String, nullable=False, server_default="member"),
    Column("created_at", DateTime, server_default=func.now(), nullable=False),
    UniqueConstraint("group_id", "user_id", name="uq_group_member"),
)
grants = Table(
    "resource_grants",
    metadata,
    Column("id", Integer, primary_key=True, index=True),
    Column("resource_type", String, nullable=False, index=True),
    Column("resource_id", Integer, nullable=False),
    Column("group_id", Integer, ForeignKey("user_groups.id"), nullable=False, index=True),
    Column("permission", String, nullable=False, server_default="use"),
    Column("granted_by", Integer, ForeignKey("users.id"), nullable=False),
    Column("created_at", DateTime, server_default=func.now(), nullable=False),
    UniqueConstraint("resource_type", "resource_id", "group_id", name="uq_resource_group_grant"),
    Index("ix_resource_grants_resource", "resource_type", "resource_id"),
)
secrets = Table(
    "secrets",
    metadata,
    Column("id", Integer, primary_key=True, index=True),
    Column("name", String, index=True),
    Column("encrypted_value", Text),
    Column("iv", String),
    Column("user_id", Integer, ForeignKey("users.id")),
)

connections = Table(
    "nb_connections",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", String, nullable=False),
    Column("body", Text, nullable=False),
    Column("owner_id", Integer, ForeignKey("users.id"), nullable=False),
    # Who saved the body, and a proof of that under the owner's key: only a body that the owner saved gets a credential by
    # itself when one is entered.
    Column("saved_by", Integer, nullable=False),
    Column("mac", String, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
    UniqueConstraint("owner_id", "name", name="uq_nb_connection"),
    sqlite_autoincrement=True,
)
bindings = Table(
    "nb_bindings",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("secret_id", Integer, nullable=False, index=True),
    Column("connection_id", Integer, nullable=False, index=True),
    Column("target", JSON, nullable=False),
    Column("mac", String, nullable=False),
    UniqueConstraint("secret_id", "connection_id", name="uq_nb_binding"),
    sqlite_autoincrement=True,
)
grant_access = Table(
    "nb_grant_access",
    metadata,
    Column("grant_id", Integer, primary_key=True, autoincrement=False),
    Column("access", String, nullable=False),
)
tokens = Table(
    "nb_tokens",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("user_id", Integer, ForeignKey("users.id"), nullable=False, index=True),
    Column("name", String, nullable=False),
    Column("hash", String, nullable=False, unique=True),
    Column("scopes", JSON, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger),
    Column("last_used_at", BigInteger),
    sqlite_autoincrement=True,
)
revocations = Table(
    "nb_revocations",
    metadata,
    Column("group_id", Integer, primary_key=True, autoincrement=False),
    Column("user_id", Integer, primary_key=True, autoincrement=False),
    Column("revoked_at", BigInteger, nullable=False),
)
past_revocations = Table(
    "nb_past_revocations",
    metadata,
    Column("group_name", String, primary_key=True),
    Column("user_id", Integer, primary_key=True, autoincrement=False),
    Column("revoked_at", BigInteger, nullable=False),
)
audit = Table(
    "nb_audit",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("at", Float, nullable=False),
    Column("caller", String, nullable=False),
    Column("vouched_by", String, nullable=False),
    Column("action", String, nullable=False),
    Column("owner", String, nullable=False),
    Column("name", String, nullable=False),
    Column("secret", String, nullable=False),
    Column("query_id", String, nullable=False),
    Column("statement", Text, nullable=False),
    Column("state", String, nullable=False),
    Column("rows", BigInteger, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("duration_s", Float, nullable=False),
    Column("detail", String, nullable=False),
    Index("ix_nb_audit_name", "owner", "name"),
    Index("ix_nb_audit_secret", "owner", "secret"),
    sqlite_autoincrement=True,
)
facts = Table(
    "nb_facts",
    metadata,
    Column("name", String, primary_key=True),
    Column("fact", String, nullable=False),
)
uses = Table(
    "nb_uses",
    metadata,
    Column("secret_id", Integer, primary_key=True, autoincrement=False),
    Column("used_at", BigInteger, nullable=False),
)
