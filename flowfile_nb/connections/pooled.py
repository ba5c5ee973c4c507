"""
Idle connections of an engine's pool.

They are dropped when a secret they were opened with is replaced, deleted or revoked, and replaced when the server has closed
them. A forked child leaves them alone: its parent goes on using their sockets.
"""

from __future__ import annotations

import math
import os
import threading
import weakref
from collections.abc import Callable, Sequence
from time import monotonic
from typing import TYPE_CHECKING, Any

from flowfile_nb.connections.access import Access
from flowfile_nb.errors import FlowfileNbError, NoSuchSecretError, UsageError

if TYPE_CHECKING:
    from sqlalchemy.engine import Engine

_KEY, _NEW, _USED_AT = "flowfile_nb", "flowfile_nb_new", "flowfile_nb_used_at"
# What was in use this short a while ago is taken as it is: a short statement would take twice as long.
_SURELY_OPEN_S = 0.5
_engines: weakref.WeakSet[Engine] = weakref.WeakSet()
_watched: weakref.WeakSet[_Watch] = weakref.WeakSet()
# A pool that came over a fork is the parent's: not even closing its connections is allowed here, so they are never collected.
_inherited: list[Any] = []


def watch(engine: Engine, names: Sequence[str], access: Access, *, only_here: str = "") -> None:
    """
    Open a connection anew, instead of taking an idle one, where a secret has changed since it was opened.

    The idle ones that were opened with the former value are closed at the same moment, or by `drop_outdated`. Where the secret
    is gone, asking for a connection raises NoSuchSecretError.

    Args:
        engine: One that reads the secrets at each new connection.
        names: The secrets it uses.
        access: Tells whether they have changed.
        only_here: Why it cannot be used in a forked child; asking for a connection raises UsageError there.

    Called before the listener is set that opens connections: SQLAlchemy calls them in that order, up to the one that opens.
    """
    from sqlalchemy import event

    _engines.add(engine)
    if engine.dialect.name == "duckdb":
        # Its threads do not come over a fork: a query would wait for them for ever.
        only_here = only_here or "DuckDB does not work in a process that was forked"
    if only_here:
        event.listen(engine, "do_connect", _refusal_after_fork(only_here))
    if names and access.fingerprint is not None:
        watched = _Watch(names, access.fingerprint)
        _watched.add(watched)
        event.listen(engine, "do_connect", watched.before_connect)
        event.listen(engine, "checkout", watched.on_checkout)


def drop_outdated() -> None:
    """Close the idle connections whose secret has changed or is gone: perhaps nobody asks for one again."""
    for watched in list(_watched):
        watched.look()


def ask_first(engine: Engine) -> None:
    """
    Ask the server, before an idle connection is taken, whether it is still open; where not, open all of them anew.

    As SQLAlchemy's `pool_pre_ping`, which asks each time: ten short statements are ten round trips here, and twenty there.
    """
    from sqlalchemy import event
    from sqlalchemy.exc import InvalidatePoolError

    dialect = engine.dialect

    def on_checkin(_connection: Any, entry: Any) -> None:
        entry.info[_USED_AT] = monotonic()

    def on_checkout(connection: Any, entry: Any, _proxy: Any) -> None:
        # A new one has not been used.
        if monotonic() - entry.info.get(_USED_AT, math.inf) < _SURELY_OPEN_S:
            return
        try:
            is_open = dialect.do_ping(connection)
        except dialect.loaded_dbapi.Error as error:
            if not dialect.is_disconnect(error, connection, None):
                raise
            is_open = False
        if not is_open:
            raise InvalidatePoolError("the server has closed it")

    event.listen(engine, "checkin", on_checkin)
    event.listen(engine, "checkout", on_checkout)


class _Watch:
    """The listeners of one engine, and the entries of its pool."""

    def __init__(self, names: Sequence[str], fingerprint: Callable[[str], object]) -> None:
        self._names = names
        self._fingerprint = fingerprint
        self._entries: weakref.WeakSet[Any] = weakref.WeakSet()
        # Threads share a pool, and a set must not change while it is gone through.
        self._mutex = threading.Lock()

    def before_connect(self, dialect: Any, entry: Any, *_: Any) -> None:
        """Keep what the secrets are, before they are read: one that changes in between makes the connection an old one."""
        if entry is not None:
            entry.info[_KEY] = self._now()
            entry.info[_NEW] = True
            with self._mutex:
                self._entries.add(entry)

    def on_checkout(self, connection: Any, entry: Any, proxy: Any) -> None:
        """Let an idle connection pass only if its secrets are what they were."""
        if entry.info.pop(_NEW, False):
            return
        from sqlalchemy.exc import DisconnectionError

        try:
            now = self._now()
        except Exception:
            self._drop_idle(None)
            raise
        if entry.info.get(_KEY) != now:
            self._drop_idle(now)
            # SQLAlchemy then opens this one anew, too.
            raise DisconnectionError("a secret was replaced")

    def look(self) -> None:
        """Drop what is idle and outdated. A store that cannot be read now is reported to who asks for a connection."""
        if not self._idle():
            return
        try:
            now: list[object] | None = self._now()
        except NoSuchSecretError:
            now = None
        except FlowfileNbError:
            return
        self._drop_idle(now)

    def _now(self) -> list[object]:
        return [self._fingerprint(name) for name in self._names]

    def _drop_idle(self, now: list[object] | None) -> None:
        for entry in self._idle():
            if entry.info.get(_KEY) != now:
                entry.invalidate()

    def _idle(self) -> list[Any]:
        with self._mutex:
            entries = list(self._entries)
        return [entry for entry in entries if not entry.in_use and entry.dbapi_connection is not None]


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
