"""
Threads in which the store is asked whether what runs may still run, and nothing else is.

Requests wait for the store in the loop's own threads, and a few of them that wait long, for a disk or for another writer, have
all of those. A revocation that stood in their queue would be heard when they are done.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

from flowfile_nb.broker.model import Order

_log = logging.getLogger("flowfile_nb.broker")
Result = TypeVar("Result")
_THREADS = 4
_watch = ThreadPoolExecutor(_THREADS, thread_name_prefix="flowfile-nb-watch")


async def on_watch(function: Callable[..., Result], *arguments: Any) -> Result:
    """Run what asks the store for those who watch, beside the loop and beside all requests, and return its result."""
    return await asyncio.get_running_loop().run_in_executor(_watch, partial(function, *arguments))


async def still_permitted(order: Order, permitted: Callable[[Order], bool], known: dict[tuple[Any, ...], bool]) -> bool:
    """Return what *permitted* says of an order, or has said of one like it; what cannot be asked is not permitted."""
    # What runs by a share that was one to write is asked for by itself.
    key = (order.caller, order.owner, order.connection, order.grant, order.access, repr(order.target))
    if key not in known:
        try:
            known[key] = bool(await on_watch(permitted, order))
        except Exception as error:  # noqa: BLE001 - see above
            _log.warning("a permission could not be asked: %s", type(error).__name__)
            known[key] = False
    return known[key]
