"""What opens connections of one kind has to offer; `families` finds it."""

from __future__ import annotations

from typing import Any, Protocol

from flowfile_nb.connections.access import Access
from flowfile_nb.connections.spec import Spec


class Kind(Protocol):
    """
    What can be done with an opened connection, by the module or object that made it.

    It may have a `note` for its user, in which `{variable}` stands for what it is bound to; and a function
    `untried(connection)`, which returns what `check` did, and what it could not try:
    `("Reached", "no test_path: the key was not tried")`; None where it is connected.
    """

    def check(self, connection: Any) -> None:
        """Open it once. Raises ConnectionFailedError, and closes it then."""

    def target(self, connection: Any) -> str:
        """Return where it leads in one line, without values: `postgresql://app@db.example.com:5432/sales`."""

    def close(self, connection: Any) -> None:
        """Close it and what it keeps open."""


class Family(Kind, Protocol):
    """
    One kind of connection, as a module or an object with these functions.

    Each translates its libraries' errors, which can hold a DSN or a value, into ours. One may also have `KEYS`: the keys of its
    descriptions, each a name or a `keys.Key`, for Tab and for the form of the panel; or a function `keys_of(kind)` that returns
    them, where it opens several kinds. And `described(spec)`, which raises the ConnectionSpecError that `make` would: a cell
    that will be refused is kept out of the history. And `unknown_keys(spec)`: what it only passes on.
    """

    def make(self, spec: Spec, reveal: Access) -> Any:
        """
        Return the native object; it asks *reveal* for values when it connects, never earlier, and keeps none.

        Called with a secret's name, *reveal* returns the value. It also tells how long opening may take, whether a secret has
        changed, and learns what comes from elsewhere and is to be masked, such as an access token.
        """
