"""
Which fronts live: for what was begun by one that does not, the next one writes down that it was interrupted.

Each has a file in the broker's folder, which it locks for as long as its process lives, however that ends. Of replicas on other
machines there is nothing here to be seen: what they began is taken for interrupted when no statement may run for so long.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager

from flowfile_nb.storage.lock import exclusive
from flowfile_nb.storage.private_files import make_private_directory

_FOLDER = "fronts"


class Presence:
    """
    That this process lives, for the others.

    Args:
        directory: The broker's own.
    """

    def __init__(self, directory: str) -> None:
        self._folder = os.path.join(directory, _FOLDER)
        self.id = secrets.token_hex(4)
        self._stack = ExitStack()

    def begin(self) -> None:
        """Be seen from now on, until the process ends or `end`. Raises StoreError."""
        make_private_directory(self._folder)
        with self._alone():
            self._stack.enter_context(exclusive(os.path.join(self._folder, self.id)))

    def end(self) -> None:
        """Be seen no more."""
        self._stack.close()

    @contextmanager
    def gone(self) -> Iterator[set[str]]:
        """Give the ids of those that have ended; when the block ends without an error, they are forgotten."""
        with self._alone():
            ids = {name for name in os.listdir(self._folder) if name not in {self.id, _FOLDER} and self._is_free(name)}
            yield ids
            for name in ids:
                os.unlink(os.path.join(self._folder, name))

    def _is_free(self, name: str) -> bool:
        with exclusive(os.path.join(self._folder, name), wait=False) as free:
            return free

    def _alone(self) -> AbstractContextManager[bool]:
        # One that is just beginning has made its file, and not locked it yet.
        return exclusive(os.path.join(self._folder, _FOLDER))
