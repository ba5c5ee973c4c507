"""
Which family of connections a URL scheme or a `type` belongs to, found without importing the others.

Other packages add families by an entry point in the group `flowfile_nb.connectors`: its name is the scheme, and it leads to an
object with the four functions of `Family`.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any, Protocol, cast

from flowfile_nb.connections.spec import Spec, scheme_of

ENTRY_POINTS = "flowfile_nb.connectors"
Reveal = Callable[[str], str]

# Schemes of our own families that are no databases; whatever is in neither list, SQLAlchemy may have a dialect for.
_MODULES: dict[str, str] = {
    "http": "flowfile_nb.connections.http_api",
    "https": "flowfile_nb.connections.http_api",
    "kafka": "flowfile_nb.connections.kafka",
}
_DATABASE = "flowfile_nb.connections.database"


class SecretValues:
    """
    What a family gets its values from: called with a secret's name, it returns the plaintext, read from the store now.

    Args:
        reveal: Returns a value.
        learn: Has a value masked that came from elsewhere, such as an access token.
    """

    def __init__(self, reveal: Reveal, learn: Callable[[str, str], None] = lambda name, value: None) -> None:
        self._reveal = reveal
        self._learn = learn

    def __call__(self, name: str) -> str:
        """Return the value of the secret *name*."""
        return self._reveal(name)

    def learn(self, name: str, value: str) -> None:
        """Have *value* masked from now on, as `[secret:NAME]`."""
        self._learn(name, value)


class Family(Protocol):
    """
    One kind of connection, as a module or an object with these functions.

    Each translates its libraries' errors, which can hold a DSN or a value, into ours.
    """

    def make(self, spec: Spec, reveal: SecretValues) -> Any:
        """Return the native object; it asks *reveal* for values when it connects, never earlier, and keeps none."""

    def check(self, connection: Any) -> None:
        """Open it once. Raises ConnectionFailedError, and closes it then."""

    def target(self, connection: Any) -> str:
        """Return where it leads in one line, without values: `postgresql://app@db.example.com:5432/sales`."""

    def close(self, connection: Any) -> None:
        """Close it and what it keeps open."""


def family_of(spec: Spec) -> Family:
    """Return the family that opens *spec*: an installed package's, one of ours, else databases."""
    scheme = scheme_of(spec).lower()
    module = _MODULES.get(scheme) or _MODULES.get(scheme.partition("+")[0])
    if module is None:
        # Imported here: looking through what is installed takes a few milliseconds.
        from importlib.metadata import entry_points

        for point in entry_points(group=ENTRY_POINTS, name=scheme):
            return cast("Family", point.load())
    return cast("Family", import_module(module or _DATABASE))
