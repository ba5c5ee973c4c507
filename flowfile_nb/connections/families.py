"""
Which family of connections a URL scheme or a `type` belongs to, found without importing the others.

Other packages add families by an entry point in the group `flowfile_nb.connectors`: its name is the scheme, and it leads to an
object with the four functions of `Family`.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any, Protocol, cast

from flowfile_nb.connections.drivers import DRIVERS
from flowfile_nb.connections.spec import Spec, scheme_of

ENTRY_POINTS = "flowfile_nb.connectors"
Reveal = Callable[[str], str]

# Schemes of our own families that are no databases; whatever is in neither list, SQLAlchemy may have a dialect for.
_MODULES: dict[str, str] = {}
_DATABASE = "flowfile_nb.connections.database"


class Kind(Protocol):
    """What can be done with an opened connection, by the module or object that made it."""

    def check(self, connection: Any) -> None:
        """Open it once. Raises ConnectionFailedError, and closes it then."""

    def target(self, connection: Any) -> str:
        """Return where it leads in one line, without values: `postgresql://app@db.example.com:5432/sales`."""

    def close(self, connection: Any) -> None:
        """Close it and what it keeps open."""


class Family(Kind, Protocol):
    """
    One kind of connection, as a module or an object with these functions.

    Each translates its libraries' errors, which can hold a DSN or a value, into ours. One may also have `KEYS`, the keys of its
    descriptions, for Tab.
    """

    def make(self, spec: Spec, reveal: Reveal) -> Any:
        """
        Return the native object; it asks *reveal* for values when it connects, never earlier, and keeps none.

        `access.access_of(reveal)` also tells how long opening may take, and whether a secret has changed.
        """


def kinds() -> list[str]:
    """Return the kinds that are known here, for `type = "…"` and as schemes; SQLAlchemy may know more."""
    from importlib.metadata import entry_points

    return sorted({*DRIVERS, *_MODULES, *(point.name for point in entry_points(group=ENTRY_POINTS))})


def keys_of(kind: str) -> tuple[str, ...]:
    """
    Return the keys that a description of *kind* usually has; a family says its own as `KEYS`.

    Nothing is imported that is not ours or asked for by its kind.
    """
    return tuple(getattr(_family(kind), "KEYS", ()))


def family_of(spec: Spec) -> Family:
    """Return the family that opens *spec*: one of ours, else an installed package's, else databases."""
    return _family(scheme_of(spec).lower())


def _family(scheme: str) -> Family:
    base = scheme.partition("+")[0]
    module = _MODULES.get(scheme) or _MODULES.get(base) or (_DATABASE if base in DRIVERS else None)
    if module is None:
        # Imported here: looking through what is installed takes a few milliseconds.
        from importlib.metadata import entry_points

        for point in entry_points(group=ENTRY_POINTS, name=scheme):
            return cast("Family", point.load())
    return cast("Family", import_module(module or _DATABASE))
