"""What the secrets of open connections are called now: one that is renamed meanwhile is read, and told, by its new name."""

from __future__ import annotations

from weakref import WeakSet


class PresentNames:
    """
    The names for one connection, from when it was opened: of a name that its description says, the one that is stored now.

    Another secret that gets the former name later is none of it.
    """

    def __init__(self) -> None:
        self._present: dict[str, str] = {}
        _all.add(self)

    def of(self, name: str) -> str:
        """Return the present name of what is described as *name*."""
        return self._present.get(name, name)

    def follow(self, old: str, new: str) -> None:
        """Go on by the name that a secret has got."""
        for name, present in list(self._present.items()):
            if present == old:
                self._present[name] = new
        self._present.setdefault(old, new)


_all: WeakSet[PresentNames] = WeakSet()


def follow_rename(old: str, new: str) -> None:
    """Have every connection that is open in this process go on with a renamed secret."""
    for names in list(_all):
        names.follow(old, new)
