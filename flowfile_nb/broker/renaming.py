"""What follows when a secret gets another name: the descriptions of its owner's connections, and the proofs over both."""

from __future__ import annotations

from types import SimpleNamespace

from sqlalchemy import Connection, select, update

from flowfile_nb.broker.keeping import saved_by_proof
from flowfile_nb.broker.quotas import require_short
from flowfile_nb.broker.tables import connections
from flowfile_nb.core.crypto import Keychain
from flowfile_nb.core.references import renamed_in


def rename_references(connection: Connection, keys: Keychain, owner_id: int, old: str, new: str) -> list[str]:
    """
    Let an owner's saved connections refer to his secret by its new name; who saved each stays as it was.

    A row whose proof does not fit was altered in the store, and is left as it is: it gets no new one.

    Returns:
        The names of those that were changed.

    Raises:
        ReferenceSyntaxError: If one refers to *old*, and no reference can say *new*.
        InvalidNameError: If one gets too long by it.
    """
    query = select(connections).where(connections.c.owner_id == owner_id).order_by(connections.c.name)
    known = {row.id: row for row in connection.execute(query) if row.mac == saved_by_proof(keys, row)}
    followed = renamed_in({row.id: row.body for row in known.values()}, old, new)
    for saved_id, body in followed.items():
        require_short(body)
        saved = SimpleNamespace(**{**known[saved_id]._asdict(), "body": body})
        change = update(connections).where(connections.c.id == saved_id)
        connection.execute(change.values(body=body, mac=saved_by_proof(keys, saved)))
    return [known[saved_id].name for saved_id in followed]
