"""What a vault keeps of connections: their definitions, which hold references, and those that Flowfile has saved."""

from __future__ import annotations

from typing import TYPE_CHECKING

# Imported where it is needed: the vault is half of a cold read of one secret, which asks for none of this.
if TYPE_CHECKING:
    from flowfile_nb.backend import FlowfileConnection, Known, Part
    from flowfile_nb.storage.access_log import AccessLog
    from flowfile_nb.storage.store import Store
    from flowfile_nb.storage.store_key import StoreKey


class KeptConnections:
    """That half of a `Vault`; what it needs is the vault's."""

    user_id: int
    store: Store
    key: StoreKey
    log: AccessLog

    def used_by(self, name: str) -> list[str]:
        """Return the saved connections that use a secret: Flowfile's and ours."""
        from flowfile_nb.core.references import referring_in

        row = self.store.find(self.user_id, name)
        theirs = [] if row is None else self.store.used_by(row.id)
        return list(dict.fromkeys([*theirs, *referring_in(self.store.connection_bodies(), name)]))

    def save_connection(self, name: str, body: str) -> None:
        """Keep the definition of a connection; *body* holds references only."""
        self.store.save_connection(name, body)

    def connection_bodies(self) -> dict[str, str]:
        """Return the saved definitions by name."""
        return self.store.connection_bodies()

    def delete_connection(self, name: str) -> bool:
        """Delete a saved definition; return whether there was one."""
        return self.store.delete_connection(name)

    def used_connections(self) -> dict[tuple[str, str], Known]:
        """Return what is known of definitions, by origin (the path of a project file; empty for the saved ones) and name."""
        from flowfile_nb.backend import Known

        return {place: Known(*known) for place, known in self.store.used_connections().items()}

    def note_connection(self, origin: str, name: str, digest: str = "", used_at: int | None = None) -> None:
        """Keep what is known of a definition; no time leaves the one that is known."""
        self.store.note_connection(origin, name, digest, used_at)

    def flowfile_connections(self) -> dict[str, FlowfileConnection]:
        """Return the connections that were saved in Flowfile's own interface, by name."""
        from flowfile_nb.flowfile_connections import connections

        return connections(self.store, self.user_id)

    def part_of(self, connection: FlowfileConnection, part: str) -> Part:
        """Return a secret part of a connection of Flowfile's, as it is saved now. Raises as `row_of`."""
        from flowfile_nb.flowfile_connections import part_of, row_of

        return part_of(row_of(self.store, self.user_id, connection, part), self.key.decrypt, self.log.used)
