"""One attribute of an object, replaced for a while and put back as it was."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

_MISSING = object()


class Wrapping:
    """
    A wrapper in the place of an attribute.

    Args:
        owner: An object, a class or a dictionary.
        name: The attribute, or the key.
        wrap: Makes the replacement of what is there.
    """

    def __init__(self, owner: Any, name: str, wrap: Callable[[Any], Any]) -> None:
        self._owner = owner
        self._name = name
        self._wrap = wrap
        self._before: Any = _MISSING
        self._ours: Any = None

    def install(self) -> None:
        """Put the wrapper in."""
        owner, name = self._owner, self._name
        self._before = self._there()
        self._ours = self._wrap(owner[name] if isinstance(owner, dict) else getattr(owner, name))
        self._put(self._ours)

    def uninstall(self) -> None:
        """
        Put back what was there.

        Where somebody has wrapped ours since, it stays underneath: taking it out would take out theirs.
        """
        if self._there() is self._ours:
            self._put(self._before)

    def _there(self) -> Any:
        """Return what the owner itself has, without what it inherits."""
        return (self._owner if isinstance(self._owner, dict) else vars(self._owner)).get(self._name, _MISSING)

    def _put(self, value: Any) -> None:
        owner, name = self._owner, self._name
        if isinstance(owner, dict):
            owner[name] = value
        elif value is _MISSING:
            delattr(owner, name)
        else:
            setattr(owner, name, value)
