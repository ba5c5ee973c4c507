"""
The threads in which the store is asked, beside the loop: three kinds, and none waits for another kind's.

Few that wait long, for a disk or for another writer, would have all there are, and a revocation that stood in their queue would
be heard when they are done.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

Result = TypeVar("Result")
# More at once take the processor from each other and from the loop.
_uses = ThreadPoolExecutor(6, thread_name_prefix="flowfile-nb-uses")
# These wait for the disk, and for their turn to write: who takes something back is served first there, and not in a queue here.
_changes = ThreadPoolExecutor(32, thread_name_prefix="flowfile-nb-changes")
_watch = ThreadPoolExecutor(4, thread_name_prefix="flowfile-nb-watch")


async def in_thread(function: Callable[..., Result], *arguments: Any, changes: bool = False, **named: Any) -> Result:
    """
    Run what waits for the store, and return its result.

    Args:
        function: What.
        arguments: Its arguments.
        changes: Whether it is for a request that may change something, and not for one that uses something.
        named: Its arguments, too.
    """
    threads = _changes if changes else _uses
    return await asyncio.get_running_loop().run_in_executor(threads, partial(function, *arguments, **named))


async def on_watch(function: Callable[..., Result], *arguments: Any) -> Result:
    """Run what asks the store whether what runs may still run, or says that it is to be asked, and return its result."""
    return await asyncio.get_running_loop().run_in_executor(_watch, partial(function, *arguments))
