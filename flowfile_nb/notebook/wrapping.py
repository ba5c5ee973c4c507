"""One attribute of an object, replaced for a while and put back as it was."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class Wrapping:
    """
    A wrapper in the place of an attribute.

    Args:
        owner: An object, a class or a module.
        name: The attribute.
        wrap: Makes the replacement of what is there.
    """

    def __init__(self, owner: Any, name: str, wrap: Callable[[Any], Any]) -> None:
        self._owner = owner
        self._name = name
        self._wrap = wrap
        # What the owner itself has, without what it inherits: one item, or none.
        self._before: dict[str, Any] = {}
        self._ours: Any = None

    def install(self) -> None:
        """Put the wrapper in."""
        owner, name = self._owner, self._name
        self._before = {name: vars(owner)[name]} if name in vars(owner) else {}
        self._ours = self._wrap(getattr(owner, name))
        setattr(owner, name, self._ours)

    def uninstall(self) -> None:
        """
        Put back what was there.

        Where somebody has wrapped ours since, it stays underneath: taking it out would take out theirs.
        """
        owner, name = self._owner, self._name
        if vars(owner).get(name) is not self._ours:
            return
        if self._before:
            setattr(owner, name, self._before[name])
        else:
            delattr(owner, name)
