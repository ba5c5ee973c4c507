"""Opening a connection: check the secrets it needs, find its family, hand over to it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from flowfile_nb.connections.families import Family, Reveal, SecretValues, family_of
from flowfile_nb.connections.spec import Spec, read_spec, secrets_in

Require = Callable[[str], None]


class Opened(NamedTuple):
    """An opened connection, and what can be told of it."""

    native: Any
    """The object of the ecosystem: a SQLAlchemy `Engine` for a database."""
    family: Family
    spec: Spec

    @property
    def target(self) -> str:
        """Where it leads, such as `postgresql://app@db.example.com:5432/sales`, without values."""
        return self.family.target(self.native)

    @property
    def secrets(self) -> list[str]:
        """The names of the secrets it uses."""
        return secrets_in(self.spec)

    def close(self) -> None:
        """Close it and what it keeps open."""
        self.family.close(self.native)


def open_connection(
    description: str | Mapping[str, Any],
    require: Require,
    reveal: Reveal,
    *,
    test: bool = True,
    learn: Callable[[str, str], None] = lambda name, value: None,
) -> Opened:
    """
    Return the native object for a description, with its family.

    Args:
        description: A URL, TOML text or its parts, with references.
        require: Raises unless a secret of that name can be used.
        reveal: Returns the value of a secret; called at each new connection, never earlier.
        test: Whether to open it once now.
        learn: Has a value masked that comes from elsewhere than the store, such as an access token.

    Raises:
        ConnectionSpecError, NoSuchSecretError, MissingDriverError, ConnectionFailedError: As `flowfile_nb.connect`.
    """
    spec = read_spec(description)
    for name in secrets_in(spec):
        require(name)
    family = family_of(spec)
    native = family.make(spec, SecretValues(reveal, learn))
    if test:
        family.check(native)
    return Opened(native, family, spec)
