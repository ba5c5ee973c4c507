"""Whether what runs may still run."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from flowfile_nb.broker.model import Order
from flowfile_nb.broker.threads import on_watch

_log = logging.getLogger("flowfile_nb.broker")


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
