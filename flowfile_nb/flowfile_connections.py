"""Connections that were saved in Flowfile's own interface: what may be shown of them, and the row of a secret part."""

from __future__ import annotations

from collections.abc import Callable

from flowfile_nb.backend import FlowfileConnection, Part
from flowfile_nb.core.crypto import token_times
from flowfile_nb.core.names import quoted
from flowfile_nb.errors import ConnectionSpecError, NoSuchSecretError
from flowfile_nb.storage.flowfile import ConnectionRow
from flowfile_nb.storage.rows import Row
from flowfile_nb.storage.store import Store


def connections(store: Store, user_id: int) -> dict[str, FlowfileConnection]:
    """Return a user's connections by name."""
    return {found.name: _shown(store, user_id, found) for found in store.flowfile_connections(user_id)}


def part_of(row: Row, decrypt: Callable[[Row], str], used: Callable[[str], None]) -> Part:
    """Return what a row holds for a connection; when that is revealed, *used* is told its name."""

    def reveal() -> str:
        value = decrypt(row)
        used(row.name)
        return value

    return Part(hash((row.id, row.owner_id, row.token)), token_times([row.token])[0], reveal)


def row_of(store: Store, user_id: int, connection: FlowfileConnection, part: str) -> Row:
    """
    Return the row that holds a secret part of a connection now.

    Raises:
        NoSuchSecretError: If the connection or its secret is gone.
        ConnectionSpecError: If it leads elsewhere by now: a password goes to the server it was saved for, and to no other.
    """
    found = next(iter(store.flowfile_connections(user_id, connection.name)), None)
    if found is not None and (found.kind, found.parts) != (connection.kind, connection.parts):
        raise ConnectionSpecError(
            f"the connection {connection.name!r} was changed in Flowfile since it was opened here",
            hint=f"open it again:  %connect {quoted(connection.name)}",
        )
    row = store.row(found.rows[part]) if found is not None and part in found.rows else None
    if row is None:
        raise NoSuchSecretError(
            f"the secret of the connection {connection.name!r}, which is saved in Flowfile, is not stored here, or no longer",
            hint="save the connection in Flowfile again",
        )
    return row


def _shown(store: Store, user_id: int, found: ConnectionRow) -> FlowfileConnection:
    secrets = {}
    for part, row_id in found.rows.items():
        row = store.row(row_id)
        if row is not None:
            # Flowfile gives a password the name of its connection, also where a secret has that name already.
            named = store.find(user_id, row.name)
            secrets[part] = row.name if named is not None and named.id == row_id else ""
    return FlowfileConnection(found.name, found.kind, found.parts, secrets)
