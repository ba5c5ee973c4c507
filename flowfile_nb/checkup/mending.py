"""What `%secret doctor --fix` mends by itself: nothing that could lose a value."""

from __future__ import annotations

import os

from flowfile_nb.checkup.files import modes
from flowfile_nb.checkup.subject import Subject
from flowfile_nb.errors import StoreError
from flowfile_nb.storage.upkeep import mend_rows


def mend(subject: Subject) -> list[str]:
    """
    Take others' permissions from our files, name what is hidden behind another secret, delete orphaned shares.

    Returns:
        What was done, a line each.

    Raises:
        StoreError: If a file or the database cannot be changed.
    """
    done = []
    for path, mode, wanted in modes(subject.paths):
        if mode & 0o077:
            try:
                os.chmod(path, wanted)
            except OSError as error:
                raise StoreError(f"{path}: {error.strerror}", hint=f"its owner can:  chmod {wanted:o} '{path}'") from None
            done.append(f"{path} is now {wanted:04o}")
    if subject.store.location is not None:
        done += mend_rows(subject.store.location, subject.paths.lock, subject.user_id)
    return done
