"""What is examined."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from flowfile_nb.storage.access_log import AccessLog
from flowfile_nb.storage.paths import Paths
from flowfile_nb.storage.store import Store
from flowfile_nb.storage.store_key import StoreKey


class Subject(NamedTuple):
    """One user's store, with all that belongs to it."""

    paths: Paths
    environ: Mapping[str, str]
    store: Store
    key: StoreKey
    log: AccessLog
    user_id: int
