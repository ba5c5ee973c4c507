"""Regular expressions that are compiled when they are first used: compiling one takes as long as importing a module."""

from __future__ import annotations

import re
from typing import Any, cast


def expression(source: str, flags: int = 0) -> re.Pattern[str]:
    """
    Return what is used as `re.compile(source, flags)` is, and costs nothing where it is not used.

    >>> expression("[a-z]+").fullmatch("abc") is not None
    True
    """
    return cast("re.Pattern[str]", _Late(source, flags))


class _Late:
    def __init__(self, source: str, flags: int) -> None:
        self._source = source
        self._flags = flags

    def __getattr__(self, name: str) -> Any:
        # The method stays here, so the next call of it is as quick as a pattern's; `re` keeps what it has compiled for others.
        method = getattr(re.compile(self._source, self._flags), name)
        setattr(self, name, method)
        return method
