"""
Idle connections of an engine's pool.

They are dropped when a secret they were opened with is replaced, deleted or revoked. A forked child leaves them alone: its
parent goes on using their sockets.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from flowfile_nb.connections.access import Access
from flowfile_nb.errors import UsageError

if TYPE_CHECKING:
    from sqlalchemy.engine import Engine

_KEY = "flowfile_nb"
_engines: weakref.WeakSet[Engine] = weakref.WeakSet()
# A pool that came over a fork is the parent's: not even closing its connections is allowed here, so they are never collected.
_inherited: list[Any] = []


def watch(engine: Engine, names: Sequence[str], access: Access, *, only_here: str = "") -> None:
    """
    Open a connection anew, instead of taking an idle one, where a secret has changed since it was opened.

    The idle ones that were opened with the former value are closed at the same moment. Where the secret is gone, asking for a
    connection raises NoSuchSecretError.

    Args:
        engine: One that reads the secrets at each new connection.
        names: The secrets it uses.
        access: Tells whether they have changed.
        only_here: Why it cannot be used in a forked child; asking for a connection raises UsageError there.

    Called before the listener is set that opens connections: SQLAlchemy calls them in that order, up to the one that opens.
    """
    from sqlalchemy import event
    from sqlalchemy.exc import DisconnectionError

    _engines.add(engine)
    if engine.dialect.name == "duckdb":
        # Its threads do not come over a fork: a query would wait for them for ever.
        only_here = only_here or "DuckDB does not work in a process that was forked"
    if only_here:
        event.listen(engine, "do_connect", _refusal_after_fork(only_here))
    if not names or access.fingerprint is None:
        return
    fingerprint = access.fingerprint
    entries: weakref.WeakSet[Any] = weakref.WeakSet()
    # Threads share a pool, and a set must not change while it is gone through.
    mutex = threading.Lock()

    def before_connect(dialect: Any, entry: Any, *_: Any) -> None:
        # Before the values are read: if one changes in between, the connection counts as an old one, which is the safe mistake.
        if entry is not None:
            entry.info[_KEY] = [fingerprint(name) for name in names]
            with mutex:
                entries.add(entry)

    def drop_idle(now: list[object] | None) -> None:
        with mutex:
            opened = list(entries)
        for entry in opened:
            if not entry.in_use and entry.info.get(_KEY) != now:
                entry.invalidate()

    def on_checkout(connection: Any, entry: Any, proxy: Any) -> None:
        try:
            now = [fingerprint(name) for name in names]
        except Exception:
            drop_idle(None)
            raise
        if entry.info.get(_KEY) != now:
            drop_idle(now)
            # SQLAlchemy then opens this one anew, too.
            raise DisconnectionError("a secret was replaced")

    event.listen(engine, "do_connect", before_connect)
    event.listen(engine, "checkout", on_checkout)


def _refusal_after_fork(reason: str) -> Any:
    opened_in = os.getpid()

    def refuse(*_: Any) -> None:
        if os.getpid() != opened_in:
            raise UsageError(reason, hint='start processes anew:  multiprocessing.get_context("spawn"),  or joblib\'s default')

    return refuse


def _leave_to_the_parent() -> None:
    for engine in list(_engines):
        _inherited.append(engine.pool)
        engine.dispose(close=False)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leave_to_the_parent)
