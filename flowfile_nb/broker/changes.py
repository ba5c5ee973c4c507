"""
Who is told when what is allowed changes, in this process and in every other one on the same store.

PostgreSQL tells by `NOTIFY`. SQLite is asked every twentieth of a second whether another process has written.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import sqlalchemy
from sqlalchemy import Engine

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
        driver = self._own_connection()
        try:
            seen = policy = None
            while not self._stop.is_set():
                # Changes when another connection has committed anything, a note of a use too: the count says what it was.
                version = driver.execute("PRAGMA data_version").fetchone()
                if version != seen:
                    seen = version
                    counted = driver.execute("SELECT fact FROM nb_facts WHERE name = 'policy'").fetchone()
                    if policy is not None and counted != policy:
                        self.tell()
                    policy = counted
                self._ready.set()
                self._stop.wait(_POLL_S)
        finally:
            driver.close()

    def _own_connection(self) -> Any:
        """Return a driver's connection that is out of the pool: it is kept for as long as the broker runs."""
        pooled = self._engine.raw_connection()
        driver = pooled.driver_connection
        pooled.detach()
        return driver

    def _listen(self) -> None:
        import psycopg

        connection = self._own_connection()
        try:
            connection.rollback()
            connection.autocommit = True
            connection.execute(f"LISTEN {CHANNEL}".encode())
            # What changed before this moment, while nobody listened.
            self.tell()
            self._ready.set()
            while not self._stop.is_set():
                for _ in connection.notifies(timeout=0.5, stop_after=1):
                    self.tell()
        except psycopg.Error:
            return
        finally:
            connection.close()
