"""Importing large libraries without the garbage collector, which looks at all that they make and finds nothing to free."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def uncollected() -> Iterator[None]:
    """
    Keep the garbage collector from running while a block imports, and count what the block made among what stays.

    The collector looks at new objects again and again until they count as old. For a library that is a sixteenth of the time
    to import it, and in vain: modules stay. Where the block imports nothing, all is as before; so it is where somebody else has
    switched the collector off or frozen objects.
    """
    if not gc.isenabled() or gc.get_freeze_count():
        yield
        return
    modules = len(sys.modules)
    gc.disable()
    try:
        yield
    finally:
        if len(sys.modules) > modules:
            # Together these two make everything old, and look at nothing.
            gc.freeze()
            gc.unfreeze()
        gc.enable()
