"""Which objects lie within what is shared, however a name is read on its way to the storage."""

from __future__ import annotations

import re
from urllib.parse import unquote

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_DECODED = 4
"""How many times a name is decoded at most: a proxy and a server each do it once, and twice where they are careless."""


def lies_within(root: str, path: str) -> bool:
    """
    Return whether *path* is *root* or lies below it, as it stands and in each form into which it may be decoded.

    Both begin with the bucket. Names of objects are not paths, and `..` in one means nothing to the storage; but clients and
    proxies on the way resolve it, some after decoding, and some take a backslash for a slash or drop what follows a semicolon.

    >>> [lies_within("sales/data", path) for path in ("sales/data/a.csv", "sales/database/a.csv", "sales/data/%2e%2e/b")]
    [True, False, False]
    """
    for _ in range(_DECODED + 1):
        reading = path.replace("\\", "/")
        if not (reading == root or reading.startswith(f"{root}/")) or has_dots(reading) or _CONTROL.search(reading):
            return False
        root, path = unquote(root), unquote(path)
    # What is still not decoded has no honest reason to be.
    return path == unquote(path)


def has_dots(path: str) -> bool:
    """Return whether a part of a path stands for the folder itself, or the one above."""
    return any(part.partition(";")[0].strip() in {".", ".."} for part in path.replace("\\", "/").split("/"))
