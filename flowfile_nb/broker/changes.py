"""
Who is told when what is allowed changes, in this process and in every other one on the same store.

PostgreSQL tells by `NOTIFY`. SQLite is asked every twentieth of a second whether another process has written.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress

import sqlalchemy
from sqlalchemy import Engine, select

from flowfile_nb.broker import tables

CHANNEL = "flowfile_nb_policy"
_POLL_S = 0.05
# How long a lost listener waits before it connects again.
_AGAIN_S = 0.2


class Changes:
    """
    Calls back when what is allowed may have changed: from the thread that changed it, and from one that listens.

    A call says only that something may be different; whoever is called asks anew. It comes too often rather than not at all:
    also whenever the listener was cut off and is back, because it may have missed something.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._callbacks: list[Callable[[], None]] = []
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._ready = threading.Event()
        self._thread: threading.Thread | None = None

    def subscribe(self, callback: Callable[[], None]) -> None:
        """Call *callback* at each change from now on; when this returns, none is missed any more."""
        with self._lock:
            self._callbacks.append(callback)
            if self._thread is None:
                listen = self._poll if self._engine.dialect.name == "sqlite" else self._listen
                self._thread = threading.Thread(target=self._keep_on, args=(listen,), name="flowfile-nb-changes", daemon=True)
                self._thread.start()
        self._ready.wait(10)

    def tell(self) -> None:
        """Call back for a change that this process has made."""
        with self._lock:
            callbacks = list(self._callbacks)
        for callback in callbacks:
            callback()

    def close(self) -> None:
        """Stop listening; nobody is called any more."""
        with self._lock:
            self._callbacks.clear()
            thread, self._thread = self._thread, None
        self._stop.set()
        if thread is not None and thread is not threading.current_thread():
            thread.join(5)

    def _keep_on(self, listen: Callable[[], None]) -> None:
        while not self._stop.is_set():
            with suppress(sqlalchemy.exc.SQLAlchemyError, OSError):
                listen()
            self._stop.wait(_AGAIN_S)

    def _poll(self) -> None:
        with self._engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            seen = policy = None
            while not self._stop.is_set():
                # Changes when another connection has committed anything, a note of a use too: the count says what it was.
                version = connection.exec_driver_sql("PRAGMA data_version").scalar()
                if version != seen:
                    seen = version
                    counted = connection.execute(select(tables.facts.c.fact).where(tables.facts.c.name == "policy")).scalar()
                    if policy is not None and counted != policy:
                        self.tell()
                    policy = counted
                self._ready.set()
                self._stop.wait(_POLL_S)

    def _listen(self) -> None:
        import psycopg

        # Out of the pool: it listens for as long as the broker runs.
        pooled = self._engine.raw_connection()
        pooled.detach()
        connection = pooled.driver_connection
        assert isinstance(connection, psycopg.Connection)
        try:
            connection.rollback()
            connection.autocommit = True
            connection.execute(f"LISTEN {CHANNEL}".encode())
            self._ready.set()
            # What changed before this moment, while nobody listened.
            self.tell()
            while not self._stop.is_set():
                for _ in connection.notifies(timeout=0.5, stop_after=1):
                    self.tell()
        except psycopg.Error:
            return
        finally:
            connection.close()
