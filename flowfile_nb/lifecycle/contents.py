"""
What is inside of a backup, before it is sealed: one JSON object, with a version of its own.

It holds the master key and every row as it is stored, so that values keep the time they were stored at, and what cannot be
decrypted today is carried along. It is read strictly: the seal says who wrote it, not that this version understands it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from flowfile_nb.core.crypto import Keychain
from flowfile_nb.errors import DamagedBackupError, MasterKeyError, NewerBackupError
from flowfile_nb.storage.rows import Row
from flowfile_nb.storage.whole import Grant, Group, Membership, SavedConnection, Whole

_FORMAT = 1


class Contents(NamedTuple):
    """
    What a backup holds. No repr shows the key.

    Args:
        made_at: When, in seconds since 1970.
        user_id: Whose backup it is: of the ids in `whole`.
        master_key: What opens the rows.
        whole: All that the store held.
    """

    made_at: int
    user_id: int
    master_key: bytes
    whole: Whole

    def __repr__(self) -> str:
        return f"<Contents: {len(self.whole.rows)} secrets>"


def to_bytes(contents: Contents) -> bytes:
    """Return the contents as JSON."""
    whole = contents.whole
    return json.dumps(
        {
            "format": _FORMAT,
            "made_at": contents.made_at,
            "user_id": contents.user_id,
            "master_key": contents.master_key.decode(),
            "users": [{"id": user_id, "name": name} for user_id, name in whole.users.items()],
            "secrets": [{"id": row.id, "name": row.name, "token": row.token, "user_id": row.owner_id} for row in whole.rows],
            "groups": [item._asdict() for item in whole.groups],
            "memberships": [item._asdict() for item in whole.memberships],
            "grants": [item._asdict() for item in whole.grants],
            "connections": [item._asdict() for item in whole.connections],
            "lost": whole.lost,
        }
    ).encode()


def from_bytes(content: bytes) -> Contents:
    """
    Return the contents of JSON as `to_bytes` writes it.

    Raises:
        NewerBackupError: If a newer version wrote it.
        DamagedBackupError: If it is anything else.
    """
    try:
        return _read(json.loads(content))
    except (ValueError, TypeError, KeyError, MasterKeyError, RecursionError):
        raise DamagedBackupError(
            "the content of this backup is not what a backup holds; nothing was changed", hint="take another copy of it"
        ) from None


def _read(found: Any) -> Contents:
    if _typed(found["format"], int) > _FORMAT:
        raise NewerBackupError("a newer version of flowfile_nb made this backup", hint="pip install -U flowfile-nb")
    key = _typed(found["master_key"], str).encode()
    # Only a Fernet key makes a keychain.
    Keychain(key)
    secret = {"id": int, "name": str, "token": str, "user_id": int}
    group = {"name": str, "description": (str, type(None)), "created_by": int}
    member = {"group": str, "user_id": int, "role": str}
    grant = {"row_id": int, "group": str, "permission": str, "granted_by": int}
    connection = {"name": str, "body": str, "saved_at": int}
    whole = Whole(
        users=dict(_fields(item, {"id": int, "name": str}) for item in found["users"]),
        rows=[Row(*_fields(item, secret)) for item in found["secrets"]],
        groups=[Group(*_fields(item, group)) for item in found["groups"]],
        memberships=[Membership(*_fields(item, member)) for item in found["memberships"]],
        grants=[Grant(*_fields(item, grant)) for item in found["grants"]],
        connections=[SavedConnection(*_fields(item, connection)) for item in found["connections"]],
        lost=[_typed(item, str) for item in found["lost"]],
    )
    users, groups = whole.mentions()
    if not users <= set(whole.users) or not groups <= {known.name for known in whole.groups}:
        raise ValueError
    return Contents(_typed(found["made_at"], int), _typed(found["user_id"], int), key, whole)


def _fields(item: Mapping[str, Any], kinds: Mapping[str, Any]) -> list[Any]:
    if set(item) != set(kinds):
        raise ValueError
    return [_typed(item[name], kind) for name, kind in kinds.items()]


def _typed(item: Any, kind: Any) -> Any:
    # `True` is an int for Python, and none in JSON.
    if not isinstance(item, kind) or isinstance(item, bool):
        raise TypeError
    return item
