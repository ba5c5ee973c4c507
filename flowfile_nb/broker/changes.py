"""
Who is told when what is allowed changes, in this process and in every other one on the same store.

PostgreSQL tells by `NOTIFY`. SQLite is asked every twentieth of a second whether another process has written.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any

from sqlalchemy import Engine

_log = logging.getLogger("flowfile_nb.broker")
CHANNEL = "flowfile_nb_policy"
_POLL_S = 0.05
# How long a lost listener waits before it connects again.
_AGAIN_S = 0.2
GRACE_S = 15.0
"""How long nothing may be heard of the store before all is asked anew: what cannot be asked then is not permitted."""


class Changes:
    """
    Calls back when what is allowed may have changed: from the thread that changed it, and from one that listens.

    A call says only that something may be different; whoever is called asks anew. It comes too often rather than not at all:
    also whenever the listener was cut off and is back, because it may have missed something.

    Args:
        engine: Of the store.
        grace_s: As `GRACE_S`.
    """

    def __init__(self, engine: Engine, grace_s: float = GRACE_S) -> None:
        self._engine = engine
        self._grace_s = grace_s
        self._heard_at = time.monotonic()
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
            try:
                listen()
            except Exception as error:  # noqa: BLE001 - a listener that was over would leave every revocation unheard
                _log.warning("what is taken back elsewhere cannot be heard of now (%s)", type(error).__name__)
            if time.monotonic() - self._heard_at > self._grace_s:
                self._heard_at = time.monotonic()
                self.tell()
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
                self._heard_at = time.monotonic()
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
        connection = self._own_connection()
        try:
            connection.rollback()
            connection.autocommit = True
            connection.execute(f"LISTEN {CHANNEL}".encode())
            # What changed before this moment, while nobody listened.
            self.tell()
            self._ready.set()
            while not self._stop.is_set():
                self._heard_at = time.monotonic()
                for _ in connection.notifies(timeout=0.5, stop_after=1):
                    self.tell()
        finally:
            connection.close()
