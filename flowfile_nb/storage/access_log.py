"""
The local record of what was done with which secret, when and from which notebook: one line of JSON an entry. Never a value.

Appending takes no lock. A line is one write at the end of the file, and afterwards the file under that name has to be the
one that was written to; where it was exchanged in between (`log_trimming`), the line is written again, and who reads takes
lines that are the same for one.

A write takes as long as a read of a secret. So in a loop that reads or stores many, only the first entries of each second are
written at once; the others wait for the end of that second, or of the process. A process that is killed in such a loop loses
those entries, and nothing else.
"""

from __future__ import annotations

import atexit
import errno
import json
import os
import sys
from _thread import allocate_lock, start_new_thread
from collections.abc import Mapping
from time import monotonic, sleep, time
from typing import TYPE_CHECKING

from flowfile_nb.errors import NoSuchSecretError

if TYPE_CHECKING:
    from typing import Any

READ, OK = "read", "ok"
EVERYTHING = ""
"""Stands for a name in what was done to the whole store."""
MAX_BYTES = 2**20
"""A longer file is trimmed to half of this; what it says of the last use of each name is kept in one line before."""
AT_ONCE = 20
"""So many reads and values stored in a second are written at once."""
SAME_USE_S = 60.0
"""Reads of one name by one process within this time are one entry: an engine reads a password at each new connection."""


class AccessLog:
    """
    Writes the record. Nothing that fails here fails what is recorded: `problem` says it, and `%secret doctor`.

    Args:
        path: The file; made with the first entry, 0600, where its directory exists.
        environ: `FLOWFILE_NB_LOG=off` keeps no record; `JPY_SESSION_NAME` is the notebook, as the Jupyter server says.
    """

    def __init__(self, path: str, environ: Mapping[str, str]) -> None:
        self.path = path
        self.problem = ""
        """Why the last entry could not be written; empty if it was."""
        self.again_at: dict[str, float] = {}
        """From when on a read of a name is a new entry, by the monotonic clock."""
        self._environ = environ
        self._second, self._in_second = 0.0, 0
        self._waiting: list[tuple[float, str, str, str]] = []
        self._is_writer_due = False
        self._writing = allocate_lock()
        if sys.platform != "win32":
            # What a forked child reads is another process's use.
            os.register_at_fork(after_in_child=self._forget)

    @property
    def is_on(self) -> bool:
        """Whether a record is kept."""
        return self._environ.get("FLOWFILE_NB_LOG", "").lower() not in {"off", "0", "no", "false"}

    def used(self, name: str, outcome: str = OK) -> None:
        """Record that a value was read, or why not, unless the same was recorded less than a minute ago."""
        now = monotonic()
        key = name if outcome == OK else f"{name}\0{outcome}"
        if now < self.again_at.get(key, 0.0):
            return
        self.again_at[key] = now + SAME_USE_S
        self.soon(READ, name, outcome)

    def refused(self, name: str, error: BaseException) -> None:
        """Record that a value was not given out, and the class of the reason; once a minute."""
        self.used(name, type(error).__name__)

    def refused_change(self, operation: str, name: str, error: BaseException, *, to: str = "") -> None:
        """Record that a change was refused, and why. A name that nobody has may be a value typed in the wrong place."""
        if not isinstance(error, NoSuchSecretError):
            self.record(operation, name, type(error).__name__, to=to)

    def soon(self, operation: str, name: str, outcome: str = OK) -> None:
        """Record one operation of those that loops are made of, a read or an `add`: at once, or a little later with others."""
        # Who waits for the writer is in a loop, and asks no clock for it.
        if not self._is_writer_due and self._is_calm():
            self.record(operation, name, outcome)
            return
        self._waiting.append((time(), operation, name, outcome))
        # Asked again: it may have begun to write in between.
        if not self._is_writer_due:
            self._is_writer_due = True
            start_new_thread(self._write_later, ())
            atexit.register(self.flush)

    def _is_calm(self) -> bool:
        now = monotonic()
        if now - self._second >= 1.0:
            self._second, self._in_second = now, 0
        self._in_second += 1
        return self._in_second <= AT_ONCE

    def record(self, operation: str, name: str, outcome: str = OK, *, to: str = "") -> None:
        """
        Record one operation at once.

        Args:
            operation: `read`, `add`, `replace`, `undo`, `rename`, `delete`, `env`, `backup`, `restore`, `rotate-key` …
            name: The secret's, or EVERYTHING. Not what may be a value that somebody typed in the wrong place:
                a name that is not stored is not written down.
            outcome: `ok`, or the class of the error that refused it.
            to: The new name, of a `rename`.
        """
        entry = {"at": round(time(), 6), "operation": operation, "name": name, "outcome": outcome}
        self._write([entry | {"to": to} if to else entry])

    def flush(self) -> None:
        """Write what is waiting."""
        if self._waiting:
            self._write([])

    def _write(self, entries: list[dict[str, Any]]) -> None:
        with self._writing:
            count = len(self._waiting)
            waited = [
                {"at": at, "operation": operation, "name": name, "outcome": outcome}
                for at, operation, name, outcome in self._waiting[:count]
            ]
            # Not a new list: another thread may be about to append to this one.
            del self._waiting[:count]
        if not self.is_on:
            return
        place = {"notebook": _place(self._environ), "process": os.getpid()}
        try:
            # ASCII: half a character can never be torn off.
            self._append(b"".join(json.dumps(entry | place).encode() + b"\n" for entry in [*waited, *entries]))
            self.problem = ""
        except FileNotFoundError:
            # There is no store yet, and values come from the environment.
            self.problem = ""
        except OSError as error:
            self.problem = os.strerror(error.errno or errno.EIO)

    def clear(self) -> None:
        """Delete the record. Raises OSError if that is not possible."""
        self._forget()
        if os.path.exists(self.path):
            os.unlink(self.path)

    def _write_later(self) -> None:
        sleep(1.0)
        self._is_writer_due = False
        atexit.unregister(self.flush)
        self.flush()

    def _forget(self) -> None:
        """What waits is written by the process that read it, and its thread is not in a forked child."""
        self.again_at.clear()
        self._waiting.clear()
        self._is_writer_due, self._in_second = False, 0
        self._writing = allocate_lock()

    def _append(self, line: bytes) -> None:
        while True:
            descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o600)
            try:
                if os.write(descriptor, line) < len(line):
                    raise OSError(errno.ENOSPC, "only a part was written")
                file = os.fstat(descriptor)
                # Asked while it is open: its number is given to no other file until it is closed.
                is_the_record = file.st_ino == _inode(self.path)
            finally:
                os.close(descriptor)
            if is_the_record:
                break
        if file.st_size > MAX_BYTES:
            from flowfile_nb.storage.log_trimming import trim

            trim(self.path)


def _inode(path: str) -> int:
    try:
        return os.stat(path).st_ino
    except FileNotFoundError:
        return -1


def _place(environ: Mapping[str, str]) -> str:
    """Return where this process's code is: the notebook, else the script, else `interactive`."""
    # IPython puts the user's variables there. The first is VS Code's, the second papermill's (with --inject-paths).
    main = vars(sys.modules["__main__"])
    for variable in ("__vsc_ipynb_file__", "PAPERMILL_OUTPUT_PATH"):
        if isinstance(main.get(variable), str):
            return str(main[variable])
    if "ipykernel" in sys.modules:
        # A script that a notebook starts has its environment too.
        return environ.get("JPY_SESSION_NAME") or "a notebook without a name"
    script = main.get("__file__") or sys.argv[0]
    if isinstance(script, str) and {"IPython", "ipython", "ipython3"} & {*script.split(os.sep)[-2:]}:
        return "IPython in a terminal"
    return os.path.abspath(script) if isinstance(script, str) and script not in {"", "-c", "-m"} else "interactive"
