"""Opening a connection: check the secrets it needs, find its family, hand over to it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from flowfile_nb.connections.families import Family, Reveal, SecretValues, family_of, form_of
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

    @property
    def note(self) -> str:
        """What its user should know beside, or nothing."""
        return str(getattr(self.family, "note", ""))

    def close(self) -> None:
        """Close it and what it keeps open."""
        self.family.close(self.native)


def open_connection(
    description: str | Mapping[str, Any],
    require: Require,
    reveal: Reveal,
    *,
    test: bool = True,
    as_: str | None = None,
) -> Opened:
    """
    Return the native object for a description, with its family.

    Args:
        description: A URL, TOML text or its parts, with references.
        require: Raises unless a secret of that name can be used.
        reveal: Returns the value of a secret; called at each new connection, never earlier. A `SecretValues` also learns what
            comes from elsewhere.
        test: Whether to open it once now.
        as_: Another native form than the family's own: `duckdb`, `adbc`, `ibis`, `uri`.

    Raises:
        ConnectionSpecError, NoSuchSecretError, MissingDriverError, ConnectionFailedError: As `flowfile_nb.connect`.
    """
    spec = read_spec(description)
    for name in secrets_in(spec):
        require(name)
    family = family_of(spec) if as_ is None else form_of(as_)
    native = family.make(spec, reveal if isinstance(reveal, SecretValues) else SecretValues(reveal))
    if test:
        family.check(native)
    return Opened(native, family, spec)
