"""The record of uses: each is written down before it begins and when it has ended, also if the process that ran it has not."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection

from flowfile_nb.broker.audit import without
from flowfile_nb.broker.database import insert
from flowfile_nb.broker.desk import Desk
from flowfile_nb.broker.fronts import Presence
from flowfile_nb.broker.model import Caller, Order, Outcome
from flowfile_nb.broker.shown import LogEntry
from flowfile_nb.broker.tables import uses

_FRONT = "front "
"""What stands before the id of the process that a use was begun in."""
_LATE_S = 60
_KEPT_EVERY_S = 60
TOLD_TO_OWNER = "(told to its owner)"
"""What a member is shown of a statement of his. A mask in it would tell which of a hundred thousand guesses is the value."""


class UsesDesk(Desk):
    """The part of `Team` that writes uses down."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._presence = Presence(self._store.directory)

    def begin_serving(self, longest_s: float) -> int:
        """
        Say that uses are begun by this process, and write down which ones of processes that have ended were interrupted.

        Args:
            longest_s: For how long a use may run.

        Returns:
            How many.

        Raises:
            BrokerError, StoreError: If that cannot be written.
        """
        self._presence.begin()
        with self._presence.gone() as gone:
            interrupted = [
                begun
                for begun in self._audit.unended()
                if begun.detail in {f"{_FRONT}{one}" for one in gone} or begun.at < self._now() - longest_s - _LATE_S
            ]
            for begun in interrupted:
                self._audit.record(
                    begun._replace(at=self._now(), state="interrupted", statement="", detail="the broker's process ended")
                )
        return len(interrupted)

    def begin_use(self, caller: Caller, order: Order, query_id: str, statement: str) -> None:
        """
        Write down that a statement is about to run; it does not, where that fails.

        Raises:
            BrokerError: If it cannot be written.
        """
        entry = self._entry(caller, order, query_id)._replace(statement=without(statement, order.value), state="started")
        entry = entry._replace(detail=f"{_FRONT}{self._presence.id}")
        with self._store.noting() as connection:
            self._keep_when_used(connection, order)
            self._audit.record(entry, connection)

    def end_use(self, caller: Caller, order: Order, query_id: str, outcome: Outcome) -> None:
        """Write down how a statement ended. Raises BrokerError if that cannot be written."""
        entry = self._entry(caller, order, query_id)._replace(
            state=outcome.state,
            rows=outcome.rows,
            bytes=outcome.bytes,
            duration_s=outcome.duration_s,
            detail=without(outcome.detail, order.value)[:200],
        )
        self._audit.record(entry)

    def refuse_use(self, caller: Caller, order: Order, statement: str, why: str) -> None:
        """Write down a request to an API that its owner does not allow. Raises BrokerError if that cannot be written."""
        text = without(statement, order.value)
        self._audit.record(self._entry(caller, order, "")._replace(action="refused", statement=text, detail=why))

    def log(self, caller: Caller, name: str = "") -> list[LogEntry]:
        """
        Return what was done with an own secret or connection of that name, also under a name that it had; oldest first.

        Of another's of that name: what the caller did with it, but for his words. Without a name: both, of all names.
        """
        found = self._audit.of(caller.name, name) if name else self._audit.around(caller.name)
        return [
            entry._replace(statement=TOLD_TO_OWNER) if entry.statement and entry.owner != caller.name else entry
            for entry in found
        ]

    def require_audit(self) -> None:
        """Raise BrokerError unless uses can be written down now."""
        self._audit.require()

    def _keep_when_used(self, connection: Connection, order: Order) -> None:
        """Keep for its owner when a secret was last used, to the minute: the audit has each use."""
        now = int(self._now())
        if order.used_at is None or now - order.used_at >= _KEPT_EVERY_S:
            row = insert(connection, uses).values(secret_id=order.secret_id, used_at=now)
            connection.execute(row.on_conflict_do_update(index_elements=["secret_id"], set_={"used_at": now}))

    def _entry(self, caller: Caller, order: Order, query_id: str) -> LogEntry:
        of = (order.owner, order.connection, order.secret)
        return LogEntry(self._now(), caller.name, caller.vouched_by, "use", *of, query_id=query_id)
